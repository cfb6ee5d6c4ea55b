//! How far a share that was counted can be from the true one.

use serde::Serialize;

/// A share that was counted, with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub estimate: f64,
    pub high: f64,
}

/// Standard deviations on either side: 95 %.
const Z: f64 = 1.96;

impl Interval {
    /// Of `count` in `of` (Wilson's score interval, which holds for small counts and never leaves [0, 1]).
    /// Where nothing was counted, everything is possible.
    #[must_use]
    pub fn of(count: u64, of: u64) -> Self {
        if of == 0 {
            return Self { low: 0.0, estimate: 0.0, high: 1.0 };
        }
        let (n, share) = (of as f64, count as f64 / of as f64);
        let centre = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        Self { low: (centre - half).max(0.0), estimate: share, high: (centre + half).min(1.0) }
    }

    /// Of something that happens in this part of all cases.
    #[must_use]
    pub fn times(self, part: f64) -> Self {
        Self { low: self.low * part, estimate: self.estimate * part, high: self.high * part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Wilson's interval as statistics texts print them (R's `prop.test(…, correct = FALSE)`).
    #[test]
    fn it_is_wilsons() {
        for (count, of, low, high) in
            [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (5, 10, 0.2366, 0.7634), (3, 300, 0.0034, 0.0290)]
        {
            let interval = Interval::of(count, of);
            assert!((interval.low - low).abs() < 1e-3, "{count} of {of}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-3, "{count} of {of}: {interval:?}");
        }
        assert_eq!(Interval::of(0, 0).high, 1.0);
    }
}
