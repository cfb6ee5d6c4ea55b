//! `POST documents`: files, as a browser's form or curl sends them.
//!
//! A field named `audience` (labels, comma-separated), `metadata` (a JSON object) or `url` describes the files
//! after it. A file that cannot be read is refused by name, and the others are written.

use axum::Json;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use perigee_shared::document::{Format, WriteResult, Written};
use perigee_shared::id::{DocumentId, Label};
use perigee_shared::problem::{Problem, ProblemKind};
use serde_json::{Map, Value, json};

use super::App;
use super::admit::Write;
use super::error::Refused;
use super::opened::Opened;
use super::reply::at_epoch;
use crate::corpus::{Corpus, NewDocument};
use crate::extract::{JsonLine, JsonLineError, is_json_lines, json_lines, sniff};

/// Documents of one form, files and lines of JSONL files; each has a result that is kept until the last one is written.
const DOCUMENTS_MAX: usize = 10_000;

/// Lines under way at one time.
const LINES_IN_FLIGHT: usize = 8;

/// Characters of a file's name that are repeated in its result.
const NAME_CHARS_MAX: usize = 300;

/// Writes uploaded files.
///
/// # Errors
/// 400 a broken form; 404 no such corpus; 415 no form at all. If none of the files could be written, the reason.
pub(super) async fn upload(
    State(app): State<App>,
    opened: Opened<Write>,
    request: Request,
) -> Result<Response, Refused> {
    let mut form = Multipart::from_request(request, &app).await.map_err(|error| {
        Refused::new(ProblemKind::UnsupportedMediaType, "send the files as multipart/form-data")
            .because(error)
    })?;
    let mut attributes = Attributes::default();
    let mut results = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken_form)? {
        match field.file_name().map(str::to_owned) {
            None => attributes.read(field).await?,
            Some(name) if results.len() >= DOCUMENTS_MAX => {
                results.push(result(&name, Err(too_many())));
                break;
            }
            Some(name) => {
                let most = DOCUMENTS_MAX - results.len();
                results.extend(write_file(&opened, &attributes, &name, field, most).await?);
            }
        }
    }
    reply(&opened.corpus, results)
}

fn reply(corpus: &Corpus, mut results: Vec<WriteResult>) -> Result<Response, Refused> {
    if results.is_empty() {
        return Err(Refused::new(ProblemKind::InvalidRequest, "there is no file in the form"));
    }
    // One file, and refused: that is the request's refusal.
    if let [WriteResult::Refused { name, error }] = results.as_mut_slice() {
        let detail = format!("{name}: {}", error.detail);
        return Err(Problem { detail, ..error.clone() }.into());
    }
    let epoch = corpus.epoch();
    Ok(at_epoch(epoch, Json(json!({"data": results, "epoch": epoch}))))
}

/// What the form says of the files that follow.
#[derive(Debug, Default, Clone)]
struct Attributes {
    url: Option<String>,
    metadata: Map<String, Value>,
    audience: Vec<Label>,
}

impl Attributes {
    async fn read(&mut self, field: Field<'_>) -> Result<(), Refused> {
        let name = field.name().unwrap_or_default().to_owned();
        let text = field.text().await.map_err(broken_form)?;
        let refuse = |detail: String| Refused::new(ProblemKind::InvalidRequest, detail);
        match name.as_str() {
            "url" => self.url = Some(text).filter(|url| !url.is_empty()),
            "metadata" => {
                self.metadata = serde_json::from_str(&text)
                    .map_err(|error| refuse(format!("metadata must be a JSON object: {error}")))?;
            }
            "audience" => {
                let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty());
                let labels: Result<_, _> = labels.map(Label::new).collect();
                self.audience = labels.map_err(|error| refuse(error.to_string()))?;
            }
            // Refused, as an unknown field of JSON is: a misspelt `audience` would publish the file.
            _ => {
                return Err(refuse(
                    "a field must be a file, or be named audience, metadata or url".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn document(&self, format: Format, content: Bytes) -> NewDocument {
        let Self { url, metadata, audience } = self.clone();
        NewDocument { title: None, url, format, content, metadata, audience }
    }
}

/// The result of a file, or those of its lines if there are at most so many.
async fn write_file(
    opened: &Opened<Write>,
    attributes: &Attributes,
    name: &str,
    field: Field<'_>,
    most: usize,
) -> Result<Vec<WriteResult>, Refused> {
    let content_type = field.content_type().map(str::to_owned);
    let content = field.bytes().await.map_err(broken_form)?;
    if is_json_lines(name, content_type.as_deref()) {
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        if lines.count() > most {
            return Ok(vec![result(name, Err(too_many()))]);
        }
        return Ok(write_lines(opened, attributes, name, &content).await);
    }
    let written = async {
        let id = DocumentId::from_path(name)
            .map_err(|_| Refused::new(ProblemKind::InvalidRequest, "the file has no name"))?;
        let format = sniff(name, content_type.as_deref()).ok_or_else(|| {
            let detail = "files can be md, txt, html, pdf, docx, csv, json or jsonl";
            Refused::new(ProblemKind::UnsupportedMediaType, detail)
        })?;
        opened.put(id, attributes.document(format, content)).await
    };
    Ok(vec![result(name, written.await)])
}

/// One document a line; the results in the lines' order.
async fn write_lines(
    opened: &Opened<Write>,
    attributes: &Attributes,
    name: &str,
    content: &[u8],
) -> Vec<WriteResult> {
    let write = async |line: Result<JsonLine, JsonLineError>| {
        let (number, written) = match line {
            Ok(line) => (line.line, write_line(opened, attributes, line).await),
            Err(error) => (error.line, Err(Refused::new(ProblemKind::UnreadableDocument, error.reason))),
        };
        result(&format!("{name}, line {number}"), written)
    };
    futures::stream::iter(json_lines(content)).map(write).buffered(LINES_IN_FLIGHT).collect().await
}

async fn write_line(
    opened: &Opened<Write>,
    attributes: &Attributes,
    line: JsonLine,
) -> Result<Written, Refused> {
    let JsonLine { line: _, id, title, url, format, text, metadata, audience } = line;
    let id =
        DocumentId::new(id).map_err(|error| Refused::new(ProblemKind::InvalidRequest, error.to_string()))?;
    let mut document = attributes.document(format, text.into());
    document.title = title;
    document.url = url.or(document.url);
    // What a line says of itself goes over what the form says of all; labels only ever come on top.
    document.metadata.extend(metadata);
    document.audience.extend(audience);
    opened.put(id, document).await
}

fn too_many() -> Refused {
    let detail = format!(
        "a form may have at most {DOCUMENTS_MAX} documents, lines of JSONL included; documents:batch takes more"
    );
    Refused::new(ProblemKind::TooLarge, detail)
}

fn result(name: &str, written: Result<Written, Refused>) -> WriteResult {
    match written {
        Ok(written) => WriteResult::Written(written),
        Err(refused) => {
            let name = name.chars().take(NAME_CHARS_MAX).collect();
            WriteResult::Refused { name, error: refused.into_problem() }
        }
    }
}

fn broken_form(error: MultipartError) -> Refused {
    Refused::new(ProblemKind::InvalidRequest, "the multipart form is broken or cut off").because(error)
}
