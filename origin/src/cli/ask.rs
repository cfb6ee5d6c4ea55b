//! `perigee ask`.

use anyhow::{Context, bail};
use clap::Args;
use eventsource_stream::Eventsource;
use futures::StreamExt;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::End;
use super::client::{CorpusArguments, Server};
use super::output::{line, print, safe, snippet};
use crate::config::Config;

const QUOTE_CHARS: usize = 200;

/// Asks a question and prints the answer with its citations
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perigee ask \"How long does a refund take?\" --corpus docs
  perigee ask \"How long does a refund take?\" --corpus docs --json
  perigee ask \"How long does a refund take?\" --corpus docs --url https://edge.example.com --key pgk_...")]
pub(super) struct Arguments {
    question: String,
    #[command(flatten)]
    of: CorpusArguments,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { question, of: CorpusArguments { corpus, json, server } } = arguments;
    let server = Server::new(&config, server)?;
    let body = json!({
        "model": corpus,
        "stream": !json,
        "messages": [{"role": "user", "content": question}],
    });
    let request = server.request(Method::POST, "/v1/chat/completions").json(&body);
    if json {
        let completion: Value = server.json(request).await?;
        line(&completion.to_string())?;
        return Ok(End::Done);
    }
    let response = server.send(request).await.with_context(|| format!("asking {}", server.base()))?;
    let mut events = response.bytes_stream().eventsource();
    let mut citations = Vec::new();
    loop {
        let event = events.next().await.context("the answer broke off")?;
        let data = event.context("the answer broke off")?.data;
        if data == "[DONE]" {
            break;
        }
        citations.extend(print_chunk(&data)?);
    }
    print_citations(&citations)?;
    Ok(End::Done)
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    mark: usize,
    document_id: String,
    quote: String,
    url_citation: UrlCitation,
}

#[derive(Deserialize)]
struct UrlCitation {
    title: String,
    url: String,
}

/// Prints a chunk's text; gives its citations.
fn print_chunk(data: &str) -> anyhow::Result<Vec<Annotation>> {
    let chunk: Chunk = serde_json::from_str(data).context("the answer cannot be read")?;
    if let Some(error) = chunk.error {
        bail!("the answer broke off: {}", error["message"].as_str().unwrap_or("no reason was given"));
    }
    let mut citations = Vec::new();
    for Choice { delta } in chunk.choices {
        print(&safe(delta.content.as_deref().unwrap_or_default()))?;
        citations.extend(delta.annotations);
    }
    Ok(citations)
}

/// Each mark once, however often the text carries it.
fn print_citations(citations: &[Annotation]) -> anyhow::Result<()> {
    line("")?;
    let mut marks: Vec<&Annotation> = citations.iter().collect();
    marks.sort_by_key(|citation| citation.mark);
    marks.dedup_by_key(|citation| citation.mark);
    for Annotation { mark, document_id, quote, url_citation: UrlCitation { title, url } } in marks {
        line(&format!("\n[{mark}] {} ({})\n    {}", safe(title), safe(document_id), safe(url)))?;
        line(&format!("    “{}”", snippet(quote, QUOTE_CHARS)))?;
    }
    Ok(())
}
