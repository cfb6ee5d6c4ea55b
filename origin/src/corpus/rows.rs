//! Reading: documents, passages and the log as the tables hold them.

use perigee_shared::document::{Document, DocumentSummary, Format};
use perigee_shared::id::{ContentHash, DocumentId, Epoch, Label};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema::{passage_key, passage_number};
use super::version::Attributes;
use crate::retrieve::QuantizedVector;

/// What a search shows of a passage.
pub(crate) struct PassageRow {
    pub(crate) number: u64,
    pub(crate) document: DocumentId,
    pub(crate) title: String,
    pub(crate) url: Option<String>,
    pub(crate) headings: Vec<String>,
    pub(crate) text: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) hash: ContentHash,
}

/// What the views take in of a passage.
pub(crate) struct IndexRow {
    pub(crate) number: u64,
    /// First passage of its version: what the lexical view deletes by.
    pub(crate) first: u64,
    pub(crate) title: String,
    pub(crate) headings: Vec<String>,
    pub(crate) text: String,
    pub(crate) vector: QuantizedVector,
}

/// The words of a passage.
pub(crate) struct PassageText {
    pub(crate) title: String,
    pub(crate) headings: Vec<String>,
    pub(crate) text: String,
}

/// A version's place and attributes, for the facets.
pub(crate) struct AttributesRow {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) attributes: Attributes,
}

/// One record of the log, as far as views need it.
pub(crate) struct LogRow {
    pub(crate) removed: (u64, u64),
    pub(crate) added: (u64, u64),
}

const SUMMARY: &str = "id, title, url, format, metadata, audience, epoch, passage_count, chars, updated_at";

/// One passage; `None` if it is not there.
pub(crate) fn passage(
    connection: &Connection,
    corpus: i64,
    number: u64,
) -> rusqlite::Result<Option<PassageRow>> {
    connection
        .prepare_cached(
            "SELECT d.id, d.title, d.url, p.headings, p.text, p.start, p.stop, p.hash
             FROM passages p JOIN documents d ON d.version = p.version WHERE p.key = ?1",
        )?
        .query_row([passage_key(corpus, number)], |row| {
            Ok(PassageRow {
                number,
                document: document_id(row, 0)?,
                title: row.get(1)?,
                url: row.get(2)?,
                headings: json(row, 3)?,
                text: row.get(4)?,
                start: row.get(5)?,
                end: row.get(6)?,
                hash: content_hash(row, 7)?,
            })
        })
        .optional()
}

/// Adds the words of the passages numbered so, of whatever version, to `texts`.
pub(crate) fn texts(
    connection: &Connection,
    corpus: i64,
    passages: std::ops::Range<u64>,
    texts: &mut Vec<PassageText>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT d.title, p.headings, p.text FROM passages p JOIN documents d ON d.version = p.version
         WHERE p.key >= ?1 AND p.key < ?2",
    )?;
    let keys = params![passage_key(corpus, passages.start), passage_key(corpus, passages.end)];
    let mut rows = statement.query(keys)?;
    while let Some(row) = rows.next()? {
        texts.push(PassageText { title: row.get(0)?, headings: json(row, 1)?, text: row.get(2)? });
    }
    Ok(())
}

/// A document's current version with its text, and who may read it.
pub(crate) fn document(
    connection: &Connection,
    corpus: i64,
    id: &DocumentId,
) -> rusqlite::Result<Option<Document>> {
    connection
        .prepare_cached(&format!(
            "SELECT {SUMMARY}, text FROM documents WHERE corpus = ?1 AND id = ?2 AND superseded IS NULL"
        ))?
        .query_row(params![corpus, id.as_str()], |row| {
            Ok(Document { summary: summary(row)?, text: row.get(10)? })
        })
        .optional()
}

/// The documents after `cursor` in id order, at most `limit`, of those that `keep` keeps.
pub(crate) fn documents_after(
    connection: &Connection,
    corpus: i64,
    cursor: Option<&DocumentId>,
    limit: usize,
    keep: impl Fn(&[Label]) -> bool,
) -> rusqlite::Result<Vec<DocumentSummary>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SUMMARY} FROM documents
         WHERE corpus = ?1 AND id > ?2 AND superseded IS NULL ORDER BY id"
    ))?;
    let mut rows = statement.query(params![corpus, cursor.map_or("", DocumentId::as_str)])?;
    let mut page = Vec::new();
    while page.len() < limit
        && let Some(row) = rows.next()?
    {
        let audience: Vec<Label> = json(row, 5)?;
        if keep(&audience) {
            page.push(summary(row)?);
        }
    }
    Ok(page)
}

/// The current version, as far as a write must know it.
pub(crate) struct Current {
    pub(crate) content_hash: ContentHash,
    pub(crate) epoch: Epoch,
    pub(crate) passages: usize,
    pub(crate) audience: Vec<Label>,
}

