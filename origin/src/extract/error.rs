//! What can be wrong with a file, in plain words and without paths: clients see these.

use std::borrow::Cow;

use perigee_shared::limits::DOCUMENT_CHARS_MAX;
use serde::{Deserialize, Serialize};

/// Why a file cannot become a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ExtractError {
    /// Nothing to index.
    #[error("there is no text in the file to index")]
    Empty,
    /// A text format whose bytes are not text.
    #[error("the file is not UTF-8 text (byte {at} is invalid); save it as UTF-8")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// UTF-16 with a byte order mark, but broken.
    #[error("the file begins like UTF-16 text but is not valid; save it as UTF-8")]
    NotUtf16,
    /// NUL bytes: a binary file, or UTF-16 without a byte order mark.
    #[error("the file contains NUL bytes, so it is not a text file; if it is UTF-16, save it as UTF-8")]
    Binary,
    /// More text than a document may have.
    #[error("the text is longer than {DOCUMENT_CHARS_MAX} characters; split it into several documents")]
    TooLong,
    /// A part of the file is larger than is read.
    #[error("the file has more than {max} {what}; it is not read")]
    TooMuch {
        /// What there is too much of.
        what: Cow<'static, str>,
        /// How much is read.
        max: u64,
    },
    /// Nested deeper than any document written by people.
    #[error("the {what} are nested more than {max} deep")]
    TooDeep {
        /// What is nested.
        what: Cow<'static, str>,
        /// How deep they may be.
        max: usize,
    },
    /// Needs a password.
    #[error("the file is encrypted or protected with a password; upload an unprotected copy")]
    Encrypted,
    /// Not what its format says.
    #[error("the file is not a readable {format} file: {reason}")]
    Broken {
        /// The format's name.
        format: Cow<'static, str>,
        /// What the parser met.
        reason: String,
    },
    /// Reading took too long.
    #[error("reading the {format} file took longer than {seconds} seconds")]
    TimedOut {
        /// The format's name.
        format: Cow<'static, str>,
        /// The time limit.
        seconds: u64,
    },
    /// Reading took too much memory.
    #[error(
        "reading the {format} file takes more than {bytes} bytes of memory; split it into several documents"
    )]
    TooLarge {
        /// The format's name.
        format: Cow<'static, str>,
        /// The limit.
        bytes: u64,
    },
    /// Too many files are being read. The file may be fine: try again.
    #[error("too many files are being read at the moment; try again later")]
    Busy,
}

impl ExtractError {
    pub(super) fn broken(format: &'static str, reason: impl std::fmt::Display) -> Self {
        // Parsers quote input in their messages; a client needs the beginning.
        Self::Broken { format: format.into(), reason: reason.to_string().chars().take(200).collect() }
    }

    pub(super) fn too_much(what: &'static str, max: u64) -> Self {
        Self::TooMuch { what: what.into(), max }
    }

    pub(super) fn too_deep(what: &'static str, max: usize) -> Self {
        Self::TooDeep { what: what.into(), max }
    }
}
