//! Refusals on their way to the wire.
//!
//! Whatever fails becomes a [`Refused`]; it travels as a response with its problem beside it, and one layer
//! writes the body in the shape of the route's API and logs the cause. No handler knows either shape.

use std::error::Error;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use perigee_shared::document::InvalidDocument;
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::question::InvalidQuestion;
use perigee_shared::search::InvalidSearch;

use crate::answer::AnswerError;
use crate::corpus::CorpusError;
use crate::embed::EmbedError;
use crate::extract::ExtractError;

/// A request that is not served, and why.
#[derive(Debug, Clone)]
pub struct Refused {
    pub problem: Problem,
    /// For the log only.
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Refused {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Problem::new(kind, detail).into()
    }

    /// Keeps what lies behind, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// The problem for a result line, its cause logged.
    pub fn into_problem(self) -> Problem {
        self.log();
        self.problem
    }

    fn log(&self) {
        let Self { problem, cause } = self;
        let cause = cause.as_deref().map(chain);
        let (code, detail) = (problem.kind.code(), problem.detail.as_str());
        match problem.kind {
            ProblemKind::Internal | ProblemKind::StorageFull => {
                tracing::error!(code, detail, cause, "failed")
            }
            ProblemKind::UpstreamFailed => tracing::warn!(code, detail, cause, "failed"),
            _ if cause.is_some() => tracing::info!(code, detail, cause, "refused"),
            _ => tracing::debug!(code, detail, "refused"),
        }
    }
}

/// An error and all that caused it, in one line.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, cause: None }
    }
}

impl From<InvalidQuestion> for Refused {
    fn from(error: InvalidQuestion) -> Self {
        Problem::from(error).into()
    }
}

impl From<InvalidSearch> for Refused {
    fn from(error: InvalidSearch) -> Self {
        Self::new(ProblemKind::InvalidRequest, error.to_string())
    }
}

impl From<InvalidDocument> for Refused {
    fn from(error: InvalidDocument) -> Self {
        let kind = match error {
            InvalidDocument::BinaryFormat(_) => ProblemKind::UnsupportedMediaType,
            InvalidDocument::Title
            | InvalidDocument::Url
            | InvalidDocument::Metadata
            | InvalidDocument::Audience
            | InvalidDocument::Empty => ProblemKind::InvalidRequest,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<CorpusError> for Refused {
    fn from(error: CorpusError) -> Self {
        use ProblemKind as Kind;
        let (kind, detail) = match &error {
            CorpusError::NotFound => return super::opened::corpus_not_found(),
            CorpusError::Document(invalid) => return invalid.clone().into(),
            CorpusError::Embed(error) => return error.clone().into(),
            CorpusError::Exists | CorpusError::TooMany => (Kind::CorpusExists, error.to_string()),
            CorpusError::DocumentNotFound => (Kind::DocumentNotFound, error.to_string()),
            CorpusError::DocumentProtected => (Kind::DocumentProtected, error.to_string()),
            CorpusError::PageSize => (Kind::InvalidRequest, error.to_string()),
            CorpusError::Unreadable(ExtractError::Busy) => (Kind::Overloaded, ExtractError::Busy.to_string()),
            CorpusError::Unreadable(reason) => (Kind::UnreadableDocument, reason.to_string()),
            CorpusError::Unsplittable(reason) => (Kind::UnreadableDocument, reason.to_string()),
            CorpusError::StorageFull { .. } => (Kind::StorageFull, "there is no room to write".to_owned()),
            CorpusError::Storage { .. } => (Kind::Internal, "the storage failed".to_owned()),
            CorpusError::Shut => {
                (Kind::NotReady, "the corpus could not be opened; the server's log says why".to_owned())
            }
            CorpusError::Closed => (Kind::NotReady, "the server is shutting down".to_owned()),
        };
        Self::new(kind, detail).because(error)
    }
}

impl From<EmbedError> for Refused {
    fn from(error: EmbedError) -> Self {
        let (kind, detail) = match &error {
            EmbedError::Busy => (ProblemKind::Overloaded, "too many texts wait to be embedded"),
            EmbedError::Stopped => (ProblemKind::NotReady, "the server is shutting down"),
            EmbedError::ModelFile { .. } | EmbedError::Runtime { .. } | EmbedError::Failed(_) => {
                (ProblemKind::Internal, "a text could not be embedded")
            }
        };
        Self::new(kind, detail).because(error)
    }
}

impl From<AnswerError> for Refused {
    fn from(error: AnswerError) -> Self {
        let kind = match &error {
            AnswerError::Corpus(error) => return error.clone().into(),
            AnswerError::Embed(error) => return error.clone().into(),
            AnswerError::NotCached => ProblemKind::NotCached,
            AnswerError::Deadline => ProblemKind::DeadlineExceeded,
            AnswerError::Shed => ProblemKind::Overloaded,
            AnswerError::Upstream(_) => ProblemKind::UpstreamFailed,
            AnswerError::Interrupted => ProblemKind::Internal,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = status(&self.problem).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Writes every refusal's body in the shape of the route's API.
pub(super) async fn write_refusals(request: Request, next: Next) -> Response {
    let shape = Shape::of(request.uri().path());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refused>() {
        Some(refused) => {
            refused.log();
            shape.write(&refused.problem, response)
        }
        None => response,
    }
}

/// The shape of a route's errors.
#[derive(Debug, Clone, Copy)]
enum Shape {
    OpenAi,
    Problem,
}

impl Shape {
    fn of(path: &str) -> Self {
        let openai = path == "/v1/models" || path.starts_with("/v1/models/") || path.starts_with("/v1/chat/");
        if openai { Self::OpenAi } else { Self::Problem }
    }

    /// Keeps the headers that were set beside the refusal, such as `Allow`.
    fn write(self, problem: &Problem, refusal: Response) -> Response {
        let (media_type, body) = match self {
            Self::OpenAi => ("application/json", problem.to_openai_json()),
            Self::Problem => ("application/problem+json", problem.to_problem_json()),
        };
        let (mut parts, _) = refusal.into_parts();
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(seconds) = problem.retry_after() {
            parts.headers.insert(RETRY_AFTER, seconds.into());
        }
        (parts, body).into_response()
    }
}

pub(super) async fn route_not_found() -> Refused {
    Refused::new(ProblemKind::RouteNotFound, "no route of this path exists")
}

/// `Allow` is added by the router.
pub(super) async fn method_not_allowed(method: Method) -> Refused {
    Refused::new(ProblemKind::MethodNotAllowed, format!("{method} is not among the methods in Allow"))
}

/// What a handler's panic becomes. The panic itself was logged when it happened.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Refused::new(ProblemKind::Internal, "the request met a defect; it has been logged").into_response()
}
