//! A rate with its burst, as configuration writes it: `60/min`, `1000/h burst 100`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Units a period may have: with periods of a day at most, every product of the two fits 64 bits with room.
const UNITS_MAX: u64 = 10_000_000_000;

const PERIODS: [(&str, u64); 4] = [("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `units` per `period_ms`, of which `burst` may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    units: u64,
    period_ms: u64,
    burst: u64,
}

/// The text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is written like 60/min or 1000/h burst 100, per s, min, h or d, from 1 to {UNITS_MAX}")]
pub struct InvalidRate;

impl Rate {
    /// # Errors
    /// A number is 0 or above the maximum, or the period is not a second, a minute, an hour or a day.
    pub fn new(units: u64, period_ms: u64, burst: u64) -> Result<Self, InvalidRate> {
        let in_range = |n: u64| (1..=UNITS_MAX).contains(&n);
        let known = PERIODS.iter().any(|&(_, ms)| ms == period_ms);
        if !in_range(units) || !in_range(burst) || !known {
            return Err(InvalidRate);
        }
        Ok(Self { units, period_ms, burst })
    }

    /// The same rate in units of which one of these holds `scale`.
    ///
    /// # Errors
    /// The scaled rate is above the maximum.
    pub fn scaled(self, scale: u64) -> Result<Self, InvalidRate> {
        Self::new(self.units.saturating_mul(scale), self.period_ms, self.burst.saturating_mul(scale))
    }

    #[must_use]
    pub const fn units(self) -> u64 {
        self.units
    }

    #[must_use]
    pub const fn period_ms(self) -> u64 {
        self.period_ms
    }

    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (units, period) = rate.split_once('/').ok_or(InvalidRate)?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| InvalidRate);
        let units = number(units)?;
        let &(_, period_ms) = PERIODS.iter().find(|(name, _)| *name == period.trim()).ok_or(InvalidRate)?;
        Self::new(units, period_ms, burst.map_or(Ok(units), number)?)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = PERIODS.iter().find(|(_, ms)| *ms == self.period_ms).map_or("", |(name, _)| name);
        write!(f, "{}/{period}", self.units)?;
        if self.burst == self.units { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;
    fn try_from(text: String) -> Result<Self, InvalidRate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["60/min", "1000/h burst 100", "5/s burst 50", "100000/d"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("60/min".parse::<Rate>().unwrap().burst(), 60);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for bad in
            ["", "60", "60/", "0/min", "60/week", "-1/s", "60/min burst 0", "60/min burst", "99999999999/s"]
        {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?}");
        }
    }
}
