//! Backup and restore: one file that holds everything. Views are not in it; they are rebuilt.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::database::{DATABASE_FILE, DataLock, VIEWS_DIR, open_reader, private_file, sync_dir};
use super::error::{CorpusError, DATABASE_ADVICE, VIEW_ADVICE};
use super::schema;

/// What to do when a backup cannot be used.
const BACKUP_ADVICE: &str = "take another backup file";

/// How often, and after how long, a copy is tried while another process has the database to itself.
const TRIES: usize = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// By how much a restore moves every corpus's epoch on. Edges may have seen epochs from after the backup was taken;
/// counting must go on beyond all of them, or the same number would one day stand for two states.
pub(super) const RESTORE_EPOCHS: u64 = 1_000_000_000;

/// Copies the data directory's database, as it is at this moment, to the file `to`. It may be served meanwhile, by
/// this process or another. Blocking.
///
/// # Errors
/// There is no database, `to` exists already, or it cannot be written; a half-written file is removed.
pub fn backup(data_dir: &Path, to: &Path) -> Result<(), CorpusError> {
    let from = data_dir.join(DATABASE_FILE);
    if to.exists() {
        return Err(refused(to, "there is a file already", "choose another name"));
    }
    if !from.exists() {
        return Err(refused(&from, "there is no such database", "check data_dir"));
    }
    let source = open_reader(&from).map_err(|error| CorpusError::database(&from, &error))?;
    let fresh = beside(to, "part");
    write_copy(&source, &fresh, |_| Ok(()))
        .and_then(|()| put_in_place(&fresh, to))
        .inspect_err(|_| discard(&fresh))
}

/// Makes `data_dir` what it was when the backup `from` was taken. No server may be running on it. With `replace`,
/// a database that is there is given up; until the very end it stays as it is. Blocking.
///
/// # Errors
/// The backup is damaged or of a newer version, the directory is served, or it has a database and `replace` is false.
pub fn restore(from: &Path, data_dir: &Path, replace: bool) -> Result<(), CorpusError> {
    if !from.exists() {
        return Err(refused(from, "there is no such file", BACKUP_ADVICE));
    }
    let _lock = DataLock::take(data_dir)?;
    let to = data_dir.join(DATABASE_FILE);
    if to.exists() && !replace {
        return Err(refused(
            &to,
            "there is a database already",
            "say that it is to be replaced, or choose another data_dir",
        ));
    }
    let wrong = |error: rusqlite::Error| CorpusError::database(from, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(wrong)?;
    check(&source, from)?;
    let fresh = beside(&to, "restored");
    let done = write_copy(&source, &fresh, |restored| {
        // What was served before is another past: its views, and epochs that caches have seen, are not of this one.
        restored.execute("UPDATE meta SET database = lower(hex(randomblob(16)))", [])?;
        restored.execute("UPDATE corpora SET epoch = epoch + ?1", [RESTORE_EPOCHS])?;
        restored.execute("UPDATE former_epochs SET epoch = epoch + ?1", [RESTORE_EPOCHS]).map(drop)
    })
    .and_then(|()| remove_views(data_dir))
    .and_then(|()| take_the_place(&fresh, &to));
    done.inspect_err(|_| discard(&fresh))
}

/// Copies a whole database in one read transaction, so that a busy writer cannot make it begin again.
fn write_copy(
    source: &Connection,
    to: &Path,
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), CorpusError> {
    discard(to);
    private_file(to).map_err(|error| CorpusError::io(to, &error, DATABASE_ADVICE))?;
    let copy = || {
        let mut target = Connection::open(to)?;
        copy_pages(&Backup::new(source, &mut target)?)?;
        // One file, with nothing beside it.
        target.pragma_update(None, "journal_mode", "DELETE")?;
        finish(&target)?;
        target.close().map_err(|(_, error)| error)
    };
    copy().map_err(|error: rusqlite::Error| CorpusError::database(to, &error))?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| CorpusError::io(to, &error, DATABASE_ADVICE))
}

/// All pages in one step: a step begins again when the database has changed since the step before.
fn copy_pages(backup: &Backup<'_, '_>) -> rusqlite::Result<()> {
    for _ in 0..TRIES {
        if backup.step(-1)? == StepResult::Done {
            return Ok(());
        }
        // Another process is just opening the database or folding its log.
        std::thread::sleep(BETWEEN_TRIES);
    }
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
}

/// Whether the backup is a whole database of ours, which this program can serve.
fn check(source: &Connection, file: &Path) -> Result<(), CorpusError> {
    let found: Result<String, _> = source
        .query_row("SELECT database FROM meta", [], |_| Ok(()))
        .and_then(|()| source.pragma_query_value(None, "integrity_check", |row| row.get(0)));
    match found {
        Ok(verdict) if verdict == "ok" => schema::version(source, file).map(drop),
        Ok(verdict) => Err(refused(file, &format!("it is damaged: {verdict}"), BACKUP_ADVICE)),
        Err(error) => Err(refused(file, &format!("it is no backup of perigee: {error}"), BACKUP_ADVICE)),
    }
}

/// Puts `fresh` in the place of a database. The old one's write-ahead log must be gone before, as it would be applied to
/// the new one: it is folded into the old one, or, where that is damaged, set aside and put back if anything fails.
pub(super) fn take_the_place(fresh: &Path, to: &Path) -> Result<(), CorpusError> {
    let log = with_suffix(to, "-wal");
    let aside = beside(&log, "replaced");
    let set_aside = to.exists() && fold_log(to).is_err() && log.exists();
    if set_aside {
        std::fs::rename(&log, &aside).map_err(|error| CorpusError::io(&log, &error, DATABASE_ADVICE))?;
    }
    // An index of the log; whoever opens a database makes it anew.
    discard(&with_suffix(to, "-shm"));
    let placed = put_in_place(fresh, to);
    if set_aside && placed.is_ok() {
        discard(&aside);
    } else if set_aside && let Err(error) = std::fs::rename(&aside, &log) {
        tracing::error!(%error, file = %aside.display(), "what belongs to the old database stays here");
    }
    placed
}

fn fold_log(database: &Path) -> rusqlite::Result<()> {
    let old = Connection::open(database)?;
    old.pragma_update(None, "journal_mode", "DELETE")?;
    old.close().map_err(|(_, error)| error)
}

fn remove_views(data_dir: &Path) -> Result<(), CorpusError> {
    let views = data_dir.join(VIEWS_DIR);
    match std::fs::remove_dir_all(&views) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CorpusError::io(&views, &error, VIEW_ADVICE))
        }
        _ => Ok(()),
    }
}

fn put_in_place(fresh: &Path, to: &Path) -> Result<(), CorpusError> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::rename(fresh, to)
        .and_then(|()| sync_dir(parent))
        .map_err(|error| CorpusError::io(to, &error, DATABASE_ADVICE))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    with_suffix(file, &format!(".{suffix}"))
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file that may not be there; one that stays is written over the next time.
fn discard(file: &Path) {
    let _ = std::fs::remove_file(file);
}

fn refused(file: &Path, reason: &str, advice: &'static str) -> CorpusError {
    CorpusError::Storage { file: file.to_path_buf(), reason: reason.to_owned(), advice }
}
