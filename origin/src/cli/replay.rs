//! `perigee replay`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use perigee_shared::search::Search;

use super::End;
use super::client::{CorpusArguments, Server};
use super::model;
use super::output::{line, say};
use super::remote::retrieve;
use crate::config::Config;
use crate::paraphrase::replay::{Line, Table, replay};

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
    #[command(flatten)]
    of: CorpusArguments,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { log, of: CorpusArguments { corpus, json, server } } = arguments;
    let server = Server::new(&config, server)?;
    let text = std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let lines: Result<Vec<Line>, _> = lines
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", log.display(), at + 1))
        })
        .collect();
    let embedder = model::load(&config).await?;
    let retrieve = |search: Search| retrieve(&server, &corpus, search);
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
