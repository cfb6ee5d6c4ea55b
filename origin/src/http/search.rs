//! `POST /v1/corpora/{corpus}/search`: passages, best first.

use axum::Json;
use axum::response::Response;
use perigee_shared::search::{Search, SearchRequest, SearchResponse, SearchResult};

use super::admit;
use super::deadline::Deadline;
use super::error::Refused;
use super::json::JsonBody;
use super::opened::Opened;
use super::reply::at_epoch;
use crate::retrieve::{Hit, Retrieved};

/// Finds passages that the caller may read.
///
/// # Errors
/// 400 a query, k or filter out of bounds; 404 no such corpus; 503 busy; 504 past the deadline.
pub(super) async fn search(
    opened: Opened<admit::Search>,
    deadline: Deadline,
    JsonBody(request): JsonBody<SearchRequest>,
) -> Result<Response, Refused> {
    let search = Search::try_from(request)?;
    let found = deadline.bound(opened.corpus.search(&search, &opened.caller.audience)).await??;
    Ok(at_epoch(found.epoch, Json(render(found))))
}

fn render(found: Retrieved) -> SearchResponse {
    let Retrieved { epoch, hits, basis: _ } = found;
    SearchResponse { data: hits.into_iter().map(result).collect(), epoch }
}

fn result(hit: Hit) -> SearchResult {
    let Hit { passage: _, document, title, url, headings, text, start, end, hash, score, vector, lexical } =
        hit;
    SearchResult {
        document_id: document,
        title,
        url,
        headings,
        text,
        start,
        end,
        hash,
        score,
        vector,
        lexical,
    }
}
