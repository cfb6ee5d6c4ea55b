//! How many requests may be answered wrongly for the sake of reuse: what a corpus sets, instead of a similarity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The share of all requests that may get another question's answer wrongly, in [0, [`Tolerance::MAX`]].
///
/// 0 means that wordings are never taken for each other.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(minimum = 0, maximum = 0.05))]
pub struct Tolerance(f64);

/// Not a share between 0 and [`Tolerance::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tolerance is a share of requests between 0 and {}, such as 0.01", Tolerance::MAX)]
pub struct InvalidTolerance;

impl Tolerance {
    /// Above it, no calibration says what would happen.
    pub const MAX: f64 = 0.05;

    /// Wordings are never taken for each other.
    pub const NONE: Self = Self(0.0);

    /// # Errors
    /// Not a number, negative or above [`Self::MAX`].
    pub fn new(share: f64) -> Result<Self, InvalidTolerance> {
        // NaN is in no range.
        if (0.0..=Self::MAX).contains(&share) { Ok(Self(share)) } else { Err(InvalidTolerance) }
    }

    #[must_use]
    pub const fn share(self) -> f64 {
        self.0
    }

    /// The same, so many times stricter.
    #[must_use]
    pub fn divided_by(self, by: u32) -> Self {
        Self(self.0 / f64::from(by.max(1)))
    }
}

impl Default for Tolerance {
    /// One request in a hundred.
    fn default() -> Self {
        Self(0.01)
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, as a share of a hundred is rarely a float that prints short.
        write!(f, "{} %", (self.0 * 1e8).round() / 1e6)
    }
}

impl TryFrom<f64> for Tolerance {
    type Error = InvalidTolerance;

    fn try_from(share: f64) -> Result<Self, InvalidTolerance> {
        Self::new(share)
    }
}

impl From<Tolerance> for f64 {
    fn from(tolerance: Tolerance) -> Self {
        tolerance.0
    }
}

impl std::str::FromStr for Tolerance {
    type Err = InvalidTolerance;

    fn from_str(text: &str) -> Result<Self, InvalidTolerance> {
        text.parse().map_err(|_| InvalidTolerance).and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_shares_are_tolerances() {
        for share in [0.0, 0.01, 0.05] {
            assert_eq!(Tolerance::new(share).map(Tolerance::share), Ok(share));
        }
        for share in [-0.001, 0.051, 1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Tolerance::new(share), Err(InvalidTolerance));
        }
        assert_eq!("0.02".parse(), Tolerance::new(0.02));
        assert!("2 %".parse::<Tolerance>().is_err());
        assert_eq!(Tolerance::new(0.007).map(|share| share.to_string()), Ok("0.7 %".to_owned()));
    }
}
