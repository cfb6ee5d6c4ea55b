//! The vector view: usearch, with exact search wherever that is fast enough.
//!
//! usearch searches while it adds and removes, but not while it grows: [`Vectors::reserve`] is for one who holds
//! the views' write lock, all else for one who holds either. A passage that is added is found by searches from
//! then on; callers bound what they allow.

use std::path::{Path, PathBuf};

use perigee_shared::id::Epoch;
use roaring::RoaringTreemap;
use usearch::ffi::{IndexOptions, MetricKind, ScalarKind};

use super::method::{Border, Method};
use super::quantized::{QuantizedVector, QueryVector};
use super::snapshot::{self, Manifest};
use super::top_passages::{Best, Ranked};
use crate::corpus::CorpusError;
use crate::embed::DIMENSIONS;

/// Links of a node; the usual choice for text embeddings of this length.
const CONNECTIVITY: usize = 16;

/// Candidates kept while a node is linked in, and while one searches.
const EXPANSION_ADD: usize = 128;
const EXPANSION_SEARCH: usize = 64;

/// Searches at one time that the index keeps buffers for; more wait for their turn before they come here.
pub(crate) const SEARCHES_MAX: usize = 32;

/// Vectors that are worth more than one thread to add.
const PARALLEL_MIN: usize = 512;

/// Room for vectors in an index that has none yet.
const CAPACITY_MIN: usize = 1_024;

/// One corpus's vectors.
pub(crate) struct Vectors {
    file: PathBuf,
    index: usearch::Index,
    threads: usize,
    pub(super) border: Border,
}

