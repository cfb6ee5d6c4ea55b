//! The truth of a tenant's counters, and what of it is out on lease.
//!
//! `free = limit − spent − on lease`, for every counter, always: what is lent is reserved until the isolate
//! says that it was spent or gives it back, or until the lease lapses and counts as spent. So whatever
//! isolates do with what they hold, the limit holds.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::gcra::Gcra;
use super::lease::{Ask, AskLine, Blocked, Grant, GrantLine, IsolateId, LAPSE_MS};
use super::meter::Meter;
use super::subject::{CounterId, Dimension, Measure, Subject};
use super::tier::{Limit, Limits};

/// Beyond what requests wait for, an ask gets at most this part of what is free, so that the last of a limit
/// is dealt out in small pieces to whoever needs it.
const SHARE: u64 = 8;

/// With less than this part of a limit left, isolates are told to wait before they ask again, so that many of
/// them don't come for every unit that comes back.
const SCARCE_PART: u64 = 64;

/// When everything is out on lease, some of it comes back about this soon.
const RETURNS_MS: u64 = 3_000;

/// Counters that a ledger keeps. When so many subjects have something to their account at once, the next are
/// limited by their key and tenant only.
const COUNTERS_MAX: usize = 50_000;

/// How often counters that are as good as new are forgotten.
const SWEEP_MS: u64 = 60_000;

/// And at most so often when there is no room for another one.
const FULL_SWEEP_MS: u64 = 1_000;

/// Networks that are told to isolates as kept out.
const BLOCKED_MAX: usize = 256;

/// A tenant's ledger. One Durable Object holds it.
#[derive(Debug, Clone)]
pub struct Ledger {
    limits: Limits,
    pub(super) counters: BTreeMap<CounterId, Counter>,
    pub(super) leases: BTreeMap<IsolateId, Lease>,
    pub(super) abuse: BTreeMap<Subject, Abuse>,
    /// What was on lease by leases that nobody knows any more.
    lost: BTreeMap<CounterId, u64>,
    seen_ms: u64,
    swept_ms: u64,
    pub(super) changed: Changed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    meter: Meter,
    /// The sum of what leases hold of it.
    on_lease: u64,
    /// Its limit, where it is not the tenant's settings that give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<Limit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    generation: u32,
    seq: u32,
    acked: u32,
    until_ms: u64,
    #[serde(with = "pairs")]
    entries: BTreeMap<CounterId, Entry>,
}

/// What a lease is about, for one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Entry {
    held: u64,
    /// What of the isolate's report since `acked` was booked already.
    spent: u64,
    refused: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Abuse {
    refusals: Gcra,
    until_ms: u64,
}

/// What has changed since it was last written down.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    pub(super) counters: BTreeSet<CounterId>,
    pub(super) leases: BTreeSet<IsolateId>,
    pub(super) abuse: BTreeSet<Subject>,
}

/// Where one counter stands, in the counter's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub counter: CounterId,
    pub limit: Limit,
    /// Spent: of a rate what has not come back yet, of a budget this month's.
    pub spent: u64,
    pub on_lease: u64,
    pub free: u64,
    /// Milliseconds until nothing is spent any more, if nobody draws.
    pub resets_ms: u64,
}

