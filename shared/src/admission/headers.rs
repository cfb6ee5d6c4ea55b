//! What callers read about their limits: `RateLimit`, `RateLimit-Policy`, `Retry-After`, and OpenAI's
//! `x-ratelimit-*`.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-11; OpenAI's guide to rate limits; the retries of OpenAI's
//! own SDKs, which wait for `retry-after-ms` or `retry-after` where it is at most a minute, and ask
//! `x-should-retry` first.

use std::fmt::{self, Write};

use super::purse::{Reason, Refusal, Standing};
use super::subject::Measure;
use super::tier::Limit;

/// OpenAI's SDKs wait no longer than this for what a response names; they would come back too soon.
const SDK_WAIT_MS_MAX: u64 = 60_000;

/// One response header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub value: String,
}

/// The headers of a response to a caller who stands so.
#[must_use]
pub fn fields(standing: &[Standing], refusal: Option<&Refusal>) -> Vec<Field> {
    let mut fields = Vec::with_capacity(10);
    let mut add = |name, value: String| {
        if !value.is_empty() {
            fields.push(Field { name, value });
        }
    };
    add("ratelimit-policy", list(standing, policy));
    add("ratelimit", list(standing, service_limit));
    for (measure, [limit, remaining, reset]) in OPENAI {
        if let Some(tightest) = tightest(standing, measure) {
            let scale = measure.scale();
            add(limit, (quota(tightest.limit) / scale).to_string());
            add(remaining, (tightest.left / scale).to_string());
            add(reset, duration(tightest.resets_ms));
        }
    }
    if let Some(refusal) = refusal {
        let wait_ms = refusal.retry_after_ms;
        if let Some(wait_ms) = wait_ms {
            add("retry-after", refusal.retry_after_s().unwrap_or(1).to_string());
            add("retry-after-ms", wait_ms.max(1).to_string());
        }
        if wait_ms.is_none_or(|wait_ms| wait_ms > SDK_WAIT_MS_MAX) {
            add("x-should-retry", "false".to_owned());
        }
    }
    fields
}

const OPENAI: [(Measure, [&str; 3]); 2] = [
    (
        Measure::Requests,
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ),
    (
        Measure::Tokens,
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    ),
];

impl Refusal {
    /// `Retry-After`: whole seconds, never too few. `None`: not before something changes.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        let seconds = self.retry_after_ms?.div_ceil(1_000).max(1);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason, self.retry_after_ms) {
            (Reason::Limit(dimension, measure), None) => {
                write!(
                    f,
                    "it asks for more {} than the {}'s limit ever allows",
                    measure.what(),
                    dimension.name()
                )
            }
            (Reason::Limit(dimension, Measure::Spend), Some(_)) => {
                write!(f, "the {}'s budget of this month is spent", dimension.name())
            }
            (Reason::Limit(dimension, measure), Some(_)) => {
                write!(f, "the {}'s limit of {} is reached", dimension.name(), measure.what())
            }
            (Reason::CoolingOff, _) => {
                f.write_str("this network was refused too often and is kept out for a while")
            }
            (Reason::Unreachable, _) => f.write_str("limits can't be checked at the moment"),
        }
    }
}

impl Measure {
    const fn what(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrent => "concurrent requests",
            Self::Spend => "spend units",
        }
    }
}

fn list(standing: &[Standing], item: fn(&mut String, &Standing) -> fmt::Result) -> String {
    let mut text = String::with_capacity(48 * standing.len());
    for (at, one) in standing.iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "\"{}-{}\"", one.dimension.name(), one.measure.name());
        let _ = item(&mut text, one);
    }
    text
}

fn policy(text: &mut String, one: &Standing) -> fmt::Result {
    write!(text, ";q={}", quota(one.limit) / one.measure.scale())?;
    match one.measure {
        Measure::Requests => {}
        Measure::Tokens => text.push_str(";qu=\"tokens\""),
        Measure::Concurrent => text.push_str(";qu=\"concurrent-requests\""),
        Measure::Spend => text.push_str(";qu=\"spend-units\""),
    }
    match one.limit {
        Limit::Rate(rate) => write!(text, ";w={}", rate.period_ms() / 1_000),
        // Calendar months differ in length, and what runs at once has no window.
        Limit::Monthly(_) | Limit::Concurrent(_) => Ok(()),
    }
}

fn service_limit(text: &mut String, one: &Standing) -> fmt::Result {
    write!(text, ";r={}", one.left / one.measure.scale())?;
    match one.limit {
        Limit::Rate(_) | Limit::Monthly(_) => write!(text, ";t={}", one.resets_ms.div_ceil(1_000)),
        Limit::Concurrent(_) => Ok(()),
    }
}

