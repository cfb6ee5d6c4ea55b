//! Why there is no answer. Knows no HTTP, and shows nothing of the upstream's own words.

use crate::corpus::CorpusError;
use crate::embed::EmbedError;

/// Why a question was not answered. Cloneable, because one failed generation answers all who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AnswerError {
    /// Only a cached answer was wanted, and there is none whose evidence stands.
    #[error("no answer to this question is cached")]
    NotCached,
    /// The caller's deadline passed before the answer began.
    #[error("the answer did not begin before the deadline")]
    Deadline,
    /// Too many generations wait for the upstream.
    #[error("too many answers are being generated")]
    Shed,
    /// The passages could not be retrieved.
    #[error("retrieval failed")]
    Corpus(#[from] CorpusError),
    /// A text could not be embedded.
    #[error("a text could not be embedded")]
    Embed(#[source] EmbedError),
    /// The upstream failed.
    #[error("the model server failed")]
    Upstream(#[source] UpstreamError),
    /// The generation ended without a word: a bug of ours, or the process is stopping.
    #[error("the generation was interrupted")]
    Interrupted,
}

/// What an upstream did wrong, in words of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No connection within the connect timeout, or none at all.
    #[error("it could not be reached")]
    Unreachable,
    /// It answered with a status other than 200.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It sent no text in time.
    #[error("it sent no text within the first-token timeout")]
    FirstTokenTimeout,
    /// It did not finish in time.
    #[error("it did not finish within the whole timeout")]
    WholeTimeout,
    /// The connection ended before the answer did.
    #[error("it hung up before the answer was finished")]
    HungUp,
    /// It reported an error within the stream.
    #[error("it reported an error while answering")]
    Reported,
    /// It sent what is no chat completion stream.
    #[error("it sent what cannot be read")]
    Unreadable,
    /// It sent more than an answer may hold.
    #[error("it sent more than an answer may hold")]
    TooLong,
    /// It finished without a word.
    #[error("it sent an empty answer")]
    Empty,
}

impl UpstreamError {
    /// A label for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Status(_) => "status",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::WholeTimeout => "whole_timeout",
            Self::HungUp => "hung_up",
            Self::Reported => "reported",
            Self::Unreadable => "unreadable",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
        }
    }
}
