//! `POST /v1/corpora/{corpus}/search`: what is asked and what comes back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::{Filter, InvalidFilter};
use crate::id::{ContentHash, DocumentId, Epoch, Similarity};
use crate::limits::{QUERY_CHARS_MAX, SEARCH_RESULTS_MAX};

/// The body of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    pub query: String,
    /// Results wanted, 1 to 100.
    #[serde(default = "default_k")]
    pub k: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Filter>))]
    pub filter: Option<Value>,
    #[serde(default)]
    pub mode: SearchMode,
}

fn default_k() -> usize {
    10
}

/// Which ranking is asked for; hybrid fuses the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    #[default]
    Hybrid,
    Vector,
    Lexical,
}

/// A search that passed its checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    pub query: String,
    pub k: usize,
    pub filter: Option<Filter>,
    pub mode: SearchMode,
}

/// Why a search is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSearch {
    #[error("the query is empty")]
    Empty,
    #[error("the query is longer than {QUERY_CHARS_MAX} characters")]
    TooLong,
    #[error("k must be 1 to {SEARCH_RESULTS_MAX}")]
    K,
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
}

impl TryFrom<SearchRequest> for Search {
    type Error = InvalidSearch;

    fn try_from(request: SearchRequest) -> Result<Self, InvalidSearch> {
        let SearchRequest { query, k, filter, mode } = request;
        let query = query.trim();
        if query.is_empty() {
            return Err(InvalidSearch::Empty);
        }
        if query.chars().count() > QUERY_CHARS_MAX {
            return Err(InvalidSearch::TooLong);
        }
        if !(1..=SEARCH_RESULTS_MAX).contains(&k) {
            return Err(InvalidSearch::K);
        }
        let filter = filter.as_ref().map(Filter::parse).transpose()?;
        Ok(Self { query: query.to_owned(), k, filter, mode })
    }
}

/// The answer to a search: best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchResponse {
    pub data: Vec<SearchResult>,
    /// The epoch at which the search was made.
    pub epoch: Epoch,
}

/// One passage found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchResult {
    pub document_id: DocumentId,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headings above the passage, outermost first.
    pub headings: Vec<String>,
    pub text: String,
    /// Offsets in characters (Unicode scalar values) into the document's text; `end` is exclusive.
    pub start: usize,
    pub end: usize,
    /// SHA-256 of the passage's text.
    pub hash: ContentHash,
    /// The fused score, in [0, 1]; comparable within one response only.
    pub score: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorRank>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lexical: Option<LexicalRank>,
}

/// The passage's place among the nearest vectors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VectorRank {
    /// From 1.
    pub rank: usize,
    pub similarity: Similarity,
}

/// The passage's place by BM25.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LexicalRank {
    /// From 1.
    pub rank: usize,
    /// BM25, unbounded, at least 0.
    pub score: f32,
}