/// What one window of a limit holds.
const fn quota(limit: Limit) -> u64 {
    match limit {
        Limit::Rate(rate) => rate.units(),
        Limit::Concurrent(most) | Limit::Monthly(most) => most,
    }
}

/// Of several limits in a measure, the one of which the smallest part is left.
fn tightest(standing: &[Standing], measure: Measure) -> Option<&Standing> {
    // No rate has so many units that this saturates.
    let part = |one: &Standing| one.left.saturating_mul(1_000_000) / one.limit.most().max(1);
    standing.iter().filter(|one| one.measure == measure).min_by_key(|one| part(one))
}

/// As OpenAI writes durations: `20ms`, `1s`, `6m0s`, `1h0m0s`.
fn duration(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match (ms, seconds / 60, seconds / 3_600) {
        (..1_000, ..) => format!("{ms}ms"),
        (_, 0, _) => format!("{seconds}s"),
        (_, minutes, 0) => format!("{minutes}m{}s", seconds % 60),
        (_, minutes, hours) => format!("{hours}h{}m{}s", minutes % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Dimension, Rate};

    fn standing(dimension: Dimension, measure: Measure, rate: &str, left: u64) -> Standing {
        let rate: Rate = rate.parse().unwrap();
        let limit = Limit::Rate(rate.scaled(measure.scale()).unwrap());
        let left = left * measure.scale();
        Standing { dimension, measure, limit, left, resets_ms: limit.resets_ms(left, 0) }
    }

    fn shown(standing: &[Standing], refusal: Option<&Refusal>) -> String {
        let lines =
            fields(standing, refusal).into_iter().map(|field| format!("{}: {}", field.name, field.value));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_limit_is_told_and_openai_s_headers_speak_of_the_tightest() {
        let budget = Standing {
            dimension: Dimension::Tenant,
            measure: Measure::Spend,
            limit: Limit::Monthly(5_000),
            left: 4_000,
            resets_ms: 86_400_000,
        };
        let running = Standing {
            dimension: Dimension::User,
            measure: Measure::Concurrent,
            limit: Limit::Concurrent(4),
            left: 3,
            resets_ms: 0,
        };
        let standing = [
            standing(Dimension::User, Measure::Requests, "60/min", 59),
            running,
            standing(Dimension::Tenant, Measure::Requests, "6000/h burst 1000", 250),
            standing(Dimension::Tenant, Measure::Tokens, "40000/min", 39_999),
            budget,
        ];
        insta::assert_snapshot!(shown(&standing, None), @r#"
        ratelimit-policy: "user-requests";q=60;w=60, "user-concurrent";q=4;qu="concurrent-requests", "tenant-requests";q=6000;w=3600, "tenant-tokens";q=40000;qu="tokens";w=60, "tenant-spend";q=5000;qu="spend-units"
        ratelimit: "user-requests";r=59;t=1, "user-concurrent";r=3, "tenant-requests";r=250;t=450, "tenant-tokens";r=39999;t=1, "tenant-spend";r=4000;t=86400
        x-ratelimit-limit-requests: 6000
        x-ratelimit-remaining-requests: 250
        x-ratelimit-reset-requests: 7m30s
        x-ratelimit-limit-tokens: 40000
        x-ratelimit-remaining-tokens: 39999
        x-ratelimit-reset-tokens: 2ms
        "#);
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_an_sdk_is_not_sent_to_wait_in_vain() {
        let refused = |retry_after_ms| Refusal {
            reason: Reason::Limit(Dimension::User, Measure::Requests),
            retry_after_ms,
        };
        insta::assert_snapshot!(shown(&[], Some(&refused(Some(1_001)))), @"
        retry-after: 2
        retry-after-ms: 1001
        ");
        insta::assert_snapshot!(shown(&[], Some(&refused(Some(61_000)))), @"
        retry-after: 61
        retry-after-ms: 61000
        x-should-retry: false
        ");
        insta::assert_snapshot!(shown(&[], Some(&refused(None))), @"x-should-retry: false");
        assert_eq!(refused(Some(1)).to_string(), "the user's limit of requests is reached");
    }

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        for (ms, text) in
            [(0, "0ms"), (20, "20ms"), (999, "999ms"), (1_000, "1s"), (59_001, "1m0s"), (3_600_000, "1h0m0s")]
        {
            assert_eq!(duration(ms), text);
        }
    }
}
