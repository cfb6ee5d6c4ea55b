//! Who a request is for the logs: its id, and its place in a trace that began elsewhere (W3C Trace Context).

use axum::http::{HeaderMap, HeaderValue};
use perigee_shared::header::{REQUEST_ID, TRACEPARENT};

/// A request's id and its span in a trace.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    /// This server's own span.
    pub(super) span_id: String,
    flags: String,
}

const REQUEST_ID_BYTES_MAX: usize = 128;

impl Identity {
    /// Continues what the headers begin; begins what they do not, or not validly.
    #[must_use]
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let request_id =
            text(REQUEST_ID).filter(|id| is_request_id(id)).map_or_else(|| random(16), str::to_owned);
        let span_id = random(8);
        match text(TRACEPARENT).and_then(parse) {
            Some((trace_id, flags)) => {
                Self { request_id, trace_id: trace_id.to_owned(), span_id, flags: flags.to_owned() }
            }
            None => Self { request_id, trace_id: random(16), span_id, flags: "00".to_owned() },
        }
    }

    /// The `traceparent` that continues at this server's span.
    #[must_use]
    pub(super) fn traceparent(&self) -> String {
        let Self { request_id: _, trace_id, span_id, flags } = self;
        format!("00-{trace_id}-{span_id}-{flags}")
    }
}

fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'='))
}

/// Trace id and flags of a valid `traceparent`. A later version may have more fields; version ff is invalid.
/// Source: W3C Trace Context, §3.2.
fn parse(header: &str) -> Option<(&str, &str)> {
    let mut fields = header.split('-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let hex = |field: &str, digits: usize| {
        field.len() == digits && field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let some = |field: &str| field.bytes().any(|b| b != b'0');
    let well_formed = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let valid = well_formed && version != "ff" && some(trace) && some(parent);
    let ends = version != "00" || fields.next().is_none();
    (valid && ends).then_some((trace, flags))
}

/// Random hex digits, two per byte.
fn random(bytes: usize) -> String {
    let mut random = [1; 16];
    // Without randomness from the system ids repeat, and nothing but a log search suffers.
    let _ = getrandom::fill(&mut random);
    hex::encode(&random[..bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(traceparent: &'static str, request_id: &'static str) -> Identity {
        let headers = [(TRACEPARENT, traceparent), (REQUEST_ID, request_id)];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        Identity::of(&HeaderMap::from_iter(headers))
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_its_own() {
        let began = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let identity = identity(began, "r-1");
        assert_eq!(identity.request_id, "r-1");
        assert_eq!(identity.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(identity.span_id, "00f067aa0ba902b7");
        assert!(parse(&identity.traceparent()).is_some() && identity.traceparent().ends_with("-01"));
    }

    #[test]
    fn an_invalid_trace_or_id_is_replaced() {
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            let identity = identity(bad, "a b");
            assert!(parse(&identity.traceparent()).is_some(), "{bad}");
            assert!(!identity.trace_id.starts_with("4bf"), "{bad}");
            assert!(is_request_id(&identity.request_id));
        }
    }
}
