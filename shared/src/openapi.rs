//! The API document (OpenAPI 3.1): every public route of the edge with all that it takes and answers.
//!
//! Only built with the feature `openapi`. `cargo xtask openapi` writes it to `edge/openapi.json`, and a test
//! fails when the two differ. The functions below are never called: each carries one route's description.

#![expect(dead_code, reason = "the functions only carry descriptions")]

mod answers;
mod refusals;

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::admin::{
    AuditPage, CreateKey, KeyList, KeySummary, RotateKey, ShownKey, TenantSettings, UsageReport,
};
use crate::chat::ChatCompletionRequest;
use crate::document::{
    ChangeCorpus, CorpusSummary, CreateCorpus, Document, DocumentPage, PutDocument, Written,
};
use crate::id::{CorpusName, DocumentId};
use crate::search::{SearchRequest, SearchResponse};
use answers::{
    Batch, ChatCompletion, Chunk, CorpusList, EventStream, Health, Model, ModelList, Upload, Uploaded,
};
use refusals::{
    AdminRefusals, ChangeRefusals, ChatRefusals, CorporaRefusals, CorpusRefusals, CreateRefusals,
    DocumentRefusals, ListRefusals, ModelRefusals, NamedModelRefusals, SearchRefusals, UploadRefusals,
    UsageRefusals, WriteRefusals,
};

/// The document, as pretty JSON with a newline at its end.
///
/// # Errors
/// Its serialisation failed, which only a fault in this module can cause.
pub fn document_json() -> Result<String, serde_json::Error> {
    Ok(Api::openapi().to_pretty_json()? + "\n")
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Perigee",
        description = "Answers questions from your own documents, with citations, at the point nearest to whoever asks. \
            Any OpenAI client can ask: its base URL is this edge with `/v1`, its key yours, its model the corpus.\n\n\
            Every response carries `Cache-Status` (RFC 9211), `Server-Timing`, `x-request-id` and `traceparent`; \
            one that rests on a corpus also `Perigee-Epoch`, and one from a cache `Age`. One that was counted against \
            limits carries `RateLimit`, `RateLimit-Policy` and `x-ratelimit-*`, a refusal by a limit `Retry-After`.\n\n\
            Every route that takes a key also takes `Perigee-User`: the token (JWT; ES256, RS256 or EdDSA) of the tenant's \
            user for whom the request is, where the tenant's settings name the users' issuer.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "this edge")),
    paths(
        create_chat_completion,
        list_models,
        get_model,
        search,
        list_corpora,
        create_corpus,
        get_corpus,
        change_corpus,
        delete_corpus,
        list_documents,
        upload_documents,
        batch_documents,
        put_document,
        get_document,
        delete_document,
        show_usage,
        show_settings,
        change_settings,
        list_keys,
        create_key,
        show_key,
        revoke_key,
        rotate_key,
        read_audit,
        show_tenant_usage,
        health,
        openapi_document,
        page,
    ),
    components(schemas(refusals::OpenAiError, crate::problem::ProblemDetails, Chunk,  crate::document::WriteResult)),
    security(("key" = [])),
    modifiers(&Key, &BatchLines),
    tags(
        (name = "asking", description = "Questions, in OpenAI's format."),
        (name = "corpora", description = "Corpora, and searching them."),
        (name = "documents", description = "What a corpus holds. Every write answers with its epoch."),
        (name = "limits", description = "What a tenant has used, and what is left."),
        (
            name = "admin",
            description = "A tenant's keys and settings. The operator may do everything, with the admin secret as the bearer; \
                a key with the scope `admin` manages the keys of its own tenant."
        ),
        (name = "edge", description = "The edge itself; no key needed."),
    ),
)]
struct Api;

/// Adds the security scheme.
struct Key;

impl utoipa::Modify for Key {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key of Perigee (`pgk_…`; `pgp_…` in web pages). It names a tenant, its corpora, scopes and access labels.",
            ))
            .build();
        api.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// Adds the line of a batch: a document with its id. Composed here and not by `allOf`, because a document takes no
/// other fields than its own.
struct BatchLines;

