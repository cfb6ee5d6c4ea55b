//! Sends one file: text as JSON, the rest as an upload, JSON lines in batches.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use futures::channel::mpsc::Sender;
use futures::{SinkExt, StreamExt};
use perigee_shared::document::{BatchLine, Format, PutDocument, WriteResult, Written};
use perigee_shared::id::{CorpusName, DocumentId};
use perigee_shared::limits::UPLOAD_BODY_BYTES_MAX;
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::client::{CallError, Server};
use super::files::{File, Kind};
use super::tally::{Refusal, Step};
use crate::extract::{JsonLine, json_lines};

/// Bytes and lines of one batch: small enough for an edge, which holds it in memory, and for another try.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_LINES: usize = 512;

/// Escaping may double a text's size, and the body must fit.
const JSON_BYTES_MAX: usize = UPLOAD_BODY_BYTES_MAX / 2 - 1024;

/// Where a file's results go. Nobody there: the ingestion ended early.
pub(super) type Steps = Sender<Step>;

/// Sends a file. What the server refuses is a step; what no other file could do better is an error.
///
/// # Errors
/// The server cannot be reached, or refuses us rather than the file.
pub(super) async fn send(
    server: &Server,
    corpus: &CorpusName,
    file: &File,
    mut steps: Steps,
) -> anyhow::Result<()> {
    match &file.kind {
        Kind::Lines => send_lines(server, corpus, file, &mut steps).await?,
        Kind::One { id, format } => {
            let step = match std::fs::read(&file.path) {
                Err(error) => Step::Refused(Refusal::new(&file.name, error)),
                Ok(content) => match send_one(server, corpus, file, id, *format, content).await {
                    Ok(written) => Step::Written(written),
                    Err(error) => Step::Refused(Refusal::new(&file.name, about_the_file(error)?)),
                },
            };
            steps.send(step).await?;
        }
    }
    steps.send(Step::FileDone).await?;
    Ok(())
}

async fn send_one(
    server: &Server,
    corpus: &CorpusName,
    file: &File,
    id: &DocumentId,
    format: Format,
    content: Vec<u8>,
) -> Result<Written, CallError> {
    let unreadable = |error: reqwest::Error| CallError::Unreachable(error.without_url());
    match String::from_utf8(content) {
        Ok(text) if format.is_text() && text.len() <= JSON_BYTES_MAX => {
            let document = document(format, text);
            let path = format!("/v1/corpora/{corpus}/documents/{id}");
            let put = || server.request(Method::PUT, &path).json(&document);
            server.send_patiently(put).await?.json().await.map_err(unreadable)
        }
        // Binary, or text in an encoding that the server must make out.
        other => {
            let content =
                Bytes::from(other.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes));
            upload(server, corpus, &file.name, content).await
        }
    }
}

async fn upload(
    server: &Server,
    corpus: &CorpusName,
    name: &str,
    content: Bytes,
) -> Result<Written, CallError> {
    #[derive(Deserialize)]
    struct Uploaded {
        data: Vec<Written>,
    }
    let path = format!("/v1/corpora/{corpus}/documents");
    let post = || {
        let length = content.len() as u64;
        let part = Part::stream_with_length(content.clone(), length).file_name(name.to_owned());
        // The name as it is: the server makes the same document id of it as we did.
        server.request(Method::POST, &path).multipart(Form::new().percent_encode_noop().part("file", part))
    };
    let response = server.send_patiently(post).await?;
    let uploaded: Uploaded =
        response.json().await.map_err(|error| CallError::Unreachable(error.without_url()))?;
    uploaded.data.into_iter().next().ok_or_else(|| CallError::Refused {
        status: reqwest::StatusCode::OK,
        reason: "the server says nothing of the file".to_owned(),
        retry_after: None,
    })
}

fn document(format: Format, content: String) -> PutDocument {
    PutDocument {
        title: None,
        url: None,
        format,
        content,
        metadata: serde_json::Map::new(),
        audience: Vec::new(),
    }
}

