//! Views at start, and after a failure: opened, judged, and brought to the log's end from the database.

use std::path::Path;

use perigee_shared::id::Epoch;

use super::database::Database;
use super::error::CorpusError;
use super::rows::{self, IndexRow};
use crate::retrieve::{Facets, Folder, Lexical, LexicalPassage, Origin, QuantizedVector, Vectors, Views};

/// Passages read from the database, and given to the views, at a time.
const CHUNK: usize = 1_000;

/// Opens a corpus's views and catches them up. One that is missing, damaged or of something else is rebuilt.
/// `progress` is told passages done and passages in all. Blocking.
pub(crate) fn open_views(
    database: &Database,
    corpus: i64,
    folder: &Folder,
    origin: Origin,
    progress: &dyn Fn(u64, u64),
) -> Result<Views, CorpusError> {
    let (head, _) = database.read(|connection| rows::head(connection, corpus))?;
    make_dir(folder.path())?;
    let (lexical, lexical_epoch) = open_lexical(&folder.lexical(), &origin, head)?;
    let (vectors, vectors_epoch) = open_vectors(&folder.vectors(), &origin, head)?;
    let views = Views::new(origin, lexical, vectors);
    catch_up(database, corpus, &views, (lexical_epoch, vectors_epoch), progress)?;
    Ok(views)
}

/// Catches up views of this process that a failed change left behind. Blocking.
pub(crate) fn repair(database: &Database, corpus: i64, views: &Views) -> Result<(), CorpusError> {
    let lexical_epoch = views.lexical.stamp()?.map_or(Epoch::ZERO, |stamp| stamp.epoch);
    catch_up(database, corpus, views, (lexical_epoch, views.epoch()), &|_, _| ())
}

fn open_lexical(folder: &Path, origin: &Origin, head: Epoch) -> Result<(Lexical, Epoch), CorpusError> {
    let fresh = !folder.exists();
    make_dir(folder)?;
    let opened = Lexical::open(folder).and_then(|lexical| {
        let stamp = lexical.stamp()?;
        Ok((lexical, stamp))
    });
    let reason = match opened {
        Ok((lexical, Some(stamp))) if stamp.database == origin.database && stamp.epoch <= head => {
            return Ok((lexical, stamp.epoch));
        }
        Ok((lexical, None)) if fresh => return Ok((lexical, Epoch::ZERO)),
        Ok(_) => "it is not of this database's past".to_owned(),
        Err(error) => error.to_string(),
    };
    rebuilding(folder, &reason);
    std::fs::remove_dir_all(folder).map_err(|error| view_io(folder, &error))?;
    make_dir(folder)?;
    Ok((Lexical::open(folder)?, Epoch::ZERO))
}

fn open_vectors(file: &Path, origin: &Origin, head: Epoch) -> Result<(Vectors, Epoch), CorpusError> {
    if file.exists() {
        let loaded = Vectors::load(file, |manifest| {
            if manifest.database != origin.database || manifest.epoch > head {
                return Err("it is not of this database's past".to_owned());
            }
            if manifest.model != origin.model {
                return Err("it is of another model".to_owned());
            }
            Ok(())
        });
        match loaded {
            Ok(loaded) => return Ok(loaded),
            Err(error) => rebuilding(file, &error.to_string()),
        }
    } else if head > Epoch::ZERO {
        rebuilding(file, "it is missing");
    }
    Ok((Vectors::new(file)?, Epoch::ZERO))
}

fn rebuilding(file: &Path, reason: &str) {
    tracing::warn!(file = %file.display(), reason, "rebuilding a view from the database");
}

fn catch_up(
    database: &Database,
    corpus: i64,
    views: &Views,
    (lexical_epoch, vectors_epoch): (Epoch, Epoch),
    progress: &dyn Fn(u64, u64),
) -> Result<(), CorpusError> {
    let snapshot = database.snapshot()?;
    let connection = snapshot.connection()?;
    let wrong = |error: rusqlite::Error| database.error(&error);
    let (head, end) = rows::head(connection, corpus).map_err(wrong)?;
    let tail = |epoch| Tail::after(connection, corpus, epoch, end).map_err(wrong);
    let (lexical_tail, vectors_tail) = (tail(lexical_epoch)?, tail(vectors_epoch)?);

    let mut change = if lexical_epoch < head { Some(views.lexical.change()?) } else { None };
    if let Some(change) = &mut change {
        lexical_tail.removed.iter().for_each(|&(first, _)| change.remove(first));
    }
    let mut from = lexical_tail.added.min(vectors_tail.added);
    let (begin, all) = (from, end - from);
    while from < end {
        let mut chunk: Vec<IndexRow> = Vec::with_capacity(CHUNK);
        let to = (from + CHUNK as u64).min(end);
        rows::index_rows(connection, corpus, (from, to), |row| chunk.push(row)).map_err(wrong)?;
        from = to;
        let vectors: Vec<(u64, &QuantizedVector)> = chunk
            .iter()
            .filter(|row| row.number >= vectors_tail.added)
            .map(|row| (row.number, &row.vector))
            .collect();
        views.reserve(vectors.len())?;
        views.vectors.add(&vectors)?;
        if let Some(change) = &mut change {
            for row in chunk.iter().filter(|row| row.number >= lexical_tail.added) {
                change.add(&LexicalPassage {
                    number: row.number,
                    first: row.first,
                    title: &row.title,
                    headings: &row.headings,
                    text: &row.text,
                })?;
            }
        }
        progress(from - begin, all);
    }
    if let Some(change) = change {
        change.commit(&views.stamp(head))?;
    }
    let mut facets = Facets::default();
    rows::attributes(connection, corpus, |row| facets.add(row.first..row.first + row.count, &row.attributes))
        .map_err(wrong)?;
    let removed = vectors_tail.removed.iter().flat_map(|&(first, count)| first..first + count);
    views.publish_all(head, facets, removed)
}

/// What happened after an epoch, as far as a view must know.
struct Tail {
    /// First passage and number of passages of versions that went; some may never have been in the view.
    removed: Vec<(u64, u64)>,
    /// Passages from this number on are new. Numbers only grow.
    added: u64,
}

impl Tail {
    fn after(
        connection: &rusqlite::Connection,
        corpus: i64,
        epoch: Epoch,
        end: u64,
    ) -> rusqlite::Result<Self> {
        if epoch == Epoch::ZERO {
            return Ok(Self { removed: Vec::new(), added: 1 });
        }
        let log = rows::log_after(connection, corpus, epoch)?;
        let removed = log.iter().map(|row| row.removed).filter(|(_, count)| *count > 0).collect();
        let added = log.iter().find(|row| row.added.1 > 0).map_or(end, |row| row.added.0);
        Ok(Self { removed, added })
    }
}

fn make_dir(dir: &Path) -> Result<(), CorpusError> {
    super::database::create_private_dir(dir).map_err(|error| view_io(dir, &error))
}

fn view_io(file: &Path, error: &std::io::Error) -> CorpusError {
    CorpusError::io(file, error, super::error::VIEW_ADVICE)
}
