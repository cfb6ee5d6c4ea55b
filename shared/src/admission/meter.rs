//! One counter's truth: what was spent, by the rule of its limit.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::gcra::Gcra;
use super::subject::Measure;
use super::tier::Limit;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Meter {
    Rate(Gcra),
    /// Nothing is spent by running: what runs is held.
    Concurrent,
    /// `month` counts months since year 0.
    Monthly {
        month: u32,
        used: u64,
    },
}

impl Meter {
    pub(super) fn new(measure: Measure) -> Self {
        match measure {
            Measure::Requests | Measure::Tokens => Self::Rate(Gcra::default()),
            Measure::Concurrent => Self::Concurrent,
            Measure::Spend => Self::Monthly { month: 0, used: 0 },
        }
    }

    /// Units that are not spent.
    pub(super) fn free(&self, limit: Limit, now_ms: u64) -> u64 {
        match (self, limit) {
            (Self::Rate(gcra), Limit::Rate(rate)) => gcra.free(rate, now_ms),
            (Self::Monthly { month, used }, Limit::Monthly(most)) => {
                if month_of(now_ms) > *month {
                    most
                } else {
                    most.saturating_sub(*used)
                }
            }
            (Self::Rate(_) | Self::Concurrent | Self::Monthly { .. }, limit) => limit.most(),
        }
    }

    pub(super) fn charge(&mut self, limit: Limit, now_ms: u64, units: u64) {
        match (self, limit) {
            (Self::Rate(gcra), Limit::Rate(rate)) => gcra.charge(rate, now_ms, units),
            (Self::Monthly { month, used }, Limit::Monthly(_)) => {
                let now = month_of(now_ms);
                // A clock that steps back over the month's end opens no new month.
                if now > *month {
                    (*month, *used) = (now, 0);
                }
                *used = used.saturating_add(units);
            }
            (Self::Rate(_) | Self::Concurrent | Self::Monthly { .. }, _) => {}
        }
    }

    /// Milliseconds until `units` more than what is on lease are free, if nobody draws; `None` when they come
    /// back only as isolates return them.
    pub(super) fn wait_ms(&self, limit: Limit, now_ms: u64, on_lease: u64, units: u64) -> Option<u64> {
        match (self, limit) {
            (Self::Rate(gcra), Limit::Rate(rate)) => {
                gcra.wait_ms(rate, now_ms, on_lease.saturating_add(units))
            }
            (Self::Monthly { .. }, Limit::Monthly(_)) => {
                (units > self.free(limit, now_ms)).then(|| month_left_ms(now_ms))
            }
            (Self::Rate(_) | Self::Concurrent | Self::Monthly { .. }, _) => None,
        }
    }
}

fn date_of(now_ms: u64) -> OffsetDateTime {
    i64::try_from(now_ms / 1_000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn month_of(now_ms: u64) -> u32 {
    let date = date_of(now_ms);
    u32::try_from(date.year()).unwrap_or(0) * 12 + u32::from(u8::from(date.month()) - 1)
}

/// Milliseconds until the next calendar month (UTC) begins.
pub(super) fn month_left_ms(now_ms: u64) -> u64 {
    let date = date_of(now_ms);
    let days = u64::from(date.month().length(date.year()) - date.day());
    let today_s = u64::from(date.hour()) * 3_600 + u64::from(date.minute()) * 60 + u64::from(date.second());
    (days * 86_400 + 86_400 - today_s) * 1_000 - now_ms % 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Month;

    /// 2028-02-28 23:59:59.250 UTC, in a leap year.
    const LEAP_MS: u64 = 1_835_395_199_250;

    #[test]
    fn a_month_ends_when_the_calendar_says() {
        assert_eq!(date_of(LEAP_MS).month(), Month::February);
        assert_eq!(month_left_ms(LEAP_MS), 86_400_750);
        assert_eq!(month_of(LEAP_MS + 86_400_749), 2_028 * 12 + 1);
        assert_eq!(month_of(LEAP_MS + 86_400_750), 2_028 * 12 + 2);
    }

    #[test]
    fn a_new_month_brings_a_new_budget_and_a_clock_stepping_back_brings_none() {
        let limit = Limit::Monthly(100);
        let mut meter = Meter::new(Measure::Spend);
        meter.charge(limit, LEAP_MS, 90);
        assert_eq!(meter.free(limit, LEAP_MS), 10);
        assert_eq!(meter.wait_ms(limit, LEAP_MS, 0, 11), Some(86_400_750));
        assert_eq!(meter.wait_ms(limit, LEAP_MS, 5, 10), None, "what is on lease may come back");
        let march_ms = LEAP_MS + 86_400_750;
        assert_eq!(meter.free(limit, march_ms), 100);
        meter.charge(limit, march_ms, 60);
        meter.charge(limit, LEAP_MS, 10);
        assert_eq!(meter.free(limit, march_ms), 30);
    }
}
