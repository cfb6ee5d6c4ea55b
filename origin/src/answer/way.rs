//! One question's way: what is kept, what retrieval finds, what others were told, and the generation that all who ask the
//! same share. The first that will do answers.

use std::sync::Arc;

use perigee_shared::answer::{Answer, Generator};
use perigee_shared::header::CacheOutcome;
use perigee_shared::search::Search;
use tokio::time::timeout_at;
use tracing::Instrument;

use super::answers::Reply;
use super::asked::Asked;
use super::cache::AnswerCache;
use super::error::AnswerError;
use super::evidence::{Grounds, search};
use super::flight::{AnswerStream, Boarding, Flights, Label};
use super::lesson::{Lesson, Watches};
use super::options::WhenUpstreamFails;
use super::reuse::Found;
use super::stamp::{self, Stamp};
use super::upstream::Upstream;
use super::verifier::Verifier;
use super::wording::Wording;
use super::{follow_up, keep};
use crate::answered::Registry;
use crate::embed::Embedder;
use crate::paraphrase::Tolerance;
use crate::retrieve::Retrieved;
use perigee_shared::cache_key::CacheKey;

/// What all questions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cache: AnswerCache,
    pub(super) answered: Registry,
    pub(super) flights: Flights,
    pub(super) watches: Watches,
    pub(super) reuse_tolerance: Tolerance,
    pub(super) verifier: Verifier,
    pub(super) upstream: Option<Upstream>,
    pub(super) when_upstream_fails: WhenUpstreamFails,
    pub(super) embedder: Embedder,
}

impl Shared {
    pub(super) async fn answer<Work>(
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
    pub(super) fn tolerance(&self, own: Option<Tolerance>) -> Tolerance {
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

    /// The kept answer, if what was retrieved now is what it rests on.
    pub(super) fn revalidate(&self, asked: &Asked, query: &str, grounds: &Grounds) -> Option<Arc<Answer>> {
        keep::revalidate(&self.cache, &asked.standing, asked.identity, &asked.question, query, grounds)
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
}
