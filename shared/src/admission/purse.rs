//! What one isolate holds of a tenant's quota.
//!
//! A request draws from it without asking anybody; the ledger is asked in the background before a block
//! runs out, or while the request waits when there is none. How much is asked for follows how much was
//! drawn lately; what lies idle is given back.

use std::collections::BTreeMap;

use super::gcra::Gcra;
use super::lease::{Ask, AskLine, Grant, IsolateId, LEASE_MS};
use super::pot::{AskTime, Attempt, Pot, Verdict};
use super::subject::{CounterId, Dimension, Measure, Subject, Who};
use super::tier::{Cost, KeyLimits, Limit, Limits, Unreachable};
use crate::limits::DEADLINE_MS_MAX;

/// Milliseconds after which a lease in use is renewed, well before it ends.
const RENEW_MS: u64 = 11_000;

/// Milliseconds without a request after which what is held is given back.
const IDLE_MS: u64 = 3_000;

/// Milliseconds until the ledger is asked again after it did not answer: doubles from the first to the last.
const RETRY_MS: u64 = 1_000;
const RETRY_MS_MAX: u64 = 8_000;

/// Milliseconds after which a request that did not settle is taken for abandoned: the longest that one may take until its
/// first byte, and as long again for the rest.
pub const TICKET_MS_MAX: u64 = 2 * DEADLINE_MS_MAX;

/// Milliseconds after which an ask that nobody answered has failed.
const PATIENCE_MS: u64 = 3_000;

/// Milliseconds between two asks that only tell of a network's refusals.
const ABUSE_MS: u64 = 3_000;

/// A clock that steps back further than this makes the lease's end unknown.
const STEP_MS: u64 = 1_000;

/// Subjects that an isolate remembers for one tenant.
const ACCOUNTS_MAX: usize = 4_096;

/// Milliseconds between two asks for which nobody waits.
const BACKGROUND_MS: u64 = 500;

/// One isolate's purse for one tenant.
#[derive(Debug)]
pub struct Purse {
    isolate: IsolateId,
    limits: Limits,
    accounts: BTreeMap<(Dimension, Subject), Account>,
    generation: u32,
    seq: u32,
    acked: u32,
    live: Option<Live>,
    pending: Option<Pending>,
    outage: Option<Outage>,
    /// What was admitted while the ledger could not be reached.
    allowance: Gcra,
    /// Somebody waits for the ledger.
    waiting: bool,
    /// Some pot runs low.
    low: bool,
    /// A network was refused, of which the ledger keeps count.
    abused: bool,
    /// Admitted requests that are not settled, in the order in which they began.
    running: BTreeMap<u64, Running>,
    /// Numbers tickets.
    tickets: u64,
    /// Everything idle was given back since the last draw or settlement.
    given_back: bool,
    used_ms: u64,
    asked_ms: u64,
    seen_ms: u64,
}

/// A lease that the ledger keeps for this isolate.
#[derive(Debug, Clone, Copy)]
struct Live {
    until_ms: u64,
    renew_ms: u64,
}

/// The ask under way.
#[derive(Debug)]
struct Pending {
    asked_ms: u64,
    lines: Vec<AskLine>,
}

#[derive(Debug, Clone, Copy)]
struct Outage {
    retry_ms: u64,
    pause_ms: u64,
}

#[derive(Debug, Default)]
struct Account {
    pots: [Pot; 4],
    blocked_until_ms: u64,
    /// Of a key with a tier of its own.
    own: Option<KeyLimits>,
}

/// Whether a request may run.
#[derive(Debug)]
pub enum Draw {
    Admitted(Ticket),
    /// Ask the ledger (or await the ask under way) and draw again.
    Wait,
    Refused(Refusal),
}

/// Whether an isolate knows what its tenant's ledger has said lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Everything that happened until its lease was asked for.
    Heard,
    /// Ask the ledger (or await the ask under way) and look again.
    Wait,
    /// The ledger can't be reached.
    Unreachable,
}

