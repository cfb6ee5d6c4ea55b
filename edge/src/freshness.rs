//! Whether a cached answer may be served: what this edge knows of a corpus's epoch, how old that knowledge
//! is, whether the answer index certifies the answer, and the one decision that follows from it. Pure;
//! `refresh.rs` asks the origins.

use std::collections::VecDeque;

use perigee_shared::cache_control::CacheControl;
use perigee_shared::header::CacheOutcome;
use perigee_shared::id::{CorpusName, Epoch, TenantId};
use quick_cache::Equivalent;
use quick_cache::unsync::Cache;

use crate::config::Bounds;

/// Corpora whose epochs an isolate remembers.
const CORPORA_MAX: usize = 4_096;

/// After this long without confirmation, a later epoch is no longer held against an origin that reports
/// an earlier one: by then the corpus was deleted and made anew, or restored.
const FORGET_MS: u64 = 600_000;

/// A background question that has not come back after this long is taken for lost.
const REFRESH_LOST_MS: u64 = 10_000;

/// A write that has not come back after this long is taken for lost: longer than any write may take (`DEADLINE_MS_MAX`).
const WRITE_LOST_MS: u64 = 180_000;

/// Writes under way that are remembered of one corpus, the latest ones. While so many are, nothing is served anyway.
const WRITES_MAX: usize = 256;

/// A corpus of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) corpus: CorpusName,
}

/// The same, borrowed: a look-up copies no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PlaceRef<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) corpus: &'a CorpusName,
}

impl PlaceRef<'_> {
    pub(crate) fn owned(self) -> Place {
        Place { tenant: self.tenant.clone(), corpus: self.corpus.clone() }
    }
}

impl Place {
    pub(crate) const fn borrowed(&self) -> PlaceRef<'_> {
        PlaceRef { tenant: &self.tenant, corpus: &self.corpus }
    }
}

impl Equivalent<Place> for PlaceRef<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        *self == place.borrowed()
    }
}

/// At `seen_ms` (Unix milliseconds) an origin's latest epoch was `epoch`. The time is when the origin was
/// asked, not when it answered: the epoch can't have been superseded before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) epoch: Epoch,
    pub(crate) seen_ms: u64,
}

impl Sighting {
    /// Two sightings together. The later epoch wins with its own time, even an older one: an origin that
    /// lags behind says nothing about what came after.
    fn and(self, other: Self) -> Self {
        match self.epoch.cmp(&other.epoch) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => Self { seen_ms: self.seen_ms.max(other.seen_ms), ..self },
        }
    }

    /// Whether it is younger than `bound_ms`. A time in the future comes from another machine's clock and
    /// is held to the same bound.
    pub(crate) const fn is_within(self, bound_ms: u64, now_ms: u64) -> bool {
        now_ms.abs_diff(self.seen_ms) < bound_ms
    }
}

/// What is known of one corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Knowledge {
    pub(crate) latest: Option<Sighting>,
    /// Sightings from before this time don't count: a write went through whose epoch is not known.
    pub(crate) floor_ms: u64,
    /// Answers from before this time are of a corpus that was deleted; one made anew counts its epochs from
    /// the beginning, so their epochs say nothing.
    pub(crate) deleted_ms: u64,
    /// The latest epoch that was written through this isolate: whoever wrote sees it from then on.
    pub(crate) written: Option<Epoch>,
}

impl Knowledge {
    /// Whether the latest epoch is known well enough to serve from.
    pub(crate) fn is_current(&self, bounds: Bounds, now_ms: u64) -> bool {
        self.latest.is_some_and(|latest| {
            latest.seen_ms >= self.floor_ms && latest.is_within(bounds.staleness_ms, now_ms)
        })
    }

    /// Whether what an answer index certifies may be served. Its epoch was the latest one within the staleness
    /// bound, which is all that invariant I2 asks, whatever later one is known; but none from before a write
    /// through this isolate.
    pub(crate) fn admits(&self, index: Sighting, bounds: Bounds, now_ms: u64) -> bool {
        index.is_within(bounds.staleness_ms, now_ms)
            && index.seen_ms >= self.floor_ms.max(self.deleted_ms)
            && self.written.is_none_or(|written| index.epoch >= written)
    }
}

/// What the decision needs of a cached answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// The epoch at which its evidence was last seen to stand, and when that was the latest epoch.
    pub(crate) checked: Sighting,
    /// When the answer index lists this very answer: the index's epoch, and when that was the latest one.
    pub(crate) certified: Option<Sighting>,
    /// When it was made or revalidated; its age counts from here.
    pub(crate) born_ms: u64,
    /// When it leaves the cache in any case.
    pub(crate) until_ms: u64,
}

