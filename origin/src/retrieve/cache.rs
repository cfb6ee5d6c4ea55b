//! Searches that were made already. The key holds everything that can change the result, the epoch included, so
//! nothing in here is ever wrong; it only gets old and is pushed out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use perigee_shared::caller::Audience;
use perigee_shared::id::Epoch;
use perigee_shared::search::{Search, SearchMode};

use super::Retrieved;
use crate::corpus::CorpusError;

/// Bytes of cached results: about 4,000 searches of ten passages.
const BYTES_MAX: u64 = 64 << 20;

/// How long a result is kept: an older epoch's holds text that may have been deleted, and edges serve nothing that is
/// older than this either, unless they are told to.
const TTL: Duration = Duration::from_secs(10);

/// What a result and each of its hits cost beside their text (estimated).
const RESULT_BYTES: usize = 512;
const HIT_BYTES: usize = 256;

/// Everything that a result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Names the corpus, and never another one.
    incarnation: i64,
    epoch: Epoch,
    query: String,
    audience: Audience,
    /// Serialised: a filter holds numbers, which have no hash.
    filter: Option<String>,
    k: usize,
    mode: SearchMode,
}

impl Key {
    /// `None` for a filter that cannot be written down; there is no such filter.
    pub(crate) fn new(incarnation: i64, epoch: Epoch, search: &Search, audience: &Audience) -> Option<Self> {
        let Search { query, k, filter, mode } = search;
        let filter = filter.as_ref().map(serde_json::to_string).transpose().ok()?;
        let (query, audience) = (query.clone(), audience.clone());
        Some(Self { incarnation, epoch, query, audience, filter, k: *k, mode: *mode })
    }

    fn bytes(&self) -> usize {
        self.query.len() + self.filter.as_ref().map_or(0, String::len)
    }
}

/// The cache; cheap to clone.
#[derive(Clone)]
pub(crate) struct RetrievalCache(Cache<Key, Arc<Retrieved>>);

impl RetrievalCache {
    pub(crate) fn new() -> Self {
        let weigh = |key: &Key, found: &Arc<Retrieved>| {
            let hits = found.hits.iter().map(|hit| HIT_BYTES + hit.text.len() + hit.title.len());
            let basis = found.basis.as_ref().map_or(0, |basis| basis.bytes());
            let bytes = RESULT_BYTES + key.bytes() + basis + hits.sum::<usize>();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weigh).time_to_live(TTL).build())
    }

    /// The result for `key`, from `search` if it is not there. Equal searches at one time are made once.
    ///
    /// # Errors
    /// What `search` failed with; nothing is kept then.
    pub(crate) async fn get(
        &self,
        key: Key,
        search: impl Future<Output = Result<Arc<Retrieved>, CorpusError>>,
    ) -> Result<Arc<Retrieved>, CorpusError> {
        let entry = self.0.entry(key).or_try_insert_with(search).await.map_err(|error| (*error).clone())?;
        let outcome = if entry.is_fresh() { "miss" } else { "hit" };
        metrics::counter!("perigee_cache_requests_total", "tier" => "retrieval", "outcome" => outcome)
            .increment(1);
        Ok(entry.into_value())
    }
}
