//! A corpus's views together: what searches see, always of one epoch.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use perigee_shared::caller::Audience;
use perigee_shared::id::Epoch;
use perigee_shared::search::{Search, SearchMode};
use tantivy::Searcher;
use tokio::sync::watch;

use super::basis::Basis;
use super::bm25::Frame;
use super::facets::Facets;
use super::fuse::{self, Fused};
use super::lexical::{Lexical, LexicalPassage, Stamp};
use super::method::Methods;
use super::quantized::{QuantizedVector, QueryVector};
use super::snapshot::Manifest;
use super::vectors::Vectors;
use crate::corpus::{CorpusError, Delta};

/// What a view must be of to be used.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Identity of the database.
    pub(crate) database: String,
    /// SHA-256 of the model.
    pub(crate) model: String,
}

/// The lexical, the vector and the in-memory view of one corpus. One thread at a time changes them.
pub(crate) struct Views {
    origin: Origin,
    pub(crate) lexical: Lexical,
    pub(crate) vectors: Vectors,
    published: RwLock<Published>,
    epoch: watch::Sender<Epoch>,
}

struct Published {
    epoch: Epoch,
    facets: Facets,
}

/// How a corpus looks to searches now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) epoch: Epoch,
    pub(crate) documents: u64,
    pub(crate) passages: u64,
}

/// What a search found, before the rows of its passages are read.
pub(crate) struct Ranking<P> {
    pub(crate) epoch: Epoch,
    pub(crate) pinned: P,
    /// Best first.
    pub(crate) fused: Vec<Fused>,
    /// Of a search for an answer: both rankings together, without a filter.
    pub(crate) basis: Option<Arc<Basis>>,
}

/// What rankings at one epoch are made from, as far as it is the same for all questions.
pub(crate) struct State {
    pub(crate) epoch: Epoch,
    pub(crate) frame: Frame,
    pub(super) methods: Methods,
    /// Goes on seeing this epoch.
    pub(crate) searcher: Searcher,
}

impl Published {
    fn frame(&self) -> Frame {
        Frame::new(self.facets.passages(), self.facets.chars())
    }
}

