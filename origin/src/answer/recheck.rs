//! Whether a kept answer still stands, and who is told: the cache that keeps it, and the corpus's answered questions.

use std::sync::Arc;

use perigee_shared::answer::Answer;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::question::Question;

use super::cache::AnswerCache;
use super::evidence::Grounds;
use super::flight::Identity;
use super::search;
use crate::answered::{Answered, Standing, Supported};
use crate::corpus::{Corpus, CorpusError};
use crate::retrieve::Basis;

/// The kept answer to a question, if what was retrieved now is what it rests on. Else it is dropped.
pub(super) fn revalidate(
    cache: &AnswerCache,
    standing: &Standing,
    identity: Identity,
    question: &Question,
    query: &str,
    grounds: &Grounds,
) -> Option<Arc<Answer>> {
    let Some(answer) = cache.revalidate(&identity, grounds) else {
        standing.forget(&identity.key);
        return None;
    };
    if let Some(supported) = supported(identity.key, question, query, &answer, grounds) {
        standing.confirm(&supported);
    }
    Some(answer)
}

/// Retrieves again for an answered question whose answer is in doubt. No embedding, no generation.
///
/// # Errors
/// Retrieval failed; nothing is known of the answer then.
pub(super) async fn recheck(
    cache: &AnswerCache,
    standing: &Standing,
    corpus: &Corpus,
    answered: &Answered,
    basis: &Basis,
) -> Result<(), CorpusError> {
    let Answered { key, question, query, .. } = answered;
    let found = corpus.search_with(&search(query), Some(basis.vector().clone()), &question.audience).await?;
    let grounds = Grounds::choose(query, found);
    let identity = Identity { incarnation: corpus.incarnation(), key: *key };
    revalidate(cache, standing, identity, question, query, &grounds);
    Ok(())
}

/// What the answered questions are told of an answer. `None`: what its retrieval rests on is not known, or it is that
/// of another epoch than the answer's.
pub(super) fn supported<'a>(
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
