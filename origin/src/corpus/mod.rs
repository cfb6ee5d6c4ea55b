//! The corpus: a log of changes, the documents and passages it stands for, and the views that searches use.
//!
//! SQLite holds the truth; the views in `retrieve` can always be rebuilt from it. A write goes
//! `prepare` → `writer` → `commit` → views, and is answered after the last of them.

mod backup;
mod catalog;
mod catch_up;
mod commit;
mod core;
mod database;
mod embedded;
mod error;
mod handle;
mod prepare;
mod reembed;
mod rows;
mod schema;
mod shift;
mod version;
mod writer;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use perigee_shared::document::CorpusSummary;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::limits::CORPORA_PER_TENANT_MAX;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::backup::{backup, restore};
use self::catalog::CorpusRow;
use self::core::Core;
use self::database::{Database, VIEWS_DIR};
pub(crate) use self::database::{private_file, sync_dir};
pub use self::embedded::EmbeddedDocument;
pub use self::error::CorpusError;
pub(crate) use self::error::VIEW_ADVICE;
pub use self::handle::Corpus;
use self::prepare::Preparer;
pub(crate) use self::shift::Shift;
pub use self::version::NewDocument;
pub(crate) use self::version::{Attributes, Delta};
use crate::embed::Embedder;
use crate::extract::Reader;
use crate::paraphrase::Tolerance;
use crate::retrieve::{Folder, Origin, RetrievalCache, SEARCHES_MAX};
use crate::split::Splitter;

/// Documents being read and embedded at one time; more wait. Each may be tens of megabytes.
const PREPARING_MAX: usize = 32;

/// How to open the corpora.
pub struct OpenOptions {
    /// Created if it is not there.
    pub data_dir: PathBuf,
    pub embedder: Embedder,
    /// Reads the files that documents come in.
    pub reader: Reader,
    /// Told how far a long step is.
    pub on_progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

/// How far a long step at start is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    pub tenant: &'a TenantId,
    pub corpus: &'a CorpusName,
    /// Passages that views have taken in, or that another model has embedded.
    pub done: u64,
    pub of: u64,
}

/// Every corpus of a data directory. Cheap to clone.
#[derive(Clone)]
pub struct Corpora {
    shared: Arc<Shared>,
}

struct Shared {
    data_dir: PathBuf,
    database: Database,
    preparer: Preparer,
    origin: Origin,
    open: RwLock<HashMap<(TenantId, CorpusName), Opened>>,
    /// Those that could not be opened at start.
    shut: RwLock<HashSet<(TenantId, CorpusName)>>,
    /// Held while a corpus is created, changed or deleted: one at a time.
    changing: Arc<Mutex<()>>,
    preparing: Arc<Semaphore>,
    searching: Arc<Semaphore>,
    cache: RetrievalCache,
    stop: CancellationToken,
    writers: TaskTracker,
}

struct Opened {
    corpus: Arc<Corpus>,
    stop: CancellationToken,
    writer: JoinHandle<()>,
}

impl Corpora {
    /// Opens the data directory, catches every view up, and starts the writers.
    ///
    /// A damaged view is rebuilt. A corpus whose views cannot be is logged and stays shut until the next start, and the
    /// others are served.
    ///
    /// # Errors
    /// Another process has it, or the database cannot be used.
    pub async fn open(options: OpenOptions) -> Result<Self, CorpusError> {
        let OpenOptions { data_dir, embedder, reader, on_progress } = options;
        let dir = data_dir.clone();
        let database = blocking(move || Database::open(&dir)).await?;
        let origin = Origin {
            database: database.read(catalog::database_identity)?,
            model: embedder.model_hash().to_owned(),
        };
        let splitter = Splitter::new(embedder.tokenizer());
        let shared = Shared {
            data_dir,
            preparer: Preparer { database: database.clone(), embedder, reader, splitter },
            database,
            origin,
            open: RwLock::default(),
            shut: RwLock::default(),
            changing: Arc::default(),
            preparing: Arc::new(Semaphore::new(PREPARING_MAX)),
            searching: Arc::new(Semaphore::new(SEARCHES_MAX)),
            cache: RetrievalCache::new(),
            stop: CancellationToken::new(),
            writers: TaskTracker::new(),
        };
        let corpora = Self { shared: Arc::new(shared) };
        let this = corpora.clone();
        let rows = blocking(move || {
            catalog::purge(&this.shared.database, &this.views_dir())?;
            this.shared.database.read(catalog::corpora)
        })
        .await?;
        for row in rows {
            let key = (row.tenant.clone(), row.name.clone());
            match corpora.catch_up(row, &on_progress).await {
                Ok(core) => drop(corpora.start(core)),
                Err(error) => {
                    tracing::error!(tenant = %key.0, corpus = %key.1, %error, "a corpus cannot be opened");
                    corpora.shared.shut.write().unwrap_or_else(PoisonError::into_inner).insert(key);
                }
            }
        }
        Ok(corpora)
    }

