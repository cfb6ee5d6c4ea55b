//! Watches how often reuse is wrong in one corpus, learns from it, and tightens or stops reuse that is wrong too often.
//!
//! Pure arithmetic over what it is told: who checks an answer, and when, is `answer`'s business.

use super::Tolerance;
use super::calibration::Probability;
use super::interval::Interval;

/// How far a corpus's own traffic can move the log-odds. Down to where nothing is sure; up by little, as an error of
/// the labels costs wrong answers there.
const OFFSET_MIN: f64 = -2.0;
const OFFSET_MAX: f64 = 0.5;

/// How much one label moves it.
const LEARNING_RATE: f64 = 0.05;

/// Checks after which older ones begin to count half: a corpus may change its nature.
const CHECKS_MAX: u64 = 2_000;

/// Requests after which older ones begin to count half.
const REQUESTS_MAX: u64 = 20_000;

/// Checks of its own before a corpus that was tightened or stopped is trusted again.
const CHECKS_TO_LOOSEN: u64 = 100;

/// How many times stricter the tolerance is while reuse is tightened.
const TIGHTER: u32 = 4;

/// Whether answers are reused across wordings now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    Open,
    /// Only what a stricter tolerance allows.
    Tight,
    /// Nothing; what would have been reused is answered afresh and compared.
    Stopped,
}

impl Mode {
    /// A label for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Tight => "tight",
            Self::Stopped => "stopped",
        }
    }

    const fn stricter(self) -> Self {
        match self {
            Self::Open => Self::Tight,
            Self::Tight | Self::Stopped => Self::Stopped,
        }
    }

    const fn milder(self) -> Self {
        match self {
            Self::Stopped => Self::Tight,
            Self::Tight | Self::Open => Self::Open,
        }
    }
}

/// What one corpus has seen.
#[derive(Debug, Clone)]
pub struct Watch {
    mode: Mode,
    offset: f64,
    requests: u64,
    hits: u64,
    checked: u64,
    wrong: u64,
    /// By the checks up to the last one, also where that one changed the mode and counting began anew.
    false_hits: Interval,
}

impl Default for Watch {
    fn default() -> Self {
        let false_hits = Interval::of(0, 0);
        Self { mode: Mode::Open, offset: 0.0, requests: 0, hits: 0, checked: 0, wrong: 0, false_hits }
    }
}

impl Watch {
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What the corpus's traffic has taught, in log-odds.
    #[must_use]
    pub const fn offset(&self) -> f64 {
        self.offset
    }

    /// The tolerance that rules now; [`Tolerance::NONE`] while reuse is stopped.
    #[must_use]
    pub fn tolerance(&self, set: Tolerance) -> Tolerance {
        match self.mode {
            Mode::Open => set,
            Mode::Tight => set.divided_by(TIGHTER),
            Mode::Stopped => Tolerance::NONE,
        }
    }

    /// The tolerance by which to tell what would have been reused, had reuse not been stopped.
    #[must_use]
    pub fn shadow_tolerance(&self, set: Tolerance) -> Tolerance {
        match self.mode {
            Mode::Open => set,
            Mode::Tight | Mode::Stopped => set.divided_by(TIGHTER),
        }
    }

    /// A question was asked.
    pub fn request(&mut self) {
        if self.requests >= REQUESTS_MAX {
            (self.requests, self.hits) = (self.requests / 2, self.hits / 2);
        }
        self.requests += 1;
    }

    /// It got another's answer, or would have, had reuse not been stopped: the share is of what reuse would do.
    pub fn hit(&mut self) {
        self.hits += 1;
    }

    /// A pair was labelled by comparing its answers.
    pub fn learn(&mut self, expected: Probability, same: bool) {
        let error = f64::from(u8::from(same)) - expected.get();
        self.offset = (self.offset + LEARNING_RATE * error).clamp(OFFSET_MIN, OFFSET_MAX);
    }

    /// A hit, or what would have been one, was compared with a fresh answer. Gives the new mode where it changes.
    pub fn check(&mut self, right: bool, set: Tolerance) -> Option<Mode> {
        if self.checked >= CHECKS_MAX {
            (self.checked, self.wrong) = (self.checked / 2, self.wrong / 2);
        }
        self.checked += 1;
        self.wrong += u64::from(!right);
        self.false_hits = Interval::of(self.wrong, self.checked).times(self.hit_share());
        let mode = if self.bound(self.prior(set)) > set.share() {
            self.mode.stricter()
        } else if self.checked >= CHECKS_TO_LOOSEN && self.bound(0) < set.share() {
            self.mode.milder()
        } else {
            self.mode
        };
        if mode == self.mode {
            return None;
        }
        self.mode = mode;
        // What was checked under the other mode says nothing about this one.
        (self.checked, self.wrong) = (0, 0);
        Some(mode)
    }

