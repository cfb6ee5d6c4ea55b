//! Keeps the knowledge of epochs and answer indexes young: shares what is learned with the data centre, and asks an
//! origin in the background, at most once at a time for each corpus.

use std::rc::Rc;

use perigee_shared::answer_index::Uses;
use perigee_shared::cache_control::CacheControl;
use perigee_shared::header::EPOCH;
use perigee_shared::id::Epoch;
use perigee_shared::region;
use web_sys::Response;

use crate::Edge;
use crate::admit::Admitted;
use crate::answer_index;
use crate::data_centre::{get_epoch, put_epoch};
use crate::forward::{Onward, Reply, forward};
use crate::freshness::{PlaceRef, Sighting};
use crate::pass_on::Told;
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

/// Asks for epoch and answer index in the background if what is known grows old.
pub(crate) fn refresh_if_due(edge: &Rc<Edge>, visit: &Visit, admitted: &Rc<Admitted>, place: PlaceRef<'_>) {
    let index_seen_ms = edge.indexes.borrow().of(place).map(|index| index.seen_ms);
    let bounds = edge.config.bounds;
    let due = edge.epochs.borrow_mut().refresh_is_due(place, index_seen_ms, bounds, now_ms());
    if due {
        let (edge, admitted) = (Rc::clone(edge), Rc::clone(admitted));
        let (place, trace, client) = (place.owned(), visit.trace.clone(), visit.place());
        visit.context.wait_until(async move {
            let asking = Asking { edge: &edge, admitted: &admitted, trace: &trace, client };
            asking.refresh(place.borrowed()).await;
            edge.epochs.borrow_mut().refresh_ended(place.borrowed(), now_ms());
        });
    }
}

/// A question of the edge's own, on behalf of a caller who may ask the corpus.
struct Asking<'a> {
    edge: &'a Edge,
    admitted: &'a Admitted,
    trace: &'a Trace,
    client: Option<region::Place>,
}

impl Asking<'_> {
    async fn refresh(&self, place: PlaceRef<'_>) {
        let Self { edge, .. } = self;
        if answer_index::take_from_data_centre(edge, place).await {
            // Another isolate asked a moment ago, and shared the epoch with the index.
            if let Some(sighting) = get_epoch(place).await {
                edge.epochs.borrow_mut().learn(place, sighting);
            }
        } else if let Some(sighting) = self.ask(place).await {
            edge.epochs.borrow_mut().learn(place, sighting);
            put_epoch(place, sighting, edge.config.bounds).await;
        }
    }

    /// One question for both: the answer index, whose response tells the epoch, too. It tells the origin which answers
    /// were given here.
    async fn ask(&self, place: PlaceRef<'_>) -> Option<Sighting> {
        let held = self.edge.indexes.borrow().of(place).map(|index| index.snapshot.etag());
        let mut path = format!("/v1/corpora/{}/answer-index", place.corpus);
        let uses = self.edge.tallies.borrow_mut().take(place);
        if !uses.is_empty() {
            path += &format!("?{}={uses}", Uses::PARAMETER);
        }
        let reply = self.get(path, answer_index::ACCEPT, held).await?;
        let status = reply.response.status();
        if status == 404 {
            // The corpus is gone, or the origin is of a release before there were indexes.
            self.edge.indexes.borrow_mut().forget(place);
            return self.ask_for_epoch(place).await;
        }
        let told = Told::by(&reply.response);
        let sighting = told.epoch.map(|epoch| Sighting { epoch, seen_ms: reply.sent_ms });
        if !matches!(status, 200 | 304) {
            worker::console_warn!("{}: no answer index: status {status}", self.trace.request_id);
            return None;
        }
        answer_index::keep(self.edge, place, reply, &told).await;
        sighting
    }

    async fn ask_for_epoch(&self, place: PlaceRef<'_>) -> Option<Sighting> {
        #[derive(serde::Deserialize)]
        struct Body {
            epoch: Epoch,
        }
        let reply = self.get(format!("/v1/corpora/{}/epoch", place.corpus), JSON_TYPE, None).await?;
        if reply.response.status() != 200 {
            worker::console_warn!("{}: no epoch: status {}", self.trace.request_id, reply.response.status());
            return None;
        }
        let mut response = worker::Response::from(reply.response);
        let Body { epoch } = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
        Some(Sighting { epoch, seen_ms: reply.sent_ms })
    }

    async fn get(&self, path_and_query: String, accept: &'static str, held: Option<String>) -> Option<Reply> {
        let onward = Onward {
            method: Method::Get,
            path_and_query,
            admitted: self.admitted,
            body: None,
            accept,
            content_type: None,
            held,
            control: CacheControl::default(),
            min_epoch: None,
            explains: false,
            trace: self.trace,
            deadline_ms: now_ms() + DEADLINE_MS,
            is_write: false,
            place: self.client,
        };
        forward(self.edge, &onward).await.ok()
    }
}
