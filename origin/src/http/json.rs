//! JSON in: whatever its declared type, as curl and scripts send it, and with an error that says where.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use perigee_shared::problem::ProblemKind;
use serde::de::DeserializeOwned;

use super::error::Refused;

/// A request's body, read as JSON.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            Refused::new(ProblemKind::InvalidRequest, "the body could not be read").because(error)
        })?;
        parse(&bytes).map(Self)
    }
}

/// Reads one JSON value.
///
/// # Errors
/// It is not UTF-8, not JSON, or not of the wanted shape.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let refuse = |detail: String| Refused::new(ProblemKind::InvalidRequest, detail);
    // First, because serde_json looks at the encoding only of what it keeps.
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refuse(format!("the body is not valid UTF-8 from byte {}", error.valid_up_to())))?;
    serde_json::from_str(text).map_err(|error| refuse(format!("the body is not what is expected: {error}")))
}

/// The query string, read into a type.
#[derive(Debug)]
pub(super) struct QueryString<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryString<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|error| Refused::new(ProblemKind::InvalidRequest, error.body_text()))
    }
}
