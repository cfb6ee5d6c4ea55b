//! Refusals: one closed list of kinds, rendered in the shape that the caller's API defines.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use crate::question::InvalidQuestion;

/// What went wrong, as far as a caller needs to tell cases apart. Its name in JSON is its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    InvalidRequest,
    #[serde(rename = "missing_api_key")]
    MissingKey,
    #[serde(rename = "invalid_api_key")]
    InvalidKey,
    MissingUserToken,
    InvalidUserToken,
    Unsigned,
    MissingScope,
    DocumentProtected,
    WrongWebOrigin,
    RouteNotFound,
    CorpusNotFound,
    DocumentNotFound,
    AnswerNotFound,
    KeyNotFound,
    MethodNotAllowed,
    RequestTimeout,
    CorpusExists,
    TooManyKeys,
    TooLarge,
    UnsupportedMediaType,
    UnreadableDocument,
    #[serde(rename = "rate_limit_exceeded")]
    RateLimited,
    BudgetSpent,
    Internal,
    UpstreamFailed,
    Overloaded,
    NotReady,
    EpochNotReached,
    NoOrigin,
    QuotaUnknown,
    UserKeysUnknown,
    NotCached,
    DeadlineExceeded,
    StorageFull,
}

impl ProblemKind {
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::MissingKey
            | Self::InvalidKey
            | Self::MissingUserToken
            | Self::InvalidUserToken
            | Self::Unsigned => 401,
            Self::BudgetSpent => 402,
            Self::MissingScope | Self::DocumentProtected | Self::WrongWebOrigin => 403,
            Self::RouteNotFound
            | Self::CorpusNotFound
            | Self::DocumentNotFound
            | Self::AnswerNotFound
            | Self::KeyNotFound => 404,
            Self::MethodNotAllowed => 405,
            // The client was too slow to send; when we are too slow to answer it is 504.
            Self::RequestTimeout => 408,
            Self::CorpusExists | Self::TooManyKeys => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::UnreadableDocument => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::UpstreamFailed => 502,
            Self::Overloaded
            | Self::NotReady
            | Self::EpochNotReached
            | Self::NoOrigin
            | Self::QuotaUnknown
            | Self::UserKeysUnknown => 503,
            Self::NotCached | Self::DeadlineExceeded => 504,
            Self::StorageFull => 507,
        }
    }

    /// Stable, for programs; also the last part of the problem's `type`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::MissingKey => "missing_api_key",
            Self::InvalidKey => "invalid_api_key",
            Self::MissingUserToken => "missing_user_token",
            Self::InvalidUserToken => "invalid_user_token",
            Self::Unsigned => "unsigned",
            Self::MissingScope => "missing_scope",
            Self::DocumentProtected => "document_protected",
            Self::WrongWebOrigin => "wrong_web_origin",
            Self::RouteNotFound => "route_not_found",
            Self::CorpusNotFound => "corpus_not_found",
            Self::DocumentNotFound => "document_not_found",
            Self::AnswerNotFound => "answer_not_found",
            Self::KeyNotFound => "key_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::CorpusExists => "corpus_exists",
            Self::TooManyKeys => "too_many_keys",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnreadableDocument => "unreadable_document",
            Self::RateLimited => "rate_limit_exceeded",
            Self::BudgetSpent => "budget_spent",
            Self::Internal => "internal",
            Self::UpstreamFailed => "upstream_failed",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not_ready",
            Self::EpochNotReached => "epoch_not_reached",
            Self::NoOrigin => "no_origin",
            Self::QuotaUnknown => "quota_unknown",
            Self::UserKeysUnknown => "user_keys_unknown",
            Self::NotCached => "not_cached",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::StorageFull => "storage_full",
        }
    }

    /// For people; the same for every problem of the kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::MissingKey => "No API key was given",
            Self::InvalidKey => "The API key is not valid",
            Self::MissingUserToken => "No user's token was given",
            Self::InvalidUserToken => "The user's token is not valid",
            Self::Unsigned => "The request is neither signed by an edge nor an operator's",
            Self::MissingScope => "The key may not do this",
            Self::DocumentProtected => "A document of this id is not for this key's audience",
            Self::WrongWebOrigin => "The key may not be used on this site",
            Self::RouteNotFound => "There is nothing at this address",
            Self::CorpusNotFound => "There is no such corpus for this key",
            Self::DocumentNotFound => "There is no such document for this key",
            Self::AnswerNotFound => "There is no such answer",
            Self::KeyNotFound => "There is no such key",
            Self::MethodNotAllowed => "This address does not take this method",
            Self::RequestTimeout => "The request did not arrive in time",
            Self::CorpusExists => "A corpus of this name exists",
            Self::TooManyKeys => "The tenant has as many keys as it may have",
            Self::TooLarge => "The request is too large",
            Self::UnsupportedMediaType => "The content's type is not supported",
            Self::UnreadableDocument => "The document cannot be read",
            Self::RateLimited => "The limit is reached",
            Self::BudgetSpent => "The budget is spent",
            Self::Internal => "Something broke on our side",
            Self::UpstreamFailed => "The model server failed",
            Self::Overloaded => "The server is busy",
            Self::NotReady => "The server is not ready",
            Self::EpochNotReached => "This change has not arrived here yet",
            Self::NoOrigin => "No origin can be reached",
            Self::QuotaUnknown => "What is left of the quota cannot be known",
            Self::UserKeysUnknown => "The keys of the users' issuer cannot be had",
            Self::NotCached => "There is no cached answer",
            Self::DeadlineExceeded => "The deadline has passed",
            Self::StorageFull => "The storage is full",
        }
    }

    /// OpenAI's `error.type`.
    #[must_use]
    const fn openai_type(self) -> &'static str {
        match self.status() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// Seconds after which another try makes sense, where one does.
    #[must_use]
    pub const fn retry_after_s(self) -> Option<u32> {
        match self.status() {
            429 | 502 | 503 => Some(1),
            504 if !matches!(self, Self::NotCached) => Some(1),
            507 => Some(60),
            _ => None,
        }
    }
}