/// What happens with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Its evidence was seen to stand at this epoch.
    Hit {
        age_s: u64,
        epoch: Epoch,
    },
    Forward(Reason),
}

/// Why an origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Miss,
    /// The corpus has a later epoch than the answer.
    Changed,
    /// Nobody here knows the corpus's epoch well enough.
    Unknown,
    /// The caller wants an epoch that the answer does not have.
    BelowMinEpoch,
    /// The caller wants it checked, or younger than it is.
    CallerAsked,
}

impl Reason {
    pub(crate) const fn outcome(self) -> CacheOutcome {
        match self {
            Self::Miss => CacheOutcome::Miss,
            Self::Changed | Self::Unknown | Self::BelowMinEpoch => CacheOutcome::Stale,
            Self::CallerAsked => CacheOutcome::Bypass,
        }
    }
}

/// Decides about one question (invariant I2): an answer is served only if its epoch is the latest one
/// known, or the answer index certifies it, that knowledge is younger than the staleness bound, and the caller's
/// wishes, which can only tighten, are met.
pub(crate) fn decide(
    held: Option<Held>,
    knowledge: Knowledge,
    control: CacheControl,
    min_epoch: Option<Epoch>,
    bounds: Bounds,
    now_ms: u64,
) -> Decision {
    if control.no_cache {
        return Decision::Forward(Reason::CallerAsked);
    }
    let Some(held) =
        held.filter(|held| now_ms < held.until_ms && held.checked.seen_ms >= knowledge.deleted_ms)
    else {
        return Decision::Forward(Reason::Miss);
    };
    let certified = held.certified.filter(|index| knowledge.admits(*index, bounds, now_ms));
    let epoch = match (stands_by_epoch(held.checked, knowledge, bounds, now_ms), certified) {
        (Ok(epoch), None) => epoch,
        (Ok(epoch), Some(index)) => epoch.max(index.epoch),
        (Err(_), Some(index)) => index.epoch,
        (Err(reason), None) => return Decision::Forward(reason),
    };
    if min_epoch.is_some_and(|min| epoch < min) {
        return Decision::Forward(Reason::BelowMinEpoch);
    }
    let age_s = now_ms.saturating_sub(held.born_ms) / 1_000;
    if !control.allows_reuse_at(age_s) {
        return Decision::Forward(Reason::CallerAsked);
    }
    Decision::Hit { age_s, epoch }
}

/// Whether an answer's epoch is the latest one, as far as is known now.
fn stands_by_epoch(
    checked: Sighting,
    knowledge: Knowledge,
    bounds: Bounds,
    now_ms: u64,
) -> Result<Epoch, Reason> {
    // An answer of a later epoch than the known one is itself the better knowledge.
    let latest = knowledge.latest.map_or(checked, |latest| latest.and(checked));
    if checked.epoch < latest.epoch {
        return Err(Reason::Changed);
    }
    let knowledge = Knowledge { latest: Some(latest), ..knowledge };
    if knowledge.is_current(bounds, now_ms) { Ok(checked.epoch) } else { Err(Reason::Unknown) }
}

/// A write that was sent, by when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteBegun(u64);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// It made this epoch, or found it.
    Epoch(Epoch),
    /// It was refused, and nothing was changed.
    Nothing,
    /// Nobody knows.
    Unknown,
}

#[derive(Debug, Clone, Default)]
struct State {
    knowledge: Knowledge,
    /// When the background question under way was asked.
    refreshing_since_ms: Option<u64>,
    /// When the last one came back, whatever it brought.
    refreshed_ms: u64,
    /// Until when other isolates of the data centre can read what is known here.
    shared_ms: u64,
    /// When each write under way began, in this order.
    writes_ms: VecDeque<u64>,
}

impl State {
    /// Gives up the writes that are lost by now. They may have been done all the same, until then.
    fn give_up_lost_writes(&mut self, now_ms: u64) {
        while let Some(lost_ms) =
            self.writes_ms.front().map(|begun_ms| begun_ms.saturating_add(WRITE_LOST_MS))
            && lost_ms <= now_ms
        {
            self.writes_ms.pop_front();
            self.knowledge.floor_ms = self.knowledge.floor_ms.max(lost_ms);
        }
    }
}

