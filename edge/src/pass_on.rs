//! Addresses that are the origin's business: checked here, passed on, and their responses passed through.

use std::rc::Rc;

use js_sys::Promise;
use perigee_shared::answer::Answer;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::header::{
    ANSWER_KEY, CACHE_STATUS, CacheOutcome, EDGE_CACHE, EPOCH, EXPLAIN, SERVER_TIMING, is_of_other_words,
};
use perigee_shared::id::Epoch;
use perigee_shared::limits::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX};
use perigee_shared::problem::Problem;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, Response, WritableStream};

use crate::Edge;
use crate::admit::Admitted;
use crate::body::Body;
use crate::error::platform;
use crate::forward::{Onward, Reply, forward};
use crate::freshness::{PlaceRef, Sighting, Wrote};
use crate::quota::Charge;
use crate::refresh::{epoch_of, learn};
use crate::respond::{Content, Head, JSON_TYPE};
use crate::route::{Method, Route};
use crate::visit::{Visit, now_ms};

/// Passes a request on.
///
/// # Errors
/// 413 body; 400 query; 503 no origin; 504 past the deadline.
pub(crate) async fn pass_on(
    edge: Rc<Edge>,
    visit: Rc<Visit>,
    route: Route,
    method: Method,
    admitted: Rc<Admitted>,
    charge: Charge,
) -> Result<Response, Problem> {
    let (edge, visit, route, admitted) = (&edge, &visit, &route, &*admitted);
    let path_and_query = route.path() + &route.query(method, &visit.query)?;
    let min_epoch = visit.min_epoch()?;
    let body_bytes_max = route.body_bytes_max(method);
    let body = match body_bytes_max {
        0 => None,
        most => Some(Body::read(edge, visit, most).await?),
    };
    let onward = Onward {
        method,
        path_and_query,
        admitted,
        body: body.as_ref(),
        accept: JSON_TYPE,
        content_type: body.as_ref().and_then(|_| visit.header("content-type")),
        held: None,
        control: visit.cache_control(),
        min_epoch,
        explains: false,
        trace: &visit.trace,
        // From here on: how long a client takes to send is its own affair.
        deadline_ms: now_ms() + deadline_ms(route, method),
        is_write: route.is_write(method),
        place: visit.place(),
    };
    let place = route.corpus().map(|corpus| PlaceRef { tenant: &admitted.caller.tenant, corpus });
    match place.filter(|_| route.changes_corpus(method)) {
        Some(place) => write(edge, visit, route, place, &onward, charge).await,
        None => {
            let reply = forward(edge, &onward).await?;
            let told = Told::by(&reply.response);
            if let Some(place) = place {
                learn_from(edge, visit, place, &reply, &told);
            }
            settle(charge, &reply);
            respond(visit, &reply, told, CacheOutcome::Bypass)
        }
    }
}

/// A document has to be read, split and embedded before a write is answered; that takes its time.
const fn deadline_ms(route: &Route, method: Method) -> u64 {
    if route.changes_corpus(method) { DEADLINE_MS_MAX } else { DEADLINE_MS_DEFAULT }
}

