//! `/v1/corpora`: creating, listing, showing, changing and deleting.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perigee_shared::document::{ChangeCorpus, CorpusSummary, CreateCorpus};
use serde_json::json;

use super::App;
use super::admit::{Admitted, Anything, Read, Write};
use super::error::Refused;
use super::json::JsonBody;
use super::opened::{Opened, corpus_not_found};
use super::reply::at_epoch;

/// `POST /v1/corpora`: creates a corpus.
///
/// # Errors
/// 400 a name that cannot be; 404 a name that the caller's key does not allow; 409 it exists.
pub(super) async fn create(
    State(app): State<App>,
    admitted: Admitted<Write>,
    JsonBody(CreateCorpus { name, reuse_tolerance }): JsonBody<CreateCorpus>,
) -> Result<(StatusCode, Json<CorpusSummary>), Refused> {
    let corpora = &app.services()?.corpora;
    if !admitted.caller.corpora.allows(&name) {
        return Err(corpus_not_found());
    }
    let created = corpora.create_with(&admitted.caller.tenant, &name, reuse_tolerance).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /v1/corpora`: the corpora that the caller may name.
///
/// # Errors
/// 503 while the server starts.
pub(super) async fn list(State(app): State<App>, admitted: Admitted<Read>) -> Result<Response, Refused> {
    let mut summaries = app.services()?.corpora.list(&admitted.caller.tenant).await?;
    summaries.retain(|summary| admitted.caller.corpora.allows(&summary.name));
    Ok(Json(json!({"data": summaries})).into_response())
}

/// `GET /v1/corpora/{corpus}`.
///
/// # Errors
/// 404 no such corpus for this caller.
pub(super) async fn show(opened: Opened<Read>) -> Result<Response, Refused> {
    let summary = opened.corpus.summary();
    Ok(at_epoch(summary.epoch, Json(summary)))
}

/// `PATCH /v1/corpora/{corpus}`: changes what it tolerates of reuse across wordings.
///
/// # Errors
/// 400 no tolerance; 404 no such corpus for this caller.
pub(super) async fn change(
    State(app): State<App>,
    opened: Opened<Write>,
    JsonBody(ChangeCorpus { reuse_tolerance }): JsonBody<ChangeCorpus>,
) -> Result<Response, Refused> {
    let corpora = &app.services()?.corpora;
    let summary = corpora.set_reuse_tolerance(&opened.caller.tenant, &opened.name, reuse_tolerance).await?;
    Ok(at_epoch(summary.epoch, Json(summary)))
}

/// `DELETE /v1/corpora/{corpus}`: with all its documents.
///
/// # Errors
/// 404 no such corpus for this caller.
pub(super) async fn delete(State(app): State<App>, opened: Opened<Write>) -> Result<StatusCode, Refused> {
    app.services()?.corpora.delete(&opened.caller.tenant, &opened.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/corpora/{corpus}/epoch`: the number of its last change. Any scope will do.
///
/// # Errors
/// 404 no such corpus for this caller.
pub(super) async fn epoch(opened: Opened<Anything>) -> Result<Response, Refused> {
    let epoch = opened.corpus.epoch();
    Ok(at_epoch(epoch, Json(json!({"epoch": epoch}))))
}
