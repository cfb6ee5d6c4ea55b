//! The list of corpora: made, named, deleted and cleared away.

use std::path::Path;

use perigee_shared::id::{CorpusName, TenantId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::database::Database;
use super::error::{CorpusError, VIEW_ADVICE};
use super::schema::passage_key;
use crate::paraphrase::Tolerance;
use crate::retrieve::Folder;

/// Passages deleted in one transaction: other corpora's writes get their turn in between.
const PURGE_PASSAGES: u64 = 5_000;

/// A corpus as the table has it.
pub(crate) struct CorpusRow {
    pub(crate) id: i64,
    pub(crate) tenant: TenantId,
    pub(crate) name: CorpusName,
    pub(crate) created_at: String,
    /// `None`: the server's own.
    pub(crate) reuse_tolerance: Option<Tolerance>,
}

/// Names this database and no other.
pub(crate) fn database_identity(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT database FROM meta", [], |row| row.get(0))
}

/// Every corpus that is not deleted.
pub(crate) fn corpora(connection: &Connection) -> rusqlite::Result<Vec<CorpusRow>> {
    connection
        .prepare(
            "SELECT id, tenant, name, created_at, reuse_tolerance FROM corpora WHERE deleted = 0 ORDER BY id",
        )?
        .query_map([], read_row)?
        .collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<CorpusRow> {
    let wrong = |column: usize, error: perigee_shared::id::InvalidId| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    };
    let (tenant, name): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(CorpusRow {
        id: row.get(0)?,
        tenant: TenantId::new(tenant).map_err(|error| wrong(1, error))?,
        name: CorpusName::new(name).map_err(|error| wrong(2, error))?,
        created_at: row.get(3)?,
        // What is no tolerance was not written by us; the server's own is the safe reading.
        reuse_tolerance: row.get::<_, Option<f64>>(4)?.and_then(|share| Tolerance::new(share).ok()),
    })
}

/// Adds a corpus that nobody sees before [`show`], unless its name is taken or the tenant has `most` already. Until
/// then it is one of those that [`purge`] clears away.
pub(crate) fn begin(
    database: &Database,
    tenant: &TenantId,
    name: &CorpusName,
    reuse_tolerance: Option<Tolerance>,
    model: &str,
    most: usize,
) -> Result<CorpusRow, CorpusError> {
    let wrong = |error: rusqlite::Error| database.error(&error);
    database.write(|connection| {
        let taken = connection
            .query_row(
                "SELECT 1 FROM corpora WHERE tenant = ?1 AND name = ?2 AND deleted = 0",
                params![tenant.as_str(), name.as_str()],
                |_| Ok(()),
            )
            .optional()
            .map_err(wrong)?;
        if taken.is_some() {
            return Err(CorpusError::Exists);
        }
        let count: usize = connection
            .query_row(
                "SELECT count(*) FROM corpora WHERE tenant = ?1 AND deleted = 0",
                [tenant.as_str()],
                |row| row.get(0),
            )
            .map_err(wrong)?;
        if count >= most {
            return Err(CorpusError::TooMany);
        }
        let created_at = super::now();
        connection
            .execute(
                "INSERT INTO corpora (tenant, name, created_at, model, reuse_tolerance, deleted, epoch)
                 VALUES (?1, ?2, ?3, ?4, ?5, 1,
                         coalesce((SELECT epoch FROM former_epochs WHERE tenant = ?1 AND name = ?2), 0))",
                params![
                    tenant.as_str(),
                    name.as_str(),
                    created_at,
                    model,
                    reuse_tolerance.map(Tolerance::share)
                ],
            )
            .map_err(wrong)?;
        let id = connection.last_insert_rowid();
        Ok(CorpusRow { id, tenant: tenant.clone(), name: name.clone(), created_at, reuse_tolerance })
    })
}

/// A corpus that was begun is there from now on.
pub(crate) fn show(database: &Database, corpus: i64) -> Result<(), CorpusError> {
    execute(database, "UPDATE corpora SET deleted = 0 WHERE id = ?1", [corpus])
}

/// Sets what a corpus tolerates of reuse across wordings; `None`: what the server does.
pub(crate) fn set_reuse_tolerance(
    database: &Database,
    corpus: i64,
    reuse_tolerance: Option<Tolerance>,
) -> Result<(), CorpusError> {
    execute(
        database,
        "UPDATE corpora SET reuse_tolerance = ?2 WHERE id = ?1",
        params![corpus, reuse_tolerance.map(Tolerance::share)],
    )
}

/// Takes a corpus out of everybody's sight, at once and for good. That is its last change and has a number.
pub(crate) fn mark_deleted(database: &Database, corpus: i64) -> Result<(), CorpusError> {
    database.write(|connection| {
        let marked = connection.execute("UPDATE corpora SET deleted = 1 WHERE id = ?1", [corpus]);
        let counted = marked.and_then(|_| {
            connection.execute(
                "INSERT INTO former_epochs (tenant, name, epoch)
                 SELECT tenant, name, epoch + 1 FROM corpora WHERE id = ?1
                 ON CONFLICT (tenant, name) DO UPDATE SET epoch = excluded.epoch",
                [corpus],
            )
        });
        counted.map(drop).map_err(|error| database.error(&error))
    })
}

/// Gives back the room of deleted corpora: rows and view folders.
pub(crate) fn purge(database: &Database, views_dir: &Path) -> Result<(), CorpusError> {
    let deleted: Vec<(i64, u64)> = database.read(|connection| {
        connection
            .prepare("SELECT id, next_passage FROM corpora WHERE deleted = 1")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    })?;
    for (corpus, end) in deleted {
        let folder = Folder::new(views_dir, corpus);
        match std::fs::remove_dir_all(folder.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CorpusError::io(folder.path(), &error, VIEW_ADVICE));
            }
            _ => {}
        }
        for first in (0..end).step_by(PURGE_PASSAGES as usize) {
            execute(
                database,
                "DELETE FROM passages WHERE key >= ?1 AND key < ?2",
                params![passage_key(corpus, first), passage_key(corpus, first + PURGE_PASSAGES)],
            )?;
        }
        execute(database, "DELETE FROM documents WHERE corpus = ?1", [corpus])?;
        execute(database, "DELETE FROM log WHERE corpus = ?1", [corpus])?;
        execute(database, "DELETE FROM corpora WHERE id = ?1", [corpus])?;
    }
    Ok(())
}

fn execute(database: &Database, sql: &str, params: impl rusqlite::Params) -> Result<(), CorpusError> {
    database
        .write(|connection| connection.execute(sql, params).map(drop).map_err(|error| database.error(&error)))
}
