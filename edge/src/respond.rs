//! Responses: their headers in one go, and refusals in the shape that the address's API defines.

use std::borrow::Cow;
use std::rc::Rc;

use js_sys::{JSON, Uint8Array};
use perigee_shared::header::{CACHE_STATUS, EDGE_CACHE, REQUEST_ID, SERVER_TIMING, TRACEPARENT};
use perigee_shared::problem::{Problem, ProblemKind};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, Response, ResponseInit};

use crate::route::{Route, is_openai};
use crate::visit::{Told, Visit, now_ms};

pub(crate) const JSON_TYPE: &str = "application/json";
pub(crate) const SSE_TYPE: &str = "text/event-stream; charset=utf-8";
const PROBLEM_TYPE: &str = "application/problem+json";

/// Status and headers of a response.
#[derive(Debug)]
pub(crate) struct Head {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    /// More headers, written already by [`headers_json`].
    limits: Option<Rc<str>>,
}

/// What follows the head.
pub(crate) enum Content<'a> {
    Nothing,
    Text(&'a str),
    /// Bytes that already are in JavaScript's memory; sent without a copy into Wasm.
    Bytes(&'a Uint8Array),
    /// Passed through, never read here.
    Stream(&'a ReadableStream),
}

impl Head {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::with_capacity(12), limits: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<Cow<'static, str>>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds the request's names, what admission has to say, and how long it took; `before` is what the origin says it did.
    pub(crate) fn signed_off(self, visit: &Visit, before: Option<&str>, waited_ms: u64) -> Self {
        let timing = server_timing(before, waited_ms, now_ms().saturating_sub(visit.started_ms));
        let mut head = self
            .with(SERVER_TIMING, timing)
            .with(REQUEST_ID, visit.trace.request_id.clone())
            .with(TRACEPARENT, visit.trace.traceparent.clone());
        let Told { headers, limits } = visit.take_told();
        head.headers.extend(headers);
        head.limits = limits;
        head
    }

    /// # Errors
    /// The platform refuses a header's value or the body.
    pub(crate) fn respond(self, content: Content<'_>) -> Result<Response, JsValue> {
        let init: ResponseInit = JSON::parse(&self.init_json())?.unchecked_into();
        match content {
            Content::Nothing => Response::new_with_opt_str_and_init(None, &init),
            Content::Text(text) => Response::new_with_opt_str_and_init(Some(text), &init),
            Content::Bytes(bytes) => Response::new_with_opt_js_u8_array_and_init(Some(bytes), &init),
            Content::Stream(stream) => Response::new_with_opt_readable_stream_and_init(Some(stream), &init),
        }
    }

    /// The whole head as one text: one crossing into JavaScript instead of one for each header.
    fn init_json(&self) -> String {
        #[derive(serde::Serialize)]
        struct Init<'a> {
            status: u16,
            headers: &'a [(&'static str, Cow<'static, str>)],
        }
        let init = Init { status: self.status, headers: &self.headers };
        let mut json = serde_json::to_string(&init).unwrap_or_default();
        // Without any limit there is nothing to say of them.
        let limits = self.limits.as_deref().filter(|limits| !limits.is_empty());
        if let (Some(limits), Some(open)) = (limits, json.strip_suffix(END).map(str::len)) {
            json.truncate(open);
            if !self.headers.is_empty() {
                json.push(',');
            }
            json.push_str(limits);
            json.push_str(END);
        }
        json
    }
}

/// How a head ends; headers that were written before are put in front of it.
const END: &str = "]}";

/// Writes headers as a head holds them, without what surrounds a list, so that one text can serve many responses.
pub(crate) fn headers_json<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members = headers.map(|header| serde_json::to_string(&header).unwrap_or_default());
    members.collect::<Vec<_>>().join(",")
}

/// `Server-Timing`: the origin's own members, then the time spent waiting for it, then the edge's.
fn server_timing(before: Option<&str>, waited_ms: u64, total_ms: u64) -> String {
    let edge_ms = total_ms.saturating_sub(waited_ms);
    match before {
        None if waited_ms == 0 => format!("edge;dur={edge_ms}"),
        None => format!("origin;dur={waited_ms}, edge;dur={edge_ms}"),
        Some(before) => format!("{before}, origin;dur={waited_ms}, edge;dur={edge_ms}"),
    }
}

/// A refusal that this edge makes itself.
///
/// # Errors
/// The platform refuses to build a response.
pub(crate) fn refusal(visit: &Visit, problem: &Problem) -> Result<Response, JsValue> {
    let (body, content_type) = if is_openai(&visit.path) {
        (problem.to_openai_json(), JSON_TYPE)
    } else {
        (problem.to_problem_json(), PROBLEM_TYPE)
    };
    let unauthorized = problem.kind.status() == 401;
    let route = Route::find(&visit.path).ok();
    // The preflight let the page try, whoever it is; so it may read why it can't go on. Without this it would see a network
    // error.
    if let Some(web_origin) = visit.header("origin")
        && route.as_ref().is_some_and(Route::is_for_browsers)
        && !visit.has_told("access-control-allow-origin")
    {
        visit.will_share_with(web_origin);
    }
    let allow = (problem.kind == ProblemKind::MethodNotAllowed)
        .then(|| route.map(|route| route.allow()).unwrap_or_default());
    // Admission says it more exactly.
    let retry_after = problem.retry_after().filter(|_| !visit.has_told("retry-after"));
    let head = Head::new(problem.kind.status())
        .with("content-type", content_type)
        .with(CACHE_STATUS, format!("{EDGE_CACHE}; detail={}", problem.kind.code()))
        .with_some("retry-after", retry_after.map(|seconds| seconds.to_string()))
        .with_some("www-authenticate", unauthorized.then_some("Bearer"))
        .with_some("allow", allow)
        .signed_off(visit, None, 0);
    head.respond(visit.content(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_origin_did_comes_before_what_the_edge_did() {
        assert_eq!(server_timing(None, 0, 2), "edge;dur=2");
        assert_eq!(server_timing(Some("embed;dur=1.3"), 7, 9), "embed;dur=1.3, origin;dur=7, edge;dur=2");
    }

    #[test]
    fn a_head_is_one_text_whatever_its_values() {
        let head = Head::new(404).with("x-a", "quote \" and \u{1}").with_some("x-b", None::<&str>);
        assert_eq!(head.init_json(), r#"{"status":404,"headers":[["x-a","quote \" and \u0001"]]}"#);
        let limits = headers_json([("x-c", "1"), ("x-d", "\"")].into_iter());
        let told = Head { limits: Some(limits.into()), ..head };
        let expected = r#"{"status":404,"headers":[["x-a","quote \" and \u0001"],["x-c","1"],["x-d","\""]]}"#;
        assert_eq!(told.init_json(), expected);
        let unlimited = Head { limits: Some("".into()), ..Head::new(200) };
        assert_eq!(unlimited.init_json(), r#"{"status":200,"headers":[]}"#);
    }
}
