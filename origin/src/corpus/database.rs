//! The SQLite database: one writer, a few readers, and the lock that keeps a second server out.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::error::{CorpusError, DATABASE_ADVICE};
use super::schema;

/// The database's name in the data directory.
pub(crate) const DATABASE_FILE: &str = "perigee.db";

/// The views' folder in the data directory.
pub(crate) const VIEWS_DIR: &str = "views";

const LOCK_FILE: &str = "perigee.lock";

/// Read connections kept open. More searches than that at one time open their own and close it again.
const READERS_KEPT: usize = 8;

/// Milliseconds that a statement waits for another process, such as a backup that is just beginning.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Bytes of page cache of the writer and of each reader.
const WRITER_CACHE_KIB: i64 = 16 << 10;
const READER_CACHE_KIB: i64 = 4 << 10;

/// The open database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Released when the last user of the database is gone, not before.
    _lock: DataLock,
}

/// Holds the data directory for one process.
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Creates the data directory if need be and locks it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, CorpusError> {
        let io = |file: &Path, error: &std::io::Error| {
            CorpusError::io(file, error, "check that the data directory exists and may be written")
        };
        create_private_dir(data_dir).map_err(|error| io(data_dir, &error))?;
        let path = data_dir.join(LOCK_FILE);
        let file = private_file(&path).map_err(|error| io(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(CorpusError::Storage {
                file: data_dir.to_path_buf(),
                reason: "another process serves this data directory".to_owned(),
                advice: "stop it, or choose another data_dir",
            }),
            Err(TryLockError::Error(error)) => Err(io(&path, &error)),
        }
    }
}

impl Database {
    /// Opens or creates the database and brings its tables up to date.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, CorpusError> {
        let lock = DataLock::take(data_dir)?;
        let file = data_dir.join(DATABASE_FILE);
        // Made here, so that nobody else may read it; SQLite gives its -wal and -shm the same permissions.
        private_file(&file).map_err(|error| CorpusError::io(&file, &error, DATABASE_ADVICE))?;
        let writer = open_writer(&file).map_err(|error| CorpusError::database(&file, &error))?;
        schema::migrate(&writer, &file)?;
        let shared = Shared { file, writer: Mutex::new(writer), readers: Mutex::default(), _lock: lock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The error that a failed statement means.
    pub(crate) fn error(&self, error: &rusqlite::Error) -> CorpusError {
        CorpusError::database(&self.shared.file, error)
    }

    /// Runs `work` in one transaction of the only writer; all of it is on disk afterwards, or none. Blocking.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, CorpusError>,
    ) -> Result<T, CorpusError> {
        let mut writer = self.writer();
        let transaction = writer
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|error| self.error(&error))?;
        // Dropped without commit, it rolls back.
        let done = work(&transaction)?;
        transaction.commit().map_err(|error| self.error(&error))?;
        Ok(done)
    }

    /// Runs `work` on a read connection. Blocking.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CorpusError> {
        let snapshot = self.snapshot()?;
        work(snapshot.connection()?).map_err(|error| self.error(&error))
    }

    /// Begins a read transaction: all that is read through it is of this moment. Blocking.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, CorpusError> {
        let kept = self.readers().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open_reader(&self.shared.file).map_err(|error| self.error(&error))?,
        };
        // Beginning alone takes no snapshot; the first read does.
        connection
            .execute_batch("BEGIN")
            .and_then(|()| connection.query_row("SELECT 1 FROM meta LIMIT 1", [], |_| Ok(())))
            .map_err(|error| self.error(&error))?;
        Ok(Snapshot { database: self.clone(), connection: Some(connection) })
    }

    /// Lets the database grow by so many pages and no more, as a full disk would.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, more: Option<u32>) {
        let writer = self.writer();
        let pages: u32 = writer.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let most = more.map_or(1 << 30, |more| pages + more);
        writer.pragma_update_and_check(None, "max_page_count", most, |_| Ok(())).unwrap();
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back: the connection is sound.
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read transaction; its connection goes back to the pool when it ends.
pub(crate) struct Snapshot {
    database: Database,
    connection: Option<Connection>,
}

impl Snapshot {
    /// The connection to read through.
    pub(crate) fn connection(&self) -> Result<&Connection, CorpusError> {
        self.connection.as_ref().ok_or(CorpusError::Closed)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.execute_batch("COMMIT").is_ok()
        {
            let mut readers = self.database.readers();
            if readers.len() < READERS_KEPT {
                readers.push(connection);
            }
        }
    }
}

fn open_writer(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    // Before the first table, and without effect on a database that has some. A passage with its vector is
    // about 1.5 kB: eight kilobytes hold five of them.
    connection.pragma_update(None, "page_size", 8192)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Acknowledged means on disk: the log is synced at each commit, not at each checkpoint.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // Bounds the log file that a large transaction leaves behind.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A connection that can only read.
pub(crate) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Creates a directory that only its owner may enter; one that is there keeps its permissions.
pub(crate) fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens a file for writing that only its owner may read, creating it empty if it is not there.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a rename or a creation inside `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
