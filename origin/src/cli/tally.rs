//! What an ingestion did so far.

use std::collections::BTreeSet;

use perigee_shared::document::{Outcome, WriteResult, Written};
use perigee_shared::id::{DocumentId, Epoch};
use serde::Serialize;

use super::output::safe;

/// A file or line that was refused, and why.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Refusal {
    pub(super) name: String,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(name: impl ToString, reason: impl ToString) -> Self {
        Self { name: safe(&name.to_string()), reason: safe(&reason.to_string()) }
    }
}

/// One step of an ingestion.
#[derive(Debug)]
pub(super) enum Step {
    Written(Written),
    Refused(Refusal),
    /// A file is through, with all that was in it.
    FileDone,
}

impl From<WriteResult> for Step {
    fn from(result: WriteResult) -> Self {
        match result {
            WriteResult::Written(written) => Self::Written(written),
            WriteResult::Refused { name, error } => Self::Refused(Refusal::new(name, error.detail)),
        }
    }
}

/// Counts, as `--json` prints them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) deleted: u64,
    /// Passages of the documents that were created or updated.
    pub(super) passages: u64,
    pub(super) epoch: Epoch,
    pub(super) refused: Vec<Refusal>,
    /// The documents that are where they should be.
    #[serde(skip)]
    pub(super) present: BTreeSet<DocumentId>,
}

impl Tally {
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::FileDone => self.files += 1,
            Step::Refused(refusal) => self.refused.push(refusal),
            Step::Written(Written { id, outcome, epoch, passages }) => {
                self.epoch = self.epoch.max(epoch);
                match outcome {
                    Outcome::Created => self.created += 1,
                    Outcome::Updated => self.updated += 1,
                    Outcome::Unchanged => self.unchanged += 1,
                    Outcome::Deleted => self.deleted += 1,
                }
                if matches!(outcome, Outcome::Created | Outcome::Updated) {
                    self.passages += passages as u64;
                }
                if outcome != Outcome::Deleted {
                    self.present.insert(id);
                }
            }
        }
    }

    /// One line that says it all.
    pub(super) fn summary(&self, corpus: &str) -> String {
        let Self { created, updated, unchanged, deleted, passages, epoch, refused, .. } = self;
        let deleted = if *deleted > 0 { format!(", {deleted} deleted") } else { String::new() };
        format!(
            "{corpus}: {created} created, {updated} updated, {unchanged} unchanged{deleted}, {} refused; \
             {passages} passages written, epoch {epoch}",
            refused.len()
        )
    }
}
