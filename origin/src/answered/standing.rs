//! One corpus's answered questions, and which of them are known to stand.
//!
//! Invariant: the evidence of an answer that is not in doubt, and was retrieved for no later than at the certified epoch,
//! is what retrieval returns at the certified epoch. A step of the corpus is taken by bringing in doubt whatever it may
//! touch, and only then moving the certified epoch; retrieving again resolves the doubt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::{AnswerMark, Uses};
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::caller::Audience;
use perigee_shared::evidence::Evidence;
use perigee_shared::id::{Epoch, Similarity};
use perigee_shared::question::Question;
use tokio::sync::{Mutex, watch};

use super::publish::Publication;
use super::{Answered, NewAnswer, Supported};
use crate::retrieve::{Basis, QueryVector, Rule, Rules};

/// The part that makes room at a time: sorting by use is for many at once.
const ROOM_PART: usize = 16;

/// The answered questions of one life of a corpus.
pub(crate) struct Standing {
    state: RwLock<State>,
    progress: watch::Sender<Progress>,
    pub(super) publication: Mutex<Publication>,
    pub(super) rules: Rules,
    /// Answers retrieved for again.
    pub(super) rechecked: AtomicU64,
}

struct State {
    /// Answered questions at most.
    most: usize,
    certified: Epoch,
    /// At this instant the certified epoch was the corpus's latest.
    latest_at: Instant,
    slots: HashMap<CacheKey, Slot>,
    in_doubt: usize,
    /// Grows with every change to what would be published.
    version: u64,
    /// Whether the corpus is gone: nothing is taken in any more.
    ended: bool,
}

#[derive(Clone)]
struct Slot {
    answered: Arc<Answered>,
    basis: Arc<Basis>,
    /// The epoch of the retrieval that `basis` is of.
    retrieved: Epoch,
    /// Which answer it is.
    mark: AnswerMark,
    /// A step may have touched it since.
    in_doubt: bool,
}

/// How far the corpus's changes have been followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    certified: Epoch,
    in_doubt: usize,
}

/// How a corpus's answers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) certified: Epoch,
    pub(crate) answers: usize,
    pub(crate) in_doubt: usize,
    /// Answers retrieved for again so far.
    pub(crate) rechecked: u64,
}

/// An answered question with what its retrieval rests on.
pub(super) struct Ranking {
    pub(super) key: CacheKey,
    pub(super) audience: Audience,
    pub(super) basis: Arc<Basis>,
}

impl Slot {
    fn stands_at(&self, certified: Epoch) -> bool {
        !self.in_doubt && self.retrieved <= certified
    }
}

impl Standing {
    /// Of a corpus whose steps from `epoch` on will be followed.
    pub(super) fn new(epoch: Epoch, rules: Rules, most: usize) -> Self {
        let state = State {
            most,
            certified: epoch,
            latest_at: Instant::now(),
            slots: HashMap::new(),
            in_doubt: 0,
            version: 0,
            ended: false,
        };
        let (progress, _) = watch::channel(Progress { certified: epoch, in_doubt: 0 });
        Self {
            state: RwLock::new(state),
            progress,
            publication: Mutex::default(),
            rules,
            rechecked: AtomicU64::new(0),
        }
    }

    /// Takes in a new answer, in place of one of the same question. Answers which ones are known no longer: those that
    /// made room for it, or itself where the corpus is gone.
    #[must_use = "what is known no longer must be kept no longer"]
    pub(crate) fn keep(&self, new: NewAnswer) -> Vec<CacheKey> {
        let NewAnswer { answered, basis, epoch: retrieved, mark } = new;
        let mut state = self.write();
        if state.ended {
            return vec![answered.key];
        }
        if let Some(before) = state.slots.get(&answered.key) {
            answered.uses.store(before.answered.uses() + 1, Ordering::Relaxed);
        }
        let in_doubt = self.is_late(retrieved, &state);
        state.put(Slot { answered: Arc::new(answered), basis, retrieved, mark, in_doubt });
        let pushed_out = if state.slots.len() > state.most { state.make_room() } else { Vec::new() };
        self.changed(state);
        pushed_out
    }

    /// Takes note that an answer was retrieved for again and stands. Answers what [`Self::keep`] does.
    #[must_use = "what is known no longer must be kept no longer"]
    pub(crate) fn confirm(&self, supported: &Supported<'_>) -> Vec<CacheKey> {
        let mut state = self.write();
        let known = state.slots.get(&supported.key);
        let Some(slot) = known.filter(|slot| slot.answered.evidence == supported.answer.evidence) else {
            drop(state);
            return self.keep(supported.prepare());
        };
        let mut slot = slot.clone();
        if slot.in_doubt && supported.epoch >= slot.retrieved {
            slot.basis = Arc::clone(supported.basis);
            slot.retrieved = supported.epoch;
            slot.in_doubt = self.is_late(supported.epoch, &state);
        }
        // Its citations may have moved.
        slot.mark = AnswerMark::of(supported.answer);
        state.put(slot);
        self.changed(state);
        Vec::new()
    }

