//! What a corpus's writer and its readers share.

use std::sync::Arc;

use perigee_shared::id::{CorpusName, TenantId};
use tokio::sync::broadcast;

use super::commit;
use super::database::Database;
use super::error::CorpusError;
use super::shift::Shift;
use crate::paraphrase::Tolerance;
use crate::retrieve::Views;

pub(crate) struct Core {
    pub(crate) id: i64,
    pub(crate) tenant: TenantId,
    pub(crate) name: CorpusName,
    pub(crate) created_at: String,
    pub(crate) reuse_tolerance: Option<Tolerance>,
    pub(crate) database: Database,
    pub(crate) views: Views,
    /// Told of every step of the views, where somebody listens.
    pub(crate) shifts: broadcast::Sender<Arc<Shift>>,
}

impl Core {
    /// Clears away versions that no view refers to. Blocking.
    pub(crate) fn clear(&self) -> Result<(), CorpusError> {
        let published = self.views.epoch();
        self.database.write(|connection| {
            commit::clear(connection, self.id, published).map_err(|error| self.database.error(&error))
        })
    }

    /// Tells the metrics where the corpus stands.
    pub(crate) fn report(&self) {
        let size = self.views.size();
        let labels = [("tenant", self.tenant.to_string()), ("corpus", self.name.to_string())];
        metrics::gauge!("perigee_corpus_epoch", &labels).set(size.epoch.get() as f64);
        metrics::gauge!("perigee_index_passages", &labels).set(size.passages as f64);
    }
}
