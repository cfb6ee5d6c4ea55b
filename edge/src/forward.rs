//! On to an origin: the nearest one first, signed, inside the deadline; the next one when it can't be
//! reached or can't serve and nothing was streamed yet. A write goes to one origin and nowhere else.

use std::time::Duration;

use futures::future::{Either, select};
use js_sys::{JSON, Promise};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::header::{
    BODY_SHA256, CALLER, DEADLINE_MS, EXPLAIN, MIN_EPOCH, REQUEST_ID, SIGNATURE, TRACEPARENT,
};
use perigee_shared::id::{ContentHash, Epoch};
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::region::{Origin, Place, nearest_first};
use perigee_shared::signature::{Signed, sign};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, RequestInit, Response, WorkerGlobalScope};
use worker::Delay;

use crate::Edge;
use crate::admit::Admitted;
use crate::body::Body;
use crate::circuit::{Circuits, Seen};
use crate::config::WRITER;
use crate::route::Method;
use crate::trace::Trace;
use crate::visit::now_ms;

/// A request as an origin gets it. Its headers are made here and nowhere copied from the client's.
pub(crate) struct Onward<'a> {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) admitted: &'a Admitted,
    pub(crate) body: Option<&'a Body>,
    pub(crate) accept: &'static str,
    pub(crate) content_type: Option<String>,
    /// The ETag of what is held already.
    pub(crate) held: Option<String>,
    pub(crate) control: CacheControl,
    pub(crate) min_epoch: Option<Epoch>,
    /// Whether it shall say why it reuses what it does.
    pub(crate) explains: bool,
    pub(crate) trace: &'a Trace,
    /// Unix milliseconds by which the answer must have begun.
    pub(crate) deadline_ms: u64,
    /// Whether it may change what an origin holds. Then it is sent once, to the origin that takes writes: a platform's fetch
    /// fails alike whether a connection was refused or lost after everything was sent and done, and what only another origin
    /// wrote down would be missing here.
    pub(crate) is_write: bool,
    /// Where the client is.
    pub(crate) place: Option<Place>,
}

/// An origin's response; its body is not read yet.
pub(crate) struct Reply {
    pub(crate) response: Response,
    /// Which one of the configured origins.
    pub(crate) origin: usize,
    /// When it was asked.
    pub(crate) sent_ms: u64,
}

/// Sends a request to one origin after another until one serves it; a write, to the one that takes it.
///
/// # Errors
/// 503 when none can be reached; 504 past the deadline.
pub(crate) async fn forward(edge: &Edge, onward: &Onward<'_>) -> Result<Reply, Problem> {
    let order = {
        let mut circuits = edge.circuits.borrow_mut();
        whom(&edge.config.origins, &mut circuits, onward.is_write, onward.place, now_ms())
    };
    try_origins(edge, onward, &order).await
}

/// Which origins are asked, in this order: the nearest first that is not known to be down.
fn whom(
    origins: &[Origin],
    circuits: &mut Circuits,
    is_write: bool,
    place: Option<Place>,
    now_ms: u64,
) -> Vec<usize> {
    if is_write { vec![WRITER] } else { circuits.order(nearest_first(origins, place), now_ms) }
}

/// Sends a request to the one origin that can serve it.
///
/// # Errors
/// 503 when it can't be reached; 504 past the deadline.
pub(crate) async fn forward_to(edge: &Edge, onward: &Onward<'_>, origin: usize) -> Result<Reply, Problem> {
    try_origins(edge, onward, &[origin]).await
}

async fn try_origins(edge: &Edge, onward: &Onward<'_>, order: &[usize]) -> Result<Reply, Problem> {
    let body_sha256 = match onward.body {
        Some(body) => body.sha256().await?,
        None => *ContentHash::of(b"").as_bytes(),
    };
    let mut refused: Option<Reply> = None;
    let mut left = order.len();
    for &origin in order {
        left -= 1;
        let asked_ms = now_ms();
        let is_repeated = left + 1 < order.len();
        if is_repeated && !edge.circuits.borrow_mut().may_retry(asked_ms) {
            worker::console_warn!("{}: too many requests were repeated lately", onward.trace.request_id);
            break;
        }
        let Some(timeout_ms) = attempt_ms(onward.deadline_ms.saturating_sub(asked_ms), left) else { break };
        let outcome = attempt(edge, onward, origin, &body_sha256, asked_ms, timeout_ms).await;
        edge.circuits.borrow_mut().saw(origin, seen(&outcome, onward), now_ms());
        match outcome {
            Ok(reply) if left > 0 && goes_on(reply.response.status()) => {
                discard(refused.replace(reply));
            }
            Ok(reply) => {
                discard(refused);
                return Ok(reply);
            }
            Err(Failure::Unreachable | Failure::TimedOut) => {}
        }
    }
    // An origin's own refusal says more than ours could.
    refused.ok_or_else(|| nobody_answered(onward.is_write, now_ms() >= onward.deadline_ms))
}

