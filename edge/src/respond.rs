//! Responses: their headers in one go, and refusals in the shape that the address's API defines.

use std::borrow::Cow;
use std::rc::Rc;

use js_sys::{JSON, Uint8Array};
use perigee_shared::header::{CACHE_STATUS, EDGE_CACHE, REQUEST_ID, SERVER_TIMING, TRACEPARENT};
use perigee_shared::problem::{Problem, ProblemKind};
use serde::Serializer;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, Response, ResponseInit};

use crate::route::{Route, is_openai};
use crate::visit::{Told, Visit, now_ms};

pub(crate) const JSON_TYPE: &str = "application/json";
pub(crate) const SSE_TYPE: &str = "text/event-stream; charset=utf-8";
const PROBLEM_TYPE: &str = "application/problem+json";

/// What a usual response's headers take.
const HEADERS_BYTES: usize = 512;

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
        for (name, value) in headers {
            head.add(name, value);
        }
        head.limits = limits;
        head
    }

    /// Adds to a header that may be there already: the values then stand in one list (RFC 9110 §5.3).
    fn add(&mut self, name: &'static str, value: Cow<'static, str>) {
        match self.headers.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) => *there = format!("{there}, {value}").into(),
            None => self.headers.push((name, value)),
        }
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

    /// The whole head as one text: one crossing into JavaScript instead of one for each header. Its headers are an object,
    /// which the platform reads in less than half the time of a list of pairs, but which holds a name only once.
    fn init_json(&self) -> String {
        let own = headers_json(self.headers.iter().map(|(name, value)| (*name, value.as_ref())));
        // Without any limit there is nothing to say of them.
        let limits = self.limits.as_deref().unwrap_or_default();
        let between = if own.is_empty() || limits.is_empty() { "" } else { "," };
        format!(r#"{{"status":{},"headers":{{{own}{between}{limits}}}}}"#, self.status)
    }
}

/// Writes headers as members of a JSON object, without what surrounds them, so that one text can serve many responses.
pub(crate) fn headers_json<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut json = Vec::with_capacity(HEADERS_BYTES);
    // Text is always written, and as text.
    let written = serde_json::Serializer::new(&mut json).collect_map(headers);
    let mut json = written.ok().and_then(|()| String::from_utf8(json).ok()).unwrap_or_default();
    json.pop();
    json.split_off(json.len().min(1))
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
        assert_eq!(head.init_json(), r#"{"status":404,"headers":{"x-a":"quote \" and \u0001"}}"#);
        let limits = headers_json([("x-c", "1"), ("x-d", "\"")].into_iter());
        let told = Head { limits: Some(limits.into()), ..head };
        let expected = r#"{"status":404,"headers":{"x-a":"quote \" and \u0001","x-c":"1","x-d":"\""}}"#;
        assert_eq!(told.init_json(), expected);
        let unlimited = Head { limits: Some("".into()), ..Head::new(200) };
        assert_eq!(unlimited.init_json(), r#"{"status":200,"headers":{}}"#);
    }

    #[test]
    fn a_header_that_is_said_twice_is_one_list() {
        let mut head = Head::new(200).with("vary", "Accept");
        head.add("vary", "Origin".into());
        head.add("x-a", "1".into());
        assert_eq!(head.init_json(), r#"{"status":200,"headers":{"vary":"Accept, Origin","x-a":"1"}}"#);
    }
}
