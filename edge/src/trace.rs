//! What a request is called: its id, and its place in a trace (W3C Trace Context).

use std::cell::RefCell;

/// Longer ids would only fill logs.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Bytes fetched from the platform at once: one crossing for many requests.
const POOL_BYTES: usize = 1_024;

/// The names of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) request_id: String,
    /// With this edge as the parent.
    pub(crate) traceparent: String,
}

impl Trace {
    /// Keeps what the client sent where it is well-formed, and makes up the rest.
    pub(crate) fn begin(request_id: Option<String>, traceparent: Option<&str>, random: &Random) -> Self {
        let request_id = request_id
            .filter(|id| is_request_id(id))
            .unwrap_or_else(|| format!("req_{}", hex::encode(random.take::<12>())));
        let span = hex::encode(random.take::<8>());
        let traceparent = match traceparent.and_then(parse_traceparent) {
            Some((trace_id, flags)) => format!("00-{trace_id}-{span}-{flags}"),
            None => format!("00-{}-{span}-01", hex::encode(random.take::<16>())),
        };
        Self { request_id, traceparent }
    }
}

fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The trace's id and its flags, from a header of version 00 (Trace Context §3.2).
fn parse_traceparent(header: &str) -> Option<(&str, &str)> {
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_some = |text: &str| text.bytes().any(|b| b != b'0');
    let mut parts = header.split('-');
    let (version, trace_id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = [version.len(), trace_id.len(), parent.len(), flags.len()];
    let well_formed = parts.next().is_none()
        && version == "00"
        && lengths == [2, 32, 16, 2]
        && [trace_id, parent, flags].into_iter().all(is_hex)
        && is_some(trace_id)
        && is_some(parent);
    well_formed.then_some((trace_id, flags))
}

/// The platform's randomness, a pool at a time.
pub(crate) struct Random(RefCell<Pool>);

struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

impl Random {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }))
    }

    /// A number that nobody had before.
    pub(crate) fn number(&self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// `N` bytes that nobody had before. For names, not for secrets: where the platform gives no
    /// randomness, they are zero.
    fn take<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= POOL_BYTES) };
        let mut pool = self.0.borrow_mut();
        if POOL_BYTES - pool.used < N {
            pool.used = match getrandom::fill(&mut pool.bytes) {
                Ok(()) => 0,
                Err(_) => return [0; N],
            };
        }
        let taken = pool.bytes.get(pool.used..pool.used + N).and_then(|bytes| bytes.try_into().ok());
        pool.used += N;
        taken.unwrap_or([0; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn names_that_are_malformed_are_replaced() {
        let random = Random::new();
        for bad in ["", "a b", "a\"b", "ü", &"x".repeat(65)] {
            let trace = Trace::begin(Some(bad.to_owned()), None, &random);
            assert!(trace.request_id.starts_with("req_"), "{bad:?}");
        }
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-x",
        ] {
            let trace = Trace::begin(None, Some(bad), &random);
            assert!(!trace.traceparent.contains("4bf92f"), "{bad}");
            assert!(parse_traceparent(&trace.traceparent).is_some(), "{}", trace.traceparent);
        }
    }

    #[test]
    fn a_client_s_trace_goes_on_with_the_edge_as_parent() {
        let random = Random::new();
        let trace = Trace::begin(Some("my-id.1".to_owned()), Some(PARENT), &random);
        assert_eq!(trace.request_id, "my-id.1");
        assert!(trace.traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(trace.traceparent.ends_with("-00") && trace.traceparent != PARENT);
    }

    #[test]
    fn no_two_requests_have_one_name() {
        let random = Random::new();
        let ids: std::collections::BTreeSet<String> =
            (0..500).map(|_| Trace::begin(None, None, &random).request_id).collect();
        assert_eq!(ids.len(), 500);
    }
}
