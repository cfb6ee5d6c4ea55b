//! `/v1/corpora/{corpus}/documents`: writing, reading, listing and deleting documents one by one.

use axum::Json;
use axum::response::Response;
use bytes::Bytes;
use perigee_shared::document::PutDocument;
use perigee_shared::id::DocumentId;
use perigee_shared::limits::{PAGE_DEFAULT, PAGE_MAX};
use perigee_shared::problem::ProblemKind;
use serde::Deserialize;

use super::admit::{Read, Write};
use super::error::Refused;
use super::json::{JsonBody, QueryString};
use super::opened::{AskedDocument, Opened};
use super::reply::{at_epoch, written};
use crate::corpus::NewDocument;

/// `PUT /v1/corpora/{corpus}/documents/{id}`: writes a document sent as JSON.
///
/// # Errors
/// 400 an id or field out of bounds; 403 a document of this id that the caller may not read; 404 no such corpus; 422 content that cannot be read; 507 no room.
pub(super) async fn put(
    opened: Opened<Write>,
    AskedDocument(id): AskedDocument,
    JsonBody(document): JsonBody<PutDocument>,
) -> Result<Response, Refused> {
    let document = new_document(document)?;
    Ok(written(&opened.corpus, opened.put(id, document).await?))
}

/// A document sent as JSON, checked.
pub(super) fn new_document(document: PutDocument) -> Result<NewDocument, Refused> {
    document.check()?;
    let PutDocument { title, url, format, content, metadata, audience } = document;
    Ok(NewDocument { title, url, format, content: Bytes::from(content), metadata, audience })
}

/// `GET /v1/corpora/{corpus}/documents/{id}`: with the text that citations point into.
///
/// # Errors
/// 404 no such document that this caller may read.
pub(super) async fn show(
    opened: Opened<Read>,
    AskedDocument(id): AskedDocument,
) -> Result<Response, Refused> {
    let document = opened.corpus.document(&id, &opened.caller.audience).await?;
    Ok(at_epoch(opened.corpus.epoch(), Json(document)))
}

/// Which page of a listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    cursor: Option<DocumentId>,
}

/// `GET /v1/corpora/{corpus}/documents?limit=100&cursor=…`: one page, in the ids' order.
///
/// # Errors
/// 400 a limit or cursor that cannot be; 404 no such corpus.
pub(super) async fn list(
    opened: Opened<Read>,
    QueryString(Page { limit, cursor }): QueryString<Page>,
) -> Result<Response, Refused> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let detail = format!("limit must be 1 to {PAGE_MAX}");
        return Err(Refused::new(ProblemKind::InvalidRequest, detail));
    }
    let page = opened.corpus.documents(&opened.caller.audience, cursor, limit).await?;
    Ok(at_epoch(page.epoch, Json(page)))
}

/// `DELETE /v1/corpora/{corpus}/documents/{id}`.
///
/// # Errors
/// 404 no such document that this caller may read.
pub(super) async fn delete(
    opened: Opened<Write>,
    AskedDocument(id): AskedDocument,
) -> Result<Response, Refused> {
    Ok(written(&opened.corpus, opened.corpus.delete_document_as(&opened.caller.audience, &id).await?))
}
