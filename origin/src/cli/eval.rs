//! `perigee eval`.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::End;
use super::model;
use super::output::line;
use crate::config::Config;
use crate::eval::{EvalOptions, evaluate};

/// Measures how well retrieval finds what people marked as relevant
///
/// Ingests the corpus into a temporary directory, through the same splitting and index as a server's, asks every
/// query, and prints nDCG@10, recall@10, recall@100 and latency for lexical, vector and hybrid. Needs no server.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The files are BEIR's: corpus lines {\"_id\", \"title\", \"text\"}, query lines {\"_id\", \"text\"}, and a tab-separated
table of query, document and grade.

Example:
  perigee eval --corpus corpus.jsonl --queries queries.jsonl --qrels qrels.tsv --json")]
pub(super) struct Arguments {
    /// The documents
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// The queries
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Which document is relevant to which query, and how much
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { corpus, queries, qrels, json } = arguments;
    let embedder = model::load(&config).await?;
    let bar = bar();
    let progress = bar.clone();
    let on_progress = Arc::new(move |done, of| {
        progress.set_length(of);
        progress.set_position(done);
    });
    let report = evaluate(EvalOptions { corpus, queries, qrels, embedder, on_progress }).await;
    bar.finish_and_clear();
    let report = report?;
    line(&if json { serde_json::to_string(&report)? } else { report.to_string().trim_end().to_owned() })?;
    Ok(End::Done)
}

fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // The template is a constant; a mistake in it shows as the default style.
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} documents  {elapsed}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
