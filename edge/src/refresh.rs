//! Keeps the knowledge of epochs young: shares what is learned with the data centre, and asks an origin in
//! the background, at most once at a time for each corpus.

use std::rc::Rc;

use perigee_shared::cache_control::CacheControl;
use perigee_shared::header::EPOCH;
use perigee_shared::id::Epoch;
use perigee_shared::region;
use web_sys::Response;

use crate::Edge;
use crate::admit::Admitted;
use crate::data_centre::{get_epoch, put_epoch};
use crate::forward::{Onward, forward};
use crate::freshness::{Place, PlaceRef, Sighting};
use crate::respond::JSON_TYPE;
use crate::route::Method;
use crate::trace::Trace;
use crate::visit::{Visit, now_ms};

/// Shorter than the time after which another try may begin.
const DEADLINE_MS: u64 = 5_000;

/// The epoch that an origin's response names.
pub(crate) fn epoch_of(response: &Response) -> Option<Epoch> {
    response.headers().get(EPOCH).ok()??.parse().ok().map(Epoch::new)
}

/// Takes note of what an origin said when it was asked at `sent_ms`, and tells the data centre if it is time.
pub(crate) fn learn(edge: &Rc<Edge>, visit: &Visit, place: PlaceRef<'_>, sighting: Sighting) {
    let bounds = edge.config.bounds;
    let due = {
        let mut epochs = edge.epochs.borrow_mut();
        let before = epochs.of(place, now_ms());
        epochs.learn(place, sighting);
        epochs.share_is_due(place, before, bounds)
    };
    if let Some(sighting) = due {
        let place = place.owned();
        visit.context.wait_until(async move { put_epoch(place.borrowed(), sighting, bounds).await });
    }
}

/// Asks for the epoch in the background if what is known grows old.
pub(crate) fn refresh_if_due(edge: &Rc<Edge>, visit: &Visit, admitted: &Rc<Admitted>, place: PlaceRef<'_>) {
    let due = edge.epochs.borrow_mut().refresh_is_due(place, edge.config.bounds, now_ms());
    if due {
        let (edge, admitted) = (Rc::clone(edge), Rc::clone(admitted));
        let (place, trace, client) = (place.owned(), visit.trace.clone(), visit.place());
        visit.context.wait_until(async move { refresh(&edge, &admitted, &place, &trace, client).await });
    }
}

async fn refresh(
    edge: &Edge,
    admitted: &Admitted,
    place: &Place,
    trace: &Trace,
    client: Option<region::Place>,
) {
    let bounds = edge.config.bounds;
    let shared = get_epoch(place.borrowed()).await;
    match shared.filter(|sighting| sighting.is_within(bounds.refresh_ms, now_ms())) {
        // Another isolate asked a moment ago.
        Some(sighting) => edge.epochs.borrow_mut().learn(place.borrowed(), sighting),
        None => {
            if let Some(sighting) = ask(edge, admitted, place, trace, client).await {
                edge.epochs.borrow_mut().learn(place.borrowed(), sighting);
                put_epoch(place.borrowed(), sighting, bounds).await;
            }
        }
    }
    edge.epochs.borrow_mut().refresh_ended(place.borrowed());
}

async fn ask(
    edge: &Edge,
    admitted: &Admitted,
    place: &Place,
    trace: &Trace,
    client: Option<region::Place>,
) -> Option<Sighting> {
    #[derive(serde::Deserialize)]
    struct Body {
        epoch: Epoch,
    }
    let onward = Onward {
        method: Method::Get,
        path_and_query: format!("/v1/corpora/{}/epoch", place.corpus),
        admitted,
        body: None,
        accept: JSON_TYPE,
        content_type: None,
        control: CacheControl::default(),
        min_epoch: None,
        trace,
        deadline_ms: now_ms() + DEADLINE_MS,
        may_repeat: true,
        place: client,
    };
    let reply = forward(edge, &onward).await.ok()?;
    if reply.response.status() != 200 {
        worker::console_warn!("{}: no epoch: status {}", trace.request_id, reply.response.status());
        return None;
    }
    let mut response = worker::Response::from(reply.response);
    let Body { epoch } = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
    Some(Sighting { epoch, seen_ms: reply.sent_ms })
}
