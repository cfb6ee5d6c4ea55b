//! What one isolate holds of a tenant's quota.
//!
//! A request draws from it without asking anybody; the ledger is asked in the background before a block
//! runs out, or while the request waits when there is none. How much is asked for follows how much was
//! drawn lately; what lies idle is given back.

mod asking;

use std::collections::BTreeMap;

use super::gcra::Gcra;
use super::lease::{AskLine, IsolateId};
use super::pot::{Attempt, Pot, Verdict};
use super::subject::{CounterId, Dimension, Measure, Subject, Who};
use super::tier::{Cost, KeyLimits, Limit, Limits, Unreachable};
use crate::limits::DEADLINE_MS_MAX;

/// Milliseconds after which a request that did not settle is taken for abandoned: the longest that one may take until its
/// first byte, and as long again for the rest.
pub const TICKET_MS_MAX: u64 = 2 * DEADLINE_MS_MAX;

/// Subjects that an isolate remembers for one tenant.
const ACCOUNTS_MAX: usize = 4_096;

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