    /// The share of all requests that were answered wrongly by reuse, by the corpus's own checks alone: what the last of
    /// them made of it, and the mode of.
    #[must_use]
    pub const fn false_hits(&self) -> Interval {
        self.false_hits
    }

    /// Hits that have been compared with a fresh answer.
    #[must_use]
    pub const fn checked(&self) -> u64 {
        self.checked
    }

    /// Part of the requests that were hits.
    fn hit_share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { (self.hits as f64 / self.requests as f64).min(1.0) }
    }

    /// The upper bound of the share of wrongly answered requests.
    fn bound(&self, prior: u64) -> f64 {
        Interval::of(self.wrong, self.checked + prior).high * self.hit_share()
    }

    /// Checks without an error that stand for what the calibration was measured by, so that a corpus does not stop
    /// for want of checks: as many as put the bound at half the tolerance. They weigh less with each check.
    fn prior(&self, set: Tolerance) -> u64 {
        if set == Tolerance::NONE {
            return 0;
        }
        // Wilson's upper bound of 0 in n is z² / (n + z²).
        (2.0 * 3.84 * self.hit_share() / set.share()).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: f64 = 0.01;

    fn set() -> Tolerance {
        Tolerance::new(SET).unwrap()
    }

    /// After 1,000 requests of which a fifth were hits.
    fn watch() -> Watch {
        let mut watch = Watch::default();
        (0..1_000).for_each(|_| watch.request());
        (0..200).for_each(|_| watch.hit());
        watch
    }

    #[test]
    fn hits_that_are_right_change_nothing() {
        let mut watch = watch();
        assert!((0..5_000).all(|_| watch.check(true, set()).is_none()));
        assert_eq!((watch.mode(), watch.tolerance(set())), (Mode::Open, set()));
        assert!(watch.false_hits().high < 0.001);
    }

    #[test]
    fn one_error_is_no_reason_and_many_tighten_and_then_stop_reuse() {
        let mut watch = watch();
        assert_eq!(watch.check(false, set()), None);
        let one_in_one = watch.false_hits();
        assert!(
            one_in_one.estimate > 0.19 && one_in_one.low < 0.1 && one_in_one.high <= 0.2,
            "{one_in_one:?}"
        );
        let mut changes = (0..100).filter_map(|n| watch.check(n % 3 == 0, set()));
        assert_eq!(
            (changes.next(), changes.next(), changes.next()),
            (Some(Mode::Tight), Some(Mode::Stopped), None)
        );
        assert_eq!(watch.tolerance(set()), Tolerance::NONE);
        assert_eq!(watch.shadow_tolerance(set()).share(), SET / 4.0);
    }

    #[test]
    fn a_stopped_corpus_comes_back_by_what_it_would_have_reused() {
        let mut watch = watch();
        while watch.mode() != Mode::Stopped {
            watch.check(false, set());
        }
        let changes: Vec<Mode> = (0..2_000).filter_map(|_| watch.check(true, set())).collect();
        assert_eq!(changes, [Mode::Tight, Mode::Open]);
    }

    #[test]
    fn the_upper_bound_of_the_corpuss_own_checks_decides_in_the_long_run() {
        let mut watch = watch();
        // One in ten hits wrong, a fifth of the requests are hits: two per cent of the requests.
        let changed = (0..CHECKS_MAX).filter_map(|n| watch.check(n % 10 != 0, set())).next();
        assert_eq!(changed, Some(Mode::Tight));
    }

    #[test]
    fn labels_move_the_odds_within_bounds() {
        let mut watch = Watch::default();
        (0..10_000).for_each(|_| watch.learn(Probability::new(0.5), true));
        assert_eq!(watch.offset(), OFFSET_MAX);
        (0..10_000).for_each(|_| watch.learn(Probability::new(0.5), false));
        assert_eq!(watch.offset(), OFFSET_MIN);
        let mut calm = Watch::default();
        calm.learn(Probability::new(1.0), true);
        assert_eq!(calm.offset(), 0.0);
    }
}