impl Vectors {
    /// An empty index that saves to `file`.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn new(file: &Path) -> Result<Self, CorpusError> {
        let options = IndexOptions {
            dimensions: DIMENSIONS,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: EXPANSION_SEARCH,
            multi: false,
        };
        let index = usearch::Index::new(&options).map_err(|error| CorpusError::vectors(file, error))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let vectors = Self { file: file.to_path_buf(), index, threads, border: Border::default() };
        vectors.grow_to(CAPACITY_MIN)?;
        Ok(vectors)
    }

    /// Reads the snapshot in `file`, if it is whole and `expected` accepts its manifest. Answers its epoch too.
    ///
    /// # Errors
    /// It is missing, damaged or of something else; the message says which.
    pub(crate) fn load(
        file: &Path,
        expected: impl FnOnce(&Manifest) -> Result<(), String>,
    ) -> Result<(Self, Epoch), CorpusError> {
        let wrong = |reason: String| CorpusError::vectors(file, reason);
        // Checked byte for byte first: the index's own reader believes what it reads.
        let manifest = snapshot::verify(file).map_err(wrong)?;
        expected(&manifest).map_err(wrong)?;
        let vectors = Self::new(file)?;
        let path = file.to_str().ok_or_else(|| wrong("its path is not UTF-8".to_owned()))?;
        vectors.index.load(path).map_err(|error| wrong(error.to_string()))?;
        if vectors.index.dimensions() != DIMENSIONS || vectors.index.size() as u64 != manifest.passages {
            return Err(wrong("its size is not what its manifest says".to_owned()));
        }
        vectors.grow_to(vectors.index.size())?;
        Ok((vectors, manifest.epoch))
    }

    /// Saves a snapshot. No change may be under way; searches may.
    ///
    /// # Errors
    /// The snapshot before stays as it was.
    pub(crate) fn save(&self, manifest: &Manifest) -> Result<(), CorpusError> {
        snapshot::write(&self.file, manifest, |path| {
            let path = path.to_str().ok_or_else(|| std::io::Error::other("the path is not UTF-8"))?;
            self.index.save(path).map_err(|error| std::io::Error::other(error.to_string()))
        })
        .map_err(|error| CorpusError::io(&self.file, &error, crate::corpus::VIEW_ADVICE))
    }

    /// Moves the border to approximate search.
    #[cfg(test)]
    pub(crate) fn search_exactly_up_to(&self, passages: u64) {
        self.border.move_to(passages);
    }

    /// Passages in the index.
    pub(crate) fn len(&self) -> usize {
        self.index.size()
    }

    /// Whether `more` vectors need [`Self::reserve`] first.
    pub(crate) fn is_full_for(&self, more: usize) -> bool {
        self.index.size() + more > self.index.capacity()
    }

    /// Makes room for `more` vectors, doubling what there is. Only while nothing else uses the index.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn reserve(&self, more: usize) -> Result<(), CorpusError> {
        if !self.is_full_for(more) {
            return Ok(());
        }
        self.grow_to((self.index.size() + more).max(self.index.capacity() * 2))
    }

    fn grow_to(&self, capacity: usize) -> Result<(), CorpusError> {
        // Searches, adding threads and a look-up or two each hold a context of their own.
        self.index
            .reserve_capacity_and_threads(capacity.max(CAPACITY_MIN), SEARCHES_MAX + self.threads)
            .map_err(|error| self.error(&error))
    }

    /// Adds passages; one that is there already is left as it is.
    ///
    /// # Errors
    /// Some may have been added: do it again.
    pub(crate) fn add(&self, passages: &[(u64, &QuantizedVector)]) -> Result<(), CorpusError> {
        let add_all = |part: &[(u64, &QuantizedVector)]| {
            for (number, vector) in part {
                if !self.index.contains(*number) {
                    self.index.add(*number, vector.as_slice()).map_err(|error| self.error(&error))?;
                }
            }
            Ok(())
        };
        if passages.len() < PARALLEL_MIN {
            return add_all(passages);
        }
        let part = passages.len().div_ceil(self.threads);
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                passages.chunks(part).map(|part| scope.spawn(move || add_all(part))).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(self.error(&"adding failed"))))
        })
    }

    /// Removes passages; one that is not there is passed over.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn remove(&self, passages: impl Iterator<Item = u64>) -> Result<(), CorpusError> {
        for number in passages {
            self.index.remove(number).map_err(|error| self.error(&error))?;
        }
        Ok(())
    }

    /// The `count` nearest of the `allowed` passages, by cosine, best first. `narrowed` says
    /// whether a filter made `allowed` less than all that is published.
    ///
    /// # Errors
    /// The index failed.
    pub(crate) fn search(
        &self,
        query: &QueryVector,
        count: usize,
        allowed: &RoaringTreemap,
        narrowed: bool,
    ) -> Result<Vec<Ranked>, CorpusError> {
        let candidates = allowed.len();
        let count = count.min(usize::try_from(candidates).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(Vec::new());
        }
        match self.border.method(candidates) {
            Method::Exact => self.search_exactly(query, count, allowed),
            Method::Graph => {
                let found = self.search_graph(query, count, allowed, narrowed)?;
                if found.len() == count { Ok(found) } else { self.search_exactly(query, count, allowed) }
            }
        }
    }

    /// Approximate: through the graph.
    fn search_graph(
        &self,
        query: &QueryVector,
        count: usize,
        allowed: &RoaringTreemap,
        narrowed: bool,
    ) -> Result<Vec<Ranked>, CorpusError> {
        // What is beyond the last published passage is still being added.
        let last = allowed.max().unwrap_or(0);
        let allow = |number: u64| if narrowed { allowed.contains(number) } else { number <= last };
        // usearch widens its search to the number asked for.
        let wide = count.max(EXPANSION_SEARCH);
        let found =
            self.index.filtered_search(query.as_slice(), wide, allow).map_err(|error| self.error(&error))?;
        let ranked = found.keys.iter().zip(&found.distances);
        let mut best = Best::new(count);
        for (&passage, &distance) in ranked.filter(|(passage, _)| allowed.contains(**passage)) {
            // usearch answers distance = 1 - similarity.
            best.push(Ranked { passage, score: 1.0 - distance });
        }
        Ok(best.into_sorted())
    }

    /// Exact: every candidate.
    fn search_exactly(
        &self,
        query: &QueryVector,
        count: usize,
        allowed: &RoaringTreemap,
    ) -> Result<Vec<Ranked>, CorpusError> {
        let mut best = Best::new(count);
        let mut vector = [0_i8; DIMENSIONS];
        for passage in allowed {
            if self.index.get(passage, &mut vector).map_err(|error| self.error(&error))? > 0 {
                best.push(Ranked { passage, score: query.similarity(&vector).get() });
            }
        }
        Ok(best.into_sorted())
    }

    fn error(&self, error: &dyn std::fmt::Display) -> CorpusError {
        CorpusError::vectors(&self.file, error)
    }
}
