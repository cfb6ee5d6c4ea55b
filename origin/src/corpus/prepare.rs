//! From a caller's document to one that can be logged: read, split, embedded. Nothing is written here.

use std::sync::Arc;

use perigee_shared::document::check_attributes;
use perigee_shared::id::{ContentHash, DocumentId};
use tokio::sync::OwnedSemaphorePermit;

use super::database::Database;
use super::error::CorpusError;
use super::rows;
use super::version::{Attributes, NewDocument, Prepared, PreparedPassage, passage_hash};
use crate::embed::{EmbedError, Embedder};
use crate::extract::{Extracted, Reader};
use crate::retrieve::QuantizedVector;
use crate::split::{Piece, Splitter, embedding_text};

/// What reading a document needs.
#[derive(Clone)]
pub(crate) struct Preparer {
    pub(crate) database: Database,
    pub(crate) embedder: Embedder,
    pub(crate) reader: Reader,
    pub(crate) splitter: Splitter,
}

/// A document that was read and split; `vectors` has gaps where the model must be asked.
pub(super) struct Read {
    title: String,
    /// Whether the title is only the id, which says nothing to the model.
    untitled: bool,
    text: String,
    chars: usize,
    pieces: Vec<(Piece, ContentHash)>,
    vectors: Vec<Option<QuantizedVector>>,
}

impl Preparer {
    /// Reads, splits and embeds a document for `corpus`. Passages that the corpus has already are not embedded
    /// again: an edit of one paragraph costs one passage. The turn is held as long as anything works on it, also when
    /// nobody waits any more: a thread that splits a document cannot be stopped.
    pub(crate) async fn prepare(
        &self,
        corpus: i64,
        id: DocumentId,
        document: NewDocument,
        content_hash: ContentHash,
        turn: Arc<OwnedSemaphorePermit>,
    ) -> Result<Prepared, CorpusError> {
        let NewDocument { title, url, format, content, metadata, audience } = document;
        let extracted = self.reader.read(format, content).await?;
        let read = self.split(corpus, title, id.clone(), extracted, turn).await?;
        let Read { title, untitled, text, chars, pieces, vectors } = read;
        let context = if untitled { "" } else { title.as_str() };
        let missing = pieces.iter().zip(&vectors).filter(|(_, vector)| vector.is_none());
        let texts: Vec<String> =
            missing.map(|((piece, _), _)| embedding_text(context, &piece.headings, &piece.text)).collect();
        let mut rows = match texts.is_empty() {
            true => Vec::new(),
            false => self.embedder.passages(texts).await?,
        }
        .into_iter();
        let mut passages = Vec::with_capacity(pieces.len());
        for ((piece, hash), vector) in pieces.into_iter().zip(vectors) {
            let vector = match vector {
                Some(vector) => vector,
                None => rows.next().as_deref().and_then(QuantizedVector::new).ok_or_else(no_vector)?,
            };
            let Piece { start, end, headings, text } = piece;
            passages.push(PreparedPassage { start, end, headings, text, hash, vector });
        }
        let attributes = Attributes { metadata, audience, chars };
        Ok(Prepared { id, title, url, format, text, attributes, content_hash, passages })
    }

    pub(super) async fn split(
        &self,
        corpus: i64,
        title: Option<String>,
        id: DocumentId,
        extracted: Extracted,
        turn: Arc<OwnedSemaphorePermit>,
    ) -> Result<Read, CorpusError> {
        let this = self.clone();
        super::blocking(move || {
            let _turn = turn;
            let pieces = this.splitter.split(&extracted)?;
            let named = title.or(extracted.title);
            let untitled = named.is_none();
            let title = named.unwrap_or_else(|| id.to_string());
            this.read(corpus, (title, untitled), extracted.text, pieces)
        })
        .await
    }

    fn read(
        &self,
        corpus: i64,
        (title, untitled): (String, bool),
        text: String,
        pieces: Vec<Piece>,
    ) -> Result<Read, CorpusError> {
        let hashed: Vec<(Piece, ContentHash)> = pieces
            .into_iter()
            .map(|piece| {
                let hash = passage_hash(&title, &piece.headings, &piece.text);
                (piece, hash)
            })
            .collect();
        let vectors = self.database.read(|connection| {
            hashed.iter().map(|(_, hash)| rows::vector_of(connection, corpus, hash)).collect()
        })?;
        Ok(Read { title, untitled, chars: text.chars().count(), text, pieces: hashed, vectors })
    }
}

/// Checks what describes a document before its content is looked at.
pub(crate) fn check(document: &NewDocument) -> Result<(), CorpusError> {
    let NewDocument { title, url, metadata, audience, format: _, content: _ } = document;
    Ok(check_attributes(title.as_deref(), url.as_deref(), metadata, audience)?)
}

fn no_vector() -> CorpusError {
    CorpusError::Embed(EmbedError::Failed("the model gave a vector without direction".to_owned()))
}
