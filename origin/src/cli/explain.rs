//! `perigee explain`.

use anyhow::Context;
use clap::Args;
use perigee_shared::gate::Reading;
use perigee_shared::id::Similarity;

use super::End;
use super::output::{line, safe};
use crate::answer::explain::Explained;
use crate::config::Config;
use crate::embed::{EmbedOptions, Embedder};
use crate::paraphrase::{Calibration, Pair, Support, Tolerance, judge};

/// Says whether one question's answer would be given to another, and why
///
/// Judges the words and the model's similarity, as if the documents had the same passages for both. What a server
/// makes of a question is told by the request header `Perigee-Explain: 1`. Needs no server.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  perigee explain \"How do I install it?\" \"How can it be installed?\"")]
pub(super) struct Arguments {
    /// The question asked
    asked: String,
    /// The question that was answered
    answered: String,
    /// The share of requests that may be answered wrongly
    #[arg(long, value_name = "SHARE", default_value = "0.01")]
    tolerance: Tolerance,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { asked, answered, tolerance, json } = arguments;
    let options =
        EmbedOptions { model_dir: config.model_dir, runtime_library: config.onnxruntime, threads: None };
    let loading = tokio::task::spawn_blocking(move || Embedder::load(options));
    let embedder = loading.await.context("loading the model broke off")??;
    let (a, b) = (embedder.query(&asked).await?, embedder.query(&answered).await?);
    let similarity = Similarity::new(a.iter().zip(&*b).map(|(a, b)| a * b).sum());
    let (asked, reading) = (Reading::of(&asked), Reading::of(&answered));
    let calibration = Calibration::bundled();
    let pair = Pair { asked: &asked, answered: &reading, similarity, evidence: Support::WHOLE };
    let judgement = judge(pair, calibration, 0.0);
    let threshold = calibration.threshold(tolerance);
    let decision = judgement.decide(threshold).name();
    let explained = Explained::of(&answered, similarity.get(), &judgement, decision);
    if json {
        line(&serde_json::to_string(&explained)?)?;
        return Ok(End::Done);
    }
    let Explained { decision, similarity, gate, unaligned, probability, .. } = explained;
    line(&format!("decision     {decision}"))?;
    line(&format!("gate         {gate}"))?;
    line(&format!("similarity   {similarity:.3}"))?;
    let unaligned = if unaligned.is_empty() { "-".to_owned() } else { safe(&unaligned.join(", ")) };
    line(&format!("unaligned    {unaligned}"))?;
    let asked =
        threshold.map_or_else(|| "nothing is enough".to_owned(), |asked| format!("{:.3}", asked.get()));
    line(&format!("probability  {probability:.3} (asked for at {tolerance}: {asked})"))?;
    Ok(End::Done)
}
