//! The questions of a corpus that were answered, and up to which epoch each answer is known to stand.
//!
//! An answer stands at an epoch if retrieval at that epoch returns the evidence that it rests on. Retrieving everything
//! again after each change would say so; the rules in `retrieve::moved` say of nearly all of them that it need not be
//! done. The modules stand in the order in which things happen: a question is answered (`registry`, `standing`), the
//! corpus changes (`follow`), edges are told (`publish`). The answers themselves are the answer cache's.

mod follow;
mod publish;
mod registry;
mod standing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::AnswerMark;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::evidence::Evidence;
use perigee_shared::gate::{Reading, Signature};
use perigee_shared::id::Epoch;
use perigee_shared::question::Question;
use perigee_shared::static_model::{StaticModel, StaticVector};

use self::follow::follow;
pub(crate) use self::publish::{Body, Published};
pub(crate) use self::registry::Registry;
pub(crate) use self::standing::Standing;
use crate::retrieve::Basis;

/// A question that was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) key: CacheKey,
    pub(crate) context: ContextKey,
    pub(crate) question: Question,
    /// What was retrieved with.
    pub(crate) query: String,
    pub(crate) evidence: Evidence,
    /// `None`: it is only ever found by its key.
    static_vector: Option<StaticVector>,
    signature: Signature,
    uses: AtomicU64,
}

impl Answered {
    /// The answer was given once more.
    pub(crate) fn used(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    /// How often its answer was given, here and at edges, as far as they have told.
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Whether its words alone say what is asked: another question's words can then be compared with them.
    pub(crate) fn is_one_turn(&self) -> bool {
        self.question.turns.len() == 1
    }
}

/// An answer that retrieval has just been seen to support.
pub(crate) struct Supported<'a> {
    pub(crate) key: CacheKey,
    pub(crate) question: &'a Question,
    pub(crate) query: &'a str,
    pub(crate) answer: &'a Answer,
    /// What the retrieval rests on, and its epoch.
    pub(crate) basis: &'a Arc<Basis>,
    pub(crate) epoch: Epoch,
}

/// The same, read and embedded: ready to be taken in.
pub(crate) struct NewAnswer {
    answered: Answered,
    basis: Arc<Basis>,
    epoch: Epoch,
    mark: AnswerMark,
}

impl Supported<'_> {
    /// Takes its time, a fraction of a millisecond: to be called outside of any lock.
    pub(crate) fn prepare(&self) -> NewAnswer {
        let Self { key, question, query, answer, basis, epoch } = *self;
        let answered = Answered {
            key,
            context: ContextKey::of(question),
            question: question.clone(),
            query: query.to_owned(),
            evidence: answer.evidence.clone(),
            signature: Reading::of(question.asked()).signature(),
            static_vector: (question.turns.len() == 1)
                .then(|| StaticModel::bundled().embed(question.asked()))
                .flatten(),
            uses: AtomicU64::new(1),
        };
        NewAnswer { answered, basis: Arc::clone(basis), epoch, mark: AnswerMark::of(answer) }
    }
}

#[cfg(test)]
mod tests;
