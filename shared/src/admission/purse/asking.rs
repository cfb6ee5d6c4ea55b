//! What passes between a purse and its tenant's ledger: when it asks, what it says, what it takes in, and how a lease ends.

use super::{ACCOUNTS_MAX, Account, Live, Outage, Pending, Purse};
use crate::admission::lease::{Ask, Grant, LEASE_MS};
use crate::admission::pot::{AskTime, Pot};
use crate::admission::subject::CounterId;

/// Milliseconds after which a lease in use is renewed, well before it ends.
const RENEW_MS: u64 = 11_000;

/// Milliseconds without a request after which what is held is given back.
const IDLE_MS: u64 = 3_000;

/// Milliseconds until the ledger is asked again after it did not answer: doubles from the first to the last.
const RETRY_MS: u64 = 1_000;
const RETRY_MS_MAX: u64 = 8_000;

/// Milliseconds after which an ask that nobody answered has failed.
const PATIENCE_MS: u64 = 3_000;

/// Milliseconds between two asks that only tell of a network's refusals.
const ABUSE_MS: u64 = 3_000;

/// A clock that steps back further than this makes the lease's end unknown.
const STEP_MS: u64 = 1_000;

/// Milliseconds between two asks for which nobody waits.
const BACKGROUND_MS: u64 = 500;

impl Purse {
    /// The message to send to the ledger now, if one is due. There is one under way at a time: until
    /// [`Self::receive`] or [`Self::failed`], or until it is so old that it has failed.
    pub fn ask(&mut self, now_ms: u64) -> Option<Ask> {
        self.tell_time(now_ms);
        let give_back = self.is_idle(now_ms);
        if self.pending.is_some() || !self.is_due(now_ms) {
            return None;
        }
        let at = AskTime { now_ms, elapsed_ms: now_ms.saturating_sub(self.asked_ms), give_back };
        let mut lines = Vec::new();
        for (&(dimension, subject), account) in &mut self.accounts {
            let Account { pots, own, .. } = account;
            for (measure, limit) in self.limits.of(dimension, own.as_ref()) {
                let id = CounterId { dimension, subject, measure };
                lines.extend(pots[measure as usize].report(id, limit, own.is_some(), at));
            }
        }
        self.seq += 1;
        self.asked_ms = now_ms;
        (self.waiting, self.low, self.abused) = (false, false, false);
        self.given_back |= give_back;
        self.pending = Some(Pending { asked_ms: now_ms, lines: lines.clone() });
        Some(Ask {
            isolate: self.isolate,
            generation: self.generation,
            seq: self.seq,
            acked: self.acked,
            lines,
        })
    }

    /// Takes what the ledger granted. An answer to anything but the ask under way is ignored.
    pub fn receive(&mut self, now_ms: u64, grant: &Grant) {
        self.tell_time(now_ms);
        let awaited = grant.generation == self.generation && grant.seq == self.seq;
        let Some(pending) = self.pending.take_if(|_| awaited) else { return };
        self.outage = None;
        if grant.lapsed {
            self.lapse();
            return;
        }
        self.acked = grant.seq;
        let asked_ms = self.asked_ms;
        self.live = Some(Live { until_ms: asked_ms + LEASE_MS, renew_ms: asked_ms + RENEW_MS });
        for line in &pending.lines {
            if let Some(pot) = self.pot(line.counter) {
                pot.acknowledge(line);
            }
        }
        for line in &grant.lines {
            if let Some(pot) = self.pot(line.counter) {
                pot.receive(line, now_ms);
            }
        }
        for blocked in &grant.blocked {
            let account = self.accounts.entry((blocked.dimension, blocked.subject)).or_default();
            account.blocked_until_ms = now_ms + blocked.for_ms;
        }
        let crowded = self.accounts.len() > ACCOUNTS_MAX / 2;
        self.accounts.retain(|_, account| !account.is_empty(now_ms, crowded));
    }

    /// The ledger did not answer the ask under way, or not in time.
    pub fn failed(&mut self, now_ms: u64) {
        self.tell_time(now_ms);
        self.lose();
    }

    fn lose(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        for line in &pending.lines {
            if let Some(pot) = self.pot(line.counter) {
                pot.lose();
            }
        }
        let pause_ms = self.outage.map_or(RETRY_MS, |outage| (outage.pause_ms * 2).min(RETRY_MS_MAX));
        self.outage = Some(Outage { retry_ms: self.seen_ms + pause_ms, pause_ms });
    }

    /// When to call [`Self::ask`] again if no request does before; `None` while an ask is under way, and
    /// when nothing is left to do.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        if self.pending.is_some() {
            return None;
        }
        self.due_ms()
    }

    fn is_due(&self, now_ms: u64) -> bool {
        self.outage.is_none() && self.waiting || self.due_ms().is_some_and(|due_ms| now_ms >= due_ms)
    }

    /// When an ask is due for which nobody waits.
    fn due_ms(&self) -> Option<u64> {
        let in_use = !self.running.is_empty() || self.used_ms > self.asked_ms;
        if let Some(outage) = self.outage {
            return (self.waiting || in_use).then_some(outage.retry_ms);
        }
        let low = self.low.then_some(self.asked_ms + BACKGROUND_MS);
        let abused = self.abused.then_some(self.asked_ms + ABUSE_MS);
        let renew = self.live.filter(|_| in_use).map(|live| live.renew_ms);
        let idle = (!self.given_back && self.live.is_some()).then_some(self.used_ms + IDLE_MS);
        [low, abused, renew, idle].into_iter().flatten().min()
    }

    /// Whether something in hand lies idle.
    fn is_idle(&self, now_ms: u64) -> bool {
        self.outage.is_none() && !self.given_back && self.live.is_some() && now_ms >= self.used_ms + IDLE_MS
    }

    /// Ends the lease when its time has come, or when the clock says nothing about that any more.
    pub(super) fn tell_time(&mut self, now_ms: u64) {
        let back_ms = self.seen_ms.saturating_sub(now_ms);
        if back_ms > STEP_MS {
            self.seen_ms = now_ms;
            self.step_back(back_ms);
            self.lapse();
            return;
        }
        self.seen_ms = self.seen_ms.max(now_ms);
        if self.pending.as_ref().is_some_and(|pending| now_ms >= pending.asked_ms + PATIENCE_MS) {
            self.lose();
        }
        if self.live.is_some_and(|live| now_ms >= live.until_ms) {
            self.lapse();
        }
        self.end_overdue(now_ms);
    }

    fn step_back(&mut self, back_ms: u64) {
        self.asked_ms = self.asked_ms.saturating_sub(back_ms);
        self.used_ms = self.used_ms.saturating_sub(back_ms);
        if let Some(outage) = &mut self.outage {
            outage.retry_ms = outage.retry_ms.saturating_sub(back_ms);
        }
        for account in self.accounts.values_mut() {
            account.blocked_until_ms = account.blocked_until_ms.saturating_sub(back_ms);
            account.pots.iter_mut().for_each(Pot::forget_ledger);
        }
    }

    /// Begins a new lease. The ledger counts all that the last one held as spent.
    fn lapse(&mut self) {
        self.live = None;
        self.pending = None;
        self.generation += 1;
        (self.seq, self.acked) = (0, 0);
        self.running.clear();
        for pot in self.accounts.values_mut().flat_map(|account| &mut account.pots) {
            pot.lapse();
        }
    }
}