/// While a write is under way nothing is known of its corpus here, so that the very next question after it
/// sees what it did.
async fn write(
    edge: &Rc<Edge>,
    visit: &Visit,
    route: &Route,
    place: PlaceRef<'_>,
    onward: &Onward<'_>,
    charge: Charge,
) -> Result<Response, Problem> {
    let begun = edge.epochs.borrow_mut().write_begins(place, now_ms());
    let reply = match forward(edge, onward).await {
        Ok(reply) => reply,
        Err(problem) => {
            edge.epochs.borrow_mut().write_ends(place, begun, Wrote::Unknown, now_ms());
            return Err(problem);
        }
    };
    let told = Told::by(&reply.response);
    settle(charge, &reply);
    if let (Route::Batch(_), true) = (route, reply.response.body().is_some()) {
        // Its last epoch is known when its last line has passed. A client that left ends the batch as well.
        let (edge, place) = (Rc::clone(edge), place.owned());
        return respond_until(visit, &reply, told, CacheOutcome::Bypass, move || {
            edge.epochs.borrow_mut().write_ends(place.borrowed(), begun, Wrote::Unknown, now_ms());
        });
    }
    let written = told.sighting(&reply);
    if let Some(sighting) = written {
        learn(edge, visit, place, sighting);
    }
    let refused = matches!(reply.response.status(), 400..500) && route.is_refused_whole();
    let wrote = match written {
        Some(sighting) => Wrote::Epoch(sighting.epoch),
        None if refused => Wrote::Nothing,
        None => Wrote::Unknown,
    };
    edge.epochs.borrow_mut().write_ends(place, begun, wrote, now_ms());
    if matches!(route, Route::Corpus(_)) && reply.response.ok() {
        edge.epochs.borrow_mut().deleted(place, now_ms());
    }
    respond(visit, &reply, told, CacheOutcome::Bypass)
}

/// What an origin's response headers say, as far as they are believed or passed on.
pub(crate) struct Told {
    pub(crate) content_type: Option<String>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) answer_key: Option<CacheKey>,
    pub(crate) age: Option<String>,
    pub(crate) server_timing: Option<String>,
    /// Why the origin reused what it did, as JSON.
    pub(crate) explanation: Option<String>,
    cache_status: Option<String>,
    retry_after: Option<String>,
    location: Option<String>,
    www_authenticate: Option<String>,
}

impl Told {
    pub(crate) fn by(response: &Response) -> Self {
        let headers = response.headers();
        let header = |name| headers.get(name).ok().flatten();
        Self {
            content_type: header("content-type"),
            epoch: epoch_of(response),
            answer_key: header(ANSWER_KEY).and_then(|text| CacheKey::parse(&text).ok()),
            age: header("age").filter(|age| age.parse::<u64>().is_ok()),
            server_timing: header(SERVER_TIMING),
            explanation: header(EXPLAIN),
            cache_status: header(CACHE_STATUS),
            retry_after: header("retry-after"),
            location: header("location").filter(|to| to.starts_with("/v1/")),
            www_authenticate: header("www-authenticate"),
        }
    }