    async fn catch_up(
        &self,
        row: CorpusRow,
        on_progress: &Arc<dyn Fn(Progress<'_>) + Send + Sync>,
    ) -> Result<Core, CorpusError> {
        let Shared { database, preparer, .. } = &*self.shared;
        let (tenant, corpus) = (&row.tenant, &row.name);
        let progress = |done, of| on_progress(Progress { tenant, corpus, done, of });
        reembed::reembed(database, row.id, &preparer.embedder, &progress).await?;
        let (this, on_progress) = (self.clone(), Arc::clone(on_progress));
        blocking(move || this.open_corpus(row, &on_progress)).await
    }

    /// Creates a corpus.
    ///
    /// # Errors
    /// [`CorpusError::Exists`], [`CorpusError::TooMany`], or it cannot be written.
    pub async fn create(&self, tenant: &TenantId, name: &CorpusName) -> Result<CorpusSummary, CorpusError> {
        self.create_with(tenant, name, None).await
    }

    /// Creates a corpus with a tolerance of its own for reuse across wordings.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_with(
        &self,
        tenant: &TenantId,
        name: &CorpusName,
        reuse_tolerance: Option<Tolerance>,
    ) -> Result<CorpusSummary, CorpusError> {
        let (this, tenant, name) = (self.clone(), tenant.clone(), name.clone());
        to_its_end(async move {
            let _alone = this.shared.changing.lock().await;
            let corpora = this.clone();
            let created = blocking(move || corpora.create_blocking(&tenant, &name, reuse_tolerance)).await;
            if created.is_err() {
                this.purge().await;
            }
            Ok(this.start(created?).summary())
        })
        .await
    }

    /// First its row, which nobody sees yet, then its views, and only then is it there. What fails in between is
    /// cleared away as what is deleted is: at once, or at the next start.
    fn create_blocking(
        &self,
        tenant: &TenantId,
        name: &CorpusName,
        reuse_tolerance: Option<Tolerance>,
    ) -> Result<Core, CorpusError> {
        let Shared { database, origin, .. } = &*self.shared;
        let most = CORPORA_PER_TENANT_MAX;
        let row = catalog::begin(database, tenant, name, reuse_tolerance, &origin.model, most)?;
        let id = row.id;
        let core = self.open_corpus(row, &(Arc::new(|_: Progress<'_>| ()) as Arc<_>))?;
        catalog::show(database, id)?;
        Ok(core)
    }

    /// Changes what a corpus tolerates of reuse across wordings; `None`: what the server does.
    ///
    /// # Errors
    /// [`CorpusError::NotFound`], or it cannot be written: then nothing has changed.
    pub async fn set_reuse_tolerance(
        &self,
        tenant: &TenantId,
        name: &CorpusName,
        tolerance: Option<Tolerance>,
    ) -> Result<CorpusSummary, CorpusError> {
        let alone = Arc::clone(&self.shared.changing).lock_owned().await;
        let corpus = self.get(tenant, name)?;
        blocking(move || {
            // Held to the end of the work, even when nobody waits for it any more.
            let _alone = alone;
            corpus.core.set_reuse_tolerance(tolerance)?;
            Ok(corpus.summary())
        })
        .await
    }

    /// The tenant's corpora that are open, by name.
    ///
    /// # Errors
    /// None today; a replica will have some.
    pub async fn list(&self, tenant: &TenantId) -> Result<Vec<CorpusSummary>, CorpusError> {
        let open = self.shared.open.read().unwrap_or_else(PoisonError::into_inner);
        let own = open.iter().filter(|((owner, _), _)| owner == tenant);
        let mut summaries: Vec<_> = own.map(|(_, opened)| opened.corpus.summary()).collect();
        summaries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(summaries)
    }

    /// Deletes a corpus with all that is in it. One of the same name shares nothing with it.
    ///
    /// # Errors
    /// [`CorpusError::NotFound`], or it cannot be written.
    pub async fn delete(&self, tenant: &TenantId, name: &CorpusName) -> Result<(), CorpusError> {
        let (this, key) = (self.clone(), (tenant.clone(), name.clone()));
        to_its_end(async move {
            let _alone = this.shared.changing.lock().await;
            let id = this.get(&key.0, &key.1)?.core.id;
            let database = this.shared.database.clone();
            blocking(move || catalog::mark_deleted(&database, id)).await?;
            let removed = {
                let mut open = this.shared.open.write().unwrap_or_else(PoisonError::into_inner);
                open.remove(&key)
            };
            if let Some(Opened { stop, writer, .. }) = removed {
                stop.cancel();
                // It refuses the changes that still wait, and lets go of the views' files. It has nothing to tell.
                let _ = writer.await;
            }
            // It is gone for everybody; what is left is room to be given back.
            this.purge().await;
            Ok(())
        })
        .await
    }

    /// Clears away corpora that are not there. What stays, after a crash too, is cleared away at the next start.
    async fn purge(&self) {
        let this = self.clone();
        let purged = blocking(move || catalog::purge(&this.shared.database, &this.views_dir())).await;
        if let Err(error) = purged {
            tracing::warn!(%error, "what is left of a corpus stays until the next start");
        }
    }

    /// A corpus of the tenant.
    ///
    /// # Errors
    /// [`CorpusError::NotFound`], or [`CorpusError::Shut`].
    pub fn get(&self, tenant: &TenantId, name: &CorpusName) -> Result<Arc<Corpus>, CorpusError> {
        let key = (tenant.clone(), name.clone());
        if let Some(opened) = self.shared.open.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(&opened.corpus));
        }
        let shut = self.shared.shut.read().unwrap_or_else(PoisonError::into_inner).contains(&key);
        Err(if shut { CorpusError::Shut } else { CorpusError::NotFound })
    }

    /// Finishes the changes that wait, and saves the views. Changes that come later are refused.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.writers.close();
        self.shared.writers.wait().await;
    }

