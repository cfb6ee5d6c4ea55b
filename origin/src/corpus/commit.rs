//! One transaction: the log's records and the rows that they stand for.

use std::sync::Arc;

use perigee_shared::caller::Audience;
use perigee_shared::document::{Outcome, Written};
use perigee_shared::id::{DocumentId, Epoch};
use rusqlite::{Connection, OptionalExtension, params};

use super::database::Database;
use super::error::CorpusError;
use super::schema::{PASSAGES_PER_CORPUS, passage_key};
use super::version::{Added, Attributes, Delta, Prepared, Removed};

/// What one caller wants done.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) what: What,
    /// Whoever may not read a document neither replaces nor deletes it.
    pub(crate) by: Audience,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Put(Arc<Prepared>),
    Delete(DocumentId),
}

/// The answers to the changes of one commit, in order, and what the commit means to the views.
pub(crate) struct Committed {
    pub(crate) results: Vec<Result<Written, CorpusError>>,
    pub(crate) delta: Delta,
}

/// Writes `changes` in order, all or none. `published` is the epoch that every view has reached: versions that
/// were replaced up to it are nobody's any more and are cleared away first. Blocking.
pub(crate) fn commit(
    database: &Database,
    corpus: i64,
    published: Epoch,
    changes: &[Change],
) -> Result<Committed, CorpusError> {
    database.write(|connection| {
        clear(connection, corpus, published).map_err(|error| database.error(&error))?;
        let mut batch = Batch::open(connection, corpus)
            .map_err(|error| database.error(&error))?
            .ok_or(CorpusError::NotFound)?;
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let done = match &change.what {
                What::Put(document) => batch.put(document, &change.by),
                What::Delete(id) => batch.delete(id, &change.by),
            };
            results.push(done.map_err(|error| database.error(&error))?);
        }
        let delta = batch.close().map_err(|error| database.error(&error))?;
        Ok(Committed { results, delta })
    })
}

