//! `perigee purge`.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use perigee_shared::document::{Document, Written};
use perigee_shared::id::{CorpusName, DocumentId};
use perigee_shared::search::{SearchMode, SearchRequest, SearchResponse};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::End;
use super::client::{CallError, Server, ServerArguments, confirm};
use super::output::{line, safe};
use crate::config::Config;

/// Pieces of the document that are searched for, and their length in characters.
const PIECES_MAX: usize = 12;
const PIECE_CHARS: usize = 120;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Deletes a document and, with --prove, shows that it is gone from every cache
///
/// Asks the origin for the answers that rest on the document before it goes; afterwards looks for the document, its
/// text and those answers at the origin, and asks the edge those questions, from its caches only, until nothing is
/// found or --within has passed. Says what it looked at. Fails if anything is left.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perigee purge --document refunds --corpus docs --yes
  perigee purge --document refunds --corpus docs --yes --prove --edge https://edge.example.com --edge-key pgk_...

--url and the operator's token name the origin. An answer is cached for one audience: the edge can only be asked for
those that its key may see. A document that is gone already is only looked for.")]
pub(super) struct Arguments {
    /// The document's id
    #[arg(long, value_name = "ID")]
    document: DocumentId,
    /// The corpus that it is in
    #[arg(long, value_name = "NAME")]
    corpus: CorpusName,
    /// Show that it is gone
    #[arg(long)]
    prove: bool,
    /// An edge to look at, with --edge-key
    #[arg(long, value_name = "URL", requires_all = ["edge_key", "prove"])]
    edge: Option<String>,
    /// A caller's key at the edge
    #[arg(long, value_name = "KEY", requires = "edge")]
    edge_key: Option<String>,
    /// How long it may take: the edges' staleness bound
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    within: Duration,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// The answers that rest on a document, as the origin lists them.
#[derive(Debug, Deserialize)]
struct Resting {
    data: Vec<RestingAnswer>,
    looked_at: usize,
}

#[derive(Debug, Deserialize)]
struct RestingAnswer {
    /// The request that asks the question; the origin may have forgotten it.
    request: Option<Value>,
}

/// What is to be gone, and where to look.
struct Search<'a> {
    origin: &'a Server,
    edge: Option<&'a Server>,
    corpus: &'a CorpusName,
    document: &'a DocumentId,
    /// Of the document's text.
    pieces: Vec<String>,
    questions: Vec<Value>,
}

/// What one look has found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    document: bool,
    passages: usize,
    answers: usize,
    answers_looked_at: usize,
    at_edge: usize,
}

impl Found {
    fn nothing(&self) -> bool {
        !self.document && self.passages + self.answers + self.at_edge == 0
    }
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { document, corpus, prove, edge, edge_key, within, yes, server } = arguments;
    let origin = Server::new(&config, server)?;
    let edge = edge.zip(edge_key).map(|(url, key)| Server::with_key(&url, &key)).transpose()?;
    confirm(&format!("delete the document {document} of {corpus}"), yes)?;
    let (there, search) = prepare(&origin, edge.as_ref(), &corpus, &document).await?;
    let before = if prove { Some(search.look().await?) } else { None };
    let begun = Instant::now();
    if there {
        let path = format!("/v1/corpora/{corpus}/documents/{document}");
        let written: Written = origin.json(origin.request(Method::DELETE, &path)).await?;
        line(&format!("deleted {document} at epoch {}", written.epoch))?;
    } else {
        line(&format!("there is no document {document}; looking for what is left of it"))?;
    }
    let Some(before) = before else { return Ok(End::Done) };
    let mut found = search.look().await?;
    while !found.nothing() && begun.elapsed() < within {
        tokio::time::sleep(PAUSE).await;
        found = search.look().await?;
    }
    search.report(&before, &found, begun.elapsed())?;
    Ok(if found.nothing() { End::Done } else { End::Refused })
}

/// Finds out what there is to look for, while the document is still there; and whether it is.
async fn prepare<'a>(
    origin: &'a Server,
    edge: Option<&'a Server>,
    corpus: &'a CorpusName,
    document: &'a DocumentId,
) -> anyhow::Result<(bool, Search<'a>)> {
    let path = format!("/v1/corpora/{corpus}/documents/{document}");
    let text = match origin.send(origin.request(Method::GET, &path)).await {
        Ok(response) => Some(response.json::<Document>().await.context("the document cannot be read")?.text),
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => None,
        Err(error) => return Err(error).with_context(|| format!("asking {}", origin.base())),
    };
    let resting: Resting = origin.json(origin.request(Method::GET, &format!("{path}/answers"))).await?;
    let questions = resting.data.into_iter().filter_map(|answer| answer.request).collect();
    let pieces = text.as_deref().map(pieces).unwrap_or_default();
    Ok((text.is_some(), Search { origin, edge, corpus, document, pieces, questions }))
}

