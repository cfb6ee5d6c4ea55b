//! The answered questions of every corpus. A corpus's changes are followed from its first question on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use perigee_shared::cache_key::CacheKey;
use perigee_shared::id::Epoch;

use super::{Answered, Standing, follow};
use crate::corpus::{Corpus, CorpusError};
use crate::retrieve::{Basis, Rules};

/// Answered questions of one corpus.
const ANSWERED_MAX: usize = 20_000;

/// By incarnation: a corpus that was deleted and made again shares nothing with itself.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    corpora: Arc<RwLock<HashMap<u64, Arc<Standing>>>>,
    rules: Rules,
    /// Answered questions of one corpus. Beyond, the least used make room.
    answered_max: usize,
}

impl Default for Registry {
    fn default() -> Self {
        Self { corpora: Arc::default(), rules: Rules::default(), answered_max: ANSWERED_MAX }
    }
}

impl Registry {
    #[cfg(test)]
    pub(crate) fn with(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    #[cfg(test)]
    pub(crate) fn bounded(answered_max: usize) -> Self {
        Self { answered_max, ..Self::default() }
    }

    /// The answered questions of a corpus, if any were asked.
    pub(crate) fn find(&self, incarnation: u64) -> Option<Arc<Standing>> {
        self.corpora.read().unwrap_or_else(PoisonError::into_inner).get(&incarnation).cloned()
    }

    /// The same; whoever asks first sets the epoch that it begins with.
    pub(crate) fn of(&self, incarnation: u64, epoch: Epoch) -> Arc<Standing> {
        self.find_or(incarnation, || Arc::new(Standing::new(epoch, self.rules, self.answered_max)))
    }

    /// The same of a corpus whose changes are followed from now on, until it is deleted or closed. `recheck` retrieves
    /// again for a question in doubt and tells the standing what came of it; `ended` is told of the corpus's
    /// incarnation and the answers that go with it.
    pub(crate) fn follow<Work>(
        &self,
        corpus: &Corpus,
        recheck: impl Fn(Arc<Standing>, Corpus, Arc<Answered>, Arc<Basis>) -> Work + Send + Sync + 'static,
        ended: impl FnOnce(u64, Vec<CacheKey>) + Send + 'static,
    ) -> Arc<Standing>
    where
        Work: Future<Output = Result<(), CorpusError>> + Send,
    {
        let incarnation = corpus.incarnation();
        self.find_or(incarnation, || {
            // Listened to before the epoch is read: no step falls between.
            let shifts = corpus.shifts();
            let standing = Arc::new(Standing::new(corpus.epoch(), self.rules, self.answered_max));
            let (registry, corpus, followed) = (self.clone(), corpus.clone(), Arc::clone(&standing));
            tokio::spawn(async move {
                let recheck =
                    |answered, basis| recheck(Arc::clone(&followed), corpus.clone(), answered, basis);
                follow(&followed, &corpus, shifts, recheck).await;
                ended(incarnation, followed.end());
                registry.corpora.write().unwrap_or_else(PoisonError::into_inner).remove(&incarnation);
            });
            standing
        })
    }

    fn find_or(&self, incarnation: u64, begin: impl FnOnce() -> Arc<Standing>) -> Arc<Standing> {
        if let Some(standing) = self.find(incarnation) {
            return standing;
        }
        let mut corpora = self.corpora.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(corpora.entry(incarnation).or_insert_with(begin))
    }
}
