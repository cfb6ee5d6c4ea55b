//! `GET /v1/models` and `GET /v1/models/{corpus}`, in OpenAI's shape: the corpora that the caller may ask.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use perigee_shared::document::CorpusSummary;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::App;
use super::admit::{Admitted, Ask};
use super::error::Refused;
use super::opened::Opened;

/// Lists the corpora as models.
///
/// # Errors
/// 503 while the server starts.
pub(super) async fn list(State(app): State<App>, admitted: Admitted<Ask>) -> Result<Response, Refused> {
    let mut summaries = app.services()?.corpora.list(&admitted.caller.tenant).await?;
    summaries.retain(|summary| admitted.caller.corpora.allows(&summary.name));
    let data: Vec<Value> = summaries.iter().map(model).collect();
    Ok(Json(json!({"object": "list", "data": data})).into_response())
}

/// One corpus as a model.
///
/// # Errors
/// 404 no such corpus for this caller.
pub(super) async fn show(opened: Opened<Ask>) -> Json<Value> {
    Json(model(&opened.corpus.summary()))
}

fn model(summary: &CorpusSummary) -> Value {
    let created =
        OffsetDateTime::parse(&summary.created_at, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp);
    json!({"id": summary.name, "object": "model", "created": created, "owned_by": "perigee"})
}