/// Whoever wrote must hear that nobody knows what became of it.
fn nobody_answered(is_write: bool, past_deadline: bool) -> Problem {
    let (kind, detail) = match (past_deadline, is_write) {
        (true, false) => (ProblemKind::DeadlineExceeded, "no origin answered in time"),
        (false, false) => (ProblemKind::NoOrigin, "no origin can be reached at the moment"),
        (true, true) => {
            (ProblemKind::DeadlineExceeded, "the origin did not answer in time; it may have written this")
        }
        (false, true) => {
            (ProblemKind::NoOrigin, "the connection to the origin failed; it may have written this")
        }
    };
    Problem::new(kind, detail)
}

/// How long one origin may take to begin its answer: all that is left for the last one, else half of it, so
/// that one that hangs leaves time for the next.
fn attempt_ms(remaining_ms: u64, origins_left: usize) -> Option<u64> {
    let timeout_ms = if origins_left == 0 { remaining_ms } else { remaining_ms / 2 };
    (timeout_ms > 0).then_some(timeout_ms)
}

/// Whether the next origin is asked after this status.
const fn goes_on(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Whether this status is Cloudflare's own, for an origin that it can't reach: a Worker's fetch sees it in place of a failure.
const fn is_of_the_platform(status: u16) -> bool {
    matches!(status, 520..=530)
}

/// What an attempt tells of its origin.
fn seen(outcome: &Result<Reply, Failure>, onward: &Onward<'_>) -> Seen {
    match outcome {
        Ok(reply) => Seen::by_status(reply.response.status(), onward.min_epoch.is_some()),
        Err(Failure::Unreachable | Failure::TimedOut) => Seen::Down,
    }
}

enum Failure {
    Unreachable,
    TimedOut,
}

async fn attempt(
    edge: &Edge,
    onward: &Onward<'_>,
    origin: usize,
    body_sha256: &[u8; 32],
    now_ms: u64,
    timeout_ms: u64,
) -> Result<Reply, Failure> {
    let target = edge.config.origins.get(origin).ok_or(Failure::Unreachable)?;
    let signed = Signed {
        method: onward.method.name(),
        path_and_query: &onward.path_and_query,
        body_sha256,
        caller: &onward.admitted.header,
    };
    let signature = sign(edge.config.secret.as_bytes(), signed, now_ms / 1_000);
    let seal = [(SIGNATURE, signature), (BODY_SHA256, hex::encode(body_sha256))];
    let controller = AbortController::new().map_err(|_| Failure::Unreachable)?;
    let init = request_init(onward, seal, now_ms).map_err(|cause| {
        worker::console_error!("{}: a request can't be built: {cause:?}", onward.trace.request_id);
        Failure::Unreachable
    })?;
    init.set_signal(Some(&controller.signal()));
    let url = format!("{}{}", target.url, onward.path_and_query);
    let fetched = JsFuture::from(fetch(&url, &init));
    let timeout = Delay::from(Duration::from_millis(timeout_ms));
    match select(fetched, timeout).await {
        Either::Left((Ok(response), _)) => {
            let response: Response = response.unchecked_into();
            let reply = Reply { response, origin, sent_ms: now_ms };
            let status = reply.response.status();
            if is_of_the_platform(status) {
                worker::console_warn!("{}: origin {}: {status}", onward.trace.request_id, target.name);
                discard(Some(reply));
                return Err(Failure::Unreachable);
            }
            Ok(reply)
        }
        Either::Left((Err(cause), _)) => {
            worker::console_warn!("{}: origin {} failed: {cause:?}", onward.trace.request_id, target.name);
            Err(Failure::Unreachable)
        }
        Either::Right(((), _)) => {
            controller.abort();
            worker::console_warn!(
                "{}: origin {} did not answer within {timeout_ms} ms",
                onward.trace.request_id,
                target.name
            );
            Err(Failure::TimedOut)
        }
    }
}

fn fetch(url: &str, init: &RequestInit) -> Promise {
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    global.fetch_with_str_and_init(url, init)
}

/// Says of the age of an answer that any will do (RFC 9111, section 5.2.1.2), which is what saying nothing means.
const NO_WISH: &str = "max-stale";

/// What proves a request to an origin.
type Seal = [(&'static str, String); 2];

fn request_init(onward: &Onward<'_>, seal: Seal, now_ms: u64) -> Result<RequestInit, JsValue> {
    let init = init_json(onward.method, &onward_headers(onward, seal, now_ms));
    let init: RequestInit = JSON::parse(&init)?.unchecked_into();
    if let Some(body) = onward.body {
        init.set_body(body.as_js());
    }
    Ok(init)
}

/// What of a request is not its body. The platform's own cache stays out of it: that one knows addresses only, and an
/// address names neither the tenant nor who may read.
fn init_json(method: Method, headers: &[(&'static str, String)]) -> String {
    #[derive(serde::Serialize)]
    struct Init<'a> {
        method: &'static str,
        redirect: &'static str,
        cache: &'static str,
        headers: &'a [(&'static str, String)],
    }
    let init = Init { method: method.name(), redirect: "manual", cache: "no-store", headers };
    serde_json::to_string(&init).unwrap_or_default()
}

fn onward_headers(onward: &Onward<'_>, seal: Seal, now_ms: u64) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("accept", onward.accept.to_owned()),
        // Bodies are passed through as they are, so they must not be packed for this hop.
        ("accept-encoding", "identity".to_owned()),
        ("user-agent", concat!("perigee-edge/", env!("CARGO_PKG_VERSION")).to_owned()),
        (CALLER, onward.admitted.header.clone()),
        ("cache-control", control_header(&onward.control)),
        (DEADLINE_MS, onward.deadline_ms.saturating_sub(now_ms).to_string()),
        (TRACEPARENT, onward.trace.traceparent.clone()),
        (REQUEST_ID, onward.trace.request_id.clone()),
    ];
    let optional = [
        ("content-type", onward.content_type.clone()),
        ("if-none-match", onward.held.clone()),
        (MIN_EPOCH, onward.min_epoch.map(|epoch| epoch.to_string())),
        (EXPLAIN, onward.explains.then(|| "1".to_owned())),
    ];
    headers.extend(seal);
    headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    headers
}

/// The caller's wishes, as far as they were understood. `only-if-cached` ends at the edge.
///
/// Never empty: a request that stays out of the platform's cache and says nothing of its own is sent on as `no-cache`, which
/// an origin would heed as the caller's wish.
fn control_header(control: &CacheControl) -> String {
    let CacheControl { no_cache, no_store, only_if_cached: _, max_age_s } = *control;
    let directives: Vec<String> = [
        no_cache.then(|| "no-cache".to_owned()),
        no_store.then(|| "no-store".to_owned()),
        max_age_s.map(|seconds| format!("max-age={seconds}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if directives.is_empty() { NO_WISH.to_owned() } else { directives.join(", ") }
}

/// Lets go of a response that nobody will read, and with it of its connection.
fn discard(reply: Option<Reply>) {
    if let Some(body) = reply.and_then(|reply| reply.response.body()) {
        let _cancelled = body.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str, lon: f64) -> Origin {
        Origin { name: name.to_owned(), url: String::new(), lat: 0.0, lon }
    }

    #[test]
    fn the_platforms_cache_which_knows_no_tenants_keeps_nothing_that_an_origin_says() {
        let init: serde_json::Value = serde_json::from_str(&init_json(Method::Get, &[])).unwrap();
        assert_eq!((&init["cache"], &init["redirect"]), (&"no-store".into(), &"manual".into()));
    }

    #[test]
    fn what_an_origin_may_have_done_is_asked_of_no_other_whatever_became_of_it() {
        let (mut circuits, origins) = (Circuits::new(2), [origin("far", 100.0), origin("near", 0.0)]);
        let here = Some(Place { lat: 0.0, lon: 0.0 });
        for _ in 0..10 {
            assert_eq!(whom(&origins, &mut circuits, true, here, 0), [WRITER]);
            circuits.saw(WRITER, Seen::Down, 0);
        }
        assert_eq!(whom(&origins, &mut circuits, false, here, 0), [1, 0]);
        for past_deadline in [false, true] {
            let problem = nobody_answered(true, past_deadline);
            assert!(problem.detail.contains("may have written"), "{problem:?}");
            assert!(!nobody_answered(false, past_deadline).detail.contains("written"));
        }
    }

    #[test]
    fn another_origin_is_asked_only_after_one_that_could_not_serve() {
        for (status, expected) in [
            (200, false),
            (400, false),
            (404, false),
            (429, false),
            (500, false),
            (502, true),
            (503, true),
            (504, true),
            (507, false),
        ] {
            assert_eq!(goes_on(status), expected, "{status}");
            assert!(!is_of_the_platform(status), "{status}");
        }
        assert!(is_of_the_platform(521) && is_of_the_platform(530) && !is_of_the_platform(531));
    }

    #[test]
    fn an_origin_that_hangs_leaves_time_for_the_next_and_none_gets_time_past_the_deadline() {
        assert_eq!(attempt_ms(30_000, 2), Some(15_000));
        assert_eq!(attempt_ms(15_000, 0), Some(15_000));
        assert_eq!(attempt_ms(0, 0), None);
    }

    #[test]
    fn the_caller_s_wishes_go_on_as_they_were_understood() {
        let onward = |text| control_header(&CacheControl::parse(Some(text)));
        assert_eq!(onward("public, x=y"), NO_WISH, "saying nothing would be taken for no-cache");
        assert_eq!(onward("NO-CACHE, max-age=5, evil"), "no-cache, max-age=5");
        assert_eq!(onward("only-if-cached, no-store"), "no-store");
    }
}
