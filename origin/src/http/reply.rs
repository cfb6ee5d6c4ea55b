//! What successful responses have in common.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perigee_shared::document::{Outcome, Written};
use perigee_shared::header::EPOCH;
use perigee_shared::id::Epoch;

use crate::corpus::Corpus;

/// A response that says how new the corpus was.
pub(super) fn at_epoch(epoch: Epoch, response: impl IntoResponse) -> Response {
    ([(EPOCH, epoch.to_string())], response).into_response()
}

/// What a write to the corpus did. The header tells the corpus's epoch, which caches go by; an unchanged document's
/// own is older.
pub(super) fn written(corpus: &Corpus, written: Written) -> Response {
    let status = match written.outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Updated | Outcome::Unchanged | Outcome::Deleted => StatusCode::OK,
    };
    at_epoch(corpus.epoch(), (status, Json(written)))
}
