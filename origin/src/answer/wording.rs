//! A question as one that others may have put in other words: what it is compared by, and what came of comparing.

use std::collections::HashSet;
use std::sync::Arc;

use perigee_shared::answer::Answer;
use perigee_shared::cache_key::ContextKey;
use perigee_shared::evidence::{Evidence, PassageRef};
use perigee_shared::gate::Reading;
use perigee_shared::id::Similarity;
use perigee_shared::question::Question;

use super::evidence::Grounds;
use crate::answered::Answered;
use crate::embed::{EmbedError, Embedder};
use crate::paraphrase::compare::cited;
use crate::paraphrase::{Calibration, Decision, Judgement, Pair, Support, Terms, judge};
use crate::retrieve::QueryVector;

/// One question, read and embedded once.
#[derive(Debug, Clone)]
pub(super) struct Wording {
    /// Only questions of equal context ever share an answer: tenant, corpus, audience, options (invariant I1).
    pub(super) context: ContextKey,
    pub(super) text: Arc<str>,
    pub(super) reading: Arc<Reading>,
    pub(super) vector: QueryVector,
}

impl Wording {
    /// `None` for a question within a conversation: what it means hangs on what was said before.
    ///
    /// # Errors
    /// It cannot be embedded.
    pub(super) async fn of(question: &Question, embedder: &Embedder) -> Result<Option<Self>, EmbedError> {
        let [turn] = &*question.turns else { return Ok(None) };
        // Retrieval has just embedded it: this comes from the cache.
        let row = embedder.query(&turn.text).await?;
        Ok(QueryVector::new(&row).map(|vector| Self {
            context: ContextKey::of(question),
            text: Arc::from(&*turn.text),
            reading: Arc::new(Reading::of(&turn.text)),
            vector,
        }))
    }

    /// Judges whether an answer to `other`, whose evidence has this `support`, answers this.
    pub(super) fn judge(
        &self,
        other: &Reading,
        similarity: Similarity,
        support: Support,
        terms: &Terms,
    ) -> Judgement {
        let pair = Pair { asked: &self.reading, answered: other, similarity, evidence: support };
        judge(pair, Calibration::bundled(), terms.offset)
    }

    /// Whether an answer that is being made for `topic` will answer this, too.
    pub(super) fn may_share(&self, topic: &Topic, grounds: &Grounds, terms: &Terms) -> bool {
        if topic.wording.context != self.context {
            return false;
        }
        // What it will cite is not known yet: anything that it is shown.
        let support = support(HashSet::new(), topic.evidence.passages(), grounds);
        let similarity = self.vector.likeness(&topic.wording.vector);
        let judged = self.judge(&topic.wording.reading, similarity, support, terms);
        judged.decide(terms.threshold()) == Decision::Reuse
    }
}

/// What an answer in the making is about.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) wording: Wording,
    pub(super) evidence: Evidence,
}

/// An answered question that was considered for the one asked.
#[derive(Debug, Clone)]
pub(super) struct Considered {
    pub(super) answered: Arc<Answered>,
    pub(super) answer: Arc<Answer>,
    pub(super) similarity: Similarity,
    pub(super) judgement: Judgement,
    pub(super) decision: Decision,
}

/// How much of an answer's evidence retrieval returns for the question asked.
pub(super) fn support_of(answer: &Answer, grounds: &Grounds) -> Support {
    support(cited(answer), answer.evidence.passages(), grounds)
}

/// `cited` empty: it may rest on all that it was shown.
fn support(cited: HashSet<&PassageRef>, evidence: &[PassageRef], grounds: &Grounds) -> Support {
    let found = |passage: &PassageRef| {
        grounds.hits.iter().any(|hit| hit.hash == passage.hash && hit.document == passage.document)
    };
    let common = evidence.iter().filter(|passage| found(passage)).count();
    let whole = if cited.is_empty() { common == evidence.len() } else { cited.into_iter().all(found) };
    Support { cited: whole, overlap: common as f64 / evidence.len().max(1) as f64 }
}
