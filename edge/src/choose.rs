//! Which of the answers that an isolate holds may be served: by what is known of the epoch or by the answer index, to
//! the very question or to other words that mean the same. Pure; `ask.rs` brings what is held.

use std::rc::Rc;

use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::header::CacheOutcome;
use perigee_shared::id::Epoch;
use perigee_shared::question::Question;

use crate::answer_index::{Index, answers_to_other_words};
use crate::config::Bounds;
use crate::freshness::{Decision, Held, Knowledge, Reason, decide};
use crate::memory::Kept;

/// What is wanted of an answer, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) question: &'a Question,
    pub(crate) control: CacheControl,
    pub(crate) min_epoch: Option<Epoch>,
    pub(crate) bounds: Bounds,
    pub(crate) now_ms: u64,
}

pub(crate) enum Found {
    Hit(Hit),
    Nothing(Reason),
}

/// An answer that may be served.
pub(crate) struct Hit {
    pub(crate) kept: Rc<Kept>,
    pub(crate) age_s: u64,
    /// Its evidence was seen to stand at this epoch.
    pub(crate) epoch: Epoch,
}

impl Hit {
    /// What it is to a question that asks for it by its own key.
    pub(crate) fn outcome(&self) -> CacheOutcome {
        if self.kept.of_other_words { CacheOutcome::HitParaphrase } else { CacheOutcome::HitExact }
    }
}

impl Wish<'_> {
    /// Whether an answer may be served by what is known of the epoch, and if not so, by the answer index.
    pub(crate) fn judge(
        &self,
        key: &CacheKey,
        kept: Option<&Rc<Kept>>,
        knowledge: Knowledge,
        index: impl Fn() -> Option<Index>,
    ) -> Found {
        let Self { question: _, control, min_epoch, bounds, now_ms } = *self;
        let kept = kept.filter(|kept| {
            !kept.of_other_words || index().is_some_and(|index| self.reuse_is_open(&index, knowledge))
        });
        let decide = |held: Option<Held>| decide(held, knowledge, control, min_epoch, bounds, now_ms);
        let mut decision = decide(kept.map(|kept| kept.held));
        if let (Decision::Forward(_), Some(kept)) = (decision, kept)
            && let Some(index) = index()
        {
            decision = decide(Some(Held { certified: index.certify(key, kept), ..kept.held }));
        }
        match (decision, kept) {
            (Decision::Hit { age_s, epoch }, Some(kept)) => {
                Found::Hit(Hit { kept: Rc::clone(kept), age_s, epoch })
            }
            (Decision::Hit { .. }, None) => Found::Nothing(Reason::Miss),
            (Decision::Forward(reason), _) => Found::Nothing(reason),
        }
    }

    /// Whether the corpus is known to let answers be given to other words than those that they were made for.
    fn reuse_is_open(&self, index: &Index, knowledge: Knowledge) -> bool {
        let open = index.snapshot.header().threshold.is_some();
        open && knowledge.admits(index.sighting(), self.bounds, self.now_ms)
    }

    /// The answers to other words that the index lists and that may mean the same, as far as it can be told without
    /// them. `own`: the key of what is asked.
    pub(crate) fn other_words(&self, own: &CacheKey, index: &Index, knowledge: Knowledge) -> Vec<CacheKey> {
        let too_early = self.min_epoch.is_some_and(|min| index.sighting().epoch < min);
        let admitted = knowledge.admits(index.sighting(), self.bounds, self.now_ms);
        if self.control.no_cache || too_early || !admitted {
            return Vec::new();
        }
        answers_to_other_words(&index.snapshot, self.question, own, &ContextKey::of(self.question))
    }

    /// Whether one of those, now that it is there, may be served: it must be of the very same context.
    pub(crate) fn judge_other_words(
        &self,
        key: &CacheKey,
        kept: &Rc<Kept>,
        knowledge: Knowledge,
        index: &Index,
    ) -> Option<Hit> {
        let context = ContextKey::of(self.question);
        let of_asker = kept.context == context && kept.answer.corpus == self.question.corpus;
        // One that was itself made for other words was never compared with these.
        if !of_asker || kept.of_other_words || !kept.answer.may_be_stored() {
            return None;
        }
        match self.judge(key, Some(kept), knowledge, || Some(index.clone())) {
            Found::Hit(hit) => Some(hit),
            Found::Nothing(_) => None,
        }
    }
}
