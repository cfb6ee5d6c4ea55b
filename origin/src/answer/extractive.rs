//! The built-in generator: the documents' own sentences that answer best, each with its mark.
//!
//! It writes nothing of its own, so it needs no model server, and it is deterministic: one question over the same
//! passages always gets the same text.

use std::collections::HashMap;
use std::ops::Range;

use perigee_shared::question::Question;

use super::compose::{Part, Written, compose};
use super::error::AnswerError;
use super::sentence::{Kind, Unit, units};
use super::words::content_stems;
use crate::embed::Embedder;
use crate::retrieve::Hit;

/// Sentences that are embedded for one answer: about 40 ms on one core.
const EMBEDDED_MAX: usize = 32;

/// Sentences of one answer.
const CHOSEN_MAX: usize = 4;

/// A further sentence is taken if it scores at least this part of the best one.
const CUTOFF: f32 = 0.8;

/// What a sentence is worth: likeness to the question, its rare words, its passage's rank.
const WEIGHT_SIMILARITY: f32 = 0.55;
const WEIGHT_WORDS: f32 = 0.3;
const WEIGHT_PASSAGE: f32 = 0.15;

/// What being like a sentence already chosen costs (maximal marginal relevance, Carbonell and Goldstein 1998).
const WEIGHT_REPETITION: f32 = 0.3;

/// Characters of a code block that may be shown; longer ones are for reading in place.
const CODE_CHARS_MAX: usize = 1_500;

/// List items or table rows that follow the sentence which announces them.
const LIST_ITEMS_MAX: usize = 10;

/// A sentence, or one with the block that it announces.
#[derive(Debug)]
struct Candidate {
    hit: usize,
    /// Its place among the passage's units.
    place: usize,
    block: usize,
    range: Range<usize>,
    kind: Kind,
    lead: String,
    /// The code or list that belongs to it.
    tail: String,
    stems: Vec<String>,
}

/// Answers from the passages.
///
/// # Errors
/// The sentences could not be embedded.
pub(super) async fn write(
    question: &Question,
    query: &str,
    evidence: &[Hit],
    embedder: &Embedder,
) -> Result<Written, AnswerError> {
    let candidates = promising(query, candidates(evidence), evidence);
    let vector = embedder.query(query).await.map_err(AnswerError::Embed)?;
    let texts = candidates.iter().map(|candidate| candidate.embedded(evidence)).collect();
    let rows = embedder.sentences(texts).await.map_err(AnswerError::Embed)?;
    let chosen = choose(query, &candidates, evidence, &vector, &rows);
    let parts: Vec<Part<'_>> = chosen.into_iter().map(|candidate| candidate.part(evidence)).collect();
    Ok(compose(&parts, question, &embedder.tokenizer()))
}

fn candidates(evidence: &[Hit]) -> Vec<Candidate> {
    evidence.iter().enumerate().flat_map(|(index, hit)| passage_candidates(index, hit)).collect()
}

fn passage_candidates(index: usize, hit: &Hit) -> Vec<Candidate> {
    let units = units(&hit.text);
    let mut candidates = Vec::new();
    for (place, unit) in units.iter().enumerate() {
        let fits = match unit.kind {
            // Code without a word about it stands only where the passage begins with it; else it follows its lead.
            Kind::Code => place == 0 && unit.shown.chars().count() <= CODE_CHARS_MAX,
            Kind::Sentence | Kind::Item | Kind::Row => true,
        };
        let tail = tail(&units, place);
        // What only announces a thing that is not there answers nothing.
        if !fits || (tail.is_empty() && unit.shown.ends_with(':')) {
            continue;
        }
        let end = tail.last().map_or(unit.range.end, |last| last.range.end);
        let tail = show_tail(tail);
        let stems = content_stems(&format!("{}\n{tail}", unit.shown));
        candidates.push(Candidate {
            hit: index,
            place,
            block: unit.block,
            range: unit.range.start..end,
            kind: unit.kind,
            lead: unit.shown.clone(),
            tail,
            stems,
        });
    }
    candidates
}

/// The units that belong to the one at `place`: a code block behind it, or what it announces with a colon.
fn tail(units: &[Unit], place: usize) -> &[Unit] {
    let rest = &units[place + 1..];
    let Some(next) = rest.first() else { return &[] };
    let announces = units[place].shown.ends_with(':');
    match next.kind {
        Kind::Code if units[place].kind != Kind::Code && next.shown.chars().count() <= CODE_CHARS_MAX => {
            &rest[..1]
        }
        Kind::Item | Kind::Row if announces => {
            let same = rest.iter().take(LIST_ITEMS_MAX).take_while(|unit| unit.kind == next.kind).count();
            &rest[..same]
        }
        Kind::Sentence if announces && units[place].kind == Kind::Sentence => &rest[..1],
        Kind::Code | Kind::Item | Kind::Row | Kind::Sentence => &[],
    }
}

