//! A question on its way, and the corpus as it was when it set out.

use std::sync::Arc;

use perigee_shared::cache_control::CacheControl;
use perigee_shared::id::Epoch;
use perigee_shared::question::Question;
use tokio::time::Instant;

use super::flight::Identity;
use crate::answered::Standing;
use crate::corpus::Corpus;
use crate::paraphrase::Tolerance;

/// The state of a corpus when it was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) incarnation: u64,
    pub(super) epoch: Epoch,
    /// The corpus's own, if it sets one.
    pub(super) tolerance: Option<Tolerance>,
}

impl Seen {
    pub(super) fn of(corpus: &Corpus) -> Self {
        Self { incarnation: corpus.incarnation(), epoch: corpus.epoch(), tolerance: corpus.reuse_tolerance() }
    }
}

/// A question on its way.
pub(super) struct Asked {
    pub(super) identity: Identity,
    /// The corpus's epoch when the question arrived.
    pub(super) epoch: Epoch,
    pub(super) question: Question,
    /// The questions of the same corpus that were answered.
    pub(super) standing: Arc<Standing>,
    pub(super) tolerance: Tolerance,
    pub(super) control: CacheControl,
    pub(super) deadline: Instant,
}
