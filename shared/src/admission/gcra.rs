//! The generic cell rate algorithm, in integers.
//!
//! Source: ITU-T I.371, Annex A (virtual scheduling). Instead of a theoretical arrival time the state keeps
//! its distance from now: the *debt*. It is counted in ticks of which one unit costs `period_ms` and a
//! millisecond pays `units`, so that no rate is ever rounded and nothing drifts.

use serde::{Deserialize, Serialize};

use super::rate::Rate;

/// One counter's state. A new one owes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gcra {
    debt: u64,
    /// The ticks that one unit costs, so that the state outlives a change of the rate.
    period_ms: u64,
    seen_ms: u64,
}

impl Gcra {
    /// Units that may be drawn now.
    #[must_use]
    pub fn free(&self, rate: Rate, now_ms: u64) -> u64 {
        let room = (rate.burst() * rate.period_ms()).saturating_sub(self.debt_at(rate, now_ms));
        room / rate.period_ms()
    }

    /// Draws `cost` units if so many are free; draws nothing otherwise.
    pub fn draw(&mut self, rate: Rate, now_ms: u64, cost: u64) -> bool {
        let fits = cost <= self.free(rate, now_ms);
        self.charge(rate, now_ms, if fits { cost } else { 0 });
        fits
    }

    /// Draws `cost` units whether or not they are free; what is too much is owed, and paid off by waiting.
    ///
    /// A cost of 0 only tells the time. A counter that refuses must be told it too, or a clock that stepped
    /// back would have to catch up before the debt shrinks again.
    pub fn charge(&mut self, rate: Rate, now_ms: u64, cost: u64) {
        let debt = self.debt_at(rate, now_ms).saturating_add(cost.saturating_mul(rate.period_ms()));
        *self = Self { debt, period_ms: rate.period_ms(), seen_ms: now_ms };
    }

    /// Milliseconds until `cost` units are free if nobody draws; `None` when there are never so many.
    #[must_use]
    pub fn wait_ms(&self, rate: Rate, now_ms: u64, cost: u64) -> Option<u64> {
        let room = rate.burst().checked_sub(cost)? * rate.period_ms();
        Some(self.debt_at(rate, now_ms).saturating_sub(room).div_ceil(rate.units()))
    }

    /// A clock that stepped back pays nothing, and what was owed before the step is owed after it, no more.
    fn debt_at(&self, rate: Rate, now_ms: u64) -> u64 {
        let elapsed_ms = now_ms.saturating_sub(self.seen_ms);
        self.debt_in_ticks_of(rate).saturating_sub(elapsed_ms.saturating_mul(rate.units()))
    }

    /// Under a rate of another period as many units stay drawn; a part of a unit rounds up.
    fn debt_in_ticks_of(&self, rate: Rate) -> u64 {
        if self.period_ms == rate.period_ms() || self.debt == 0 {
            return self.debt;
        }
        let debt = u128::from(self.debt) * u128::from(rate.period_ms());
        u64::try_from(debt.div_ceil(u128::from(self.period_ms.max(1)))).unwrap_or(u64::MAX)
    }
}