impl utoipa::Modify for BatchLines {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let schemas = &mut api.components.get_or_insert_default().schemas;
        let Some(RefOr::T(Schema::Object(document))) = schemas.get("PutDocument").cloned() else { return };
        let mut line = document;
        line.description = Some("One line of a batch.".to_owned());
        line.properties.insert("id".to_owned(), Ref::from_schema_name("DocumentId").into());
        line.required.insert(0, "id".to_owned());
        schemas.insert("BatchLine".to_owned(), Schema::Object(line).into());
    }
}

/// Ask a question
///
/// Answers the last message from the corpus that `model` names. Fields that are not listed are accepted and
/// ignored. Needs the scope `ask`.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "asking",
    params(
        ("Cache-Control" = Option<String>, Header, description = "`no-cache`: check at the origin before reusing an \
            answer. `no-store`: do not keep this one. `max-age=s`: reuse none older than that. `only-if-cached`: answer \
            from the edge's cache or with 504. Wishes only tighten.", example = "no-cache"),
        ("Perigee-Min-Epoch" = Option<u64>, Header, description = "Answer from nothing older than this epoch, which a \
            write answered with."),
        ("Perigee-Explain" = Option<String>, Header, description = "`1`: say why the question was or was not answered by \
            another's answer. Heeded for a key with the scope `admin`, passed over for any other.", example = "1"),
        ("Perigee-User" = Option<String>, Header, description = "The token (JWT) of the tenant's user who asks."),
        ("x-request-id" = Option<String>, Header, description = "A name for this request; made up where it is missing."),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context."),
    ),
    request_body = ChatCompletionRequest,
    responses(
        (status = 200, description = "The answer: one object, or events where `stream` is true.", content(
            (ChatCompletion = "application/json"),
            (EventStream = "text/event-stream"),
        ), headers(
            ("Cache-Status" = String, description = "What the caches did, the edge's member last (RFC 9211)."),
            ("Age" = Option<u64>, description = "Seconds since the answer was made or checked, where it was reused."),
            ("Perigee-Epoch" = u64, description = "The epoch at which the answer's evidence was last seen to stand."),
            ("Perigee-Explain" = Option<String>, description = "JSON: what the edge and, where it was asked, the origin made \
                of the answered questions nearest to this one."),
            ("Server-Timing" = String, description = "What took how long, in milliseconds."),
            ("x-request-id" = String, description = "The request's name, for questions to the operator."),
            ("traceparent" = String, description = "W3C Trace Context."),
        )),
        ChatRefusals,
    ),
)]
fn create_chat_completion() {}

/// List the corpora that this key may ask
///
/// In OpenAI's format: a corpus is a model. Needs the scope `ask`.
#[utoipa::path(
    get, path = "/v1/models", tag = "asking",
    responses((status = 200, description = "The models.", body = ModelList), ModelRefusals),
)]
fn list_models() {}

/// Show a model
///
/// In OpenAI's format: a corpus that this key may ask. Needs the scope `ask`.
#[utoipa::path(
    get, path = "/v1/models/{corpus}", tag = "asking",
    params(("corpus" = CorpusName, Path, description = "The corpus.")),
    responses((status = 200, description = "The model.", body = Model), NamedModelRefusals),
)]
fn get_model() {}

/// Search passages
///
/// Ranks passages by meaning and by words, and fuses both. Needs the scope `search`.
#[utoipa::path(
    post, path = "/v1/corpora/{corpus}/search", tag = "corpora",
    params(
        ("corpus" = CorpusName, Path, description = "The corpus."),
        ("Perigee-Min-Epoch" = Option<u64>, Header, description = "Search nothing older than this epoch."),
        ("Perigee-User" = Option<String>, Header, description = "The token (JWT) of the tenant's user who searches."),
    ),
    request_body = SearchRequest,
    responses((status = 200, description = "Passages, best first.", body = SearchResponse), SearchRefusals),
)]
fn search() {}

/// List corpora
///
/// Those that the key may name. Needs the scope `read`.
#[utoipa::path(
    get, path = "/v1/corpora", tag = "corpora",
    responses((status = 200, description = "The corpora.", body = CorpusList), CorporaRefusals),
)]
fn list_corpora() {}

/// Create a corpus
///
/// Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/corpora", tag = "corpora",
    request_body = CreateCorpus,
    responses((status = 201, description = "It was created.", body = CorpusSummary), CreateRefusals),
)]
fn create_corpus() {}

