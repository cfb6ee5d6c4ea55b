//! What an isolate holds of one counter.

use super::lease::{AskLine, GrantLine};
use super::subject::{CounterId, Dimension, Measure};
use super::tier::Limit;

/// A block is meant to last so long at the pace of the last draws.
const HORIZON_MS: u64 = 12_000;

/// With less than this left at that pace, it is time to ask.
const LEAD_MS: u64 = 1_000;

/// The shortest time over which a pace is measured: a single draw says little.
const PACE_MS_MIN: u64 = 1_000;

/// When the ledger has nothing left it is asked again after this long at least, however soon a unit comes back,
/// and at most, because somebody may raise the limit.
const DRY_MS_MIN: u64 = 2_000;
const DRY_MS_MAX: u64 = 60_000;

/// Requests that a user or a network may draw from an isolate before the ledger knows of them; and the part
/// of a limit on tokens or spending.
const TRUST_REQUESTS: u64 = 2;
const TRUST_PART: u64 = 16;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pot {
    /// Free to draw.
    balance: u64,
    /// Reserved by requests that run; and the most of it since the last ask.
    held: u64,
    peak: u64,
    /// Spent and not yet acknowledged by the ledger.
    spent: u64,
    /// Drawn beyond the lease and not yet reported; and what of it is being reported.
    owed: u64,
    owed_reporting: u64,
    /// What requests wait for.
    need: u64,
    refused: u64,
    /// Drawn since the last ask; and the same less what came back.
    drawn: u64,
    taken: u64,
    /// Units per second at which it is drawn, as far as the last asks tell.
    pace: u64,
    /// What the ledger believes this pot holds, and whether an answer was lost, so that it may be wrong.
    told: u64,
    lost: bool,
    /// Until when the ledger is not asked, and until when it has nothing as far as it knows.
    dry_until_ms: u64,
    back_ms: u64,
    /// What the ledger had left, and when it said so.
    free: Option<(u64, u64)>,
}

/// What a pot says to a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fits,
    /// Not enough is in hand; the ledger may have some.
    Lacks,
    /// The ledger has none for so many milliseconds.
    Dry(u64),
    /// It is more than the limit ever allows at once.
    Never,
}

impl Pot {
    pub(super) fn judge(&self, id: CounterId, limit: Limit, now_ms: u64, cost: u64) -> Verdict {
        let lacking = cost.saturating_sub(self.balance);
        if cost > limit.most() {
            Verdict::Never
        } else if lacking == 0 {
            Verdict::Fits
        } else if self.is_dry(now_ms) {
            Verdict::Dry(self.back_ms.saturating_sub(now_ms))
        } else if !self.is_used_up(now_ms) && self.owed + self.owed_reporting + lacking <= trust(id, limit) {
            Verdict::Fits
        } else {
            Verdict::Lacks
        }
    }

    /// Draws `cost`; what is not in hand is owed.
    pub(super) fn take(&mut self, cost: u64) {
        let in_hand = cost.min(self.balance);
        self.balance -= in_hand;
        self.owed += cost - in_hand;
        self.held += cost;
        self.peak = self.peak.max(self.held);
        self.drawn += cost;
        self.taken += cost;
        self.need = self.need.saturating_sub(cost);
    }

    /// Whether it is time to ask for more. A user or network asks with the others, or when it must.
    pub(super) fn runs_low(&self, id: CounterId, now_ms: u64) -> bool {
        match id.dimension {
            Dimension::Network | Dimension::User => false,
            Dimension::Key | Dimension::Tenant => {
                self.balance < self.pace * LEAD_MS / 1_000 && !self.is_dry(now_ms)
            }
        }
    }

    /// A request waits for `cost`. One that waited before is counted again only if nobody else is, so that
    /// the ledger is asked for something.
    pub(super) fn wait_for(&mut self, cost: u64, attempt: Attempt) {
        match attempt {
            Attempt::First => self.need += cost,
            Attempt::Later => self.need = self.need.max(cost),
        }
    }

    /// A request that may have waited waits no more; `here` if this pot refused it.
    pub(super) fn refuse(&mut self, cost: u64, here: bool) {
        self.refused += u64::from(here);
        self.need = self.need.saturating_sub(cost);
    }

    /// Ends a reservation of `cost` with what it really cost. What is left over pays what is owed first.
    pub(super) fn settle(&mut self, measure: Measure, cost: u64, actual: u64) {
        self.held = self.held.saturating_sub(cost);
        self.spent += actual;
        let back = cost.saturating_sub(actual);
        let paid = back.min(self.owed);
        self.owed -= paid;
        self.balance += back - paid;
        let beyond = actual.saturating_sub(cost);
        let in_hand = beyond.min(self.balance);
        self.balance -= in_hand;
        self.owed += beyond - in_hand;
        self.taken = (self.taken + beyond).saturating_sub(back);
        if measure == Measure::Concurrent {
            self.taken = 0;
        }
    }

