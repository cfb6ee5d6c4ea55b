//! The ledger's tables, and the few ways in which they are read and written. Texts and whole numbers only: 64-bit numbers
//! that JavaScript could not hold are inside of JSON texts.

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{SqlStorage, SqlStorageValue};

/// Run when a ledger wakes up; each statement may find its work done.
const SCHEMA: &[&str] = &[
    // `settings`, and `version`: the number of the last piece of news.
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, is_live INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS live_keys ON keys (is_live)",
    // Which key an account of the quota's arithmetic is, so that nobody has to read all keys to name a few.
    "CREATE TABLE IF NOT EXISTS accounts (subject TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS revoked (number INTEGER PRIMARY KEY, hash TEXT NOT NULL, at_s INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)",
    // What the key-value store does not know yet; without a text: to be removed there.
    "CREATE TABLE IF NOT EXISTS outbox (name TEXT PRIMARY KEY, number INTEGER NOT NULL, text TEXT, expires_at_s INTEGER) \
     WITHOUT ROWID",
    // The rows of the quota's arithmetic.
    "CREATE TABLE IF NOT EXISTS quota (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
];

/// A ledger's SQLite database.
///
/// What is written without waiting for anything in between becomes durable together, and before anything that is sent
/// afterwards leaves: the platform promises both.
#[derive(Debug)]
pub(crate) struct Tables(SqlStorage);

/// One value of a row.
pub(crate) type Value = SqlStorageValue;

impl Tables {
    /// # Errors
    /// The database refuses.
    pub(crate) fn open(sql: SqlStorage) -> worker::Result<Self> {
        let tables = Self(sql);
        for statement in SCHEMA {
            tables.write(statement, Vec::new())?;
        }
        Ok(tables)
    }

    /// # Errors
    /// The database refuses.
    pub(crate) fn write(&self, statement: &str, values: Vec<Value>) -> worker::Result<()> {
        self.0.exec(statement, values).map(drop)
    }

    /// # Errors
    /// The database refuses.
    pub(crate) fn rows(&self, query: &str, values: Vec<Value>) -> worker::Result<Vec<Vec<Value>>> {
        self.0.exec(query, values)?.raw().collect()
    }

    /// The JSON in the only column of the first row, if there is one.
    ///
    /// # Errors
    /// The database refuses, or the text is something else.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        query: &str,
        values: Vec<Value>,
    ) -> worker::Result<Option<T>> {
        let row = self.rows(query, values)?.into_iter().next();
        row.and_then(|row| row.into_iter().next()).map(read).transpose()
    }

    /// The JSON in the only column of each row.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub(crate) fn jsons<T: DeserializeOwned>(
        &self,
        query: &str,
        values: Vec<Value>,
    ) -> worker::Result<Vec<T>> {
        self.rows(query, values)?.into_iter().flatten().map(read).collect()
    }

    /// # Errors
    /// As [`Self::json`].
    pub(crate) fn fact<T: DeserializeOwned>(&self, name: &str) -> worker::Result<Option<T>> {
        self.json("SELECT text FROM facts WHERE name = ?", vec![name.into()])
    }

    /// # Errors
    /// The database refuses.
    pub(crate) fn set_fact(&self, name: &str, fact: &impl Serialize) -> worker::Result<()> {
        self.write("INSERT OR REPLACE INTO facts VALUES (?, ?)", vec![name.into(), json_text(fact)?])
    }
}

fn read<T: DeserializeOwned>(value: Value) -> worker::Result<T> {
    match value {
        Value::String(text) => Ok(serde_json::from_str(&text)?),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Blob(_) => {
            Err(worker::Error::RustError("a ledger's row is no text".to_owned()))
        }
    }
}

/// # Errors
/// It can't be written as JSON.
pub(crate) fn json_text(what: &impl Serialize) -> worker::Result<Value> {
    Ok(Value::String(serde_json::to_string(what)?))
}

/// A number as the database takes it. Counts and seconds stay far below 2^53.
pub(crate) fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(crate) fn to_number(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::Integer(number)) => u64::try_from(*number).unwrap_or(0),
        Some(Value::Null | Value::Boolean(_) | Value::Float(_) | Value::String(_) | Value::Blob(_))
        | None => 0,
    }
}
