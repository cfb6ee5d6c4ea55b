//! Documents as callers send and read them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{CorpusName, DocumentId, Epoch, Label};
use crate::limits::{
    LABELS_MAX, METADATA_BYTES_MAX, METADATA_KEY_BYTES_MAX, METADATA_KEYS_MAX, TITLE_CHARS_MAX, URL_BYTES_MAX,
};
use crate::tolerance::Tolerance;

/// What a document's content is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Markdown,
    Text,
    Html,
    Pdf,
    Docx,
    Csv,
    Json,
}

impl Format {
    /// The format's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// Whether the content is text, and so can be sent inside JSON as it is.
    #[must_use]
    pub const fn is_text(self) -> bool {
        match self {
            Self::Markdown | Self::Text | Self::Html | Self::Csv | Self::Json => true,
            Self::Pdf | Self::Docx => false,
        }
    }
}

/// `PUT documents/{id}`: the body. Unknown fields are refused, so that a misspelt one is not lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PutDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where a reader finds the document; shown in citations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// One of the text formats; PDF and DOCX come as files.
    #[serde(default)]
    pub format: Format,
    pub content: String,
    /// Flat or nested values that a search can filter on: strings, numbers, booleans, arrays of them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
    /// Access labels. None: everyone in the tenant who may ask this corpus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Label>,
}

/// One line of `POST documents:batch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(from = "BatchLineFields")]
pub struct BatchLine {
    pub id: DocumentId,
    #[serde(flatten)]
    pub document: PutDocument,
}

/// A batch line as it is read: flattening would let unknown fields through, a misspelt `audience` among them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchLineFields {
    id: DocumentId,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    format: Format,
    content: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default)]
    audience: Vec<Label>,
}

impl From<BatchLineFields> for BatchLine {
    fn from(fields: BatchLineFields) -> Self {
        let BatchLineFields { id, title, url, format, content, metadata, audience } = fields;
        Self { id, document: PutDocument { title, url, format, content, metadata, audience } }
    }
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Created,
    Updated,
    /// The same content was there already; nothing was embedded and no epoch was spent.
    Unchanged,
    Deleted,
}

/// A write's answer. Once it is given, the change is on disk and searches at `epoch` see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Written {
    pub id: DocumentId,
    pub outcome: Outcome,
    pub epoch: Epoch,
    /// Passages that the document has now.
    pub passages: usize,
}

/// One result line of a batch or of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum WriteResult {
    Written(Written),
    Refused {
        /// The file's name or the line's id, as far as it could be read.
        name: String,
        #[cfg_attr(feature = "openapi", schema(value_type = crate::problem::ProblemDetails))]
        error: crate::problem::Problem,
    },
}

/// A document without its text, as listings show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentSummary {
    pub id: DocumentId,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub format: Format,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Map<String, Value>,
    pub audience: Vec<Label>,
    /// The change that wrote this version.
    pub epoch: Epoch,
    pub passages: usize,
    /// Characters (Unicode scalar values) of the canonical text.
    pub chars: usize,
    /// RFC 3339.
    pub updated_at: String,
}

/// `GET documents/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Document {
    #[serde(flatten)]
    pub summary: DocumentSummary,
    /// The canonical text that citations' offsets point into.
    pub text: String,
}

/// `GET documents`: one page, in id order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentPage {
    pub data: Vec<DocumentSummary>,
    /// Give it back as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    pub epoch: Epoch,
}

/// `POST /v1/corpora`: the body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateCorpus {
    pub name: CorpusName,
    /// The share of requests, 0 to 0.05, that reuse across wordings may answer wrongly. Absent: the server's own; 0:
    /// no reuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_tolerance: Option<Tolerance>,
}

/// `PATCH /v1/corpora/{corpus}`: the body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeCorpus {
    /// As when it was created; `null`: the server's own.
    // Named, so that a body without it is refused and not taken for `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub reuse_tolerance: Option<Tolerance>,
}

/// A corpus as callers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CorpusSummary {
    pub name: CorpusName,
    pub epoch: Epoch,
    pub documents: u64,
    pub passages: u64,
    /// RFC 3339.
    pub created_at: String,
    /// The share of requests that reuse across wordings may answer wrongly; absent where the server's own rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_tolerance: Option<Tolerance>,
}

/// Why a document is refused before its content is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    #[error("the title is longer than {TITLE_CHARS_MAX} characters")]
    Title,
    #[error("the url must be an http(s) URL of at most {URL_BYTES_MAX} bytes")]
    Url,
    #[error(
        "metadata must be at most {METADATA_KEYS_MAX} keys of 1 to {METADATA_KEY_BYTES_MAX} bytes, {METADATA_BYTES_MAX} bytes in all"
    )]
    Metadata,
    #[error("a document may carry at most {LABELS_MAX} audience labels")]
    Audience,
    #[error("the content is empty")]
    Empty,
    #[error("{} content cannot be sent inside JSON; upload it as a file", .0.name())]
    BinaryFormat(Format),
}

impl PutDocument {
    /// Checks everything that can be told without reading the content.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(&self) -> Result<(), InvalidDocument> {
        if !self.format.is_text() {
            return Err(InvalidDocument::BinaryFormat(self.format));
        }
        if self.content.trim().is_empty() {
            return Err(InvalidDocument::Empty);
        }
        check_attributes(self.title.as_deref(), self.url.as_deref(), &self.metadata, &self.audience)
    }
}

/// Checks what describes a document, whichever way it came.
///
/// # Errors
/// The first attribute that is out of bounds.
pub fn check_attributes(
    title: Option<&str>,
    url: Option<&str>,
    metadata: &Map<String, Value>,
    audience: &[Label],
) -> Result<(), InvalidDocument> {
    if title.is_some_and(|t| t.chars().count() > TITLE_CHARS_MAX) {
        return Err(InvalidDocument::Title);
    }
    if url.is_some_and(|u| {
        u.len() > URL_BYTES_MAX
            || !(u.starts_with("https://") || u.starts_with("http://"))
            || u.chars().any(|c| c.is_control() || c.is_whitespace())
    }) {
        return Err(InvalidDocument::Url);
    }
    let keys_fit = metadata.len() <= METADATA_KEYS_MAX
        && metadata.keys().all(|k| !k.is_empty() && k.len() <= METADATA_KEY_BYTES_MAX);
    let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |b| b.len());
    if !keys_fit || bytes > METADATA_BYTES_MAX {
        return Err(InvalidDocument::Metadata);
    }
    if audience.len() > LABELS_MAX {
        return Err(InvalidDocument::Audience);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_changed_by_what_is_named_and_by_nothing_else() {
        let read =
            |text| serde_json::from_str::<ChangeCorpus>(text).ok().map(|change| change.reuse_tolerance);
        assert_eq!(read(r#"{"reuse_tolerance": 0.002}"#), Some(Tolerance::new(0.002).ok()));
        assert_eq!(read(r#"{"reuse_tolerance": null}"#), Some(None));
        for refused in [
            "{}",
            "null",
            r#"{"reuse_tolerance": 0.06}"#,
            r#"{"reuse_tolerance": "0.01"}"#,
            r#"{"name": "docs"}"#,
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_misspelt_field_of_a_batch_line_is_refused_and_not_lost() {
        let line = r#"{"id": "a", "content": "x", "audience": ["staff"]}"#;
        let read: BatchLine = serde_json::from_str(line).unwrap();
        assert_eq!(read.document.audience.len(), 1);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<BatchLine>(&written).unwrap(), read);
        assert!(serde_json::from_str::<BatchLine>(&line.replace("audience", "audiance")).is_err());
    }
}