    /// Whether steps were taken without an answer of this epoch, which may have touched it.
    fn is_late(&self, retrieved: Epoch, state: &State) -> bool {
        self.rules.hold(Rule::Late) && retrieved < state.certified
    }

    /// Forgets an answer: it does not stand, or is kept no more.
    pub(crate) fn forget(&self, key: &CacheKey) {
        let mut state = self.write();
        if state.remove(key) {
            self.changed(state);
        }
    }

    /// Forgets this very answer, which is kept no more; not one that has come in its place.
    pub(crate) fn forget_answer(&self, key: &CacheKey, answer: &Answer) {
        let mark = AnswerMark::of(answer);
        let mut state = self.write();
        if state.slots.get(key).is_some_and(|slot| slot.mark == mark) && state.remove(key) {
            self.changed(state);
        }
    }

    /// The corpus is gone. Answers all that were known; from now on nothing is.
    pub(super) fn end(&self) -> Vec<CacheKey> {
        let mut state = self.write();
        state.ended = true;
        state.in_doubt = 0;
        let known = std::mem::take(&mut state.slots).into_keys().collect();
        self.changed(state);
        known
    }

    /// The epoch, `epoch` or a later one, at which the answer to `key` that rests on `evidence` is known to stand.
    pub(crate) fn stands(&self, key: &CacheKey, evidence: &Evidence, epoch: Epoch) -> Option<Epoch> {
        let state = self.read();
        let slot = state.slots.get(key)?;
        let stands = slot.stands_at(state.certified)
            && state.certified >= epoch
            && slot.answered.evidence == *evidence;
        stands.then_some(state.certified)
    }

    /// The question whose answer has this key.
    pub(crate) fn question(&self, key: &CacheKey) -> Option<Question> {
        self.read().slots.get(key).map(|slot| slot.answered.question.clone())
    }

    /// Counts a use of the answer to `key`.
    pub(crate) fn used(&self, key: &CacheKey) {
        if let Some(slot) = self.read().slots.get(key) {
            slot.answered.used();
        }
    }

    /// Counts uses of answers that an edge gave.
    pub(crate) fn used_at_an_edge(&self, uses: &Uses) {
        for slot in self.read().slots.values() {
            slot.answered.uses.fetch_add(uses.of_answer(slot.mark).into(), Ordering::Relaxed);
        }
    }

    /// How often the answer to `key` was given, here and at edges, as far as is known.
    pub(crate) fn uses(&self, key: &CacheKey) -> u64 {
        self.read().slots.get(key).map_or(0, |slot| slot.answered.uses())
    }

    /// The answered questions of this context that are nearest to `vector`, at most `most`, nearest first. Only
    /// questions without a conversation before them: those that their own words say whole. Whether they stand is not
    /// told: whoever gives an answer to another question checks its evidence anyway.
    pub(crate) fn candidates(
        &self,
        context: &ContextKey,
        vector: &QueryVector,
        most: usize,
    ) -> Vec<(Arc<Answered>, Similarity)> {
        let state = self.read();
        let alike = state.slots.values().filter(|slot| slot.answered.context == *context);
        let mut found: Vec<(&Slot, Similarity)> = alike
            .filter(|slot| slot.answered.is_one_turn())
            .map(|slot| (slot, slot.basis.vector().likeness(vector)))
            .collect();
        let nearest_first = |a: &(&Slot, Similarity), b: &(&Slot, Similarity)| {
            b.1.get().total_cmp(&a.1.get()).then_with(|| a.0.answered.key.cmp(&b.0.answered.key))
        };
        if found.len() > most {
            found.select_nth_unstable_by(most, nearest_first);
            found.truncate(most);
        }
        found.sort_unstable_by(nearest_first);
        found.into_iter().map(|(slot, similarity)| (Arc::clone(&slot.answered), similarity)).collect()
    }

    pub(crate) fn tally(&self) -> Tally {
        let state = self.read();
        let Progress { certified, in_doubt } = state.progress();
        let rechecked = self.rechecked.load(Ordering::Relaxed);
        Tally { certified, answers: state.slots.len(), in_doubt, rechecked }
    }

    /// Waits until every step up to `epoch` was followed and nothing is in doubt, but no longer than `at_most`.
    pub(crate) async fn settled(&self, epoch: Epoch, at_most: Duration) {
        let mut progress = self.progress.subscribe();
        let settled = progress.wait_for(|now| now.certified >= epoch && now.in_doubt == 0);
        // Not settled in time: what is in doubt is left out of what is published.
        let _ = tokio::time::timeout(at_most, settled).await;
    }

    /// Follows how many are in doubt.
    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn certified(&self) -> Epoch {
        self.read().certified
    }

