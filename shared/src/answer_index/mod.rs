//! The answered questions of a corpus, as the origin publishes them and the edge searches them.
//!
//! A snapshot says: at its epoch the evidence of every answer that it lists was what retrieval returns. An edge takes it as
//! the certificate under which an exact answer, too, still stands at that epoch, and finds in it the questions that may
//! mean the same as the one being asked. It holds no text and no answer. `snapshot` and `delta` describe the two formats;
//! both are made and read here, and nowhere else.

mod columns;
mod delta;
mod mark;
mod scan;
mod snapshot;
mod uses;

use crate::cache_key::{CacheKey, ContextTag};
use crate::gate::SIGNATURE_BYTES;
use crate::id::{Epoch, Similarity};
use crate::static_model::{DIMENSIONS, ModelId, StaticVector};

pub use self::mark::AnswerMark;
pub use self::scan::Candidate;
pub use self::snapshot::Snapshot;
pub use self::uses::Uses;

/// The media type of a whole snapshot.
pub const SNAPSHOT_MEDIA_TYPE: &str = "application/vnd.perigee.answer-index";
/// The media type of what changed since the snapshot whose ETag the request names.
pub const DELTA_MEDIA_TYPE: &str = "application/vnd.perigee.answer-index-delta";

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = DIMENSIONS + 32 + SIGNATURE_BYTES + 4 + 4;

/// What holds for all entries of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Header {
    /// The table that made the vectors.
    pub model: ModelId,
    /// The release of the gate that made the signatures.
    pub gate_version: u16,
    /// At this epoch every entry's evidence was seen to stand.
    pub epoch: Epoch,
    /// What a stored question's similarity must reach for its answer to be served to other words at the edge. `None`:
    /// no answer is; the entries only certify.
    pub threshold: Option<Similarity>,
}

/// An answered question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Names its answer.
    pub key: CacheKey,
    pub context: ContextTag,
    pub vector: StaticVector,
    /// The gate's, which only the gate reads.
    pub signature: [u8; SIGNATURE_BYTES],
    /// Which answer it is.
    pub mark: AnswerMark,
}

/// The bytes are no index, or not one that this release can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndex {
    #[error("it is no answer index")]
    NotAnIndex,
    #[error("it has format version {0}, not {FORMAT_VERSION}")]
    Version(u16),
    #[error("it claims more entries than it may have")]
    TooMany,
    #[error("it is cut off or damaged")]
    Damaged,
    #[error("it is a change of another snapshot")]
    OtherBase,
}

const FORMAT_VERSION: u16 = 1;
