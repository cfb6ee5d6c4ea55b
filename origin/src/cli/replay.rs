//! `perigee replay`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use perigee_shared::id::CorpusName;
use perigee_shared::search::{Search, SearchRequest, SearchResponse};
use reqwest::Method;

use super::End;
use super::client::{Server, ServerArguments};
use super::output::{line, say};
use crate::config::Config;
use crate::embed::{EmbedOptions, Embedder};
use crate::paraphrase::replay::{Line, Table, replay};
use crate::retrieve::{Hit, Retrieved};

/// Shows what reuse would have done with a log of questions, without serving anybody
///
/// Searches the corpus for every question and answers it from the documents' own words, in the log's order. Prints,
/// for a range of tolerances, hits by tier, wrong hits with their interval, and upstream calls saved.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The log's lines are {\"question\"} or {\"question\", \"label\"}: questions of one label have one answer. Without
labels, a reused answer is compared with the question's own.

Example:
  perigee replay questions.jsonl --corpus docs")]
pub(super) struct Arguments {
    /// The log
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// The corpus that was asked
    #[arg(long, value_name = "NAME")]
    corpus: CorpusName,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { log, corpus, json, server } = arguments;
    let server = Server::new(&config, server)?;
    let text = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let lines: Result<Vec<Line>, _> = lines
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", log.display(), at + 1))
        })
        .collect();
    let options =
        EmbedOptions { model_dir: config.model_dir, runtime_library: config.onnxruntime, threads: None };
    let loading = tokio::task::spawn_blocking(move || Embedder::load(options));
    let embedder = loading.await.context("loading the model broke off")??;
    let retrieve = |search: Search| {
        let (server, corpus) = (&server, &corpus);
        async move {
            let Search { query, k, filter: _, mode } = search;
            let body = SearchRequest { query, k, filter: None, mode };
            let path = format!("/v1/corpora/{corpus}/search");
            let request = || server.request(Method::POST, &path).json(&body);
            let found: SearchResponse =
                server.send_patiently(request).await?.json().await.context("the answer cannot be read")?;
            Ok(retrieved(found))
        }
    };
    let progress = |done: usize| {
        if done.is_multiple_of(500) {
            say(&format!("{done} questions"));
        }
    };
    let outcomes = replay(lines?, &embedder, retrieve, progress).await?;
    line(&if json {
        serde_json::to_string(&outcomes)?
    } else {
        Table(&outcomes).to_string().trim_end().to_owned()
    })?;
    Ok(End::Done)
}

fn retrieved(found: SearchResponse) -> Retrieved {
    let hits = found.data.into_iter().map(|result| Hit {
        // Not on the wire, and nothing here asks for it.
        passage: 0,
        document: result.document_id,
        title: result.title,
        url: result.url,
        headings: result.headings,
        text: result.text,
        start: result.start,
        end: result.end,
        hash: result.hash,
        score: result.score,
        vector: result.vector,
        lexical: result.lexical,
    });
    Retrieved { epoch: found.epoch, hits: hits.collect(), basis: None }
}