    /// The answers that stand so far and were retrieved before `to`: those that a step to it may touch.
    pub(super) fn rankings(&self, to: Epoch) -> Vec<Ranking> {
        let state = self.read();
        let before = state.slots.values().filter(|slot| !slot.in_doubt && slot.retrieved < to);
        let ranking = |slot: &Slot| Ranking {
            key: slot.answered.key,
            audience: slot.answered.question.audience.clone(),
            basis: Arc::clone(&slot.basis),
        };
        before.map(ranking).collect()
    }

    /// Takes the step to `to`, which was the latest epoch at `at`. `untouched` are the answers that it leaves as they
    /// are; all others that were retrieved before it are in doubt from now on.
    pub(super) fn advance(&self, to: Epoch, at: Instant, untouched: &HashMap<CacheKey, Arc<Basis>>) {
        let mut state = self.write();
        let mut in_doubt = 0;
        for (key, slot) in &mut state.slots {
            let stays = untouched.get(key).is_some_and(|basis| Arc::ptr_eq(basis, &slot.basis));
            if !slot.in_doubt && slot.retrieved < to && !stays {
                slot.in_doubt = true;
                in_doubt += 1;
            }
        }
        state.in_doubt += in_doubt;
        state.certified = to;
        state.latest_at = at;
        self.changed(state);
    }

    /// Steps up to `to` were missed: all that was retrieved before it is in doubt.
    pub(super) fn skip(&self, to: Epoch, at: Instant) {
        let mut state = self.write();
        for slot in state.slots.values_mut().filter(|slot| slot.retrieved < to) {
            slot.in_doubt = self.rules.hold(Rule::Missed);
        }
        state.in_doubt = state.slots.values().filter(|slot| slot.in_doubt).count();
        state.certified = to;
        state.latest_at = at;
        self.changed(state);
    }

    pub(super) fn is_in_doubt(&self, key: &CacheKey) -> bool {
        self.read().slots.get(key).is_some_and(|slot| slot.in_doubt)
    }

    /// The answers in doubt, the most used last.
    pub(super) fn in_doubt(&self) -> Vec<(Arc<Answered>, Arc<Basis>)> {
        let state = self.read();
        let doubtful = state.slots.values().filter(|slot| slot.in_doubt);
        let mut doubtful: Vec<_> =
            doubtful.map(|slot| (Arc::clone(&slot.answered), Arc::clone(&slot.basis))).collect();
        drop(state);
        doubtful.sort_by_key(|(answered, _)| answered.uses());
        doubtful
    }

    /// What may be published: the certified epoch, an instant at which it was the latest, and the answers that stand
    /// at it. `latest` is the corpus's epoch, read at `now`.
    pub(super) fn listed(&self, latest: Epoch, now: Instant) -> Listed {
        let mut state = self.write();
        if state.certified == latest {
            state.latest_at = now;
        }
        let State { certified, latest_at, version, .. } = *state;
        let standing = state.slots.values().filter(|slot| slot.stands_at(certified));
        let answers = standing.map(|slot| (Arc::clone(&slot.answered), slot.mark)).collect();
        Listed { certified, latest_at, version, answers }
    }

    fn changed(&self, mut state: RwLockWriteGuard<'_, State>) {
        state.version += 1;
        let now = state.progress();
        drop(state);
        self.progress.send_if_modified(|progress| std::mem::replace(progress, now) != now);
    }

    // Nothing that runs under the lock leaves the state half changed.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers that stand at one epoch.
pub(super) struct Listed {
    pub(super) certified: Epoch,
    pub(super) latest_at: Instant,
    pub(super) version: u64,
    pub(super) answers: Vec<(Arc<Answered>, AnswerMark)>,
}

impl State {
    fn progress(&self) -> Progress {
        Progress { certified: self.certified, in_doubt: self.in_doubt }
    }

    fn put(&mut self, slot: Slot) {
        self.remove(&slot.answered.key);
        self.in_doubt += usize::from(slot.in_doubt);
        self.slots.insert(slot.answered.key, slot);
    }

    fn remove(&mut self, key: &CacheKey) -> bool {
        let Some(slot) = self.slots.remove(key) else { return false };
        self.in_doubt -= usize::from(slot.in_doubt);
        true
    }

    /// Forgets the least used, and says which.
    fn make_room(&mut self) -> Vec<CacheKey> {
        let mut uses: Vec<(u64, CacheKey)> =
            self.slots.values().map(|slot| (slot.answered.uses(), slot.answered.key)).collect();
        let (least, _, _) = uses.select_nth_unstable(self.slots.len().div_ceil(ROOM_PART));
        let least: Vec<CacheKey> = least.iter().map(|(_, key)| *key).collect();
        for key in &least {
            self.remove(key);
        }
        least
    }
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Standing").field(&self.tally()).finish()
    }
}
