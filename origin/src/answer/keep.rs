//! Keeps answers, and lets go of them: in the cache, which has the answers, and among the corpus's answered questions,
//! which its changes go through.
//!
//! Invariant: an answer in the cache is one of the answered questions. A change that ends it finds it there, and it goes
//! from both; else text that is gone would stay until somebody asked again. So both are changed together, one key at
//! a time, and what is pushed out of one leaves the other.

use std::sync::Arc;

use perigee_shared::answer::Answer;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::question::Question;

use super::cache::AnswerCache;
use super::evidence::{Grounds, search};
use super::flight::Identity;
use crate::answered::{Answered, NewAnswer, Standing, Supported};
use crate::corpus::{Corpus, CorpusError};
use crate::retrieve::Basis;

/// A finished answer, read and ready to be kept: what takes time is done.
pub(super) struct Keeping {
    of: Identity,
    answer: Arc<Answer>,
    grounds: Arc<Grounds>,
    question_bytes: usize,
    new: NewAnswer,
}

impl Keeping {
    /// `None`: what the answer's retrieval rests on is not known, so that no change would find it.
    pub(super) fn prepare(
        of: Identity,
        question: &Question,
        query: &str,
        answer: &Arc<Answer>,
        grounds: &Arc<Grounds>,
    ) -> Option<Self> {
        let new = supported(of.key, question, query, answer, grounds)?.prepare();
        let turns: usize = question.turns.iter().map(|turn| turn.text.len()).sum();
        let question_bytes = turns + query.len();
        Some(Self { of, answer: Arc::clone(answer), grounds: Arc::clone(grounds), question_bytes, new })
    }

    /// Keeps it, unless a later answer is there.
    pub(super) fn keep(self, cache: &AnswerCache, standing: &Standing) {
        let Self { of, answer, grounds, question_bytes, new } = self;
        let pushed_out = cache.keep(of, &answer, &grounds.hits, question_bytes, || standing.keep(new));
        drop_all(cache, of.incarnation, pushed_out.unwrap_or_default());
    }
}

/// The kept answer to a question, if what was retrieved now is what it rests on. Else it is dropped.
pub(super) fn revalidate(
    cache: &AnswerCache,
    standing: &Standing,
    of: Identity,
    question: &Question,
    query: &str,
    grounds: &Grounds,
) -> Option<Arc<Answer>> {
    let mut pushed_out = Vec::new();
    let answer = cache.revalidate(&of, grounds, |stands| match stands {
        Some(answer) => {
            if let Some(supported) = supported(of.key, question, query, answer, grounds) {
                pushed_out = standing.confirm(&supported);
            }
        }
        None => standing.forget(&of.key),
    });
    drop_all(cache, of.incarnation, pushed_out);
    answer
}

/// Retrieves again for an answered question whose answer is in doubt. No embedding, no generation.
///
/// # Errors
/// Retrieval failed; the answer is dropped, as nothing is known of it then.
pub(super) async fn recheck(
    cache: &AnswerCache,
    standing: &Standing,
    corpus: &Corpus,
    answered: &Answered,
    basis: &Basis,
) -> Result<(), CorpusError> {
    let Answered { key, question, query, .. } = answered;
    let of = Identity { incarnation: corpus.incarnation(), key: *key };
    match corpus.search_with(&search(query), Some(basis.vector().clone()), &question.audience).await {
        Ok(found) => {
            revalidate(cache, standing, of, question, query, &Grounds::choose(query, found));
            Ok(())
        }
        Err(error) => {
            cache.remove(&of, || standing.forget(key));
            Err(error)
        }
    }
}

/// Drops answers that are among the answered questions no longer.
pub(super) fn drop_all(cache: &AnswerCache, incarnation: u64, keys: Vec<CacheKey>) {
    for key in keys {
        cache.remove(&Identity { incarnation, key }, || ());
    }
}

/// What the answered questions are told of an answer. `None`: what its retrieval rests on is not known, or it is that
/// of another epoch than the answer's.
fn supported<'a>(
    key: CacheKey,
    question: &'a Question,
    query: &'a str,
    answer: &'a Answer,
    grounds: &'a Grounds,
) -> Option<Supported<'a>> {
    let basis = grounds.basis.as_ref()?;
    let epoch = grounds.epoch;
    (answer.epoch == epoch).then_some(Supported { key, question, query, answer, basis, epoch })
}