/// The reason if the file is at fault; the error itself if the next file would meet it too.
fn about_the_file(error: CallError) -> anyhow::Result<String> {
    match error {
        CallError::Refused { status, reason, .. } if matches!(status.as_u16(), 400 | 413 | 415 | 422) => {
            Ok(reason)
        }
        other => Err(other.into()),
    }
}

/// Reads the lines into batches and sends one after the other.
async fn send_lines(
    server: &Server,
    corpus: &CorpusName,
    file: &File,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let mut lines = match Lines::open(&file.path) {
        Ok(lines) => lines,
        Err(error) => return Ok(steps.send(Step::Refused(Refusal::new(&file.name, error))).await?),
    };
    loop {
        let batch = lines.batch().with_context(|| file.path.display().to_string())?;
        for (line, reason) in batch.refused {
            let name = format!("{}, line {line}", file.name);
            steps.send(Step::Refused(Refusal::new(name, reason))).await?;
        }
        if !batch.body.is_empty() {
            send_batch(server, corpus, batch.body.into(), steps).await?;
        }
        if batch.last {
            return Ok(());
        }
    }
}

async fn send_batch(
    server: &Server,
    corpus: &CorpusName,
    body: Bytes,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let path = format!("/v1/corpora/{corpus}/documents:batch");
    let post = || {
        let request = server.request(Method::POST, &path).header(CONTENT_TYPE, "application/x-ndjson");
        request.body(body.clone())
    };
    let expected = memchr::memchr_iter(b'\n', &body).count();
    let response = server.send_patiently(post).await?;
    let mut results = Results::of(response);
    let mut count = 0;
    while let Some(result) = results.next().await? {
        steps.send(result.into()).await?;
        count += 1;
    }
    anyhow::ensure!(count == expected, "the server answered {count} of {expected} documents; try again");
    Ok(())
}

/// A response's result lines as they arrive.
struct Results {
    body: futures::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    begun: Vec<u8>,
}

impl Results {
    fn of(response: Response) -> Self {
        Self { body: response.bytes_stream().boxed(), begun: Vec::new() }
    }

    async fn next(&mut self) -> anyhow::Result<Option<WriteResult>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.begun) {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).context("a result cannot be read")?));
            }
            match self.body.next().await {
                Some(chunk) => {
                    let chunk =
                        chunk.map_err(reqwest::Error::without_url).context("the results broke off")?;
                    self.begun.extend_from_slice(&chunk);
                }
                None => return Ok(None),
            }
        }
    }
}

/// The lines of a file, read as they are sent.
struct Lines {
    reader: BufReader<std::fs::File>,
    number: usize,
}

#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    refused: Vec<(usize, String)>,
    last: bool,
}

impl Lines {
    fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { reader: BufReader::new(std::fs::File::open(path)?), number: 0 })
    }

    fn batch(&mut self) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let mut count = 0;
        let mut line = Vec::new();
        while count < BATCH_LINES && batch.body.len() < BATCH_BYTES {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                batch.last = true;
                break;
            }
            self.number += 1;
            for parsed in json_lines(&line) {
                match parsed.map_err(|error| error.reason).and_then(batch_line) {
                    Ok(bytes) if bytes.len() < UPLOAD_BODY_BYTES_MAX => {
                        batch.body.extend_from_slice(&bytes);
                        batch.body.push(b'\n');
                        count += 1;
                    }
                    Ok(_) => batch.refused.push((self.number, "it is too long".to_owned())),
                    Err(reason) => batch.refused.push((self.number, reason)),
                }
            }
        }
        Ok(batch)
    }
}

/// A line as the server takes it.
fn batch_line(line: JsonLine) -> Result<Vec<u8>, String> {
    let JsonLine { line: _, id, title, url, format, text, metadata, audience } = line;
    let id = DocumentId::new(id).map_err(|error| error.to_string())?;
    let document = PutDocument { title, url, format, content: text, metadata, audience };
    serde_json::to_vec(&BatchLine { id, document }).map_err(|error| error.to_string())
}
