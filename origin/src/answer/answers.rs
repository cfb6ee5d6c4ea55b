//! The front: what the rest of the origin asks for answers, and for what is known of those that are kept.

use std::sync::Arc;

use perigee_shared::answer::Answer;
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::header::CacheOutcome;
use perigee_shared::id::DocumentId;
use perigee_shared::question::Question;
use perigee_shared::search::Search;
use tokio::time::Instant;
use tracing::Instrument;

use super::asked::{Asked, Seen};
use super::cache::AnswerCache;
use super::error::AnswerError;
use super::flight::{AnswerStream, Flights, Identity};
use super::keep;
use super::lesson::Watches;
use super::options::AnswerOptions;
use super::upstream::Upstream;
use super::way::Shared;
use crate::answered::{Answered, Registry, Standing};
use crate::corpus::Corpus;
use crate::embed::Embedder;
use crate::retrieve::{Basis, Retrieved};

/// Answers questions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Answers {
    pub(super) shared: Arc<Shared>,
}

/// An answer, or one in the making.
#[derive(Debug)]
pub enum Reply {
    /// The whole answer.
    Ready(Arc<Answer>, CacheOutcome),
    /// A generation whose first text is there; the finished answer can be had under the key.
    Stream(AnswerStream, CacheOutcome, CacheKey),
}

/// A kept answer that rests on a certain document.
#[derive(Debug)]
pub struct RestingAnswer {
    pub key: CacheKey,
    pub answer: Arc<Answer>,
    /// How often it was given, here and at edges, as far as is known.
    pub uses: u64,
    /// `None`: only the answer is known any more.
    pub question: Option<Question>,
}

impl Answers {
    /// Without an upstream, the built-in extractive generator answers.
    #[must_use]
    pub fn new(options: &AnswerOptions, upstream: Option<Upstream>, embedder: Embedder) -> Self {
        Self::with(Registry::default(), options, upstream, embedder)
    }

    pub(super) fn with(
        answered: Registry,
        options: &AnswerOptions,
        upstream: Option<Upstream>,
        embedder: Embedder,
    ) -> Self {
        let AnswerOptions { cache_bytes_max, cache_ttl, when_upstream_fails, reuse_tolerance, ref verifier } =
            *options;
        let forgetting = answered.clone();
        let cache = AnswerCache::new(cache_bytes_max.get(), cache_ttl, move |of, answer| {
            if let Some(standing) = forgetting.find(of.incarnation) {
                standing.forget_answer(&of.key, answer);
            }
        });
        let shared = Shared {
            cache,
            answered,
            flights: Flights::default(),
            watches: Watches::default(),
            reuse_tolerance,
            verifier: verifier.clone(),
            upstream,
            when_upstream_fails,
            embedder,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The corpus's answered questions; from the first call on, its changes are followed.
    pub(crate) fn standing(&self, corpus: &Corpus) -> Arc<Standing> {
        let (checked, ended) = (self.shared.cache.clone(), self.shared.cache.clone());
        let recheck = move |standing: Arc<Standing>, corpus, answered: Arc<Answered>, basis: Arc<Basis>| {
            let cache = checked.clone();
            async move { keep::recheck(&cache, &standing, &corpus, &answered, &basis).await }
        };
        self.shared.answered.follow(corpus, recheck, move |incarnation, keys| {
            keep::drop_all(&ended, incarnation, keys);
        })
    }

    /// Answers one question, from what is kept if its evidence stands.
    ///
    /// The deadline bounds the wait for the first word. A generation outlives it, and the caller: its own timeouts
    /// bound it, so that whoever asks next finds its answer.
    ///
    /// # Errors
    /// Retrieval or generation failed before the first word, the deadline passed, or only a kept answer was
    /// wanted and there is none.
    pub async fn answer(
        &self,
        corpus: &Corpus,
        question: Question,
        control: CacheControl,
        deadline: Instant,
    ) -> Result<Reply, AnswerError> {
        self.standing(corpus);
        let seen = Seen::of(corpus);
        let audience = question.audience.clone();
        let retrieve = async |search| Ok(corpus.search(&search, &audience).await?);
        self.answer_from(seen, retrieve, question, control, deadline).await
    }

    /// With retrieval as a step that may be anything that finds passages.
    pub(super) async fn answer_from<Work>(
        &self,
        seen: Seen,
        retrieve: impl Fn(Search) -> Work,
        question: Question,
        control: CacheControl,
        deadline: Instant,
    ) -> Result<Reply, AnswerError>
    where
        Work: Future<Output = Result<Retrieved, AnswerError>>,
    {
        let asked = self.asked(seen, question, control, deadline);
        self.shared.watches.request(seen.incarnation);
        let span = tracing::info_span!("answer", corpus = %asked.question.corpus, epoch = %seen.epoch);
        let reply = self.shared.answer(asked, retrieve).instrument(span).await;
        match &reply {
            Ok(Reply::Ready(_, outcome) | Reply::Stream(_, outcome, _)) => {
                metrics::counter!("perigee_cache_requests_total", "tier" => "answer", "outcome" => outcome.name())
                    .increment(1);
            }
            Err(AnswerError::Shed) => metrics::counter!("perigee_shed_total").increment(1),
            Err(_) => {}
        }
        reply
    }

    pub(super) fn asked(
        &self,
        seen: Seen,
        question: Question,
        control: CacheControl,
        deadline: Instant,
    ) -> Asked {
        let Seen { incarnation, epoch, tolerance } = seen;
        let identity = Identity { incarnation, key: CacheKey::of(&question) };
        let standing = self.shared.answered.of(incarnation, epoch);
        let tolerance = self.shared.tolerance(tolerance);
        Asked { identity, epoch, question, standing, tolerance, control, deadline }
    }

    /// The finished answer of a question that is being generated or was kept, for an edge that passed its stream
    /// on. `None` if there is none, if it failed or may not be kept, or if it is not finished by the deadline.
    pub async fn finished(&self, corpus: &Corpus, key: CacheKey, deadline: Instant) -> Option<Arc<Answer>> {
        self.finished_of(Identity { incarnation: corpus.incarnation(), key }, deadline).await
    }

    pub(super) async fn finished_of(&self, of: Identity, deadline: Instant) -> Option<Arc<Answer>> {
        // The register first: what leaves it is in the cache by then.
        let answer = match self.shared.flights.latest(of) {
            Some(stream) => stream.finished(deadline).await.ok(),
            None => self.shared.cache.get(&of),
        };
        answer.filter(|answer| answer.may_be_stored())
    }

    /// The kept answers of a corpus that rest on a document, and how many were looked at.
    #[must_use]
    pub fn resting_on(&self, corpus: &Corpus, document: &DocumentId) -> (usize, Vec<RestingAnswer>) {
        let standing = self.standing(corpus);
        let (looked_at, resting) = self.shared.cache.resting_on(corpus.incarnation(), document);
        let with_question = |(key, answer)| RestingAnswer {
            key,
            answer,
            uses: standing.uses(&key),
            question: standing.question(&key),
        };
        (looked_at, resting.into_iter().map(with_question).collect())
    }
}