/// Show a corpus
///
/// Needs the scope `read`.
#[utoipa::path(
    get, path = "/v1/corpora/{corpus}", tag = "corpora",
    params(("corpus" = CorpusName, Path, description = "The corpus.")),
    responses((status = 200, description = "The corpus.", body = CorpusSummary), CorpusRefusals),
)]
fn get_corpus() {}

/// Change a corpus
///
/// Its documents and its epoch stay as they are. Edges go by it within their staleness bound. Needs the scope `write`.
#[utoipa::path(
    patch, path = "/v1/corpora/{corpus}", tag = "corpora",
    params(("corpus" = CorpusName, Path, description = "The corpus.")),
    request_body = ChangeCorpus,
    responses((status = 200, description = "The corpus as it is now.", body = CorpusSummary), ChangeRefusals),
)]
fn change_corpus() {}

/// Delete a corpus with all its documents
///
/// Needs the scope `write`.
#[utoipa::path(
    delete, path = "/v1/corpora/{corpus}", tag = "corpora",
    params(("corpus" = CorpusName, Path, description = "The corpus.")),
    responses((status = 204, description = "It is gone."), CorpusRefusals),
)]
fn delete_corpus() {}

/// List documents
///
/// One page, in the order of their ids, without their texts. Needs the scope `read`.
#[utoipa::path(
    get, path = "/v1/corpora/{corpus}/documents", tag = "documents",
    params(
        ("corpus" = CorpusName, Path, description = "The corpus."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Documents on a page; 100 if missing."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "One page.", body = DocumentPage), ListRefusals),
)]
fn list_documents() {}

/// Upload files
///
/// Markdown, text, HTML, PDF, DOCX, CSV, JSON and JSONL. A file that can't be read is refused by name and the rest
/// goes on. Needs the scope `write`.
#[utoipa::path(
    post, path = "/v1/corpora/{corpus}/documents", tag = "documents",
    params(("corpus" = CorpusName, Path, description = "The corpus.")),
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 200, description = "What became of each file.", body = Uploaded), UploadRefusals),
)]
fn upload_documents() {}

/// Write many documents
///
/// One JSON object on each line (`BatchLine`); one result line for each (`WriteResult`), as it is done. Needs the
/// scope `write`.
#[utoipa::path(
    post, path = "/v1/corpora/{corpus}/documents:batch", tag = "documents",
    params(("corpus" = CorpusName, Path, description = "The corpus.")),
    request_body(content = Batch, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "One `WriteResult` on each line.", body = Batch, content_type = "application/x-ndjson"),
        UploadRefusals,
    ),
)]
fn batch_documents() {}

/// Write a document
///
/// The same content again is recognised and costs nothing. Needs the scope `write`.
#[utoipa::path(
    put, path = "/v1/corpora/{corpus}/documents/{id}", tag = "documents",
    params(
        ("corpus" = CorpusName, Path, description = "The corpus."),
        ("id" = DocumentId, Path, description = "The document."),
    ),
    request_body = PutDocument,
    responses(
        (status = 200, description = "It was updated, or was there already.", body = Written),
        (status = 201, description = "It was created.", body = Written),
        WriteRefusals,
    ),
)]
fn put_document() {}

/// Read a document
///
/// With the text that citations point into. Needs the scope `read`.
#[utoipa::path(
    get, path = "/v1/corpora/{corpus}/documents/{id}", tag = "documents",
    params(
        ("corpus" = CorpusName, Path, description = "The corpus."),
        ("id" = DocumentId, Path, description = "The document."),
    ),
    responses((status = 200, description = "The document.", body = Document), DocumentRefusals),
)]
fn get_document() {}

/// Delete a document
///
/// Needs the scope `write`.
#[utoipa::path(
    delete, path = "/v1/corpora/{corpus}/documents/{id}", tag = "documents",
    params(
        ("corpus" = CorpusName, Path, description = "The corpus."),
        ("id" = DocumentId, Path, description = "The document."),
    ),
    responses((status = 200, description = "It is gone.", body = Written), DocumentRefusals),
)]
fn delete_document() {}

/// What is used and left
///
/// Of the key's tenant, as its ledger knows it. Any key may ask, also one that has reached a limit.
#[utoipa::path(
    get, path = "/v1/usage", tag = "limits",
    responses((status = 200, description = "Every limit of the tenant, and of its keys.", body = UsageReport), UsageRefusals),
)]
fn show_usage() {}