/// What a request has drawn.
#[derive(Debug, Clone, Copy)]
struct Running {
    until_ms: u64,
    who: Who,
    cost: Cost,
    drawn: Drawn,
}

/// Of which pots: one bit for each dimension and measure. Limits may be others by the time it ends.
#[derive(Debug, Clone, Copy, Default)]
struct Drawn(u16);

impl Drawn {
    const fn bit(dimension: Dimension, measure: Measure) -> u16 {
        1 << (dimension as u16 * 4 + measure as u16)
    }

    fn add(&mut self, id: CounterId) {
        self.0 |= Self::bit(id.dimension, id.measure);
    }

    const fn has(self, dimension: Dimension, measure: Measure) -> bool {
        self.0 & Self::bit(dimension, measure) != 0
    }
}

/// What an admitted request holds, to be settled when it has ended.
///
/// One that is not settled within [`TICKET_MS_MAX`] counts as used: whoever held it was abandoned.
#[derive(Debug)]
#[must_use = "a ticket that is not settled stays reserved for a while, and then counts as used"]
pub struct Ticket {
    generation: u32,
    number: u64,
    /// Admitted by the isolate's own allowance, because the ledger cannot be reached.
    pub by_allowance: bool,
}

/// Why a request may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// `None`: never, as it is.
    pub retry_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This limit is reached; with [`Measure::Spend`] the budget is spent.
    Limit(Dimension, Measure),
    /// The network is kept out for a while, because it was refused too often.
    CoolingOff,
    /// The tenant's ledger cannot be reached, and the tier's allowance for that is used up or none.
    Unreachable,
}

/// Where a caller stands with one limit, in the counter's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub dimension: Dimension,
    pub measure: Measure,
    pub limit: Limit,
    /// As far as the isolate knows.
    pub left: u64,
    /// Milliseconds until all of the limit is free again, if nobody draws.
    pub resets_ms: u64,
}

