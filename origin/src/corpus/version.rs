//! What a change to a corpus is made of, on its way from the caller to the log and from the log to the views.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use perigee_shared::document::Format;
use perigee_shared::id::{ContentHash, DocumentId, Epoch, Label};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::retrieve::QuantizedVector;

/// A document as it is put into a corpus: its id comes beside it.
#[derive(Debug, Clone, Default)]
pub struct NewDocument {
    /// `None`: what the document calls itself, else its id.
    pub title: Option<String>,
    pub url: Option<String>,
    pub format: Format,
    pub content: Bytes,
    pub metadata: Map<String, Value>,
    pub audience: Vec<Label>,
}

impl NewDocument {
    /// SHA-256 over everything: the same again need not be read again.
    pub(crate) fn content_hash(&self) -> ContentHash {
        let Self { title, url, format, content, metadata, audience } = self;
        let mut hash = Sha256::new();
        // Each part behind its length, so that no two documents run together into the same bytes.
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(title.as_deref().unwrap_or_default().as_bytes());
        part(url.as_deref().unwrap_or_default().as_bytes());
        part(&[u8::from(title.is_some()), u8::from(url.is_some())]);
        part(format.name().as_bytes());
        part(content);
        // serde_json's maps are sorted by key.
        part(Value::Object(metadata.clone()).to_string().as_bytes());
        for label in audience {
            part(label.as_str().as_bytes());
        }
        ContentHash::from_bytes(hash.finalize().into())
    }
}

/// What can be filtered on: kept with a version, and given to the views when it comes and when it goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attributes {
    pub(crate) metadata: Map<String, Value>,
    pub(crate) audience: Vec<Label>,
    /// Characters of the version's text: BM25 wants the average length.
    pub(crate) chars: usize,
}

/// A document that was read, split and embedded, and only waits to be logged.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) id: DocumentId,
    pub(crate) title: String,
    pub(crate) url: Option<String>,
    pub(crate) format: Format,
    pub(crate) text: String,
    pub(crate) attributes: Attributes,
    pub(crate) content_hash: ContentHash,
    pub(crate) passages: Vec<PreparedPassage>,
}

/// A passage with its vector.
#[derive(Debug, Clone)]
pub(crate) struct PreparedPassage {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) headings: Vec<String>,
    pub(crate) text: String,
    pub(crate) hash: ContentHash,
    pub(crate) vector: QuantizedVector,
}

/// SHA-256 of all that a generator is shown of a passage.
pub(crate) fn passage_hash(title: &str, headings: &[String], text: &str) -> ContentHash {
    let mut hash = Sha256::new();
    for part in std::iter::once(title).chain(headings.iter().map(String::as_str)).chain([text]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    ContentHash::from_bytes(hash.finalize().into())
}

/// What a commit means to the views: versions that went and versions that came, up to one epoch.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(crate) epoch: Epoch,
    pub(crate) removed: Vec<Removed>,
    pub(crate) added: Vec<Added>,
}

/// A version that is gone.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) passages: Range<u64>,
    pub(crate) attributes: Attributes,
}

/// A version that is new: passage `i` of the document has number `first + i`.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) first: u64,
    pub(crate) document: Arc<Prepared>,
}

impl Added {
    pub(crate) fn passages(&self) -> Range<u64> {
        self.first..self.first + self.document.passages.len() as u64
    }
}

impl Delta {
    /// Notes a version that went. One that came in the same delta was never seen by anybody: both cancel out.
    pub(crate) fn remove(&mut self, removed: Removed) {
        match self.added.iter().position(|added| added.first == removed.passages.start) {
            Some(unseen) => drop(self.added.swap_remove(unseen)),
            None => self.removed.push(removed),
        }
    }
}
