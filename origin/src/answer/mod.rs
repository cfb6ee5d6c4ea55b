//! From a question and the passages that retrieval found to an answer with citations.
//!
//! The modules stand in the order in which a question meets them: its cache key, the answers kept, what to
//! retrieve with, the evidence, one of two generators, and the one generation that all who ask the same share.

mod adopt;
mod error;
mod options;
mod stamp;
mod words;

mod cache;
pub mod follow_up;
mod recheck;

pub mod explain;
mod lesson;
mod reuse;
mod verifier;
mod wording;

mod evidence;

mod compose;
mod extractive;
mod sentence;

mod dictate;
mod prompt;
mod upstream;

mod cite;
mod flight;
pub mod marks;

mod publish;

mod rehearse;

use std::sync::Arc;

use perigee_shared::answer::{Answer, Finish, Generator};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::header::CacheOutcome;
use perigee_shared::id::{DocumentId, Epoch};
use perigee_shared::question::Question;
use perigee_shared::search::{Search, SearchMode};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

pub use self::adopt::{IndexSize, Standings};
use self::cache::AnswerCache;
use self::compose::{Written, asked_tokens, tokens};
pub use self::error::{AnswerError, UpstreamError};
use self::evidence::Grounds;
pub use self::flight::{AnswerEvent, AnswerStream};
use self::flight::{Boarding, Flights, Identity, Label, Passenger, Pilot};
use self::lesson::{Lesson, Watches};
pub use self::options::{AnswerOptions, WhenUpstreamFails};
use self::recheck::supported;
pub(crate) use self::rehearse::{rehearse, search_of};
use self::reuse::Found;
pub use self::stamp::Stamp;
pub use self::upstream::{InvalidUpstream, TokenLimit, Upstream, UpstreamOptions};
pub use self::verifier::{Verifier, VerifierOptions};
use self::wording::{Topic, Wording};
use crate::answered::{Registry, Standing};
use crate::corpus::Corpus;
use crate::embed::Embedder;
use crate::paraphrase::Tolerance;
use crate::retrieve::Retrieved;

/// What is said instead of a guess.
const REFUSAL: &str = "The documents do not answer this question. Other words may find more, or the answer is \
                       not in this corpus.";

/// Answers questions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Answers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cache: AnswerCache,
    answered: Registry,
    flights: Flights,
    watches: Watches,
    reuse_tolerance: Tolerance,
    verifier: Verifier,
    upstream: Option<Upstream>,
    when_upstream_fails: WhenUpstreamFails,
    embedder: Embedder,
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

/// An answer, or one in the making.
#[derive(Debug)]
pub enum Reply {
    /// The whole answer.
    Ready(Arc<Answer>, CacheOutcome),
    /// A generation whose first text is there; the finished answer can be had under the key.
    Stream(AnswerStream, CacheOutcome, CacheKey),
}

/// The state of a corpus when it was asked.
#[derive(Debug, Clone, Copy)]
struct Seen {
    incarnation: u64,
    epoch: Epoch,
    /// The corpus's own, if it sets one.
    tolerance: Option<Tolerance>,
}

impl Answers {
    /// Without an upstream, the built-in extractive generator answers.
    #[must_use]
    pub fn new(options: &AnswerOptions, upstream: Option<Upstream>, embedder: Embedder) -> Self {
        Self::with(Registry::default(), options, upstream, embedder)
    }

