//! One corpus, as the rest of the origin uses it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perigee_shared::caller::Audience;
use perigee_shared::document::{CorpusSummary, Document, DocumentPage, Outcome, Written};
use perigee_shared::id::{CorpusName, DocumentId, Epoch, TenantId};
use perigee_shared::limits::PAGE_MAX;
use perigee_shared::search::{Search, SearchMode};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::commit::{Change, What};
use super::core::Core;
use super::error::CorpusError;
use super::prepare::{self, Preparer};
use super::rows;
use super::shift::Shift;
use super::version::{NewDocument, Prepared};
use super::writer::Job;
use crate::paraphrase::Tolerance;
use crate::retrieve::{Basis, Fused, Hit, Key, QueryVector, Ranking, RetrievalCache, Retrieved, Rule, Rules};

/// A corpus. Everything in it is of one tenant; who may read what is told by each call's audience. Cheap to clone.
#[derive(Clone)]
pub struct Corpus {
    pub(super) core: Arc<Core>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) preparer: Preparer,
    pub(super) preparing: Arc<Semaphore>,
    pub(super) searching: Arc<Semaphore>,
    pub(super) cache: RetrievalCache,
    pub(super) stop: CancellationToken,
}

impl Corpus {
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.core.tenant
    }

    #[must_use]
    pub fn name(&self) -> &CorpusName {
        &self.core.name
    }

    /// A number that no other corpus has or will have, one of the same name included: caches key by it.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.core.id.unsigned_abs()
    }

    /// The share of requests that reuse across wordings may answer wrongly; `None`: the server's own.
    #[must_use]
    pub fn reuse_tolerance(&self) -> Option<Tolerance> {
        self.core.reuse_tolerance()
    }

    /// The epoch that searches see.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.core.views.epoch()
    }

    #[must_use]
    pub fn summary(&self) -> CorpusSummary {
        let size = self.core.views.size();
        CorpusSummary {
            name: self.core.name.clone(),
            epoch: size.epoch,
            documents: size.documents,
            passages: size.passages,
            created_at: self.core.created_at.clone(),
            reuse_tolerance: self.reuse_tolerance(),
        }
    }

    /// Waits until searches see `epoch`; whether they do.
    pub async fn wait_for(&self, epoch: Epoch, at_most: Duration) -> bool {
        let mut watch = self.core.views.watch();
        let reached = watch.wait_for(|now| *now >= epoch);
        matches!(tokio::time::timeout(at_most, reached).await, Ok(Ok(_)))
    }

    /// Writes a document. When it answers, the document is on disk and searches find it.
    ///
    /// # Errors
    /// The document is refused, or could not be written. After [`CorpusError::StorageFull`] it may have been
    /// written all the same; putting it again tells.
    pub async fn put(&self, id: DocumentId, document: NewDocument) -> Result<Written, CorpusError> {
        self.put_as(&Audience::Everything, id, document).await
    }

    /// Writes a document for a caller, who can't write over what they may not read.
    ///
    /// # Errors
    /// As [`Self::put`], and [`CorpusError::DocumentProtected`].
    pub async fn put_as(
        &self,
        audience: &Audience,
        id: DocumentId,
        document: NewDocument,
    ) -> Result<Written, CorpusError> {
        prepare::check(&document)?;
        // Bounds the memory of documents that are being read and embedded.
        let turn = Arc::clone(&self.preparing).acquire_owned().await.map_err(|_| CorpusError::Closed)?;
        let turn = Arc::new(turn);
        let content_hash = document.content_hash();
        let (corpus, name) = (self.core.id, id.clone());
        let current = self.read(move |connection| rows::current(connection, corpus, &name)).await?;
        if let Some(current) = current {
            // Spares the work. What counts is what the writer finds, when it is this change's turn.
            if !audience.may_read(&current.audience) {
                return Err(CorpusError::DocumentProtected);
            }
            let rows::Current { content_hash: hash, epoch, passages, audience: _ } = current;
            if hash == content_hash && epoch <= self.epoch() {
                return Ok(Written { id, outcome: Outcome::Unchanged, epoch, passages });
            }
        }
        let prepared =
            self.preparer.prepare(self.core.id, id, document, content_hash, Arc::clone(&turn)).await?;
        self.change(What::Put(Arc::new(prepared)), audience.clone()).await
    }

    /// Writes a document that was read and embedded elsewhere.
    pub(crate) async fn put_prepared(&self, document: Prepared) -> Result<Written, CorpusError> {
        self.change(What::Put(Arc::new(document)), Audience::Everything).await
    }

    /// Deletes a document. When it answers, no search finds it any more.
    ///
    /// # Errors
    /// There is none of this id, or it could not be written.
    pub async fn delete_document(&self, id: &DocumentId) -> Result<Written, CorpusError> {
        self.delete_document_as(&Audience::Everything, id).await
    }

    /// Deletes a document for a caller.
    ///
    /// # Errors
    /// As [`Self::delete_document`]: one that they may not read does not exist for them.
    pub async fn delete_document_as(
        &self,
        audience: &Audience,
        id: &DocumentId,
    ) -> Result<Written, CorpusError> {
        self.change(What::Delete(id.clone()), audience.clone()).await
    }

    pub(super) async fn change(&self, what: What, by: Audience) -> Result<Written, CorpusError> {
        let (reply, written) = oneshot::channel();
        let job = Job { change: Change { what, by }, reply };
        self.jobs.send(job).await.map_err(|_| CorpusError::Closed)?;
        written.await.unwrap_or(Err(CorpusError::Closed))
    }

    /// A document with its text.
    ///
    /// # Errors
    /// There is none of this id that the audience may read; which of the two is not told.
    pub async fn document(&self, id: &DocumentId, audience: &Audience) -> Result<Document, CorpusError> {
        let (corpus, id) = (self.core.id, id.clone());
        let found = self.read(move |connection| rows::document(connection, corpus, &id)).await?;
        found
            .filter(|document| audience.may_read(&document.summary.audience))
            .ok_or(CorpusError::DocumentNotFound)
    }

    /// The documents after `cursor` that the audience may read, in id order, at most `limit`.
    ///
    /// # Errors
    /// `limit` is out of bounds, or the database cannot be read.
    pub async fn documents(
        &self,
        audience: &Audience,
        cursor: Option<DocumentId>,
        limit: usize,
    ) -> Result<DocumentPage, CorpusError> {
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(CorpusError::PageSize);
        }
        let (corpus, audience) = (self.core.id, audience.clone());
        let epoch = self.epoch();
        // One more than asked for tells whether there is another page.
        let mut data = self
            .read(move |connection| {
                rows::documents_after(connection, corpus, cursor.as_ref(), limit + 1, |labels| {
                    audience.may_read(labels)
                })
            })
            .await?;
        let more = data.len() > limit;
        data.truncate(limit);
        let next_cursor = data.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(DocumentPage { data, next_cursor, epoch })
    }

    /// The passages for a search, best first, of those that the audience may read.
    ///
    /// # Errors
    /// Embedding is busy or failed, or a view cannot be read.
    pub async fn search(&self, search: &Search, audience: &Audience) -> Result<Retrieved, CorpusError> {
        let key = Key::new(self.core.id, self.epoch(), search, audience);
        let make = async { self.search_now(search, audience).await.map(Arc::new) };
        let found = match key {
            Some(key) => self.cache.get(key, Box::pin(make)).await?,
            None => make.await?,
        };
        Ok(Arc::unwrap_or_clone(found))
    }

    async fn search_now(&self, search: &Search, audience: &Audience) -> Result<Retrieved, CorpusError> {
        let vector = match search.mode {
            SearchMode::Lexical => None,
            SearchMode::Hybrid | SearchMode::Vector => {
                let begun = Instant::now();
                let row = self.preparer.embedder.query(&search.query).await?;
                stage("embed", begun);
                QueryVector::new(&row)
            }
        };
        self.search_with(search, vector, audience).await
    }

    /// Searches with a vector made elsewhere, and without the cache.
    pub(crate) async fn search_with(
        &self,
        search: &Search,
        vector: Option<QueryVector>,
        audience: &Audience,
    ) -> Result<Retrieved, CorpusError> {
        // The vector index keeps buffers for so many searches and no more.
        let turn = Arc::clone(&self.searching).acquire_owned().await.map_err(|_| CorpusError::Closed)?;
        let (core, search, audience) = (Arc::clone(&self.core), search.clone(), audience.clone());
        super::blocking(move || {
            let _turn = turn;
            let begun = Instant::now();
            // The rows are pinned while the views stand still: none of them can go before they are read.
            let Ranking { epoch, pinned, fused, basis } =
                core.views.search(&search, vector, &audience, || core.database.snapshot())?;
            let hits = fused.into_iter().map(|fused| hit(&core, pinned.connection()?, fused));
            let hits = hits.collect::<Result<_, _>>()?;
            stage("retrieve", begun);
            Ok(Retrieved { epoch, hits, basis })
        })
        .await
    }

    /// Moves the border between exact and approximate search.
    #[cfg(test)]
    pub(crate) fn search_exactly_up_to(&self, passages: u64) {
        self.core.views.vectors.search_exactly_up_to(passages);
    }

    /// Every step that searches will see from now on.
    pub(crate) fn shifts(&self) -> broadcast::Receiver<Arc<Shift>> {
        self.core.shifts.subscribe()
    }

    /// Which of the rankings may come out otherwise after a step, in their order, and why. `None`: any of them may.
    ///
    /// # Errors
    /// The lexical index cannot be read.
    pub(crate) async fn touched(
        &self,
        shift: Arc<Shift>,
        rankings: Vec<(Audience, Arc<Basis>)>,
        rules: Rules,
    ) -> Result<Option<Vec<Option<Rule>>>, CorpusError> {
        let core = Arc::clone(&self.core);
        super::blocking(move || shift.touched(&core, &rankings, rules)).await
    }

    /// Waits until the corpus is deleted or closed.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CorpusError> {
        let core = Arc::clone(&self.core);
        super::blocking(move || core.database.read(work)).await
    }
}

fn hit(core: &Core, connection: &rusqlite::Connection, fused: Fused) -> Result<Hit, CorpusError> {
    let Fused { passage, score, vector, lexical } = fused;
    let row = rows::passage(connection, core.id, passage)
        .map_err(|error| core.database.error(&error))?
        // The corpus was deleted while this search ran; else a view shows what is in no table.
        .ok_or(CorpusError::NotFound)?;
    let rows::PassageRow { number, document, title, url, headings, text, start, end, hash } = row;
    Ok(Hit {
        passage: number,
        document,
        title,
        url,
        headings,
        text,
        start,
        end,
        hash,
        score,
        vector,
        lexical,
    })
}

fn stage(stage: &'static str, begun: Instant) {
    metrics::histogram!("perigee_stage_duration_seconds", "stage" => stage)
        .record(begun.elapsed().as_secs_f64());
}
