//! A trial of reuse: fits the calibration to one half of a set of questions, and reports on the other half.
//!
//! What is behind `perigee calibrate`. Questions are asked over their own documents through the product's own
//! retrieval, gate and judgement; no answer is served to anybody.

mod data;
mod frontier;
mod pairs;
mod report;

use std::path::PathBuf;

use anyhow::{Context, Result};

use self::data::{Half, groups, intended};
use self::frontier::{Served, served, threshold};
use self::pairs::{Ask, Candidate, Kind, of_groups, of_intents};
pub use self::report::Report;
use super::calibration::Step;
use super::training::{Labelled, fit};
use super::{Calibration, Decision, Probability, Tolerance, refuses};
use crate::embed::Embedder;

/// The tolerances that the calibration says something about, strictest first.
const TOLERANCES: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05];

/// Questions of known intent that are learnt from. They are many and without documents, and shall not outweigh the
/// others.
const INTENTS_LEARNT: usize = 3_000;

/// How much a pair of questions of different intent counts beside one of the groups'.
const INTENT_WEIGHT: f64 = 0.1;

/// The edge reuses nothing less alike than this, however little speaks against it in the half that is learnt from.
const EDGE_SIMILARITY_MIN: f64 = 0.8;

/// What to try on what.
pub struct TrialOptions {
    /// Lines of `{"id", "corpus", "doc", "question", "paraphrases", "near_misses": [{"q", "why"}]}`.
    pub groups: PathBuf,
    /// A folder with one folder of documents for each corpus that the groups name.
    pub documents: PathBuf,
    /// Tables of `text` and `category`: one to learn from, one to report on.
    pub intents: Option<(PathBuf, PathBuf)>,
    /// Where every pair goes with its features, as JSON Lines.
    pub pairs: Option<PathBuf>,
    pub embedder: Embedder,
}

/// Fits and reports.
///
/// # Errors
/// A file cannot be read, or the documents cannot be searched.
pub async fn run(options: TrialOptions) -> Result<(Calibration, Report)> {
    let TrialOptions { groups: file, documents, intents, pairs, embedder } = options;
    let mut asks = Vec::new();
    for (corpus, groups) in groups(&file)? {
        asks.extend(of_groups(&corpus, &documents.join(&corpus), &groups, &embedder).await?);
    }
    if let Some((learnt, reported)) = intents {
        let mut rows = intended(&learnt)?;
        // Every so many-th of the sorted texts: a fair sample, and always the same.
        let every = rows.len().div_ceil(INTENTS_LEARNT).max(1);
        rows = rows.into_iter().step_by(every).collect();
        asks.extend(of_half(of_intents(rows, &embedder).await?, Half::Learnt));
        asks.extend(of_half(of_intents(intended(&reported)?, &embedder).await?, Half::Reported));
    }
    if let Some(file) = pairs {
        write_pairs(&asks, &file)?;
    }
    let calibration = calibrate(&asks);
    let report = report::report(&asks, &calibration);
    Ok((calibration, report))
}

fn of_half(asks: Vec<Ask>, half: Half) -> impl Iterator<Item = Ask> {
    asks.into_iter().map(move |ask| Ask { half, ..ask })
}

fn write_pairs(asks: &[Ask], file: &std::path::Path) -> Result<()> {
    let lines: Result<Vec<String>, _> = asks.iter().map(serde_json::to_string).collect();
    std::fs::write(file, lines?.join("\n") + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn calibrate(asks: &[Ask]) -> Calibration {
    let learnt = || asks.iter().filter(|ask| ask.half == Half::Learnt);
    let labelled: Vec<Labelled> = learnt().flat_map(labelled).collect();
    let mut calibration = Calibration { weights: fit(&labelled), steps: Vec::new() };
    let at_origin = served(learnt(), &origin_score(&calibration));
    let at_edge = served(learnt(), &edge_score);
    for share in TOLERANCES {
        let Ok(tolerance) = Tolerance::new(share) else { continue };
        let probability = threshold(&at_origin, |at, rates| {
            bearable(share, rates) && expected_wrong(&at_origin, at) <= share
        });
        let edge_similarity = threshold(&at_edge, |_, rates| bearable(share, rates));
        calibration.steps.push(Step {
            tolerance,
            probability: rounded_up(probability),
            edge_similarity: rounded_up(edge_similarity.max(EDGE_SIMILARITY_MIN)),
        });
    }
    // Written and read again, so that what is reported is what the file says.
    calibration
}

/// To the four digits of the file, never down: a threshold must not let in what it was chosen to keep out. What
/// nothing reaches is 1 and something, which stays unreachable.
fn rounded_up(threshold: f64) -> f64 {
    ((threshold.min(1.1) * 1e4).ceil() / 1e4).min(1.1)
}

/// Whether no kind of request is answered wrongly more often than that.
fn bearable(share: f64, rates: &frontier::Rates) -> bool {
    [rates.requests, rates.strangers, rates.intents].iter().all(|wrong| wrong.value() <= share)
}

/// The share of paraphrases and near misses answered wrongly, if the probabilities are right: it goes on where there
/// are too few questions to count errors.
fn expected_wrong(served: &[Served], threshold: f64) -> f64 {
    let requests = served.iter().filter(|one| matches!(one.kind, Kind::Paraphrase(_) | Kind::NearMiss));
    let (mut wrong, mut all) = (0.0, 0.0);
    for one in requests {
        all += 1.0;
        if one.score >= threshold {
            wrong += 1.0 - one.score;
        }
    }
    if all > 0.0 { wrong / all } else { 0.0 }
}

/// The pairs of a question that are left to the model, with their labels. Of two questions with one intent it is not
/// known whether they mean the same: they teach nothing.
fn labelled(ask: &Ask) -> impl Iterator<Item = Labelled> + '_ {
    let open = ask.candidates.iter().filter(|one| !refuses(one.verdict) && one.evidence.cited);
    let known = open.filter(|one| !(ask.kind == Kind::Intent && one.right));
    let weight = if ask.kind == Kind::Intent { INTENT_WEIGHT } else { 1.0 };
    known.map(move |one| Labelled { features: one.features, same: one.right, weight })
}

/// The whole judgement at the origin.
fn origin_score(calibration: &Calibration) -> impl Fn(&Candidate) -> Option<f64> + '_ {
    |one| {
        let open = !refuses(one.verdict) && one.evidence.cited;
        open.then(|| calibration.probability(&one.features, 0.0).get())
    }
}

/// The whole judgement at the edge.
fn edge_score(one: &Candidate) -> Option<f64> {
    one.edge_verdict.is_same().then(|| f64::from(one.static_cosine))
}

fn decide(one: &Candidate, calibration: &Calibration, threshold: Option<Probability>) -> Decision {
    if refuses(one.verdict) {
        Decision::Gate
    } else if !one.evidence.cited {
        Decision::Evidence
    } else if threshold.is_some_and(|asked| calibration.probability(&one.features, 0.0) >= asked) {
        Decision::Reuse
    } else {
        Decision::Unsure
    }
}