/// A tenant's settings
///
/// Those of the default tier where none were set.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{tenant}", tag = "admin",
    params(("tenant" = String, Path, description = "The tenant.")),
    responses((status = 200, description = "The settings.", body = TenantSettings), AdminRefusals),
)]
fn show_settings() {}

/// Change a tenant's settings
///
/// The operator alone. Every isolate hears of it within 15 seconds.
#[utoipa::path(
    put, path = "/v1/admin/tenants/{tenant}", tag = "admin",
    params(("tenant" = String, Path, description = "The tenant.")),
    request_body = TenantSettings,
    responses((status = 200, description = "The settings as they are now.", body = TenantSettings), AdminRefusals),
)]
fn change_settings() {}

/// List keys
///
/// With those that were revoked, without their secret digits.
#[utoipa::path(
    get, path = "/v1/admin/tenants/{tenant}/keys", tag = "admin",
    params(("tenant" = String, Path, description = "The tenant.")),
    responses((status = 200, description = "All of the tenant's keys.", body = KeyList), AdminRefusals),
)]
fn list_keys() {}

/// Make a key
///
/// The answer is the only time that it is shown.
#[utoipa::path(
    post, path = "/v1/admin/tenants/{tenant}/keys", tag = "admin",
    params(("tenant" = String, Path, description = "The tenant.")),
    request_body = CreateKey,
    responses((status = 201, description = "The key.", body = ShownKey), AdminRefusals),
)]
fn create_key() {}

/// Show a key
#[utoipa::path(
    get, path = "/v1/admin/tenants/{tenant}/keys/{key}", tag = "admin",
    params(
        ("tenant" = String, Path, description = "The tenant."),
        ("key" = String, Path, description = "The key's id."),
    ),
    responses((status = 200, description = "All but its secret digits.", body = KeySummary), AdminRefusals),
)]
fn show_key() {}

/// Revoke a key
///
/// It is refused everywhere within 30 seconds. Twice is as good as once.
#[utoipa::path(
    delete, path = "/v1/admin/tenants/{tenant}/keys/{key}", tag = "admin",
    params(
        ("tenant" = String, Path, description = "The tenant."),
        ("key" = String, Path, description = "The key's id."),
    ),
    responses((status = 200, description = "It is revoked.", body = KeySummary), AdminRefusals),
)]
fn revoke_key() {}

/// Rotate a key
///
/// Gives it new digits; the old ones stay valid for the overlap. Id, rights and limits stay.
#[utoipa::path(
    post, path = "/v1/admin/tenants/{tenant}/keys/{key}:rotate", tag = "admin",
    params(
        ("tenant" = String, Path, description = "The tenant."),
        ("key" = String, Path, description = "The key's id."),
    ),
    request_body = RotateKey,
    responses((status = 200, description = "The new key.", body = ShownKey), AdminRefusals),
)]
fn rotate_key() {}

/// Read the audit trail
#[utoipa::path(
    get, path = "/v1/admin/tenants/{tenant}/audit", tag = "admin",
    params(
        ("tenant" = String, Path, description = "The tenant."),
        ("after" = Option<u64>, Query, description = "`next_after` of the page before; from the beginning if missing."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Entries on a page; 100 if missing."),
    ),
    responses((status = 200, description = "One page, oldest first.", body = AuditPage), AdminRefusals),
)]
fn read_audit() {}

/// What a tenant has used
#[utoipa::path(
    get, path = "/v1/admin/tenants/{tenant}/usage", tag = "admin",
    params(("tenant" = String, Path, description = "The tenant.")),
    responses((status = 200, description = "Every limit of the tenant, and of its keys.", body = UsageReport), AdminRefusals),
)]
fn show_tenant_usage() {}

/// Whether this edge runs
#[utoipa::path(
    get, path = "/healthz", tag = "edge", security(()),
    responses((status = 200, description = "It does.", body = Health)),
)]
fn health() {}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "edge", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
fn openapi_document() {}

/// A page to ask on
#[utoipa::path(
    get, path = "/", tag = "edge", security(()),
    responses((status = 200, description = "HTML.", body = String, content_type = "text/html")),
)]
fn page() {}
