//! What is new about each answer: its id and its time. The one place here that reads clock and randomness.

use std::time::{SystemTime, UNIX_EPOCH};

/// Made once per answer; every rendering carries the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `chatcmpl-` and 32 hex digits.
    pub id: String,
    /// Unix seconds.
    pub created_s: u64,
}

impl Stamp {
    /// # Errors
    /// The system has no randomness to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        Ok(Self { id: format!("chatcmpl-{}", hex::encode(random)), created_s: now_s() })
    }
}

/// Unix seconds now; 0 on a clock that stands before 1970.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
