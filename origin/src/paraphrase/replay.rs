//! Runs a log of questions against a corpus without serving anybody: what reuse would have done, by tolerance.
//!
//! Retrieval is the server's, through a port; answers are the documents' own words, so that no model is paid. A corpus
//! stands still while it is replayed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use perigee_shared::answer::Answer;
use perigee_shared::gate::Reading;
use perigee_shared::id::{CorpusName, Similarity, TenantId};
use perigee_shared::search::Search;
use serde::{Deserialize, Serialize};

use super::asking::{answer, question};
use super::compare::{Label, compare};
use super::{CANDIDATES_MAX, Calibration, Decision, Interval, Pair, Probability, Support, Tolerance, judge};
use crate::embed::Embedder;
use crate::retrieve::Retrieved;

/// The tolerances that are tried.
const TOLERANCES: [f64; 6] = [0.001, 0.005, 0.01, 0.02, 0.03, 0.05];

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub question: String,
    /// Questions of one label have one answer. Without, their answers are compared.
    #[serde(default)]
    pub label: Option<String>,
}

/// What one tolerance would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    pub tolerance: f64,
    pub questions: u64,
    /// The very same question had been answered.
    pub exact: u64,
    /// One in other words had been.
    pub paraphrase: u64,
    /// Paraphrase hits of which it is known whether they are right, and those that are not.
    pub judged: u64,
    pub wrong: u64,
    /// Questions without an answer in the documents: no call with or without reuse.
    pub refused: u64,
    /// Of all questions, those that were answered wrongly by reuse.
    pub false_hits: Interval,
}

impl Outcome {
    /// Upstream calls that were not made.
    #[must_use]
    pub const fn saved(&self) -> u64 {
        self.exact + self.paraphrase
    }
}

struct Known {
    text: String,
    label: Option<String>,
    reading: Reading,
    vector: Arc<[f32]>,
    answer: Option<Answer>,
    answer_vector: Vec<f32>,
}

/// Replays the log in its order.
///
/// # Errors
/// Retrieval or embedding fails.
pub async fn replay<Work>(
    lines: Vec<Line>,
    embedder: &Embedder,
    retrieve: impl Fn(Search) -> Work,
    progress: impl Fn(usize),
) -> Result<Vec<Outcome>>
where
    Work: Future<Output = Result<Retrieved>>,
{
    let (tenant, corpus) = (TenantId::new("replay")?, CorpusName::new("replay")?);
    let mut all = Vec::with_capacity(lines.len());
    let mut places = HashMap::<String, usize>::new();
    let mut order = Vec::with_capacity(lines.len());
    for (done, Line { question: text, label }) in lines.into_iter().enumerate() {
        let asked = question(&tenant, &corpus, &text);
        let text = asked.asked().to_owned();
        let place = match places.get(&text) {
            Some(place) => *place,
            None => {
                let answer = answer(&asked, embedder, &retrieve).await?;
                let texts = answer.iter().map(|answer| answer.text.clone()).collect();
                let answer_vector = embedder.passages(texts).await?.into_iter().next().unwrap_or_default();
                let vector = embedder.query(&text).await?;
                places.insert(text.clone(), all.len());
                let reading = Reading::of(&text);
                all.push(Known { text, label, reading, vector, answer, answer_vector });
                all.len() - 1
            }
        };
        order.push(place);
        progress(done + 1);
    }
    let tolerances = TOLERANCES.iter().filter_map(|share| Tolerance::new(*share).ok());
    Ok(tolerances.map(|tolerance| run(&all, &order, tolerance)).collect())
}

fn run(all: &[Known], order: &[usize], tolerance: Tolerance) -> Outcome {
    let threshold = Calibration::bundled().threshold(tolerance);
    let mut outcome = Outcome {
        tolerance: tolerance.share(),
        questions: order.len() as u64,
        exact: 0,
        paraphrase: 0,
        judged: 0,
        wrong: 0,
        refused: 0,
        false_hits: Interval::of(0, 0),
    };
    let mut stored: Vec<&Known> = Vec::new();
    for place in order {
        let asked = &all[*place];
        if stored.iter().any(|other| other.text == asked.text) {
            outcome.exact += 1;
        } else if asked.answer.is_none() {
            outcome.refused += 1;
        } else if let Some(other) = reused(asked, &stored, threshold) {
            outcome.paraphrase += 1;
            if let Some(right) = right(asked, other) {
                outcome.judged += 1;
                outcome.wrong += u64::from(!right);
            }
        } else {
            stored.push(asked);
        }
    }
    let hits = outcome.paraphrase as f64 / outcome.questions.max(1) as f64;
    outcome.false_hits = Interval::of(outcome.wrong, outcome.judged).times(hits);
    outcome
}

/// The answered question whose answer would have been given.
fn reused<'a>(asked: &Known, stored: &[&'a Known], threshold: Option<Probability>) -> Option<&'a Known> {
    let cosine = |other: &Known| asked.vector.iter().zip(&*other.vector).map(|(a, b)| a * b).sum::<f32>();
    let mut near: Vec<(&Known, f32)> = stored.iter().map(|other| (*other, cosine(other))).collect();
    near.sort_by(|a, b| b.1.total_cmp(&a.1));
    near.truncate(CANDIDATES_MAX);
    let judged = near.into_iter().filter_map(|(other, cosine)| {
        let evidence = Support::between(asked.answer.as_ref()?, other.answer.as_ref()?);
        let (asked, answered) = (&asked.reading, &other.reading);
        let pair = Pair { asked, answered, similarity: Similarity::new(cosine), evidence };
        let judgement = judge(pair, Calibration::bundled(), 0.0);
        (judgement.decide(threshold) == Decision::Reuse).then_some((other, judgement.probability.get()))
    });
    judged.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(other, _)| other)
}

/// Whether the other's answer is right, as far as that is known.
fn right(asked: &Known, other: &Known) -> Option<bool> {
    if let (Some(a), Some(b)) = (&asked.label, &other.label) {
        return Some(a == b);
    }
    let similarity = asked.answer_vector.iter().zip(&other.answer_vector).map(|(a, b)| a * b).sum();
    match compare(asked.answer.as_ref()?, other.answer.as_ref()?, Similarity::new(similarity)) {
        Label::Same => Some(true),
        Label::Other => Some(false),
        Label::Unclear => None,
    }
}

/// The outcomes as a table.
pub struct Table<'a>(pub &'a [Outcome]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| tolerance | exact hits | paraphrase hits | wrong, of those judged | wrong of all requests (95 %) | \
             upstream calls saved |\n|---|---|---|---|---|---|"
        )?;
        for outcome in self.0 {
            let Outcome { tolerance, questions, exact, paraphrase, judged, wrong, refused, false_hits } =
                outcome;
            let part = |count: u64| format!("{:.1} %", 100.0 * count as f64 / (*questions).max(1) as f64);
            let calls = questions - refused;
            let Interval { low, estimate, high } = false_hits;
            writeln!(
                f,
                "| {:.1} % | {} | {} | {wrong} of {judged} | {:.2} % ({:.2} to {:.2}) | {} of {calls} |",
                tolerance * 100.0,
                part(*exact),
                part(*paraphrase),
                estimate * 100.0,
                low * 100.0,
                high * 100.0,
                outcome.saved(),
            )?;
        }
        Ok(())
    }
}
