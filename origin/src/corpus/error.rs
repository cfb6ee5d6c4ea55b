//! Why a corpus cannot do what it is asked. Knows no HTTP; never names the reader's document to another.

use std::path::{Path, PathBuf};

use perigee_shared::document::InvalidDocument;
use perigee_shared::limits::{CORPORA_PER_TENANT_MAX, PAGE_MAX};

use crate::embed::EmbedError;
use crate::extract::ExtractError;
use crate::split::SplitError;

/// What can go wrong with a corpus. Cloned to everyone whose change was in the same commit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CorpusError {
    #[error("there is no such corpus")]
    NotFound,
    #[error("a corpus of this name exists already")]
    Exists,
    #[error("a tenant may have at most {CORPORA_PER_TENANT_MAX} corpora")]
    TooMany,
    #[error("there is no such document")]
    DocumentNotFound,
    /// Told only to who would have written over it.
    #[error("there is a document of this id that the caller may not read")]
    DocumentProtected,
    #[error("the document is refused")]
    Document(#[from] InvalidDocument),
    #[error("the document cannot be read")]
    Unreadable(#[from] ExtractError),
    #[error("the document cannot be split")]
    Unsplittable(#[from] SplitError),
    #[error("a page holds 1 to {PAGE_MAX} documents")]
    PageSize,
    #[error("embedding failed")]
    Embed(#[from] EmbedError),
    /// Nothing that was acknowledged is lost, and writing goes on once there is room.
    #[error("no room to write {}; free space on its file system, then write again", file.display())]
    StorageFull { file: PathBuf },
    #[error("cannot use {}: {reason}; {advice}", file.display())]
    Storage { file: PathBuf, reason: String, advice: &'static str },
    /// It could not be opened at start; the log says why.
    #[error("the corpus could not be opened")]
    Shut,
    /// The process is shutting down.
    #[error("the corpus is closed")]
    Closed,
}

/// What to do about a database that cannot be used.
pub(crate) const DATABASE_ADVICE: &str =
    "check the disk and the file's permissions; `perigee restore` brings a backup back";

/// What to do about a view that cannot be used.
pub(crate) const VIEW_ADVICE: &str =
    "stop the server and delete the file or its folder: it is rebuilt from perigee.db, nothing is lost";

impl CorpusError {
    /// A failure of SQLite on the database `file`.
    pub(crate) fn database(file: &Path, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::StorageFull { file: file.to_path_buf() },
            _ => {
                Self::Storage { file: file.to_path_buf(), reason: error.to_string(), advice: DATABASE_ADVICE }
            }
        }
    }

    /// A failure of the file system on `file`.
    pub(crate) fn io(file: &Path, error: &std::io::Error, advice: &'static str) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::StorageFull { file: file.to_path_buf() };
        }
        Self::Storage { file: file.to_path_buf(), reason: error.to_string(), advice }
    }

    /// A failure of tantivy on the index in `folder`.
    pub(crate) fn lexical(folder: &Path, error: &tantivy::TantivyError) -> Self {
        // tantivy wraps io::Error in several layers, and some of them keep it only as text.
        let text = error.to_string();
        let told = text.contains("No space left") || text.contains("StorageFull");
        // Of a writer that died in its own thread it keeps nothing at all: ask the disk.
        if told || (matches!(error, tantivy::TantivyError::ErrorInThread(_)) && is_full(folder)) {
            return Self::StorageFull { file: folder.to_path_buf() };
        }
        Self::Storage { file: folder.to_path_buf(), reason: text, advice: VIEW_ADVICE }
    }

    /// A failure of usearch on `file`.
    pub(crate) fn vectors(file: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Storage { file: file.to_path_buf(), reason: reason.to_string(), advice: VIEW_ADVICE }
    }

    /// A value in the database that this version does not understand.
    pub(crate) fn damaged(file: &Path, what: impl std::fmt::Display) -> Self {
        Self::Storage { file: file.to_path_buf(), reason: what.to_string(), advice: DATABASE_ADVICE }
    }

    /// Whether the same request may succeed later without anybody doing anything about it.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Embed(EmbedError::Busy))
    }
}

/// Whether the disk that `folder` is on has no room for as much as one small segment of an index.
fn is_full(folder: &Path) -> bool {
    const SEGMENT_BYTES: usize = 1 << 20;
    let probe = folder.join("room.probe");
    let written = std::fs::write(&probe, vec![0; SEGMENT_BYTES]);
    // It is there for a moment only; should it stay, the next probe writes over it.
    let _ = std::fs::remove_file(&probe);
    written.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
}