    /// The line that reports this pot and asks for more, if there is something to say.
    pub(super) fn report(&mut self, id: CounterId, limit: Limit, own: bool, at: AskTime) -> Option<AskLine> {
        if at.give_back {
            // Whoever waited has gone.
            self.need = 0;
        }
        let target = if at.give_back { 0 } else { self.target(id, limit, at.elapsed_ms) };
        let need = self.need.saturating_sub(self.balance);
        let want = target.saturating_sub(self.balance + need);
        let want = if self.is_dry(at.now_ms) { 0 } else { want };
        if self.balance > target * 2 + self.need {
            self.balance = target + self.need;
        }
        let holding = self.balance + self.held;
        let says = self.spent + self.refused + need + want > 0 || self.told != holding || self.lost;
        let own = own.then_some(limit);
        let line =
            AskLine { counter: id, spent: self.spent, holding, need, want, refused: self.refused, own };
        (self.need, self.drawn, self.taken) = (0, 0, 0);
        self.peak = self.held;
        self.owed_reporting += std::mem::take(&mut self.owed);
        says.then_some(line)
    }

    /// How much should be in hand after an ask; learns the pace on the way.
    fn target(&mut self, id: CounterId, limit: Limit, elapsed_ms: u64) -> u64 {
        let recent = self.taken.saturating_mul(1_000) / elapsed_ms.max(PACE_MS_MIN);
        self.pace = recent.max((self.pace + recent) / 2);
        if self.drawn * 2 <= trust(id, limit) && self.need == 0 {
            self.pace = recent;
            return 0;
        }
        let room = match id.measure {
            Measure::Concurrent => self.peak / 4 + 1,
            Measure::Requests | Measure::Tokens | Measure::Spend => 0,
        };
        self.pace * HORIZON_MS / 1_000 + (self.peak - self.held) + room
    }

    /// The ledger has booked this line.
    pub(super) fn acknowledge(&mut self, line: &AskLine) {
        self.spent = self.spent.saturating_sub(line.spent);
        self.refused = self.refused.saturating_sub(line.refused);
        self.owed_reporting = 0;
        (self.told, self.lost) = (line.holding, false);
    }

    pub(super) fn receive(&mut self, line: &GrantLine, now_ms: u64) {
        self.balance += line.granted;
        self.told += line.granted;
        self.free = Some((line.free, now_ms));
        self.dry_until_ms = line.dry_ms.map_or(0, |dry_ms| now_ms + dry_ms.clamp(DRY_MS_MIN, DRY_MS_MAX));
        self.back_ms = line.dry_ms.map_or(0, |dry_ms| now_ms + dry_ms.max(DRY_MS_MIN));
    }

    /// The ledger did not answer; whether it booked the report nobody knows.
    pub(super) fn lose(&mut self) {
        self.owed += std::mem::take(&mut self.owed_reporting);
        self.lost = true;
    }

    /// The lease has ended, and the ledger counts all of it as spent. What it never lent remains to be told.
    pub(super) fn lapse(&mut self) {
        let owed = self.owed + self.owed_reporting;
        *self = Self {
            spent: owed,
            owed,
            need: self.need,
            refused: self.refused,
            dry_until_ms: self.dry_until_ms,
            back_ms: self.back_ms,
            free: self.free,
            ..Self::default()
        };
    }

    /// What the ledger said does not hold any more: the clock has stepped back, or there are new limits.
    pub(super) fn forget_ledger(&mut self) {
        (self.dry_until_ms, self.back_ms, self.free) = (0, 0, None);
    }

    /// Whether nothing is held, and nothing is left to tell.
    pub(super) const fn is_empty(&self) -> bool {
        self.balance + self.held + self.spent + self.owed + self.owed_reporting + self.need + self.refused
            == 0
            && self.told == 0
            && !self.lost
    }

    /// Whether the ledger has nothing, as far as it knew when it was asked: nobody is trusted beyond that, and it is worth
    /// remembering.
    pub(super) const fn is_used_up(&self, now_ms: u64) -> bool {
        self.back_ms > now_ms
    }

    /// Whether it is so, and the ledger need not be asked again yet.
    pub(super) const fn is_dry(&self, now_ms: u64) -> bool {
        self.dry_until_ms > now_ms
    }

    /// Units that seem to be left, for callers to see.
    pub(super) fn left(&self, limit: Limit, now_ms: u64) -> u64 {
        let unused = |units: u64| limit.most().saturating_sub(units);
        let with_ledger = match (self.free, limit) {
            (Some((free, at_ms)), Limit::Rate(rate)) => {
                // Where this saturates it is more than any burst.
                free.saturating_add(
                    now_ms.saturating_sub(at_ms).saturating_mul(rate.units()) / rate.period_ms(),
                )
            }
            (Some((free, _)), Limit::Concurrent(_) | Limit::Monthly(_)) => free,
            (None, _) => unused(self.balance),
        };
        with_ledger
            .saturating_add(self.balance)
            .saturating_sub(self.owed + self.owed_reporting)
            .min(unused(self.held))
    }
}

/// Whether a request draws for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Later,
}

/// When an ask is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskTime {
    pub(super) now_ms: u64,
    /// Since the ask before.
    pub(super) elapsed_ms: u64,
    /// Nobody has asked for a while: everything in hand goes back.
    pub(super) give_back: bool,
}

/// What may be drawn before the ledger knows of it.
fn trust(id: CounterId, limit: Limit) -> u64 {
    match (id.dimension, id.measure) {
        (Dimension::Key | Dimension::Tenant, _) => 0,
        (Dimension::Network | Dimension::User, Measure::Requests) => {
            (TRUST_REQUESTS * Measure::Requests.scale()).min(limit.most())
        }
        (Dimension::Network | Dimension::User, Measure::Tokens | Measure::Concurrent | Measure::Spend) => {
            limit.most().div_ceil(TRUST_PART)
        }
    }
}
