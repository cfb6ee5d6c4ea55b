//! The canonical answer. It travels everywhere; wire formats are renderings of it.

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::id::{CorpusName, DocumentId, Epoch};

/// The media type of an [`Answer`] between origin and edge.
pub const MEDIA_TYPE: &str = "application/vnd.perigee.answer+json";

/// A finished answer with all that is needed to render it and to decide about its reuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `chatcmpl-…`, made once; every rendering carries the same.
    pub id: String,
    /// Unix seconds at which it was generated.
    pub created_s: u64,
    pub corpus: CorpusName,
    pub text: String,
    pub citations: Vec<Citation>,
    pub evidence: Evidence,
    /// The latest epoch at which retrieval was seen to return `evidence`.
    pub epoch: Epoch,
    pub finish: Finish,
    pub usage: Usage,
    pub generator: Generator,
}

impl Answer {
    /// Whether it may be kept for another asker: finished, unfiltered, and not a refusal.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        self.finish == Finish::Stop
            && match self.generator {
                Generator::Extractive | Generator::Upstream => true,
                Generator::Substitute | Generator::Refusal => false,
            }
    }
}

/// Why the text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Stop,
    Length,
    ContentFilter,
}

impl Finish {
    /// OpenAI's `finish_reason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Who wrote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generator {
    /// Sentences of the documents themselves.
    Extractive,
    /// The upstream model.
    Upstream,
    /// Sentences of the documents, because the upstream failed: good for this asker, not worth keeping.
    Substitute,
    /// Nobody: the evidence was too weak, and the text says so.
    Refusal,
}

/// Tokens, as the generator counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
}

impl Usage {
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.completion_tokens)
    }
}

/// One `[n]` mark of the text and what it points to. All offsets count characters (Unicode scalar values).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The number inside the mark, from 1; the place of its passage in the evidence.
    pub mark: usize,
    /// Where the mark stands in the answer's text.
    pub mark_start: usize,
    pub mark_end: usize,
    pub document: DocumentId,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where the quote stands in the document's canonical text.
    pub start: usize,
    pub end: usize,
    pub quote: String,
}