/// Beginnings of lines from all over the text.
fn pieces(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let step = lines.len().div_ceil(PIECES_MAX).max(1);
    lines.iter().step_by(step).map(|line| line.chars().take(PIECE_CHARS).collect()).collect()
}

impl Search<'_> {
    async fn look(&self) -> anyhow::Result<Found> {
        let Self { origin, corpus, document, .. } = self;
        let path = format!("/v1/corpora/{corpus}/documents/{document}");
        let there = match origin.send(origin.request(Method::GET, &path)).await {
            Ok(_) => true,
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => false,
            Err(error) => return Err(error).with_context(|| format!("asking {}", origin.base())),
        };
        let resting: Resting = origin.json(origin.request(Method::GET, &format!("{path}/answers"))).await?;
        Ok(Found {
            document: there,
            passages: self.passages().await?,
            answers: resting.data.len(),
            answers_looked_at: resting.looked_at,
            at_edge: self.at_edge().await?,
        })
    }

    /// Pieces of the text that a search still finds in the document.
    async fn passages(&self) -> anyhow::Result<usize> {
        let path = format!("/v1/corpora/{}/search", self.corpus);
        let mut found = 0;
        for piece in &self.pieces {
            let body = SearchRequest { query: piece.clone(), k: 20, filter: None, mode: SearchMode::Hybrid };
            let results: SearchResponse =
                self.origin.json(self.origin.request(Method::POST, &path).json(&body)).await?;
            found += usize::from(results.data.iter().any(|result| result.document_id == *self.document));
        }
        Ok(found)
    }

    /// Questions that the edge answers out of its caches with an answer that cites the document.
    async fn at_edge(&self) -> anyhow::Result<usize> {
        let Some(edge) = self.edge else { return Ok(0) };
        let mut found = 0;
        for question in &self.questions {
            let request = edge
                .request(Method::POST, "/v1/chat/completions")
                .header(reqwest::header::CACHE_CONTROL, "only-if-cached")
                .json(question);
            match edge.send(request).await {
                Ok(response) => {
                    let answer: Value = response.json().await.context("the edge's answer cannot be read")?;
                    found += usize::from(self.is_of(&answer));
                }
                // Not cached.
                Err(CallError::Refused { status: StatusCode::GATEWAY_TIMEOUT, .. }) => {}
                Err(error) => return Err(error).with_context(|| format!("asking {}", edge.base())),
            }
        }
        Ok(found)
    }

    /// Whether a completion cites the document or says a piece of its text.
    fn is_of(&self, completion: &Value) -> bool {
        let message = &completion["choices"][0]["message"];
        let citations = message["annotations"].as_array().map_or(&[][..], Vec::as_slice);
        let text = message["content"].as_str().unwrap_or_default();
        citations.iter().any(|citation| citation["document_id"] == self.document.as_str())
            || self.pieces.iter().any(|piece| text.contains(piece.as_str()))
    }

    fn report(&self, before: &Found, found: &Found, took: Duration) -> std::io::Result<()> {
        let Self { origin, edge, pieces, questions, .. } = self;
        let there = |there| if there { "there" } else { "not there" };
        line(&format!("looked at {}", safe(origin.base().as_str())))?;
        line(&format!("  the document: {}, before: {}", there(found.document), there(before.document)))?;
        let (now, then) = (found.passages, before.passages);
        line(&format!(
            "  {} pieces of its text searched for: {now} found in it, before: {then}",
            pieces.len()
        ))?;
        let Found { answers, answers_looked_at, .. } = found;
        line(&format!(
            "  {answers_looked_at} kept answers: {answers} rest on it, before: {}",
            before.answers
        ))?;
        match edge {
            Some(edge) => {
                line(&format!("looked at {}", safe(edge.base().as_str())))?;
                let (now, then) = (found.at_edge, before.at_edge);
                line(&format!(
                    "  {} questions whose answer rested on it: {now} answered from it, before: {then}",
                    questions.len()
                ))?;
            }
            None => line("no edge was looked at (--edge, --edge-key)")?,
        }
        let took_s = took.as_secs_f32();
        let left = if found.nothing() { "nothing" } else { "something" };
        line(&format!("{left} is left of it, {took_s:.1} s after it was deleted"))
    }
}