/// Removes the rows of versions that no view refers to.
pub(crate) fn clear(connection: &Connection, corpus: i64, published: Epoch) -> rusqlite::Result<()> {
    let mut stale = connection.prepare_cached(
        "SELECT version, first_passage, passage_count FROM documents
         WHERE corpus = ?1 AND superseded IS NOT NULL AND superseded <= ?2",
    )?;
    let rows: Vec<(i64, u64, u64)> = stale
        .query_map(params![corpus, published.get()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (version, first, count) in rows {
        connection
            .prepare_cached("DELETE FROM passages WHERE key >= ?1 AND key < ?2")?
            .execute(params![passage_key(corpus, first), passage_key(corpus, first + count)])?;
        connection.prepare_cached("DELETE FROM documents WHERE version = ?1")?.execute([version])?;
    }
    Ok(())
}

/// A version as the next one finds it.
struct Current {
    version: i64,
    epoch: Epoch,
    content_hash: Vec<u8>,
    first: u64,
    count: u64,
    attributes: Attributes,
}

/// What came of a change; the outer error ends the whole commit.
type Done = rusqlite::Result<Result<Written, CorpusError>>;

struct Batch<'a> {
    connection: &'a Connection,
    corpus: i64,
    epoch: Epoch,
    next_passage: u64,
    at: String,
    delta: Delta,
}

impl<'a> Batch<'a> {
    fn open(connection: &'a Connection, corpus: i64) -> rusqlite::Result<Option<Self>> {
        let head = connection
            .prepare_cached("SELECT epoch, next_passage FROM corpora WHERE id = ?1 AND deleted = 0")?
            .query_row([corpus], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(head.map(|(epoch, next_passage)| Self {
            connection,
            corpus,
            epoch: Epoch::new(epoch),
            next_passage,
            at: super::now(),
            delta: Delta::default(),
        }))
    }

    fn put(&mut self, document: &Arc<Prepared>, by: &Audience) -> Done {
        let current = self.current(&document.id)?;
        if current.as_ref().is_some_and(|current| !by.may_read(&current.attributes.audience)) {
            return Ok(Err(CorpusError::DocumentProtected));
        }
        let passages = document.passages.len();
        if let Some(current) = &current
            && current.content_hash == document.content_hash.as_bytes()
        {
            let epoch = current.epoch;
            return Ok(Ok(Written { id: document.id.clone(), outcome: Outcome::Unchanged, epoch, passages }));
        }
        self.epoch = self.epoch.next();
        let first = self.next_passage;
        let outcome = if current.is_some() { Outcome::Updated } else { Outcome::Created };
        let removed = current.map(|current| self.supersede(current)).transpose()?.unwrap_or((0, 0));
        self.insert(document, first)?;
        self.next_passage += passages as u64;
        self.log("upsert", &document.id, removed, (first, passages as u64))?;
        self.delta.added.push(Added { first, document: Arc::clone(document) });
        Ok(Ok(Written { id: document.id.clone(), outcome, epoch: self.epoch, passages }))
    }

    fn delete(&mut self, id: &DocumentId, by: &Audience) -> Done {
        // Who may not read it is told what they would be told if it did not exist.
        let current = self.current(id)?.filter(|current| by.may_read(&current.attributes.audience));
        let Some(current) = current else { return Ok(Err(CorpusError::DocumentNotFound)) };
        self.epoch = self.epoch.next();
        let removed = self.supersede(current)?;
        self.log("delete", id, removed, (0, 0))?;
        Ok(Ok(Written { id: id.clone(), outcome: Outcome::Deleted, epoch: self.epoch, passages: 0 }))
    }

    fn current(&self, id: &DocumentId) -> rusqlite::Result<Option<Current>> {
        self.connection
            .prepare_cached(
                "SELECT version, epoch, content_hash, first_passage, passage_count, metadata, audience,
                        chars
                 FROM documents WHERE corpus = ?1 AND id = ?2 AND superseded IS NULL",
            )?
            .query_row(params![self.corpus, id.as_str()], |row| {
                Ok(Current {
                    version: row.get(0)?,
                    epoch: Epoch::new(row.get(1)?),
                    content_hash: row.get(2)?,
                    first: row.get(3)?,
                    count: row.get(4)?,
                    attributes: Attributes {
                        metadata: super::rows::json(row, 5)?,
                        audience: super::rows::json(row, 6)?,
                        chars: row.get(7)?,
                    },
                })
            })
            .optional()
    }

    /// Marks the version as replaced at the current epoch; answers its passages as first and count.
    fn supersede(&mut self, current: Current) -> rusqlite::Result<(u64, u64)> {
        let Current { version, first, count, attributes, .. } = current;
        self.connection
            .prepare_cached("UPDATE documents SET superseded = ?2 WHERE version = ?1")?
            .execute(params![version, self.epoch.get()])?;
        self.delta.remove(Removed { passages: first..first + count, attributes });
        Ok((first, count))
    }

    fn insert(&self, document: &Prepared, first: u64) -> rusqlite::Result<()> {
        let Prepared { id, title, url, format, text, attributes, content_hash, passages } = document;
        if first + passages.len() as u64 >= PASSAGES_PER_CORPUS as u64 {
            // A million millions of passages were numbered: no number may be given twice.
            return Err(rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX));
        }
        let audience = super::rows::to_json(&attributes.audience)?;
        let metadata = super::rows::to_json(&attributes.metadata)?;
        self.connection
            .prepare_cached(
                "INSERT INTO documents (corpus, id, epoch, first_passage, passage_count, chars, title, url, format,
                                        updated_at, content_hash, audience, metadata, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(params![
                self.corpus,
                id.as_str(),
                self.epoch.get(),
                first,
                passages.len(),
                attributes.chars,
                title,
                url,
                format.name(),
                self.at,
                content_hash.as_bytes(),
                audience,
                metadata,
                text
            ])?;
        let version = self.connection.last_insert_rowid();
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO passages (key, corpus, version, start, stop, hash, headings, vector, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for (number, passage) in (first..).zip(passages) {
            insert.execute(params![
                passage_key(self.corpus, number),
                self.corpus,
                version,
                passage.start,
                passage.end,
                passage.hash.as_bytes(),
                super::rows::to_json(&passage.headings)?,
                passage.vector.to_bytes(),
                passage.text
            ])?;
        }
        Ok(())
    }

    fn log(
        &self,
        kind: &str,
        id: &DocumentId,
        removed: (u64, u64),
        added: (u64, u64),
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO log (corpus, seq, kind, document, removed_first, removed_count, added_first,
                                  added_count, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                self.corpus,
                self.epoch.get(),
                kind,
                id.as_str(),
                removed.0,
                removed.1,
                added.0,
                added.1,
                self.at
            ])?;
        Ok(())
    }

    fn close(mut self) -> rusqlite::Result<Delta> {
        self.connection
            .prepare_cached("UPDATE corpora SET epoch = ?2, next_passage = ?3 WHERE id = ?1")?
            .execute(params![self.corpus, self.epoch.get(), self.next_passage])?;
        self.delta.epoch = self.epoch;
        Ok(self.delta)
    }
}