    /// Ends without finishing or saving anything, as a crash would.
    #[cfg(test)]
    pub(crate) async fn crash(self) {
        let opened: Vec<Opened> = {
            let mut open = self.shared.open.write().unwrap_or_else(PoisonError::into_inner);
            open.drain().map(|(_, opened)| opened).collect()
        };
        for Opened { writer, .. } in opened {
            writer.abort();
            let _ = writer.await;
        }
    }

    fn views_dir(&self) -> PathBuf {
        self.shared.data_dir.join(VIEWS_DIR)
    }

    fn open_corpus(
        &self,
        row: CorpusRow,
        on_progress: &Arc<dyn Fn(Progress<'_>) + Send + Sync>,
    ) -> Result<Core, CorpusError> {
        let Shared { database, origin, .. } = &*self.shared;
        let folder = Folder::new(&self.views_dir(), row.id);
        let progress = |done, of| on_progress(Progress { tenant: &row.tenant, corpus: &row.name, done, of });
        let views = catch_up::open_views(database, row.id, &folder, origin.clone(), &progress)?;
        let core = Core::new(row, database.clone(), views);
        core.report();
        Ok(core)
    }

    /// Starts the corpus's writer and shows the corpus to callers.
    fn start(&self, core: Core) -> Arc<Corpus> {
        let core = Arc::new(core);
        let (jobs, queue) = mpsc::channel(writer::QUEUE_MAX);
        let stop = self.shared.stop.child_token();
        let writer = self.shared.writers.spawn(writer::run(Arc::clone(&core), queue, stop.clone()));
        let key = (core.tenant.clone(), core.name.clone());
        let corpus = Arc::new(Corpus {
            core,
            jobs,
            preparer: self.shared.preparer.clone(),
            preparing: Arc::clone(&self.shared.preparing),
            searching: Arc::clone(&self.shared.searching),
            cache: self.shared.cache.clone(),
            stop: stop.clone(),
        });
        let opened = Opened { corpus: Arc::clone(&corpus), stop, writer };
        self.shared.open.write().unwrap_or_else(PoisonError::into_inner).insert(key, opened);
        corpus
    }
}

/// Runs a change of several steps that must not be left half done: it goes on when whoever asked for it has gone.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, CorpusError>> + Send + 'static,
) -> Result<T, CorpusError> {
    tokio::spawn(change).await.unwrap_or(Err(CorpusError::Closed))
}

/// Runs blocking work off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CorpusError> + Send + 'static,
) -> Result<T, CorpusError> {
    // A panic in there is logged by the panic hook; the caller learns that it went no further.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(CorpusError::Closed))
}

/// The time, as the tables keep it: RFC 3339 in UTC, to the second.
fn now() -> String {
    let now = time::OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .unwrap_or_else(|_| time::OffsetDateTime::now_utc());
    now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests;
