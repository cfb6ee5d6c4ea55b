//! Failures of this edge, as callers see them.

use perigee_shared::problem::{Problem, ProblemKind};
use wasm_bindgen::JsValue;

use crate::config::ConfigError;

/// Characters of a reader's complaint that are repeated to the caller: it may quote what was sent.
const COMPLAINT_CHARS_MAX: usize = 200;

/// A body that is not what its address takes.
pub(crate) fn unreadable(complaint: &serde_json::Error) -> Problem {
    let complaint: String = complaint.to_string().chars().take(COMPLAINT_CHARS_MAX).collect();
    Problem::new(ProblemKind::InvalidRequest, format!("the body can't be read: {complaint}"))
}

/// The log names the variable; callers only learn that it is not their fault.
pub(crate) fn misconfigured(error: &ConfigError) -> Problem {
    worker::console_error!("the worker's configuration is not valid: {error}");
    Problem::new(ProblemKind::Internal, "this edge is not set up; its log says why")
}

/// Something that the platform refused although it should not have.
pub(crate) fn platform(what: &str, cause: &JsValue) -> Problem {
    worker::console_error!("{what}: {cause:?}");
    Problem::new(ProblemKind::Internal, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_repeats_only_a_little_of_what_was_sent() {
        let sent = format!("{:?}", "x".repeat(10_000));
        let complaint = serde_json::from_str::<u32>(&sent).unwrap_err();
        assert!(unreadable(&complaint).detail.len() < 300);
    }
}
