//! Another model, another space: every vector is made again before anything is searched.
//!
//! Done in the database, passage by passage in order, with a mark of how far it has come: a start that is
//! interrupted goes on where it was.

use rusqlite::params;

use super::database::Database;
use super::error::CorpusError;
use super::rows::json;
use super::schema::{passage_key, passage_number};
use crate::embed::{EmbedError, Embedder};
use crate::retrieve::QuantizedVector;
use crate::split::embedding_text;

/// Passages embedded and written at a time.
const CHUNK: usize = 256;

/// Gives every passage of the corpus a vector of `embedder`'s model, unless they are of it already.
pub(crate) async fn reembed(
    database: &Database,
    corpus: i64,
    embedder: &Embedder,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<(), CorpusError> {
    let to = embedder.model_hash();
    let Some((mut from, end)) = begin(database, corpus, to)? else { return Ok(()) };
    tracing::warn!(corpus, model = to, "the vectors are of another model; embedding every passage again");
    loop {
        let (numbers, texts) = read(database, corpus, from)?;
        let Some(&last) = numbers.last() else { break };
        let rows = embedder.passages(texts).await?;
        let vectors: Option<Vec<_>> = rows.iter().map(|row| QuantizedVector::new(row)).collect();
        let vectors = vectors
            .ok_or_else(|| EmbedError::Failed("the model gave a vector without direction".to_owned()))?;
        write(database, corpus, &numbers, &vectors)?;
        from = last;
        progress(from, end);
    }
    database.write(|connection| {
        connection
            .execute(
                "UPDATE corpora SET model = ?2, next_model = NULL, embedded_to = 0 WHERE id = ?1",
                params![corpus, to],
            )
            .map(drop)
            .map_err(|error| database.error(&error))
    })
}

/// Where to go on, and the last passage's number; `None` when there is nothing to do.
fn begin(database: &Database, corpus: i64, to: &str) -> Result<Option<(u64, u64)>, CorpusError> {
    database.write(|connection| {
        let state = || -> rusqlite::Result<Option<(u64, u64)>> {
            let (model, next, embedded_to, end): (String, Option<String>, u64, u64) = connection.query_row(
                "SELECT model, next_model, embedded_to, next_passage FROM corpora WHERE id = ?1",
                [corpus],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?;
            if next.as_deref() == Some(to) {
                return Ok(Some((embedded_to, end)));
            }
            // Vectors of the model before may be half replaced by a third one's: then none is of use.
            if model == to && next.is_none() {
                return Ok(None);
            }
            connection.execute(
                "UPDATE corpora SET next_model = ?2, embedded_to = 0 WHERE id = ?1",
                params![corpus, to],
            )?;
            Ok(Some((0, end)))
        };
        state().map_err(|error| database.error(&error))
    })
}

fn read(database: &Database, corpus: i64, after: u64) -> Result<(Vec<u64>, Vec<String>), CorpusError> {
    database.read(|connection| {
        connection
            .prepare_cached(
                "SELECT p.key, d.title, d.id, p.headings, p.text
                 FROM passages p JOIN documents d ON d.version = p.version
                 WHERE p.key > ?1 AND p.key < ?2 ORDER BY p.key LIMIT ?3",
            )?
            .query_map(params![passage_key(corpus, after), passage_key(corpus + 1, 0), CHUNK], |row| {
                let (title, id, text): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(4)?);
                let headings: Vec<String> = json(row, 3)?;
                // A title that is only the id says nothing to the model; see `prepare`.
                let context = if title == id { "" } else { title.as_str() };
                Ok((passage_number(row.get(0)?), embedding_text(context, &headings, &text)))
            })?
            .collect()
    })
}

fn write(
    database: &Database,
    corpus: i64,
    numbers: &[u64],
    vectors: &[QuantizedVector],
) -> Result<(), CorpusError> {
    database.write(|connection| {
        let write = || -> rusqlite::Result<()> {
            let mut update = connection.prepare_cached("UPDATE passages SET vector = ?2 WHERE key = ?1")?;
            for (number, vector) in numbers.iter().zip(vectors) {
                update.execute(params![passage_key(corpus, *number), vector.to_bytes()])?;
            }
            connection
                .prepare_cached("UPDATE corpora SET embedded_to = ?2 WHERE id = ?1")?
                .execute(params![corpus, numbers.last()])?;
            Ok(())
        };
        write().map_err(|error| database.error(&error))
    })
}
