//! `perigee calibrate`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::End;
use super::model;
use super::output::{line, say};
use crate::config::Config;
use crate::paraphrase::trial::{TrialOptions, run as try_out};

/// Fits the judgement of paraphrases to labelled questions, and measures it
///
/// Learns from the questions about one half of the documents and reports on the other half: how many paraphrases get
/// their answer, and how many near misses get a wrong one, for each tolerance. Needs no server.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The questions are lines of {\"id\", \"corpus\", \"doc\", \"question\", \"paraphrases\": [...],
\"near_misses\": [{\"q\", \"why\"}]}; the documents stand in one folder per corpus. Tables of intents are CSV with the
columns text and category: a question answered by one of another category counts as wrong.

Example:
  perigee calibrate --questions questions.jsonl --documents docs \\
    --intents train.csv --intents-reported test.csv --write origin/src/paraphrase/calibration.toml")]
pub(super) struct Arguments {
    /// The questions with their paraphrases and near misses
    #[arg(long, value_name = "FILE")]
    questions: PathBuf,
    /// The folder of the corpora's folders
    #[arg(long, value_name = "DIR")]
    documents: PathBuf,
    /// Questions by intent, to learn from
    #[arg(long, value_name = "FILE", requires = "intents_reported")]
    intents: Option<PathBuf>,
    /// Questions by intent, to report on
    #[arg(long, value_name = "FILE", requires = "intents")]
    intents_reported: Option<PathBuf>,
    /// Write the coefficients
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write every pair with its features, as JSON Lines
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { questions, documents, intents, intents_reported, write, pairs, json } = arguments;
    let embedder = model::load(&config).await?;
    let intents = intents.zip(intents_reported);
    let (calibration, report) =
        try_out(TrialOptions { groups: questions, documents, intents, pairs, embedder }).await?;
    line(&if json { serde_json::to_string(&report)? } else { report.to_string().trim_end().to_owned() })?;
    let text = format!("{HEADER}{}", calibration.to_text());
    match write {
        Some(file) => {
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            say(&format!("wrote {}", file.display()));
        }
        None => say(&text),
    }
    Ok(End::Done)
}

/// What a reader of the file should know.
const HEADER: &str = "\
# How sure the features of two questions make it that one's answer answers the other: log-odds are the bias plus the
# weights times the features, each in [0, 1]. No weight is negative: more alike is never less sure. A step says what
# probability (at the edge: cosine of the static vectors of what the gate calls the same) keeps the requests that are
# answered wrongly within a tolerance. Written by `perigee calibrate`; the features are in features.rs.

";