/// What an isolate knows of its corpora's epochs. Bounded; what is forgotten is unknown.
pub(crate) struct Epochs {
    states: Cache<Place, State>,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self { states: Cache::new(CORPORA_MAX) }
    }

    pub(crate) fn of(&self, place: PlaceRef<'_>, now_ms: u64) -> Knowledge {
        let Some(state) = self.states.get(&place) else { return Knowledge::default() };
        let mut knowledge = state.knowledge;
        if let Some(last_ms) = state.writes_ms.back() {
            let lost_ms = last_ms.saturating_add(WRITE_LOST_MS);
            // Under way, or lost: then what was seen before it was given up is worth nothing.
            knowledge.floor_ms = if now_ms < lost_ms { u64::MAX } else { knowledge.floor_ms.max(lost_ms) };
        }
        knowledge
    }

    /// Takes note of a sighting.
    pub(crate) fn learn(&mut self, place: PlaceRef<'_>, sighting: Sighting) {
        self.change(place, |state| {
            state.knowledge.latest = Some(match state.knowledge.latest {
                Some(known) if sighting.seen_ms.saturating_sub(known.seen_ms) < FORGET_MS => {
                    known.and(sighting)
                }
                Some(_) | None => {
                    state.knowledge.written = None;
                    sighting
                }
            });
        });
    }

    /// A request that may change the corpus is sent: until it is back, nothing is known.
    pub(crate) fn write_begins(&mut self, place: PlaceRef<'_>, now_ms: u64) -> WriteBegun {
        self.change(place, |state| {
            state.give_up_lost_writes(now_ms);
            if state.writes_ms.len() == WRITES_MAX {
                state.writes_ms.pop_front();
            }
            state.writes_ms.push_back(now_ms);
        });
        WriteBegun(now_ms)
    }

    /// It is back. Unless it told its epoch or changed nothing, everything seen up to now is worth nothing.
    pub(crate) fn write_ends(&mut self, place: PlaceRef<'_>, write: WriteBegun, wrote: Wrote, now_ms: u64) {
        self.change(place, |state| {
            if let Some(at) = state.writes_ms.iter().position(|begun_ms| *begun_ms == write.0) {
                state.writes_ms.remove(at);
            }
            state.give_up_lost_writes(now_ms);
            match wrote {
                Wrote::Epoch(epoch) => state.knowledge.written = state.knowledge.written.max(Some(epoch)),
                Wrote::Nothing => {}
                // The next millisecond: a sighting of this one may be from before the write.
                Wrote::Unknown => state.knowledge.floor_ms = state.knowledge.floor_ms.max(now_ms + 1),
            }
        });
    }

    /// The corpus is gone, with everything that was known of it.
    pub(crate) fn deleted(&mut self, place: PlaceRef<'_>, now_ms: u64) {
        self.change(place, |state| {
            let since_ms = now_ms + 1;
            state.knowledge =
                Knowledge { latest: None, floor_ms: since_ms, deleted_ms: since_ms, written: None };
        });
    }

    /// Whether an origin should be asked in the background now for epoch and answer index; true at most once at a
    /// time. `index_seen_ms`: when the index that is there was the latest. Epochs are learned from other responses,
    /// too; an index only so.
    pub(crate) fn refresh_is_due(
        &mut self,
        place: PlaceRef<'_>,
        index_seen_ms: Option<u64>,
        bounds: Bounds,
        now_ms: u64,
    ) -> bool {
        let young = |seen_ms: u64| now_ms.abs_diff(seen_ms) < bounds.refresh_ms;
        if index_seen_ms.is_some_and(young) {
            return false;
        }
        let fresh = |state: &State| {
            young(state.refreshed_ms)
                || state.refreshing_since_ms.is_some_and(|t| now_ms.saturating_sub(t) < REFRESH_LOST_MS)
        };
        if self.states.get(&place).is_some_and(fresh) {
            return false;
        }
        self.change(place, |state| state.refreshing_since_ms = Some(now_ms));
        true
    }

    pub(crate) fn refresh_ended(&mut self, place: PlaceRef<'_>, now_ms: u64) {
        self.change(place, |state| {
            state.refreshing_since_ms = None;
            state.refreshed_ms = now_ms;
        });
    }

    /// What to share with the data centre's other isolates, if it is time: whenever the epoch moved, else
    /// once per refresh.
    pub(crate) fn share_is_due(
        &mut self,
        place: PlaceRef<'_>,
        before: Knowledge,
        bounds: Bounds,
    ) -> Option<Sighting> {
        let state = self.states.get(&place)?;
        let latest = state.knowledge.latest?;
        let moved = before.latest.is_none_or(|before| before.epoch != latest.epoch);
        if !moved && latest.seen_ms.saturating_sub(state.shared_ms) < bounds.refresh_ms {
            return None;
        }
        self.change(place, |state| state.shared_ms = latest.seen_ms);
        Some(latest)
    }

    fn change(&mut self, place: PlaceRef<'_>, change: impl FnOnce(&mut State)) {
        if let Some(mut state) = self.states.get_mut(&place) {
            change(&mut state);
            return;
        }
        let mut state = State::default();
        change(&mut state);
        self.states.insert(place.owned(), state);
    }
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
