//! What an answer rests on. An answer may be reused only while this stands.

use serde::{Deserialize, Serialize};

use crate::id::{ContentHash, DocumentId};

/// The ordered passages that an answer rests on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence(Vec<PassageRef>);

/// One passage: where it is and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PassageRef {
    pub document: DocumentId,
    /// SHA-256 of what was shown to the generator: title, headings and text.
    pub hash: ContentHash,
}

impl Evidence {
    #[must_use]
    pub const fn new(passages: Vec<PassageRef>) -> Self {
        Self(passages)
    }

    #[must_use]
    pub fn passages(&self) -> &[PassageRef] {
        &self.0
    }
}
