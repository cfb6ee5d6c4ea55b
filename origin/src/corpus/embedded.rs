//! Documents whose passages and vectors were made elsewhere: for benchmarks at sizes that no test wants to embed.

use perigee_shared::document::{Format, Written};
use perigee_shared::id::{ContentHash, DocumentId, Label};
use serde_json::{Map, Value};

use super::error::CorpusError;
use super::handle::Corpus;
use super::version::{Attributes, Prepared, PreparedPassage, passage_hash};
use crate::embed::EmbedError;
use crate::retrieve::QuantizedVector;

/// A document as [`Corpus::put_embedded`] takes it. Its text is its passages, one below the other.
#[derive(Debug, Clone)]
pub struct EmbeddedDocument {
    pub id: DocumentId,
    pub title: String,
    pub metadata: Map<String, Value>,
    pub audience: Vec<Label>,
    /// Each with a vector of [`crate::embed::DIMENSIONS`] numbers.
    pub passages: Vec<(String, Vec<f32>)>,
}

impl Corpus {
    /// Writes a document with vectors of its own; everything else is as with [`Corpus::put`].
    ///
    /// # Errors
    /// A vector has the wrong length or no direction, or the document could not be written.
    pub async fn put_embedded(&self, document: EmbeddedDocument) -> Result<Written, CorpusError> {
        self.put_prepared(prepare(document)?).await
    }
}

fn prepare(document: EmbeddedDocument) -> Result<Prepared, CorpusError> {
    let EmbeddedDocument { id, title, metadata, audience, passages } = document;
    let mut text = String::new();
    let mut chars = 0;
    let mut prepared = Vec::with_capacity(passages.len());
    for (passage, vector) in passages {
        if chars > 0 {
            text.push_str("\n\n");
            chars += 2;
        }
        text.push_str(&passage);
        let start = chars;
        chars += passage.chars().count();
        prepared.push(PreparedPassage {
            start,
            end: chars,
            headings: Vec::new(),
            hash: passage_hash(&title, &[], &passage),
            text: passage,
            vector: QuantizedVector::new(&vector)
                .ok_or_else(|| EmbedError::Failed("a vector has no direction".to_owned()))?,
        });
    }
    let attributes = Attributes { metadata, audience, chars };
    let about = (&title, &attributes.metadata, &attributes.audience);
    let content_hash = ContentHash::of(format!("{about:?}\0{text}").as_bytes());
    let format = Format::Text;
    Ok(Prepared { id, title, url: None, format, text, attributes, content_hash, passages: prepared })
}