    pub(crate) fn is(&self, media_type: &str) -> bool {
        let essence = self.content_type.as_deref().and_then(|t| t.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
    }

    pub(crate) fn age_s(&self) -> u64 {
        self.age.as_deref().and_then(|age| age.parse().ok()).unwrap_or(0)
    }

    /// The origin's members of `Cache-Status`, then ours: the cache nearest to the client comes last.
    pub(crate) fn cache_status_with(&self, outcome: CacheOutcome) -> String {
        let ours = outcome.member(EDGE_CACHE);
        match &self.cache_status {
            Some(theirs) => format!("{theirs}, {ours}"),
            None => ours,
        }
    }

    /// Whether the origin gave an answer that was made for other words.
    pub(crate) fn is_of_other_words(&self) -> bool {
        self.cache_status.as_deref().is_some_and(is_of_other_words)
    }

    /// The tokens that an answer took: none where the origin had it already.
    pub(crate) fn tokens_of(&self, answer: &Answer) -> u64 {
        let had_it = self.cache_status.as_deref().is_some_and(|status| status.contains("; hit"));
        if had_it { 0 } else { answer.usage.total() }
    }

    fn sighting(&self, reply: &Reply) -> Option<Sighting> {
        let believed = reply.response.ok();
        self.epoch.filter(|_| believed).map(|epoch| Sighting { epoch, seen_ms: reply.sent_ms })
    }
}

/// Takes note of the epoch that a response names.
pub(crate) fn learn_from(edge: &Rc<Edge>, visit: &Visit, place: PlaceRef<'_>, reply: &Reply, told: &Told) {
    if let Some(sighting) = told.sighting(reply) {
        learn(edge, visit, place, sighting);
    }
}

/// The origin's response, its body untouched.
///
/// # Errors
/// 500 when the platform refuses to pass it through.
pub(crate) fn respond(
    visit: &Visit,
    reply: &Reply,
    told: Told,
    outcome: CacheOutcome,
) -> Result<Response, Problem> {
    let body = reply.response.body();
    pass_through(visit, reply, told, outcome, body.as_ref())
}

fn pass_through(
    visit: &Visit,
    reply: &Reply,
    told: Told,
    outcome: CacheOutcome,
    body: Option<&ReadableStream>,
) -> Result<Response, Problem> {
    let cache_status = told.cache_status_with(outcome);
    let Told { content_type, epoch, age, server_timing, retry_after, location, www_authenticate, .. } = told;
    let head = Head::new(reply.response.status())
        .with_some("content-type", content_type)
        .with(CACHE_STATUS, cache_status)
        .with_some("age", age)
        .with_some(EPOCH, epoch.map(|epoch| epoch.to_string()))
        .with_some("retry-after", retry_after)
        .with_some("location", location)
        .with_some("www-authenticate", www_authenticate)
        .signed_off(visit, server_timing.as_deref(), now_ms().saturating_sub(reply.sent_ms));
    head.respond(body.map_or(Content::Nothing, Content::Stream))
        .map_err(|cause| platform("a response can't be passed through", &cause))
}

#[wasm_bindgen]
extern "C" {
    /// The platform's own pass-through: bytes move in native code, not through JavaScript.
    type IdentityTransformStream;

    #[wasm_bindgen(constructor, catch)]
    fn new() -> Result<IdentityTransformStream, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> WritableStream;

    #[wasm_bindgen(method, js_name = pipeTo)]
    fn pipe_to(this: &JsReadable, writable: &WritableStream) -> Promise;

    type JsReadable;
}

/// As [`respond`], and does something when the last byte has passed or the client has left.
pub(crate) fn respond_until(
    visit: &Visit,
    reply: &Reply,
    told: Told,
    outcome: CacheOutcome,
    at_the_end: impl FnOnce() + 'static,
) -> Result<Response, Problem> {
    let Some(stream) = reply.response.body() else {
        at_the_end();
        return pass_through(visit, reply, told, outcome, None);
    };
    let pipe = IdentityTransformStream::new().map_err(|cause| platform("no pipe", &cause))?;
    let passed = JsFuture::from(stream.unchecked_ref::<JsReadable>().pipe_to(&pipe.writable()));
    visit.context.wait_until(async move {
        let _finished = passed.await;
        at_the_end();
    });
    pass_through(visit, reply, told, outcome, Some(&pipe.readable()))
}

/// What an origin refused because of the request has cost it something; what failed on our side costs nothing.
pub(crate) fn settle(charge: Charge, reply: &Reply) {
    if reply.response.status() < 500 {
        charge.miss(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        Told {
            content_type: None,
            epoch: None,
            answer_key: None,
            age: None,
            server_timing: None,
            explanation: None,
            cache_status: None,
            retry_after: None,
            location: None,
            www_authenticate: None,
        }
    }

    #[test]
    fn the_edge_s_member_of_cache_status_comes_last() {
        let status = |cache_status: Option<&str>| {
            Told { cache_status: cache_status.map(Into::into), ..told() }
                .cache_status_with(CacheOutcome::Miss)
        };
        assert_eq!(status(None), "perigee-edge; fwd=miss");
        assert_eq!(
            status(Some("perigee-origin; hit; detail=exact")),
            "perigee-origin; hit; detail=exact, perigee-edge; fwd=miss"
        );
    }

    #[test]
    fn a_media_type_is_compared_without_its_parameters() {
        let is = |content_type: &str| {
            Told { content_type: Some(content_type.to_owned()), ..told() }.is("text/event-stream")
        };
        assert!(is("text/event-stream") && is("Text/Event-Stream; charset=utf-8"));
        assert!(!is("application/json") && !is("text/event-stream-not"));
    }
}
