//! On to an origin: the nearest one first, signed, inside the deadline; the next one when it can't be
//! reached or can't serve and nothing was streamed yet.

use std::time::Duration;

use futures::future::{Either, select};
use js_sys::{JSON, Promise};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::header::{
    BODY_SHA256, CALLER, DEADLINE_MS, EXPLAIN, MIN_EPOCH, REQUEST_ID, SIGNATURE, TRACEPARENT,
};
use perigee_shared::id::{ContentHash, Epoch};
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::region::{Place, nearest_first};
use perigee_shared::signature::{Signed, sign};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, RequestInit, Response, WorkerGlobalScope};
use worker::Delay;

use crate::Edge;
use crate::admit::Admitted;
use crate::body::Body;
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
    /// Whether another origin may be asked after one that may have acted already.
    pub(crate) may_repeat: bool,
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

/// Sends a request to one origin after another until one serves it.
///
/// # Errors
/// 503 when none can be reached; 504 past the deadline.
pub(crate) async fn forward(edge: &Edge, onward: &Onward<'_>) -> Result<Reply, Problem> {
    let order = nearest_first(&edge.config.origins, onward.place);
    try_origins(edge, onward, &order).await
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
        let now_ms = now_ms();
        let Some(timeout_ms) = attempt_ms(onward.deadline_ms.saturating_sub(now_ms), left, onward.may_repeat)
        else {
            break;
        };
        match attempt(edge, onward, origin, &body_sha256, now_ms, timeout_ms).await {
            Ok(reply) if left > 0 && goes_on(reply.response.status(), onward.may_repeat) => {
                discard(refused.replace(reply));
            }
            Ok(reply) => {
                discard(refused);
                return Ok(reply);
            }
            Err(Failure::Unreachable) => {}
            Err(Failure::TimedOut) if onward.may_repeat => {}
            Err(Failure::TimedOut) => break,
        }
    }
    // An origin's own refusal says more than ours could.
    refused.ok_or_else(|| {
        if now_ms() >= onward.deadline_ms {
            Problem::new(ProblemKind::DeadlineExceeded, "no origin answered in time")
        } else {
            Problem::new(ProblemKind::NoOrigin, "no origin can be reached at the moment")
        }
    })
}

/// How long one origin may take to begin its answer: all that is left for the last one, else half of it, so
/// that one that hangs leaves time for the next. What must not be repeated is not cut short either.
fn attempt_ms(remaining_ms: u64, origins_left: usize, may_repeat: bool) -> Option<u64> {
    let timeout_ms = if origins_left == 0 || !may_repeat { remaining_ms } else { remaining_ms / 2 };
    (timeout_ms > 0).then_some(timeout_ms)
}

/// Whether the next origin is asked after this status. 503 says that nothing was done.
const fn goes_on(status: u16, may_repeat: bool) -> bool {
    match status {
        503 => true,
        502 | 504 => may_repeat,
        _ => false,
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
            Ok(Reply { response, origin, sent_ms: now_ms })
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
        (DEADLINE_MS, onward.deadline_ms.saturating_sub(now_ms).to_string()),
        (TRACEPARENT, onward.trace.traceparent.clone()),
        (REQUEST_ID, onward.trace.request_id.clone()),
    ];
    let optional = [
        ("content-type", onward.content_type.clone()),
        ("if-none-match", onward.held.clone()),
        ("cache-control", control_header(&onward.control)),
        (MIN_EPOCH, onward.min_epoch.map(|epoch| epoch.to_string())),
        (EXPLAIN, onward.explains.then(|| "1".to_owned())),
    ];
    headers.extend(seal);
    headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    headers
}

/// The caller's wishes, as far as they were understood. `only-if-cached` ends at the edge.
fn control_header(control: &CacheControl) -> Option<String> {
    let CacheControl { no_cache, no_store, only_if_cached: _, max_age_s } = *control;
    let directives: Vec<String> = [
        no_cache.then(|| "no-cache".to_owned()),
        no_store.then(|| "no-store".to_owned()),
        max_age_s.map(|seconds| format!("max-age={seconds}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!directives.is_empty()).then(|| directives.join(", "))
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

    #[test]
    fn the_platforms_cache_which_knows_no_tenants_keeps_nothing_that_an_origin_says() {
        let init: serde_json::Value = serde_json::from_str(&init_json(Method::Get, &[])).unwrap();
        assert_eq!((&init["cache"], &init["redirect"]), (&"no-store".into(), &"manual".into()));
    }

    #[test]
    fn what_an_origin_may_have_done_is_not_done_twice() {
        for (status, repeatable, once) in [
            (200, false, false),
            (400, false, false),
            (500, false, false),
            (502, true, false),
            (503, true, true),
            (504, true, false),
            (507, false, false),
        ] {
            assert_eq!((goes_on(status, true), goes_on(status, false)), (repeatable, once), "{status}");
        }
    }

    #[test]
    fn an_origin_that_hangs_leaves_time_for_the_next_and_none_gets_time_past_the_deadline() {
        assert_eq!(attempt_ms(30_000, 2, true), Some(15_000));
        assert_eq!(attempt_ms(15_000, 0, true), Some(15_000));
        assert_eq!(attempt_ms(30_000, 2, false), Some(30_000));
        assert_eq!(attempt_ms(0, 0, true), None);
    }

    #[test]
    fn the_caller_s_wishes_go_on_as_they_were_understood() {
        let onward = |text| control_header(&CacheControl::parse(Some(text)));
        assert_eq!(onward("public, x=y"), None);
        assert_eq!(onward("NO-CACHE, max-age=5, evil").as_deref(), Some("no-cache, max-age=5"));
        assert_eq!(onward("only-if-cached, no-store").as_deref(), Some("no-store"));
    }
}
