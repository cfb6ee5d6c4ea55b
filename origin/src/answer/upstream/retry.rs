//! How often and how soon to try again, so that retries never multiply an outage.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Retries that may be made at once after a quiet time.
const BURST: f32 = 10.0;

/// Retries that each request pays for: in the long run at most one in five.
const PER_REQUEST: f32 = 0.2;

/// A budget of retries, filled by requests.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<f32>);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(Mutex::new(BURST))
    }

    pub(super) fn deposit(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + PER_REQUEST).min(BURST);
    }

    /// Whether another retry may be made.
    pub(super) fn withdraw(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }
}

/// The pause that the server asks for, in seconds; its other form, a date, would need the server's clock.
pub(super) fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_an_outage_one_request_in_five_is_tried_again() {
        let budget = RetryBudget::new();
        let retried = (0..1_000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        let retried = retried.count();
        assert!((200..=211).contains(&retried), "{retried}");
    }
}