/// Where a corpus's views are kept.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(views_dir: &Path, corpus: i64) -> Self {
        Self(views_dir.join(corpus.to_string()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn lexical(&self) -> PathBuf {
        self.0.join("lexical")
    }

    pub(crate) fn vectors(&self) -> PathBuf {
        self.0.join("vectors.usearch")
    }
}

impl Views {
    /// Puts views together; they show nothing before [`Self::publish_all`].
    pub(crate) fn new(origin: Origin, lexical: Lexical, vectors: Vectors) -> Self {
        let published = Published { epoch: Epoch::ZERO, facets: Facets::default() };
        let (epoch, _) = watch::channel(Epoch::ZERO);
        Self { origin, lexical, vectors, published: RwLock::new(published), epoch }
    }

    /// The epoch that searches see.
    pub(crate) fn epoch(&self) -> Epoch {
        *self.epoch.borrow()
    }

    /// Follows [`Self::epoch`].
    pub(crate) fn watch(&self) -> watch::Receiver<Epoch> {
        self.epoch.subscribe()
    }

    pub(crate) fn size(&self) -> Size {
        let published = self.read();
        Size {
            epoch: published.epoch,
            documents: published.facets.documents(),
            passages: published.facets.passages(),
        }
    }

    /// What a lexical commit at `epoch` is stamped with.
    pub(crate) fn stamp(&self, epoch: Epoch) -> Stamp {
        Stamp { epoch, database: self.origin.database.clone() }
    }

    /// Takes in one commit and shows it. Blocking.
    ///
    /// # Errors
    /// Searches go on with what they had; the views must be caught up from the database then.
    pub(crate) fn apply(&self, delta: &Delta) -> Result<(), CorpusError> {
        if delta.epoch == self.epoch() {
            return Ok(());
        }
        let passages = || {
            let documents = delta.added.iter();
            documents.flat_map(|added| (added.first..).zip(&added.document.passages).map(move |p| (added, p)))
        };
        let vectors: Vec<(u64, &QuantizedVector)> =
            passages().map(|(_, (number, passage))| (number, &passage.vector)).collect();
        self.reserve(vectors.len())?;
        self.vectors.add(&vectors)?;

        let mut change = self.lexical.change()?;
        for removed in &delta.removed {
            change.remove(removed.passages.start);
        }
        for (added, (number, passage)) in passages() {
            change.add(&LexicalPassage {
                number,
                first: added.first,
                title: &added.document.title,
                headings: &passage.headings,
                text: &passage.text,
            })?;
        }
        change.commit(&self.stamp(delta.epoch))?;

        let mut published = self.write();
        self.lexical.publish()?;
        for removed in &delta.removed {
            self.vectors.remove(removed.passages.clone())?;
            published.facets.remove(removed.passages.clone(), &removed.attributes);
        }
        for added in &delta.added {
            published.facets.add(added.passages(), &added.document.attributes);
        }
        self.show(published, delta.epoch);
        Ok(())
    }

    /// Shows views that were caught up to `epoch` one by one. `facets` is of that epoch too, and `removed` are
    /// the passages that the vector view must let go of.
    ///
    /// # Errors
    /// The lexical view's files cannot be opened.
    pub(crate) fn publish_all(
        &self,
        epoch: Epoch,
        facets: Facets,
        removed: impl Iterator<Item = u64>,
    ) -> Result<(), CorpusError> {
        let mut published = self.write();
        self.lexical.publish()?;
        self.vectors.remove(removed)?;
        published.facets = facets;
        self.show(published, epoch);
        Ok(())
    }

    fn show(&self, mut published: RwLockWriteGuard<'_, Published>, epoch: Epoch) {
        published.epoch = epoch;
        // Before the lock is gone: whoever sees the new epoch must be able to search it.
        self.epoch.send_replace(epoch);
    }

    /// Makes room in the vector view.
    pub(crate) fn reserve(&self, more: usize) -> Result<(), CorpusError> {
        if self.vectors.is_full_for(more) {
            let _alone = self.write();
            self.vectors.reserve(more)?;
        }
        Ok(())
    }

    /// Saves what is not on disk yet. Only between changes. Blocking.
    ///
    /// # Errors
    /// The snapshot before stays as it was.
    pub(crate) fn save(&self) -> Result<(), CorpusError> {
        let (epoch, passages) = (self.epoch(), self.vectors.len() as u64);
        let Origin { database, model } = self.origin.clone();
        self.vectors.save(&Manifest { epoch, passages, model, database })
    }

    /// Finds the passages for a search, best first; `pin` is called while the views stand still, to take hold of
    /// the rows that belong to them. Blocking.
    ///
    /// # Errors
    /// A view failed, or `pin` did.
    pub(crate) fn search<P>(
        &self,
        search: &Search,
        vector: Option<QueryVector>,
        audience: &Audience,
        pin: impl FnOnce() -> Result<P, CorpusError>,
    ) -> Result<Ranking<P>, CorpusError> {
        let Search { query, k, filter, mode } = search;
        let published = self.read();
        let pinned = pin()?;
        let facets = &published.facets;
        let narrowed = facets.allowed(filter.as_ref(), audience);
        let allowed = narrowed.as_ref().unwrap_or_else(|| facets.all());
        let depth = (*k).max(fuse::DEPTH);
        let method = self.vectors.border.method(allowed.len());
        let by_vector = match &vector {
            Some(vector) => self.vectors.search(vector, depth, allowed, narrowed.is_some())?,
            None => Vec::new(),
        };
        let frame = published.frame();
        let (words, by_words) = match mode {
            SearchMode::Vector => (Vec::new(), Vec::new()),
            SearchMode::Hybrid | SearchMode::Lexical => {
                let searcher = self.lexical.searcher();
                let words = self.lexical.words(&searcher, query)?;
                let found = if allowed.is_empty() {
                    Vec::new()
                } else {
                    self.lexical.search(&searcher, &words, depth, frame, |n| allowed.contains(n))?
                };
                (words, found)
            }
        };
        let epoch = published.epoch;
        drop(published);
        let basis = match (mode, filter, vector) {
            (SearchMode::Hybrid, None, Some(vector)) => {
                Some(Arc::new(Basis::new(vector, method, &by_vector, words, &by_words, frame, depth)))
            }
            (SearchMode::Hybrid | SearchMode::Vector | SearchMode::Lexical, _, _) => None,
        };
        let mut fused = fuse::fuse(*mode, &by_vector, &by_words);
        fused.truncate(*k);
        Ok(Ranking { epoch, pinned, fused, basis })
    }

    /// How the corpus looks to rankings now. Whoever changes the views may take hold of the state that the change led
    /// to.
    pub(crate) fn state(&self) -> State {
        let published = self.read();
        let facets = &published.facets;
        State {
            epoch: published.epoch,
            frame: published.frame(),
            methods: self.vectors.border.methods(facets.passages(), facets.readers()),
            searcher: self.lexical.searcher(),
        }
    }

    // A panic while the lock was held leaves nothing half done that a search could trip over: the epoch is set last.
    fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Published> {
        self.published.write().unwrap_or_else(PoisonError::into_inner)
    }
}
