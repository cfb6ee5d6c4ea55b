//! The tables, and how an older database becomes a newer one.

use std::path::Path;

use rusqlite::Connection;

use super::error::CorpusError;

/// Each entry takes the database from its index to the next `user_version`. Never edit one that was released.
const MIGRATIONS: &[&str] = &[TABLES, REUSE_TOLERANCE];

/// The most passages that a corpus can ever number, and the factor that keeps corpora apart in `passages.key`.
pub(crate) const PASSAGES_PER_CORPUS: i64 = 1 << 40;

/// The share of requests that reuse across wordings may answer wrongly; NULL: the server's own.
const REUSE_TOLERANCE: &str = "ALTER TABLE corpora ADD COLUMN reuse_tolerance REAL;";

const TABLES: &str = "
-- One row. `database` is drawn when the database is made or restored: a view of another one is not applied here.
CREATE TABLE meta (
    database TEXT NOT NULL
);
INSERT INTO meta (database) VALUES (lower(hex(randomblob(16))));

-- Ids are never used again, so nothing of a deleted corpus can be taken for a new one's.
CREATE TABLE corpora (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    epoch        INTEGER NOT NULL DEFAULT 0,
    next_passage INTEGER NOT NULL DEFAULT 1,
    -- Which model the vectors are of.
    model        TEXT NOT NULL,
    -- While the vectors are replaced by another model's: which, and up to which passage that is done.
    next_model   TEXT,
    embedded_to  INTEGER NOT NULL DEFAULT 0,
    deleted      INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX corpora_by_name ON corpora (tenant, name) WHERE deleted = 0;

-- The epoch that a deleted corpus reached. One made again under its name goes on counting from there, so that
-- whoever remembers the number alone (an edge, a caller's `Perigee-Min-Epoch`) never takes old for new.
CREATE TABLE former_epochs (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    epoch  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

-- The log. Everything else is a view of it, the tables below included.
CREATE TABLE log (
    corpus        INTEGER NOT NULL REFERENCES corpora (id),
    seq           INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('upsert', 'delete')),
    document      TEXT NOT NULL,
    removed_first INTEGER NOT NULL,
    removed_count INTEGER NOT NULL,
    added_first   INTEGER NOT NULL,
    added_count   INTEGER NOT NULL,
    at            TEXT NOT NULL,
    PRIMARY KEY (corpus, seq)
) WITHOUT ROWID;

-- One row per version. A replaced version stays until every view has let go of it (`superseded` = the epoch
-- that replaced it), so that a search at one epoch finds all of its rows.
CREATE TABLE documents (
    version       INTEGER PRIMARY KEY AUTOINCREMENT,
    corpus        INTEGER NOT NULL REFERENCES corpora (id),
    id            TEXT NOT NULL,
    epoch         INTEGER NOT NULL,
    superseded    INTEGER,
    first_passage INTEGER NOT NULL,
    passage_count INTEGER NOT NULL,
    chars         INTEGER NOT NULL,
    title         TEXT NOT NULL,
    url           TEXT,
    format        TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    content_hash  BLOB NOT NULL,
    audience      TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    text          TEXT NOT NULL
);
CREATE UNIQUE INDEX documents_by_id ON documents (corpus, id) WHERE superseded IS NULL;
CREATE INDEX documents_superseded ON documents (corpus, superseded) WHERE superseded IS NOT NULL;

-- `key` = corpus * 2^40 + number: one tree, clustered by corpus. `start` and `stop` count characters.
CREATE TABLE passages (
    key      INTEGER PRIMARY KEY,
    corpus   INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    stop     INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    headings TEXT NOT NULL,
    vector   BLOB NOT NULL,
    text     TEXT NOT NULL
);
CREATE INDEX passages_by_hash ON passages (corpus, hash);
";

/// The tables' version.
///
/// # Errors
/// It is newer than this program knows, or cannot be read.
pub(crate) fn version(connection: &Connection, file: &Path) -> Result<usize, CorpusError> {
    let version: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| CorpusError::database(file, &error))?;
    if version > MIGRATIONS.len() {
        return Err(CorpusError::Storage {
            file: file.to_path_buf(),
            reason: format!("it has version {version}, and this perigee knows up to {}", MIGRATIONS.len()),
            advice: "start the newer perigee that wrote it, or restore an older backup",
        });
    }
    Ok(version)
}

/// Brings the tables to the version that this program knows.
pub(crate) fn migrate(connection: &Connection, file: &Path) -> Result<(), CorpusError> {
    let wrong = |error: rusqlite::Error| CorpusError::database(file, &error);
    let version = version(connection, file)?;
    for (step, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let to = step + 1;
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {migration} PRAGMA user_version = {to}; COMMIT;"))
            .map_err(|error| {
                // Nothing more can be done about a rollback that fails; the first error is the one to show.
                let _ = connection.execute_batch("ROLLBACK");
                wrong(error)
            })?;
    }
    Ok(())
}

/// The number of passage `number` of a corpus in `passages.key`.
pub(crate) const fn passage_key(corpus: i64, number: u64) -> i64 {
    corpus * PASSAGES_PER_CORPUS + number as i64
}

/// The passage's number within its corpus.
pub(crate) const fn passage_number(key: i64) -> u64 {
    (key % PASSAGES_PER_CORPUS) as u64
}