    fn with(
        answered: Registry,
        options: &AnswerOptions,
        upstream: Option<Upstream>,
        embedder: Embedder,
    ) -> Self {
        let AnswerOptions { cache_bytes_max, cache_ttl, when_upstream_fails, reuse_tolerance, ref verifier } =
            *options;
        let forgetting = answered.clone();
        let cache = AnswerCache::new(cache_bytes_max.get(), cache_ttl, move |of| {
            if let Some(standing) = forgetting.find(of.incarnation) {
                standing.forget(&of.key);
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
        let cache = self.shared.cache.clone();
        self.shared.answered.follow(corpus, move |standing, corpus, answered, basis| {
            let cache = cache.clone();
            async move { recheck::recheck(&cache, &standing, &corpus, &answered, &basis).await }
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

    /// The finished answer of a question that is being generated or was kept, for an edge that passed its stream
    /// on. `None` if there is none, if it failed or may not be kept, or if it is not finished by the deadline.
    pub async fn finished(&self, corpus: &Corpus, key: CacheKey, deadline: Instant) -> Option<Arc<Answer>> {
        self.finished_of(Identity { incarnation: corpus.incarnation(), key }, deadline).await
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

    async fn finished_of(&self, of: Identity, deadline: Instant) -> Option<Arc<Answer>> {
        // The register first: what leaves it is in the cache by then.
        let answer = match self.shared.flights.latest(of) {
            Some(stream) => stream.finished(deadline).await.ok(),
            None => self.shared.cache.get(&of),
        };
        answer.filter(|answer| answer.may_be_stored())
    }

    fn asked(&self, seen: Seen, question: Question, control: CacheControl, deadline: Instant) -> Asked {
        let Seen { incarnation, epoch, tolerance } = seen;
        let identity = Identity { incarnation, key: CacheKey::of(&question) };
        let standing = self.shared.answered.of(incarnation, epoch);
        let tolerance = self.shared.tolerance(tolerance);
        Asked { identity, epoch, question, standing, tolerance, control, deadline }
    }

    /// With retrieval as a step that may be anything that finds passages.
    async fn answer_from<Work>(
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
}

impl Seen {
    fn of(corpus: &Corpus) -> Self {
        Self { incarnation: corpus.incarnation(), epoch: corpus.epoch(), tolerance: corpus.reuse_tolerance() }
    }
}

/// A question on its way.
struct Asked {
    identity: Identity,
    /// The corpus's epoch when the question arrived.
    epoch: Epoch,
    question: Question,
    /// The questions of the same corpus that were answered.
    standing: Arc<Standing>,
    tolerance: Tolerance,
    control: CacheControl,
    deadline: Instant,
}

impl Shared {
    async fn answer<Work>(
        self: &Arc<Self>,
        asked: Asked,
        retrieve: impl Fn(Search) -> Work,
    ) -> Result<Reply, AnswerError>
    where
        Work: Future<Output = Result<Retrieved, AnswerError>>,
    {
        let Asked { identity, epoch, ref question, ref standing, tolerance: _, control, deadline } = asked;
        let kept = self.cache.get(&identity).is_some();
        if let Some(answer) = self.cache.fresh(&identity, epoch, standing, control, stamp::now_s()) {
            standing.used(&identity.key);
            return Ok(Reply::Ready(answer, CacheOutcome::HitExact));
        }
        if !control.only_if_cached
            && let Some(stream) = self.flights.join((identity, epoch), !control.no_store)
        {
            return self.follow(stream, CacheOutcome::Collapsed, &asked, identity.key).await;
        }

        let query = follow_up::query(&question.turns);
        let retrieval = retrieve(search(&query)).instrument(tracing::info_span!("retrieve"));
        let found = timeout_at(deadline, retrieval).await;
        let grounds = Grounds::choose(&query, found.map_err(|_| AnswerError::Deadline)??);
        if let Some(answer) = self.revalidate(&asked, &query, &grounds) {
            standing.used(&identity.key);
            return Ok(Reply::Ready(answer, CacheOutcome::HitRevalidated));
        }
        let strong = !grounds.strength.is_too_weak();
        let wording = if strong { self.wording(&asked).await? } else { None };
        let lesson = match &wording {
            None => None,
            Some(wording) => match self.reuse(&asked, wording, &grounds, &retrieve).await {
                Found::Answer(answer, lesson) => {
                    self.reused(&asked, wording, query, grounds, lesson);
                    return Ok(Reply::Ready(answer, CacheOutcome::HitParaphrase));
                }
                Found::Nothing(lesson) => lesson,
            },
        };
        if control.only_if_cached {
            return Err(AnswerError::NotCached);
        }
        let outcome = match (control.allows_reuse_at(0), kept) {
            (false, _) => CacheOutcome::Bypass,
            (true, true) => CacheOutcome::Stale,
            (true, false) => CacheOutcome::Miss,
        };
        let stamp = Stamp::new().map_err(|_| AnswerError::Interrupted)?;
        let label = Label { stamp, corpus: question.corpus.clone(), epoch: grounds.epoch };
        if !strong {
            return Ok(Reply::Ready(Arc::new(self.refusal(question, label, &grounds)), outcome));
        }
        if lesson.as_ref().is_some_and(|lesson| lesson.is_check) {
            self.watches.would_be_hit(identity.incarnation);
        }
        match self.board(&asked, label, query, grounds, wording, lesson) {
            Boarding::Cached((answer, outcome)) => Ok(Reply::Ready(answer, outcome)),
            Boarding::Joined(stream) => {
                self.follow(stream, CacheOutcome::Collapsed, &asked, identity.key).await
            }
            Boarding::Shared(stream, key) => {
                self.follow(stream, CacheOutcome::CollapsedParaphrase, &asked, key).await
            }
            Boarding::Started(stream) => self.follow(stream, outcome, &asked, identity.key).await,
        }
    }

    /// What a corpus tolerates; `own` is what it sets itself.
    fn tolerance(&self, own: Option<Tolerance>) -> Tolerance {
        own.unwrap_or(self.reuse_tolerance)
    }

    /// What the question is compared with others by, where the caller and the corpus allow it.
    async fn wording(&self, asked: &Asked) -> Result<Option<Wording>, AnswerError> {
        // `no-cache` asks for what was checked for this very question.
        if asked.tolerance == Tolerance::NONE || asked.control.no_cache {
            return Ok(None);
        }
        Wording::of(&asked.question, &self.embedder).await.map_err(AnswerError::Embed)
    }

    /// Counts a hit, and has every so many-th checked: its question gets a fresh answer in the background.
    fn reused(
        self: &Arc<Self>,
        asked: &Asked,
        wording: &Wording,
        query: String,
        grounds: Grounds,
        lesson: Lesson,
    ) {
        if !self.watches.hit(asked.identity.incarnation) || asked.control.no_store {
            return;
        }
        let Ok(stamp) = Stamp::new() else { return };
        let label = Label { stamp, corpus: asked.question.corpus.clone(), epoch: grounds.epoch };
        // Nobody waits for it: while all turns of the upstream are taken it is given up.
        drop(self.board(asked, label, query, grounds, Some(wording.clone()), Some(lesson)));
    }

    /// Joins the generation of this question or starts it.
    fn board(
        self: &Arc<Self>,
        asked: &Asked,
        label: Label,
        query: String,
        grounds: Grounds,
        wording: Option<Wording>,
        lesson: Option<Lesson>,
    ) -> Boarding<(Arc<Answer>, CacheOutcome)> {
        let Asked { identity, ref question, control, .. } = *asked;
        let grounds = Arc::new(grounds);
        let terms = self.watches.terms(identity.incarnation, asked.tolerance).now;
        // Whoever is checked, or would have been given another's answer, needs one of its own.
        let is_check = lesson.as_ref().is_some_and(|lesson| lesson.is_check);
        let cached = || {
            let own = self.revalidate(asked, &query, &grounds);
            let own = own.map(|answer| (answer, CacheOutcome::HitRevalidated));
            // The generation of other words may have landed since we looked.
            own.or_else(|| {
                let wording = wording.as_ref().filter(|_| !is_check)?;
                let answer = self.landed(asked, wording, &grounds, &terms)?;
                Some((answer, CacheOutcome::HitParaphrase))
            })
        };
        let topic = wording.clone().map(|wording| Topic { wording, evidence: grounds.evidence() });
        let alike = |topic: &Topic| {
            !is_check && wording.as_ref().is_some_and(|wording| wording.may_share(topic, &grounds, &terms))
        };
        let work = {
            let (generator, question, grounds) = (Arc::clone(self), question.clone(), Arc::clone(&grounds));
            let query = query.clone();
            move |pilot| async move { generator.write(pilot, &question, &query, &grounds).await }
        };
        let store = {
            let (cache, grounds, query) = (self.cache.clone(), Arc::clone(&grounds), query.clone());
            let (question, standing) = (question.clone(), Arc::clone(&asked.standing));
            let (watches, embedder) = (self.watches.clone(), self.embedder.clone());
            move |answer: &Arc<Answer>| {
                if let Some(lesson) = lesson {
                    lesson.learn(Arc::clone(answer), watches, embedder);
                }
                if cache.keep(identity, answer, &grounds.hits)
                    && let Some(supported) = supported(identity.key, &question, &query, answer, &grounds)
                {
                    standing.keep(&supported);
                }
            }
        };
        let passenger = Passenger { of: identity, label, topic, keep: !control.no_store };
        self.flights.board(passenger, alike, cached, work, store)
    }

    /// The kept answer, if what was retrieved now is what it rests on.
    fn revalidate(&self, asked: &Asked, query: &str, grounds: &Grounds) -> Option<Arc<Answer>> {
        recheck::revalidate(&self.cache, &asked.standing, asked.identity, &asked.question, query, grounds)
    }

    /// Waits for what can be sent: the first words of the upstream, or the whole extractive answer.
    async fn follow(
        &self,
        mut stream: AnswerStream,
        outcome: CacheOutcome,
        asked: &Asked,
        key: CacheKey,
    ) -> Result<Reply, AnswerError> {
        if self.upstream.is_none() {
            return Ok(Reply::Ready(stream.finished(asked.deadline).await?, outcome));
        }
        stream.begun(asked.deadline).await?;
        if let Some(answer) = stream.unspoken() {
            let substitute = answer.generator == Generator::Substitute;
            return Ok(Reply::Ready(answer, if substitute { CacheOutcome::Substitute } else { outcome }));
        }
        Ok(Reply::Stream(stream, outcome, key))
    }

    async fn write(
        &self,
        pilot: Pilot,
        question: &Question,
        query: &str,
        grounds: &Grounds,
    ) -> Result<Answer, AnswerError> {
        let generator = match &self.upstream {
            None => {
                pilot.begin();
                Generator::Extractive
            }
            Some(upstream) => {
                let tokenizer = self.embedder.tokenizer();
                match dictate::write(upstream, &pilot, question, &grounds.hits, &tokenizer).await {
                    Ok(written) => {
                        return Ok(finish(pilot.label().clone(), grounds, written, Generator::Upstream));
                    }
                    Err(AnswerError::Upstream(_)) if self.substitutes() && pilot.is_silent() => {
                        Generator::Substitute
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let begun = Instant::now();
        let written = extractive::write(question, query, &grounds.hits, &self.embedder).await?;
        metrics::histogram!("perigee_stage_duration_seconds", "stage" => "generate").record(begun.elapsed());
        if written.text.is_empty() && written.finish == Finish::Stop {
            // Passages of nothing but markup: there is no sentence to show.
            return Ok(self.refusal(question, pilot.label().clone(), grounds));
        }
        Ok(finish(pilot.label().clone(), grounds, written, generator))
    }

    fn substitutes(&self) -> bool {
        match self.when_upstream_fails {
            WhenUpstreamFails::Substitute => true,
            WhenUpstreamFails::Refuse => false,
        }
    }

    fn refusal(&self, question: &Question, label: Label, grounds: &Grounds) -> Answer {
        let tokenizer = self.embedder.tokenizer();
        let completion_tokens = u32::try_from(tokens(REFUSAL, &tokenizer)).unwrap_or(u32::MAX);
        let prompt_tokens = asked_tokens(question, &tokenizer);
        let written = Written {
            text: REFUSAL.to_owned(),
            citations: Vec::new(),
            finish: Finish::Stop,
            usage: perigee_shared::answer::Usage { prompt_tokens, completion_tokens },
        };
        finish(label, grounds, written, Generator::Refusal)
    }
}

fn search(query: &str) -> Search {
    Search { query: query.to_owned(), k: evidence::CANDIDATES, filter: None, mode: SearchMode::Hybrid }
}

fn finish(label: Label, grounds: &Grounds, written: Written, generator: Generator) -> Answer {
    let Label { stamp: Stamp { id, created_s }, corpus, epoch } = label;
    let Written { text, citations, finish, usage } = written;
    let evidence = grounds.evidence();
    Answer { id, created_s, corpus, text, citations, evidence, epoch, finish, usage, generator }
}

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