impl Ledger {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            counters: BTreeMap::new(),
            leases: BTreeMap::new(),
            abuse: BTreeMap::new(),
            lost: BTreeMap::new(),
            seen_ms: 0,
            swept_ms: 0,
            changed: Changed::default(),
        }
    }

    /// What was spent stays spent under the new limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Books an isolate's report and lends it what it asks for, as far as there is any.
    pub fn answer(&mut self, now_ms: u64, ask: &Ask) -> Grant {
        self.lapse(now_ms);
        let reply = Grant {
            generation: ask.generation,
            seq: ask.seq,
            lapsed: false,
            lines: Vec::new(),
            blocked: self.blocked(now_ms),
        };
        let mut lease = match self.open(now_ms, ask) {
            Opened::Lease(lease) => lease,
            Opened::Lapsed => return Grant { lapsed: true, ..reply },
            // A message that another has overtaken: its report is in that one.
            Opened::Late => return reply,
        };
        for line in &ask.lines {
            self.book(now_ms, &mut lease, line);
        }
        let lines = ask.lines.iter().map(|line| self.lend(now_ms, &mut lease, line)).collect();
        lease.until_ms = now_ms + LAPSE_MS;
        self.leases.insert(ask.isolate, lease);
        self.changed.leases.insert(ask.isolate);
        Grant { lines, blocked: self.blocked(now_ms), ..reply }
    }

    /// Counts what silent isolates held as spent, and forgets what needs no remembering.
    ///
    /// Gives the milliseconds of the next lease's end: call it again then.
    pub fn lapse(&mut self, now_ms: u64) -> Option<u64> {
        self.tell_time(now_ms);
        if now_ms >= self.swept_ms + SWEEP_MS {
            self.sweep(now_ms);
        }
        let silent: Vec<_> =
            self.leases.iter().filter(|(_, lease)| lease.until_ms <= now_ms).map(|(&id, _)| id).collect();
        for isolate in silent {
            self.lapse_lease(now_ms, isolate);
        }
        for (id, held) in std::mem::take(&mut self.lost) {
            self.count_as_spent(now_ms, id, held);
        }
        self.leases.values().map(|lease| lease.until_ms).min()
    }

    /// Compares what counters say is on lease with what leases hold.
    pub(super) fn find_lost(&mut self) {
        let mut held: BTreeMap<CounterId, u64> = BTreeMap::new();
        for (id, entry) in self.leases.values().flat_map(|lease| &lease.entries) {
            *held.entry(*id).or_default() += entry.held;
        }
        for (id, counter) in &mut self.counters {
            let known = held.remove(id).unwrap_or(0);
            if counter.on_lease > known {
                self.lost.insert(*id, counter.on_lease - known);
            }
            counter.on_lease = counter.on_lease.max(known);
        }
    }

    /// The tenant's and its keys' counters, for people to read.
    pub fn usage(&self, now_ms: u64) -> impl Iterator<Item = Usage> {
        let shown = |id: &CounterId| matches!(id.dimension, Dimension::Tenant | Dimension::Key);
        self.counters.keys().filter(move |id| shown(id)).filter_map(move |&id| self.usage_of(now_ms, id))
    }

    /// Where one counter stands, whether it was ever used or not; `None` without such a limit.
    #[must_use]
    pub fn usage_of(&self, now_ms: u64, counter: CounterId) -> Option<Usage> {
        let Counter { meter, on_lease, own } =
            self.counters.get(&counter).copied().unwrap_or_else(|| Counter::new(counter.measure));
        let limit = own.or_else(|| self.limits.get(counter.dimension, counter.measure))?;
        let unspent = meter.free(limit, now_ms);
        let (spent, free) = (limit.most() - unspent, unspent.saturating_sub(on_lease));
        Some(Usage { counter, limit, spent, on_lease, free, resets_ms: limit.resets_ms(unspent, now_ms) })
    }

    /// Finds the lease that an ask speaks of, or begins it.
    fn open(&mut self, now_ms: u64, ask: &Ask) -> Opened {
        match self.leases.get(&ask.isolate) {
            Some(lease) if ask.generation < lease.generation => return Opened::Late,
            Some(lease) if ask.generation == lease.generation => {
                if ask.seq <= lease.seq {
                    return Opened::Late;
                }
                let mut lease = lease.clone();
                if ask.acked != lease.acked {
                    lease.entries.retain(|_, entry| {
                        *entry = Entry { spent: 0, refused: 0, ..*entry };
                        entry.held > 0
                    });
                }
                (lease.seq, lease.acked) = (ask.seq, ask.acked);
                return Opened::Lease(lease);
            }
            // The isolate let its last lease go.
            Some(_) => self.lapse_lease(now_ms, ask.isolate),
            None if ask.acked > 0 => return Opened::Lapsed,
            None => {}
        }
        Opened::Lease(Lease {
            generation: ask.generation,
            seq: ask.seq,
            acked: ask.acked,
            until_ms: 0,
            entries: BTreeMap::new(),
        })
    }

    /// Books what one line reports: what was spent, what is held, who was refused.
    fn book(&mut self, now_ms: u64, lease: &mut Lease, line: &AskLine) {
        let entry = lease.entries.entry(line.counter).or_default();
        let (spent, refused) =
            (line.spent.saturating_sub(entry.spent), line.refused.saturating_sub(entry.refused));
        entry.spent = entry.spent.max(line.spent);
        entry.refused = entry.refused.max(line.refused);
        self.note_refusals(now_ms, line.counter, refused);
        let Some((limit, counter)) = self.counter(now_ms, line.counter, line.own) else { return };
        counter.own = line.own;
        counter.meter.charge(limit, now_ms, spent);
        counter.on_lease = counter.on_lease.saturating_sub(entry.held).saturating_add(line.holding);
        entry.held = line.holding;
    }

    /// Lends what one line asks for.
    fn lend(&mut self, now_ms: u64, lease: &mut Lease, line: &AskLine) -> GrantLine {
        let wish = line.need.saturating_add(line.want);
        let Some((limit, counter)) = self.counter(now_ms, line.counter, line.own) else {
            // Without such a limit, or with more counters than can be kept, there is nothing to spare.
            return GrantLine { counter: line.counter, granted: wish, free: wish, dry_ms: None };
        };
        let unspent = counter.meter.free(limit, now_ms);
        let free = unspent.saturating_sub(counter.on_lease);
        let needed = line.need.min(free);
        let granted = needed + line.want.min((free - needed) / SHARE);
        let scarce =
            matches!(limit, Limit::Rate(_)) && (free - granted).saturating_mul(SCARCE_PART) < limit.most();
        let dry_ms = (granted < line.need || scarce).then(|| {
            let wait_ms = counter.meter.wait_ms(limit, now_ms, counter.on_lease, line.need.max(1));
            wait_ms.unwrap_or(RETURNS_MS)
        });
        counter.on_lease += granted;
        lease.entries.entry(line.counter).or_default().held += granted;
        GrantLine { counter: line.counter, granted, free: free - granted, dry_ms }
    }

    fn lapse_lease(&mut self, now_ms: u64, isolate: IsolateId) {
        self.changed.leases.insert(isolate);
        for (id, Entry { held, .. }) in
            self.leases.remove(&isolate).into_iter().flat_map(|lease| lease.entries)
        {
            self.count_as_spent(now_ms, id, held);
        }
    }

    fn count_as_spent(&mut self, now_ms: u64, id: CounterId, held: u64) {
        let own = self.counters.get(&id).and_then(|counter| counter.own);
        if let Some((limit, counter)) = self.counter(now_ms, id, own) {
            counter.meter.charge(limit, now_ms, held);
            counter.on_lease = counter.on_lease.saturating_sub(held);
        }
    }

    /// The counter and its limit, made if there is none yet; `None` without such a limit.
    fn counter(&mut self, now_ms: u64, id: CounterId, own: Option<Limit>) -> Option<(Limit, &mut Counter)> {
        let limit = own.or_else(|| self.limits.get(id.dimension, id.measure))?;
        if !self.counters.contains_key(&id) && self.counters.len() >= COUNTERS_MAX {
            // Not for each of the many who then come.
            if now_ms.abs_diff(self.swept_ms) >= FULL_SWEEP_MS {
                self.sweep(now_ms);
            }
            if self.counters.len() >= COUNTERS_MAX {
                return None;
            }
        }
        self.changed.counters.insert(id);
        Some((limit, self.counters.entry(id).or_insert_with(|| Counter::new(id.measure))))
    }

    /// Forgets counters that are as good as new, and networks long at peace.
    fn sweep(&mut self, now_ms: u64) {
        self.swept_ms = now_ms;
        let Self { limits, counters, abuse, changed, .. } = self;
        counters.retain(|&id, counter| {
            let limit = counter.own.or_else(|| limits.get(id.dimension, id.measure));
            let new = limit.is_none_or(|limit| counter.meter.free(limit, now_ms) >= limit.most());
            let keep = counter.on_lease > 0 || !new;
            if !keep {
                changed.counters.insert(id);
            }
            keep
        });
        abuse.retain(|&subject, abuse| {
            let quiet = limits
                .cool_off
                .is_none_or(|c| abuse.refusals.wait_ms(c.refusals, now_ms, c.refusals.burst()) == Some(0));
            let keep = abuse.until_ms > now_ms || !quiet;
            if !keep {
                changed.abuse.insert(subject);
            }
            keep
        });
    }

    /// Blocks a network that is refused more than the tier bears.
    fn note_refusals(&mut self, now_ms: u64, id: CounterId, refused: u64) {
        let (Some(cool_off), Dimension::Network, 1..) = (self.limits.cool_off, id.dimension, refused) else {
            return;
        };
        if self.abuse.len() >= COUNTERS_MAX && !self.abuse.contains_key(&id.subject) {
            return;
        }
        let abuse = self.abuse.entry(id.subject).or_default();
        if !abuse.refusals.draw(cool_off.refusals, now_ms, refused) {
            *abuse =
                Abuse { refusals: Gcra::default(), until_ms: now_ms + u64::from(cool_off.block_s) * 1_000 };
        }
        self.changed.abuse.insert(id.subject);
    }

    fn blocked(&self, now_ms: u64) -> Vec<Blocked> {
        let left = |abuse: &Abuse| abuse.until_ms.saturating_sub(now_ms);
        self.abuse
            .iter()
            .filter(|(_, abuse)| left(abuse) > 0)
            .take(BLOCKED_MAX)
            .map(|(&subject, abuse)| Blocked { dimension: Dimension::Network, subject, for_ms: left(abuse) })
            .collect()
    }

    /// A clock that stepped back takes the ends of leases and blocks with it, so that none lives longer.
    fn tell_time(&mut self, now_ms: u64) {
        let back_ms = self.seen_ms.saturating_sub(now_ms);
        self.seen_ms = now_ms;
        if back_ms > 0 {
            self.swept_ms = self.swept_ms.min(now_ms);
            for lease in self.leases.values_mut() {
                lease.until_ms = lease.until_ms.saturating_sub(back_ms);
            }
            for abuse in self.abuse.values_mut() {
                abuse.until_ms = abuse.until_ms.saturating_sub(back_ms);
            }
        }
    }
}

/// The lease that an ask is about.
enum Opened {
    Lease(Lease),
    Lapsed,
    Late,
}

impl Counter {
    fn new(measure: Measure) -> Self {
        Self { meter: Meter::new(measure), on_lease: 0, own: None }
    }
}

/// A map as a list of pairs: JSON has only text for keys.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}
