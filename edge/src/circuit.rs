//! Which origins are worth asking: a circuit for each (closed, open, half-open) and a budget for asking another one after a
//! failure, so that repeating can't multiply an outage. Pure; what an isolate learns here it forgets with its end.
//!
//! A circuit never refuses a request. It puts an origin behind the others; where no other is left it is asked all the same.

/// Failures in a row that open a circuit.
const FAILURES_MAX: u32 = 3;

/// How long a circuit stays open at first. Each try that fails doubles it.
const OPEN_MS: u64 = 5_000;
const OPEN_MS_MAX: u64 = 120_000;

/// What the budget counts in: a fifth of a repeated request, which is what each request adds.
const FIFTHS_PER_RETRY: u64 = 5;

/// Requests that may be repeated at once after a quiet time.
const RETRIES_MAX: u64 = 20;

/// The time that adds one more: a quiet edge may always repeat.
const RETRY_EVERY_MS: u64 = 1_000;

/// What a request to an origin tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It answered for itself.
    Up,
    /// It could not be reached, did not answer in time, or said that it can't serve.
    Down,
    /// Nothing: the answer may be about something else than the origin.
    Nothing,
}

impl Seen {
    /// By an origin's status. `asked_for_epoch`: the caller named one, and 503 may only mean that it isn't there yet.
    pub(crate) const fn by_status(status: u16, asked_for_epoch: bool) -> Self {
        match status {
            503 if asked_for_epoch => Self::Nothing,
            503 => Self::Down,
            // The model server behind it, or a question that takes long; or a proxy before it.
            502 | 504 => Self::Nothing,
            _ => Self::Up,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed {
        failures: u32,
    },
    /// Passed over until then, after so long.
    Open {
        until_ms: u64,
        open_ms: u64,
    },
    /// One request tries it; the next one may when that one is lost.
    HalfOpen {
        since_ms: u64,
        open_ms: u64,
    },
}

impl Circuit {
    /// Whether a request may try it now.
    const fn is_due(self, now_ms: u64) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { until_ms, .. } => now_ms >= until_ms,
            Self::HalfOpen { since_ms, open_ms } => now_ms >= since_ms.saturating_add(open_ms),
        }
    }

    /// What it is while a request tries it.
    const fn tried(self, now_ms: u64) -> Self {
        match self {
            Self::Closed { .. } => self,
            Self::Open { open_ms, .. } | Self::HalfOpen { open_ms, .. } => {
                Self::HalfOpen { since_ms: now_ms, open_ms }
            }
        }
    }

    fn after(self, seen: Seen, now_ms: u64) -> Self {
        let open = |open_ms: u64| Self::Open { until_ms: now_ms.saturating_add(open_ms), open_ms };
        match (seen, self) {
            (Seen::Nothing, _) => self,
            (Seen::Up, _) => Self::Closed { failures: 0 },
            (Seen::Down, Self::Closed { failures }) if failures + 1 < FAILURES_MAX => {
                Self::Closed { failures: failures + 1 }
            }
            (Seen::Down, Self::Closed { .. }) => open(OPEN_MS),
            // Of a request from before it opened, or one that had no other origin left.
            (Seen::Down, Self::Open { .. }) => self,
            (Seen::Down, Self::HalfOpen { open_ms, .. }) => open((open_ms * 2).min(OPEN_MS_MAX)),
        }
    }
}

/// What an isolate knows of its origins.
#[derive(Debug)]
pub(crate) struct Circuits {
    circuits: Vec<Circuit>,
    /// The budget, in fifths of a repeated request, and when time last added to it.
    fifths: u64,
    filled_ms: u64,
}

impl Circuits {
    /// For so many origins.
    pub(crate) fn new(origins: usize) -> Self {
        let circuits = vec![Circuit::Closed { failures: 0 }; origins];
        Self { circuits, fifths: RETRIES_MAX * FIFTHS_PER_RETRY, filled_ms: 0 }
    }

