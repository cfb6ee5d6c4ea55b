//! `perigee search`.

use anyhow::Context;
use clap::{Args, ValueEnum};
use perigee_shared::search::{SearchMode, SearchRequest, SearchResponse, SearchResult};
use reqwest::Method;
use serde_json::Value;

use super::End;
use super::client::{CorpusArguments, Server};
use super::output::{line, safe, snippet};
use crate::config::Config;

const TEXT_CHARS: usize = 240;

/// Searches the passages of a corpus
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perigee search \"refund time\" --corpus docs
  perigee search \"refund time\" --corpus docs -k 3 --mode lexical --json
  perigee search refunds --corpus docs --filter '{\"eq\": {\"field\": \"lang\", \"value\": \"en\"}}'")]
pub(super) struct Arguments {
    query: String,
    /// Results wanted, 1 to 100
    #[arg(short, long, default_value_t = 5)]
    k: usize,
    /// Which ranking
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    mode: Mode,
    /// A filter on metadata, as JSON
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    filter: Option<Value>,
    #[command(flatten)]
    of: CorpusArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Vectors and BM25, fused
    Hybrid,
    Vector,
    Lexical,
}

impl From<Mode> for SearchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => Self::Hybrid,
            Mode::Vector => Self::Vector,
            Mode::Lexical => Self::Lexical,
        }
    }
}

fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { query, k, mode, filter, of: CorpusArguments { corpus, json, server } } = arguments;
    let server = Server::new(&config, server)?;
    let body = SearchRequest { query, k, filter, mode: mode.into() };
    let request = server.request(Method::POST, &format!("/v1/corpora/{corpus}/search")).json(&body);
    let found: SearchResponse =
        server.json(request).await.with_context(|| format!("searching at {}", server.base()))?;
    if json {
        line(&serde_json::to_string(&found)?)?;
        return Ok(End::Done);
    }
    for (place, result) in found.data.iter().enumerate() {
        print(place + 1, result)?;
    }
    Ok(End::Done)
}

fn print(place: usize, result: &SearchResult) -> anyhow::Result<()> {
    let SearchResult { document_id, title, headings, text, score, vector, lexical, .. } = result;
    let mut above = vec![safe(title)];
    above.extend(headings.iter().map(|heading| safe(heading)));
    let rank = |rank: Option<usize>| rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
    let (vector, lexical) = (rank(vector.map(|v| v.rank)), rank(lexical.map(|l| l.rank)));
    line(&format!(
        "{place:>3}. {score:.3}  {}  ({document_id}; vector {vector}, lexical {lexical})",
        above.join(" › ")
    ))?;
    line(&format!("     {}", snippet(text, TEXT_CHARS)))?;
    Ok(())
}
