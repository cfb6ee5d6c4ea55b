//! What a corpus's writer and its readers share.

use std::sync::{Arc, PoisonError, RwLock};

use perigee_shared::id::{CorpusName, TenantId};
use tokio::sync::broadcast;

use super::catalog::{self, CorpusRow};
use super::commit;
use super::database::Database;
use super::error::CorpusError;
use super::shift::{SHIFTS_MAX, Shift};
use crate::paraphrase::Tolerance;
use crate::retrieve::Views;

pub(crate) struct Core {
    pub(crate) id: i64,
    pub(crate) tenant: TenantId,
    pub(crate) name: CorpusName,
    pub(crate) created_at: String,
    /// As the table has it.
    reuse_tolerance: RwLock<Option<Tolerance>>,
    pub(crate) database: Database,
    pub(crate) views: Views,
    /// Told of every step of the views, where somebody listens.
    pub(crate) shifts: broadcast::Sender<Arc<Shift>>,
}

impl Core {
    /// Of a corpus as the table has it.
    pub(crate) fn new(row: CorpusRow, database: Database, views: Views) -> Self {
        let CorpusRow { id, tenant, name, created_at, reuse_tolerance } = row;
        let (shifts, _) = broadcast::channel(SHIFTS_MAX);
        let reuse_tolerance = RwLock::new(reuse_tolerance);
        Self { id, tenant, name, created_at, reuse_tolerance, database, views, shifts }
    }

    /// `None`: the server's own.
    pub(crate) fn reuse_tolerance(&self) -> Option<Tolerance> {
        *self.reuse_tolerance.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes it down, and goes by it from then on. One at a time. Blocking.
    pub(crate) fn set_reuse_tolerance(&self, tolerance: Option<Tolerance>) -> Result<(), CorpusError> {
        catalog::set_reuse_tolerance(&self.database, self.id, tolerance)?;
        *self.reuse_tolerance.write().unwrap_or_else(PoisonError::into_inner) = tolerance;
        Ok(())
    }

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