impl Purse {
    #[must_use]
    pub fn new(isolate: IsolateId, limits: Limits) -> Self {
        Self {
            isolate,
            limits,
            accounts: BTreeMap::new(),
            generation: 1,
            seq: 0,
            acked: 0,
            live: None,
            pending: None,
            outage: None,
            allowance: Gcra::default(),
            waiting: false,
            low: false,
            abused: false,
            running: BTreeMap::new(),
            tickets: 0,
            given_back: true,
            used_ms: 0,
            asked_ms: 0,
            seen_ms: 0,
        }
    }

    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for account in self.accounts.values_mut() {
            account.pots.iter_mut().for_each(Pot::forget_ledger);
        }
    }

    /// Says what a key may use whose tier is not its tenant's; to be said before each of its draws, because what nobody
    /// draws from is forgotten.
    pub fn set_key_limits(&mut self, key: Subject, limits: KeyLimits) {
        self.accounts.entry((Dimension::Key, key)).or_default().own = Some(limits);
    }

    /// Reserves what a request may cost, in every counter it touches or in none.
    pub fn draw(&mut self, now_ms: u64, who: &Who, cost: Cost) -> Draw {
        self.try_to_draw(now_ms, who, cost, Attempt::First)
    }

    /// As [`Self::draw`], for a request that was told to wait: what it needs is asked for already, however
    /// often it comes to see.
    pub fn draw_again(&mut self, now_ms: u64, who: &Who, cost: Cost) -> Draw {
        self.try_to_draw(now_ms, who, cost, Attempt::Later)
    }

    /// Whether what the ledger says is heard here, for a request that draws nothing.
    pub fn listen(&mut self, now_ms: u64) -> Listening {
        self.tell_time(now_ms);
        self.used_ms = now_ms;
        if self.live.is_some() {
            return Listening::Heard;
        }
        self.waiting = true;
        if self.outage.is_some() { Listening::Unreachable } else { Listening::Wait }
    }

    fn try_to_draw(&mut self, now_ms: u64, who: &Who, cost: Cost, attempt: Attempt) -> Draw {
        self.tell_time(now_ms);
        if self.accounts.len() + Dimension::ALL.len() > ACCOUNTS_MAX {
            // What the ledger has booked need not be remembered any more.
            self.waiting = true;
            return Draw::Wait;
        }
        match (self.judge(now_ms, who, cost), self.outage) {
            (Judged::Fits, _) => Draw::Admitted(self.take(now_ms, who, cost, false)),
            (Judged::Lacks, Some(outage)) => self.draw_allowance(now_ms, outage, who, cost),
            (Judged::Lacks, None) => {
                self.waiting = true;
                self.each_pot(who, |id, limit, pot| {
                    let cost = cost.of(id.measure);
                    // Nothing is lent for what is refused anyway.
                    if cost <= limit.most() {
                        pot.wait_for(cost, attempt);
                    }
                });
                Draw::Wait
            }
            (Judged::Refused(refusal), _) => {
                self.note_refusal(who, cost, refusal.reason);
                Draw::Refused(refusal)
            }
        }
    }

    /// Ends a request: what it did not use is free again. Nothing else can make quota out of a ticket, and
    /// one that is overdue, or of a lease that has ended, was counted in full and changes nothing.
    pub fn settle(&mut self, now_ms: u64, ticket: Ticket, actual: Cost) {
        self.tell_time(now_ms);
        if ticket.generation == self.generation
            && let Some(running) = self.running.remove(&ticket.number)
        {
            (self.used_ms, self.given_back) = (now_ms, false);
            self.end(&running, actual);
        }
    }

    fn end(&mut self, running: &Running, actual: Cost) {
        let Running { who, cost, drawn, until_ms: _ } = running;
        for (dimension, subject) in accounts_of(who) {
            let Some(account) = self.accounts.get_mut(&(dimension, subject)) else { continue };
            for measure in Measure::ALL.into_iter().filter(|measure| drawn.has(dimension, *measure)) {
                account.pots[measure as usize].settle(measure, cost.of(measure), actual.of(measure));
            }
        }
    }

    /// Counts what was never settled as used, but for its slot.
    fn end_overdue(&mut self, now_ms: u64) {
        while let Some(first) = self.running.first_entry().filter(|first| first.get().until_ms <= now_ms) {
            let running = first.remove();
            self.given_back = false;
            self.end(&running, running.cost.without_slot());
        }
    }

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

    /// Where this caller stands with each of their limits.
    pub fn standing(&self, now_ms: u64, who: &Who) -> impl Iterator<Item = Standing> {
        accounts_of(who).flat_map(move |(dimension, subject)| {
            let account = self.accounts.get(&(dimension, subject));
            let own = account.and_then(|account| account.own.as_ref());
            self.limits.of(dimension, own).map(move |(measure, limit)| {
                let pot = account.map_or_else(Pot::default, |account| account.pots[measure as usize]);
                let left = pot.left(limit, now_ms);
                Standing { dimension, measure, limit, left, resets_ms: limit.resets_ms(left, now_ms) }
            })
        })
    }

    fn judge(&self, now_ms: u64, who: &Who, cost: Cost) -> Judged {
        let mut judged = if self.live.is_some() { Judged::Fits } else { Judged::Lacks };
        for (dimension, subject) in accounts_of(who) {
            let account = self.accounts.get(&(dimension, subject));
            let blocked_ms = account.map_or(0, |account| account.blocked_until_ms.saturating_sub(now_ms));
            if blocked_ms > 0 {
                return Judged::Refused(Refusal::after(Reason::CoolingOff, blocked_ms));
            }
            let own = account.and_then(|account| account.own.as_ref());
            for (measure, limit) in self.limits.of(dimension, own) {
                let id = CounterId { dimension, subject, measure };
                let pot = account.map_or_else(Pot::default, |account| account.pots[measure as usize]);
                let reason = Reason::Limit(dimension, measure);
                match pot.judge(id, limit, now_ms, cost.of(measure)) {
                    Verdict::Fits => {}
                    Verdict::Lacks => judged = Judged::Lacks,
                    Verdict::Dry(dry_ms) => return Judged::Refused(Refusal::after(reason, dry_ms)),
                    // Without a lease the limits may be others by now, or not even known.
                    Verdict::Never if self.live.is_none() && self.outage.is_none() => judged = Judged::Lacks,
                    Verdict::Never => return Judged::Refused(Refusal { reason, retry_after_ms: None }),
                }
            }
        }
        judged
    }

    fn take(&mut self, now_ms: u64, who: &Who, cost: Cost, by_allowance: bool) -> Ticket {
        let (mut low, mut drawn) = (false, Drawn::default());
        self.each_pot(who, |id, _, pot| {
            pot.take(cost.of(id.measure));
            drawn.add(id);
            low |= pot.runs_low(id, now_ms);
        });
        self.low |= low;
        self.tickets += 1;
        self.running
            .insert(self.tickets, Running { until_ms: now_ms + TICKET_MS_MAX, who: *who, cost, drawn });
        self.used_ms = now_ms;
        self.given_back = false;
        Ticket { generation: self.generation, number: self.tickets, by_allowance }
    }

    fn draw_allowance(&mut self, now_ms: u64, outage: Outage, who: &Who, cost: Cost) -> Draw {
        self.waiting = true;
        let wait_ms = match self.limits.unreachable {
            Unreachable::Closed => outage.retry_ms.saturating_sub(now_ms),
            Unreachable::Allow(rate) => {
                if self.allowance.draw(rate, now_ms, 1) {
                    return Draw::Admitted(self.take(now_ms, who, cost, true));
                }
                self.allowance.wait_ms(rate, now_ms, 1).unwrap_or(0)
            }
        };
        Draw::Refused(Refusal::after(Reason::Unreachable, wait_ms))
    }

    fn note_refusal(&mut self, who: &Who, cost: Cost, reason: Reason) {
        self.abused |=
            matches!(reason, Reason::Limit(Dimension::Network, _)) && self.limits.cool_off.is_some();
        self.each_pot(who, |id, _, pot| {
            pot.refuse(cost.of(id.measure), reason == Reason::Limit(id.dimension, id.measure));
        });
    }

    fn each_pot(&mut self, who: &Who, mut visit: impl FnMut(CounterId, Limit, &mut Pot)) {
        for (dimension, subject) in accounts_of(who) {
            let unlimited = self.limits.of(dimension, None).next().is_none();
            if unlimited && !self.accounts.contains_key(&(dimension, subject)) {
                continue;
            }
            let Account { pots, own, .. } = self.accounts.entry((dimension, subject)).or_default();
            for (measure, limit) in self.limits.of(dimension, own.as_ref()) {
                visit(CounterId { dimension, subject, measure }, limit, &mut pots[measure as usize]);
            }
        }
    }

    fn pot(&mut self, id: CounterId) -> Option<&mut Pot> {
        let account = self.accounts.get_mut(&(id.dimension, id.subject))?;
        Some(&mut account.pots[id.measure as usize])
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
    fn tell_time(&mut self, now_ms: u64) {
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

impl Account {
    /// Whether it can be forgotten. That the ledger has nothing for somebody is worth remembering while there
    /// is room: whoever is forgotten costs another ask.
    fn is_empty(&self, now_ms: u64, crowded: bool) -> bool {
        let forgettable = |pot: &Pot| pot.is_empty() && (crowded || !pot.is_used_up(now_ms));
        self.blocked_until_ms <= now_ms && self.pots.iter().all(forgettable)
    }
}

impl Refusal {
    const fn after(reason: Reason, wait_ms: u64) -> Self {
        Self { reason, retry_after_ms: Some(wait_ms) }
    }
}

enum Judged {
    Fits,
    Lacks,
    Refused(Refusal),
}

fn accounts_of(who: &Who) -> impl Iterator<Item = (Dimension, Subject)> + use<> {
    who.accounts().into_iter().filter_map(|(dimension, subject)| Some((dimension, subject?)))
}