/// A document's current version.
pub(crate) fn current(
    connection: &Connection,
    corpus: i64,
    id: &DocumentId,
) -> rusqlite::Result<Option<Current>> {
    connection
        .prepare_cached(
            "SELECT content_hash, epoch, passage_count, audience FROM documents
             WHERE corpus = ?1 AND id = ?2 AND superseded IS NULL",
        )?
        .query_row(params![corpus, id.as_str()], |row| {
            Ok(Current {
                content_hash: content_hash(row, 0)?,
                epoch: Epoch::new(row.get(1)?),
                passages: row.get(2)?,
                audience: json(row, 3)?,
            })
        })
        .optional()
}

/// The vector of a passage of this corpus that says the same, if there is one.
pub(crate) fn vector_of(
    connection: &Connection,
    corpus: i64,
    hash: &ContentHash,
) -> rusqlite::Result<Option<QuantizedVector>> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT vector FROM passages WHERE corpus = ?1 AND hash = ?2 LIMIT 1")?
        .query_row(params![corpus, hash.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(bytes.and_then(|bytes| QuantizedVector::from_bytes(&bytes)))
}

/// Calls `each` for the current passages numbered `from..to`, in order.
pub(crate) fn index_rows(
    connection: &Connection,
    corpus: i64,
    (from, to): (u64, u64),
    mut each: impl FnMut(IndexRow),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT p.key, d.first_passage, d.title, p.headings, p.text, p.vector
         FROM passages p JOIN documents d ON d.version = p.version
         WHERE p.key >= ?1 AND p.key < ?2 AND d.superseded IS NULL ORDER BY p.key",
    )?;
    let mut rows = statement.query(params![passage_key(corpus, from), passage_key(corpus, to)])?;
    while let Some(row) = rows.next()? {
        let vector: Vec<u8> = row.get(5)?;
        each(IndexRow {
            number: passage_number(row.get(0)?),
            first: row.get(1)?,
            title: row.get(2)?,
            headings: json(row, 3)?,
            text: row.get(4)?,
            vector: QuantizedVector::from_bytes(&vector)
                .ok_or_else(|| damaged(5, Type::Blob, "a vector is not 384 bytes"))?,
        });
    }
    Ok(())
}

/// Calls `each` for every current version of the corpus.
pub(crate) fn attributes(
    connection: &Connection,
    corpus: i64,
    mut each: impl FnMut(AttributesRow),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT first_passage, passage_count, metadata, audience, chars FROM documents
         WHERE corpus = ?1 AND superseded IS NULL",
    )?;
    let mut rows = statement.query([corpus])?;
    while let Some(row) = rows.next()? {
        each(AttributesRow {
            first: row.get(0)?,
            count: row.get(1)?,
            attributes: Attributes { metadata: json(row, 2)?, audience: json(row, 3)?, chars: row.get(4)? },
        });
    }
    Ok(())
}

/// The log's records after `epoch`, in order.
pub(crate) fn log_after(connection: &Connection, corpus: i64, epoch: Epoch) -> rusqlite::Result<Vec<LogRow>> {
    connection
        .prepare_cached(
            "SELECT removed_first, removed_count, added_first, added_count FROM log
             WHERE corpus = ?1 AND seq > ?2 ORDER BY seq",
        )?
        .query_map(params![corpus, epoch.get()], |row| {
            Ok(LogRow { removed: (row.get(0)?, row.get(1)?), added: (row.get(2)?, row.get(3)?) })
        })?
        .collect()
}

/// The corpus's epoch and next passage number.
pub(crate) fn head(connection: &Connection, corpus: i64) -> rusqlite::Result<(Epoch, u64)> {
    connection
        .prepare_cached("SELECT epoch, next_passage FROM corpora WHERE id = ?1")?
        .query_row([corpus], |row| Ok((Epoch::new(row.get(0)?), row.get(1)?)))
}

fn summary(row: &Row<'_>) -> rusqlite::Result<DocumentSummary> {
    let format: String = row.get(3)?;
    Ok(DocumentSummary {
        id: document_id(row, 0)?,
        title: row.get(1)?,
        url: row.get(2)?,
        format: format_named(&format).ok_or_else(|| damaged(3, Type::Text, "unknown format"))?,
        metadata: json(row, 4)?,
        audience: json(row, 5)?,
        epoch: Epoch::new(row.get(6)?),
        passages: row.get(7)?,
        chars: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

fn format_named(name: &str) -> Option<Format> {
    use Format::{Csv, Docx, Html, Json, Markdown, Pdf, Text};
    [Markdown, Text, Html, Pdf, Docx, Csv, Json].into_iter().find(|format| format.name() == name)
}

fn document_id(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentId> {
    let id: String = row.get(column)?;
    DocumentId::new(id).map_err(|error| damaged(column, Type::Text, error))
}

fn content_hash(row: &Row<'_>, column: usize) -> rusqlite::Result<ContentHash> {
    Ok(ContentHash::from_bytes(row.get(column)?))
}

/// Reads a column of JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| damaged(column, Type::Text, error))
}

/// Writes a column of JSON.
pub(crate) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn damaged(
    column: usize,
    kind: Type,
    what: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.into())
}