/// A refusal: RFC 9457's problem details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(into = "ProblemDetails", from = "ProblemDetails")]
pub struct Problem {
    pub kind: ProblemKind,
    /// What happened this time, in words safe to show: no path, key, URL or upstream text.
    pub detail: String,
    /// The request's field at fault.
    pub param: Option<Cow<'static, str>>,
    /// Overrides the kind's own `Retry-After`.
    pub retry_after_s: Option<u32>,
}

/// The wire form of [`Problem`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProblemDetails {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    code: ProblemKind,
}

impl From<Problem> for ProblemDetails {
    fn from(problem: Problem) -> Self {
        let kind = problem.kind;
        Self {
            kind: format!("urn:perigee:problem:{}", kind.code()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: problem.detail,
            code: kind,
        }
    }
}

impl From<ProblemDetails> for Problem {
    fn from(wire: ProblemDetails) -> Self {
        Self::new(wire.code, wire.detail)
    }
}

impl Problem {
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), param: None, retry_after_s: None }
    }

    #[must_use]
    pub fn with_param(mut self, param: &'static str) -> Self {
        self.param = Some(Cow::Borrowed(param));
        self
    }

    #[must_use]
    pub const fn with_retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The `Retry-After` header's value, where there is one.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after_s.or(self.kind.retry_after_s())
    }

    /// The body in OpenAI's error shape, for OpenAI's routes.
    #[must_use]
    pub fn to_openai_json(&self) -> String {
        serde_json::json!({"error": {
            "message": format!("{}: {}", self.kind.title(), self.detail),
            "type": self.kind.openai_type(),
            "param": self.param,
            // OpenAI's own code for a model that is not there; its clients look for it.
            "code": if self.kind == ProblemKind::CorpusNotFound { "model_not_found" } else { self.kind.code() },
        }})
        .to_string()
    }

    /// The body as `application/problem+json`, for all other routes.
    #[must_use]
    pub fn to_problem_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<InvalidQuestion> for Problem {
    fn from(invalid: InvalidQuestion) -> Self {
        let kind = match invalid {
            InvalidQuestion::UnknownModel => ProblemKind::CorpusNotFound,
            InvalidQuestion::TurnCount
            | InvalidQuestion::NoQuestion
            | InvalidQuestion::TooLong
            | InvalidQuestion::NotText
            | InvalidQuestion::Option(_)
            | InvalidQuestion::Choices => ProblemKind::InvalidRequest,
        };
        Self::new(kind, invalid.to_string()).with_param(invalid.param())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_one_code_whatever_its_shape() {
        // Serde's complaint about an unknown name lists all that it knows.
        let complaint = serde_json::from_str::<ProblemKind>("\"?\"").unwrap_err().to_string();
        let names: Vec<&str> = complaint.split('`').skip(3).step_by(2).collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            let kind: ProblemKind = serde_json::from_str(&format!("{name:?}")).unwrap();
            assert_eq!(kind.code(), name);
            let problem = Problem::new(kind, "");
            let openai: serde_json::Value = serde_json::from_str(&problem.to_openai_json()).unwrap();
            let details: serde_json::Value = serde_json::from_str(&problem.to_problem_json()).unwrap();
            assert_eq!(details["code"], name);
            assert_eq!(details["type"], format!("urn:perigee:problem:{name}"));
            let openai_s_own = kind == ProblemKind::CorpusNotFound;
            assert_eq!(openai["error"]["code"], if openai_s_own { "model_not_found" } else { name });
        }
    }

    #[test]
    fn both_shapes_say_the_same() {
        let problem = Problem::new(ProblemKind::CorpusNotFound, "no model of this name").with_param("model");
        insta::assert_snapshot!(problem.to_openai_json(), @r#"{"error":{"code":"model_not_found","message":"There is no such corpus for this key: no model of this name","param":"model","type":"invalid_request_error"}}"#);
        insta::assert_snapshot!(problem.to_problem_json(), @r#"{"type":"urn:perigee:problem:corpus_not_found","title":"There is no such corpus for this key","status":404,"detail":"no model of this name","code":"corpus_not_found"}"#);
    }

    #[test]
    fn every_busy_answer_says_when_to_come_back() {
        for kind in
            [ProblemKind::RateLimited, ProblemKind::Overloaded, ProblemKind::NotReady, ProblemKind::NoOrigin]
        {
            assert!(Problem::new(kind, "").retry_after().is_some());
        }
    }
}
