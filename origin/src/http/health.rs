//! `/healthz`, `/readyz` and `/metrics`: for machines that watch the server. They need no signature and are
//! answered however busy it is.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use perigee_shared::problem::{Problem, ProblemKind};
use serde_json::json;

use super::App;
use super::error::Refused;
use super::phase::Phase;

/// `GET /healthz`: the process lives.
pub(super) async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// `GET /readyz`: questions are answered.
///
/// # Errors
/// 503 until the corpora's views have caught up, with how far they are, and while draining.
pub(super) async fn readyz(State(app): State<App>) -> Result<Response, Refused> {
    match app.phase() {
        Phase::Ready => Ok(Json(json!({"status": "ready"})).into_response()),
        Phase::Starting(progress) => Err(Problem::new(ProblemKind::NotReady, progress).into()),
        Phase::Draining => Err(Problem::new(ProblemKind::NotReady, "the server is shutting down").into()),
    }
}

/// `GET /metrics`, in Prometheus' text format.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics().render()).into_response()
}
