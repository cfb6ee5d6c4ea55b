//! Answers that were made elsewhere: for benchmarks with more answered questions than anybody wants to generate.

use std::sync::Arc;
use std::time::Duration;

use perigee_shared::answer::{Finish, Generator, Usage};
use perigee_shared::cache_key::CacheKey;
use perigee_shared::question::Question;

use super::compose::Written;
use super::evidence::{Grounds, search};
use super::flight::{Identity, Label};
use super::generate::finish;
use super::keep::Keeping;
use super::{AnswerError, Answers, Stamp, follow_up};
use crate::corpus::Corpus;
use crate::embed::EmbedError;
use crate::retrieve::QueryVector;

/// How a corpus's answers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standings {
    pub answers: usize,
    /// Answers retrieved for again since the first question.
    pub rechecked: u64,
}

/// Bytes of an answer index as an edge would get it.
#[derive(Debug, Clone)]
pub struct IndexSize {
    pub etag: String,
    pub bytes: usize,
}

impl Answers {
    /// Keeps `text` as the answer to a question, on the evidence that a search with `vector` finds.
    ///
    /// # Errors
    /// The vector has no direction, or retrieval failed.
    pub async fn adopt(
        &self,
        corpus: &Corpus,
        question: Question,
        vector: &[f32],
        text: &str,
    ) -> Result<(), AnswerError> {
        let standing = self.standing(corpus);
        let query = follow_up::query(&question.turns);
        let vector = QueryVector::new(vector)
            .ok_or_else(|| AnswerError::Embed(EmbedError::Failed("a vector has no direction".to_owned())))?;
        let found = corpus.search_with(&search(&query), Some(vector), &question.audience).await?;
        let grounds = Arc::new(Grounds::choose(&query, found));
        let stamp = Stamp::new().map_err(|_| AnswerError::Interrupted)?;
        let label = Label { stamp, corpus: question.corpus.clone(), epoch: grounds.epoch };
        let (text, citations, usage) = (text.to_owned(), Vec::new(), Usage::default());
        let written = Written { text, citations, finish: Finish::Stop, usage };
        let answer = Arc::new(finish(label, &grounds, written, Generator::Upstream));
        let of = Identity { incarnation: corpus.incarnation(), key: CacheKey::of(&question) };
        if let Some(keeping) = Keeping::prepare(of, &question, &query, &answer, &grounds) {
            keeping.keep(&self.shared.cache, &standing);
        }
        Ok(())
    }

    /// Waits until the corpus's last change is followed through, and says how its answers stand.
    pub async fn settled(&self, corpus: &Corpus, at_most: Duration) -> Standings {
        let standing = self.standing(corpus);
        standing.settled(corpus.epoch(), at_most).await;
        let tally = standing.tally();
        Standings { answers: tally.answers, rechecked: tally.rechecked }
    }

    /// Publishes the answer index for an edge that has the one named `known`.
    pub async fn publish(&self, corpus: &Corpus, known: Option<&str>) -> IndexSize {
        let published = self.published(corpus, known, true).await;
        IndexSize { bytes: published.body.len(), etag: published.etag }
    }
}
