//! The schemas of what has no type of its own elsewhere: wire forms that are written or read in pieces.
#![expect(dead_code, reason = "only their schemas are used")]

use utoipa::ToSchema;

use crate::document::{CorpusSummary, WriteResult};
use crate::id::{CorpusName, DocumentId, Epoch};

/// The whole answer.
#[derive(ToSchema)]
pub(super) struct ChatCompletion {
    /// The same for every rendering of one answer.
    id: String,
    #[schema(pattern = "^chat\\.completion$")]
    object: String,
    /// Unix seconds.
    created: u64,
    /// The corpus.
    model: CorpusName,
    /// Exactly one.
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(ToSchema)]
struct Choice {
    index: u32,
    message: AnswerMessage,
    finish_reason: FinishReason,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum FinishReason {
    Stop,
    Length,
    ContentFilter,
}

#[derive(ToSchema)]
struct AnswerMessage {
    #[schema(pattern = "^assistant$")]
    role: String,
    /// Its `[n]` marks are explained by the annotations.
    content: String,
    annotations: Vec<Annotation>,
}

/// One mark of the text and what it points to. All offsets count characters (Unicode scalar values).
#[derive(ToSchema)]
struct Annotation {
    #[schema(pattern = "^url_citation$")]
    r#type: String,
    url_citation: UrlCitation,
    /// The number inside the mark.
    mark: u32,
    document_id: DocumentId,
    /// Where the quote stands in the document's text.
    start: u64,
    end: u64,
    quote: String,
}

#[derive(ToSchema)]
struct UrlCitation {
    /// Where the mark stands in the answer's text.
    start_index: u64,
    end_index: u64,
    title: String,
    /// The document's own, or its path here.
    url: String,
}

#[derive(ToSchema)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

/// Server-sent events: `data:` with a `Chunk` each, at last `data: [DONE]`. The last chunk with a choice carries the
/// annotations.
#[derive(ToSchema)]
pub(super) struct EventStream(String);

/// One event of a stream.
#[derive(ToSchema)]
pub(super) struct Chunk {
    id: String,
    #[schema(pattern = "^chat\\.completion\\.chunk$")]
    object: String,
    /// Unix seconds.
    created: u64,
    model: CorpusName,
    /// One; none in the event that carries the usage.
    choices: Vec<ChunkChoice>,
    /// Only where `stream_options.include_usage` asked for it.
    usage: Option<Usage>,
}

#[derive(ToSchema)]
struct ChunkChoice {
    index: u32,
    delta: Delta,
    finish_reason: Option<FinishReason>,
}

#[derive(ToSchema)]
struct Delta {
    #[schema(required = false)]
    role: Option<String>,
    #[schema(required = false)]
    content: Option<String>,
    #[schema(required = false)]
    annotations: Option<Vec<Annotation>>,
}

/// Corpora as OpenAI's models.
#[derive(ToSchema)]
pub(super) struct ModelList {
    #[schema(pattern = "^list$")]
    object: String,
    data: Vec<Model>,
}

/// A corpus as OpenAI's model.
#[derive(ToSchema)]
pub(super) struct Model {
    id: CorpusName,
    #[schema(pattern = "^model$")]
    object: String,
    /// Unix seconds; 0 where this edge does not know.
    created: u64,
    owned_by: String,
}

#[derive(ToSchema)]
pub(super) struct CorpusList {
    data: Vec<CorpusSummary>,
}

/// Files, and fields that describe the files after them.
#[derive(ToSchema)]
pub(super) struct Upload {
    #[schema(format = Binary, value_type = Vec<String>)]
    file: Vec<u8>,
    /// Access labels, comma-separated.
    #[schema(required = false)]
    audience: Option<String>,
    /// A JSON object.
    #[schema(required = false)]
    metadata: Option<String>,
    /// Where a reader finds the files.
    #[schema(required = false)]
    url: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct Uploaded {
    data: Vec<WriteResult>,
    epoch: Epoch,
}

/// One JSON object on each line.
#[derive(ToSchema)]
pub(super) struct Batch(String);

#[derive(ToSchema)]
pub(super) struct Health {
    #[schema(pattern = "^ok$")]
    status: String,
    version: String,
}
