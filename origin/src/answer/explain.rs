//! Why a question would or would not be answered by another's answer, for operators.

use perigee_shared::cache_control::CacheControl;
use perigee_shared::gate::Alignment;
use perigee_shared::question::Question;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::asked::Seen;
use super::evidence::{Grounds, search};
use super::wording::{Considered, Wording};
use super::{AnswerError, Answers, follow_up};
use crate::corpus::Corpus;
use crate::paraphrase::{Features, Judgement, Support};

/// What was looked at, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// `open`, `tight` or `stopped`: what the corpus's checks have made of reuse.
    pub mode: String,
    /// The tolerance that rules now: a share of requests.
    pub tolerance: f64,
    /// The probability that it asks for; absent where nothing would be sure enough.
    pub threshold: Option<f64>,
    /// What the corpus's traffic has taught, in log-odds.
    pub offset: f64,
    /// The answered questions nearest to the one asked; what may be reused first, and the surest first.
    pub candidates: Vec<Explained>,
}

/// One answered question beside the one asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    pub question: String,
    /// `reuse`, `unsure`, `gate` or `evidence`.
    pub decision: String,
    /// Cosine of the full model's vectors.
    pub similarity: f32,
    /// What the gate says, and why.
    pub gate: String,
    /// Words that have no counterpart on the other side.
    pub unaligned: Vec<String>,
    pub evidence: Support,
    pub features: Features,
    pub probability: f64,
}

impl Explained {
    /// From a judgement and what was decided.
    #[must_use]
    pub fn of(question: &str, similarity: f32, judgement: &Judgement, decision: &str) -> Self {
        let Judgement { verdict, alignment, features, evidence, probability } = judgement;
        let Alignment { left_only, right_only, .. } = alignment;
        Self {
            question: question.to_owned(),
            decision: decision.to_owned(),
            similarity,
            gate: verdict.to_string(),
            unaligned: left_only.iter().chain(right_only).map(|word| word.word.clone()).collect(),
            evidence: *evidence,
            features: *features,
            probability: probability.get(),
        }
    }
}

impl Answers {
    /// Says what is thought of the answered questions nearest to one, without answering it.
    ///
    /// # Errors
    /// Retrieval failed, or the deadline passed.
    pub async fn explain(
        &self,
        corpus: &Corpus,
        question: &Question,
        deadline: Instant,
    ) -> Result<Explanation, AnswerError> {
        let shared = &self.shared;
        self.standing(corpus);
        let asked = self.asked(Seen::of(corpus), question.clone(), CacheControl::default(), deadline);
        let rules = shared.watches.terms(asked.identity.incarnation, asked.tolerance);
        let query = follow_up::query(&question.turns);
        let found = timeout_at(deadline, corpus.search(&search(&query), &question.audience)).await;
        let grounds = Grounds::choose(&query, found.map_err(|_| AnswerError::Deadline)??);
        let wording = Wording::of(question, &shared.embedder).await.map_err(AnswerError::Embed)?;
        let considered = wording
            .map(|wording| shared.consider(&asked, &wording, &grounds, &rules.now))
            .unwrap_or_default();
        let explained = |one: &Considered| {
            Explained::of(&one.answered.query, one.similarity.get(), &one.judgement, one.decision.name())
        };
        Ok(Explanation {
            mode: rules.mode.name().to_owned(),
            tolerance: rules.now.tolerance.share(),
            threshold: rules.now.threshold().map(|asked| asked.get()),
            offset: rules.now.offset,
            candidates: considered.iter().map(explained).collect(),
        })
    }
}
