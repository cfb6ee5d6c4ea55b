//! `GET /v1/corpora/{corpus}/answer-index`: for edges, the answers that stand.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use perigee_shared::answer_index::{DELTA_MEDIA_TYPE, SNAPSHOT_MEDIA_TYPE, Uses};
use perigee_shared::header::{EPOCH, INDEX_AGE_MS};
use serde::Deserialize;

use super::App;
use super::admit::Anything;
use super::error::Refused;
use super::json::QueryString;
use super::opened::Opened;
use crate::answered::{Body, Published};

/// What an edge tells the origin when it asks.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    /// How often it gave which answer since it asked before, as [`Uses`] are written.
    #[serde(default)]
    uses: String,
}

/// The most used answers that stand, and at which epoch they do. 304 for an edge that has this very snapshot
/// (`If-None-Match`), only what changed for one that has an earlier one and accepts differences, else all of it. Tells
/// the corpus's latest epoch too, and how long ago the snapshot's was that.
///
/// # Errors
/// 400 a query that is none; 404 no such corpus for this caller; 503 while the server starts.
pub(super) async fn show(
    State(app): State<App>,
    opened: Opened<Anything>,
    headers: HeaderMap,
    QueryString(Told { uses }): QueryString<Told>,
) -> Result<Response, Refused> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let differences = text(ACCEPT).is_some_and(|accept| {
        accept.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == DELTA_MEDIA_TYPE)
    });
    let answers = &app.services()?.answers;
    answers.used_at_an_edge(&opened.corpus, &Uses::parse(&uses));
    let published = answers.published(&opened.corpus, text(IF_NONE_MATCH), differences).await;
    let Published { latest, age, etag, body } = published;
    let told = [
        (ETAG, etag),
        (VARY, "accept".to_owned()),
        (HeaderName::from_static(EPOCH), latest.to_string()),
        (HeaderName::from_static(INDEX_AGE_MS), age.as_micros().div_ceil(1_000).to_string()),
    ];
    Ok(match body {
        Body::Same => (StatusCode::NOT_MODIFIED, told).into_response(),
        Body::Difference(bytes) => (told, [(CONTENT_TYPE, DELTA_MEDIA_TYPE)], bytes).into_response(),
        Body::Whole(bytes) => (told, [(CONTENT_TYPE, SNAPSHOT_MEDIA_TYPE)], bytes).into_response(),
    })
}
