//! What successful responses have in common.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perigee_shared::document::{Outcome, Written};
use perigee_shared::header::EPOCH;
use perigee_shared::id::Epoch;

/// A response that says how new the corpus was.
pub(super) fn at_epoch(epoch: Epoch, response: impl IntoResponse) -> Response {
    ([(EPOCH, epoch.to_string())], response).into_response()
}

/// What a write did.
pub(super) fn written(written: Written) -> Response {
    let status = match written.outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Updated | Outcome::Unchanged | Outcome::Deleted => StatusCode::OK,
    };
    at_epoch(written.epoch, (status, Json(written)))
}