    /// In which order a request asks: as preferred, those with an open circuit last. One that is due to be tried again keeps
    /// its place if the request begins with it.
    pub(crate) fn order(&mut self, preferred: Vec<usize>, now_ms: u64) -> Vec<usize> {
        self.fifths = (self.fifths + 1).min(RETRIES_MAX * FIFTHS_PER_RETRY);
        let (mut order, mut last) = (Vec::with_capacity(preferred.len()), Vec::new());
        for origin in preferred {
            match self.circuits.get_mut(origin) {
                Some(Circuit::Closed { .. }) => order.push(origin),
                Some(circuit) if order.is_empty() && circuit.is_due(now_ms) => {
                    *circuit = circuit.tried(now_ms);
                    order.push(origin);
                }
                Some(_) => last.push(origin),
                None => {}
            }
        }
        order.append(&mut last);
        order
    }

    /// Takes note of what a request has seen of an origin.
    pub(crate) fn saw(&mut self, origin: usize, seen: Seen, now_ms: u64) {
        if let Some(circuit) = self.circuits.get_mut(origin) {
            *circuit = circuit.after(seen, now_ms);
        }
    }

    /// Whether a request that failed may be repeated at another origin; if so, it is counted.
    pub(crate) fn may_retry(&mut self, now_ms: u64) -> bool {
        let periods = now_ms.saturating_sub(self.filled_ms) / RETRY_EVERY_MS;
        if periods > 0 {
            let filled = self.fifths.saturating_add(periods.saturating_mul(FIFTHS_PER_RETRY));
            self.fifths = filled.min(RETRIES_MAX * FIFTHS_PER_RETRY);
            self.filled_ms = now_ms;
        }
        let left = self.fifths.checked_sub(FIFTHS_PER_RETRY);
        self.fifths = left.unwrap_or(self.fifths);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_000_000;

    /// Two origins, of which the first has just failed for the third time.
    fn first_is_down() -> Circuits {
        let mut circuits = Circuits::new(2);
        for _ in 0..FAILURES_MAX {
            assert_eq!(circuits.order(vec![0, 1], NOW), [0, 1]);
            circuits.saw(0, Seen::Down, NOW);
        }
        circuits
    }

    #[test]
    fn an_origin_that_keeps_failing_is_asked_after_the_others_until_one_request_tries_it_again() {
        let mut circuits = first_is_down();
        assert_eq!(circuits.order(vec![0, 1], NOW + OPEN_MS - 1), [1, 0], "open");
        assert_eq!(circuits.order(vec![0, 1], NOW + OPEN_MS), [0, 1], "half-open: this one tries");
        assert_eq!(circuits.order(vec![0, 1], NOW + OPEN_MS), [1, 0], "and no other meanwhile");
        circuits.saw(0, Seen::Up, NOW + OPEN_MS + 1);
        assert_eq!(circuits.order(vec![0, 1], NOW + OPEN_MS + 1), [0, 1], "closed");
    }

    #[test]
    fn each_try_that_fails_doubles_the_time_to_the_next_up_to_a_bound() {
        let (mut circuits, mut now_ms, mut open_ms) = (first_is_down(), NOW, OPEN_MS);
        for _ in 0..10 {
            assert_eq!(circuits.order(vec![0, 1], now_ms + open_ms - 1), [1, 0], "after {open_ms}");
            now_ms += open_ms;
            assert_eq!(circuits.order(vec![0, 1], now_ms), [0, 1], "after {open_ms}");
            circuits.saw(0, Seen::Down, now_ms);
            open_ms = (open_ms * 2).min(OPEN_MS_MAX);
        }
        assert_eq!(open_ms, OPEN_MS_MAX);
    }

    #[test]
    fn a_try_that_never_comes_back_is_followed_by_another() {
        let mut circuits = first_is_down();
        let tried_ms = NOW + OPEN_MS;
        assert_eq!(circuits.order(vec![0, 1], tried_ms), [0, 1]);
        assert_eq!(circuits.order(vec![0, 1], tried_ms + OPEN_MS - 1), [1, 0]);
        assert_eq!(circuits.order(vec![0, 1], tried_ms + OPEN_MS), [0, 1]);
    }

    #[test]
    fn nobody_is_refused_because_every_circuit_is_open() {
        let mut circuits = first_is_down();
        for _ in 0..FAILURES_MAX {
            circuits.saw(1, Seen::Down, NOW);
        }
        assert_eq!(circuits.order(vec![1, 0], NOW), [1, 0], "as preferred");
        let mut only = Circuits::new(1);
        for _ in 0..100 {
            assert_eq!(only.order(vec![0], NOW), [0]);
            only.saw(0, Seen::Down, NOW);
        }
    }

    #[test]
    fn failures_count_only_in_a_row_and_only_if_they_are_the_origin_s() {
        let mut circuits = Circuits::new(2);
        for _ in 0..10 {
            for seen in [Seen::Down, Seen::Down, Seen::Nothing, Seen::Up] {
                circuits.saw(0, seen, NOW);
            }
            circuits.saw(1, Seen::Nothing, NOW);
        }
        assert_eq!(circuits.order(vec![0, 1], NOW), [0, 1]);
        for (status, asked_for_epoch, expected) in [
            (200, false, Seen::Up),
            (404, false, Seen::Up),
            (500, false, Seen::Up),
            (502, false, Seen::Nothing),
            (503, false, Seen::Down),
            (503, true, Seen::Nothing),
            (504, false, Seen::Nothing),
        ] {
            assert_eq!(Seen::by_status(status, asked_for_epoch), expected, "{status}");
        }
    }

    #[test]
    fn a_try_that_is_not_needed_is_not_spent() {
        let mut circuits = first_is_down();
        let due_ms = NOW + OPEN_MS;
        assert_eq!(circuits.order(vec![1, 0], due_ms), [1, 0], "the other one is nearer and serves");
        assert_eq!(circuits.order(vec![0, 1], due_ms), [0, 1], "so the try is still to be had");
    }

    #[test]
    fn a_quiet_edge_may_always_repeat_and_a_busy_one_in_an_outage_one_request_in_five() {
        let mut quiet = Circuits::new(2);
        for second in 0..100 {
            quiet.order(vec![0, 1], NOW + second * RETRY_EVERY_MS);
            assert!(quiet.may_retry(NOW + second * RETRY_EVERY_MS), "second {second}");
        }
        let mut busy = Circuits::new(2);
        let retries = (0..1_000).filter(|_| {
            busy.order(vec![0, 1], NOW);
            busy.may_retry(NOW)
        });
        assert_eq!(retries.count() as u64, RETRIES_MAX + 999 / FIFTHS_PER_RETRY);
    }

    proptest! {
        /// Whatever happens, every origin is asked once, and repeated requests stay within the budget.
        #[test]
        fn no_origin_is_lost_and_no_budget_overrun(
            steps in prop::collection::vec((0_usize..3, 0_u8..3, 0_u64..3_000), 1..200),
        ) {
            let (mut circuits, mut now_ms, mut retries) = (Circuits::new(3), NOW, 0);
            for (n, (origin, seen, passed_ms)) in steps.into_iter().enumerate() {
                now_ms += passed_ms;
                let mut order = circuits.order(vec![2, 0, 1], now_ms);
                order.sort_unstable();
                prop_assert_eq!(order, [0, 1, 2]);
                circuits.saw(origin, [Seen::Up, Seen::Down, Seen::Nothing][usize::from(seen)], now_ms);
                retries += u64::from(circuits.may_retry(now_ms));
                let most = RETRIES_MAX + (now_ms - NOW) / RETRY_EVERY_MS + n as u64 / FIFTHS_PER_RETRY + 1;
                prop_assert!(retries <= most, "{retries} of {most}");
            }
        }
    }
}