fn show_tail(tail: &[Unit]) -> String {
    let shown: Vec<String> = tail.iter().map(|unit| show(unit.kind, &unit.shown)).collect();
    shown.join("\n")
}

fn show(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Item | Kind::Row => format!("- {text}"),
        Kind::Sentence | Kind::Code => text.to_owned(),
    }
}

/// The candidates worth embedding: those with the question's words, in good passages.
fn promising(query: &str, mut candidates: Vec<Candidate>, evidence: &[Hit]) -> Vec<Candidate> {
    if candidates.len() <= EMBEDDED_MAX {
        return candidates;
    }
    let rarity = Rarity::of(query, &candidates);
    let score = |candidate: &Candidate| rarity.cover(candidate) + evidence[candidate.hit].score;
    candidates.sort_by(|a, b| score(b).total_cmp(&score(a)).then((a.hit, a.place).cmp(&(b.hit, b.place))));
    candidates.truncate(EMBEDDED_MAX);
    candidates.sort_by_key(|candidate| (candidate.hit, candidate.place));
    candidates
}

impl Candidate {
    /// With its heading in front, since a sentence seldom repeats what its section is about.
    fn embedded(&self, evidence: &[Hit]) -> String {
        let hit = &evidence[self.hit];
        let about = hit.headings.last().unwrap_or(&hit.title);
        format!("{about}: {} {}", self.lead, self.tail)
    }

    fn part<'a>(&'a self, evidence: &'a [Hit]) -> Part<'a> {
        Part {
            passage: self.hit + 1,
            hit: &evidence[self.hit],
            range: self.range.clone(),
            kind: self.kind,
            block: self.block,
            lead: &self.lead,
            tail: &self.tail,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.hit == other.hit && self.range.start < other.range.end && other.range.start < self.range.end
    }
}

/// How much each of the question's words tells the candidates apart.
struct Rarity {
    weights: HashMap<String, f32>,
    sum: f32,
}

impl Rarity {
    fn of(query: &str, candidates: &[Candidate]) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for stem in candidates.iter().flat_map(|candidate| &candidate.stems) {
            *counts.entry(stem).or_default() += 1;
        }
        let all = candidates.len() as f32;
        let mut weights = HashMap::new();
        let mut sum = 0.0;
        for stem in content_stems(query) {
            let count = counts.get(stem.as_str()).copied().unwrap_or(0);
            let weight = (1.0 + all / (1.0 + count as f32)).ln();
            // Summed in the order of the question, so that rounding is the same each time.
            if count > 0 {
                sum += weight;
            }
            weights.insert(stem, weight);
        }
        Self { weights, sum }
    }

    /// The part of the question's words that a candidate holds, rare ones counting more; in [0, 1].
    fn cover(&self, candidate: &Candidate) -> f32 {
        if self.sum == 0.0 {
            return 0.0;
        }
        candidate.stems.iter().filter_map(|stem| self.weights.get(stem)).sum::<f32>() / self.sum
    }
}

/// The best candidates in the order in which they are shown.
fn choose<'a>(
    query: &str,
    candidates: &'a [Candidate],
    evidence: &[Hit],
    question: &[f32],
    rows: &[Vec<f32>],
) -> Vec<&'a Candidate> {
    let rarity = Rarity::of(query, candidates);
    let scores: Vec<f32> = candidates
        .iter()
        .zip(rows)
        .map(|(candidate, row)| {
            WEIGHT_SIMILARITY * dot(question, row)
                + WEIGHT_WORDS * rarity.cover(candidate)
                + WEIGHT_PASSAGE * evidence[candidate.hit].score
        })
        .collect();
    let best = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < CHOSEN_MAX {
        let free = (0..scores.len()).filter(|&index| {
            scores[index] >= best * CUTOFF
                && chosen.iter().all(|&other| !candidates[other].overlaps(&candidates[index]))
        });
        let marginal = |index: usize| {
            let repeated = chosen.iter().map(|&other| dot(&rows[index], &rows[other])).fold(0.0, f32::max);
            scores[index] - WEIGHT_REPETITION * repeated
        };
        // The first of equals, so that the order of candidates decides.
        let Some(next) = free.reduce(|a, b| if marginal(b) > marginal(a) { b } else { a }) else { break };
        chosen.push(next);
    }
    // Passages in the order in which their best sentence was chosen; within one, the document's order.
    let passages: Vec<usize> = chosen.iter().map(|&index| candidates[index].hit).collect();
    chosen.sort_by_key(|&index| {
        let rank = passages.iter().position(|&hit| hit == candidates[index].hit);
        (rank, candidates[index].place)
    });
    chosen.into_iter().map(|index| &candidates[index]).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests;
