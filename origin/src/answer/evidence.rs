//! Which passages an answer may rest on, and whether they are enough to answer at all.

use std::collections::HashSet;
use std::sync::Arc;

use perigee_shared::evidence::{Evidence, PassageRef};
use perigee_shared::id::Epoch;
use perigee_shared::limits::EVIDENCE_PASSAGES_MAX;
use perigee_shared::search::{Search, SearchMode};

use super::words::{content_stems, words};
use crate::retrieve::{Basis, Hit, Retrieved};

/// Passages that are retrieved for an answer: twice the most it may rest on, so that near-duplicates can go.
const CANDIDATES: usize = 2 * EVIDENCE_PASSAGES_MAX;

/// A passage is left out when its fused score is below this part of the best one's.
const SCORE_CUTOFF: f32 = 0.4;

/// Two passages with this much of their words in common (Jaccard) say the same; the better one stays.
const DUPLICATE_OVERLAP: f32 = 0.9;

/// Evidence is too weak when similarity plus [`COVERAGE_WEIGHT`] times coverage stays below this.
///
/// Found on the development data (`cargo nextest run -p perigee-origin measured --no-capture` prints the part that
/// is kept as a test): of questions on their own corpora it refuses 0.7 % (XQuAD), 0.4 % (Cranfield), 0 % and 1.1 %
/// (questions on documentation and their paraphrases); of questions on corpora about something else it refuses 85 %
/// to 99 %. Coverage adds little where the model knows the words; it is for names and codes that it does not.
const STRENGTH_MIN: f32 = 0.34;
const COVERAGE_WEIGHT: f32 = 0.1;

/// Passages whose words count when the question's are looked for.
const COVERING_PASSAGES: usize = 3;

/// What is retrieved for an answer.
pub(super) fn search(query: &str) -> Search {
    Search { query: query.to_owned(), k: CANDIDATES, filter: None, mode: SearchMode::Hybrid }
}

/// The passages for one question, best first, as they were at one epoch.
#[derive(Debug, Clone)]
pub(super) struct Grounds {
    pub(super) epoch: Epoch,
    pub(super) hits: Vec<Hit>,
    pub(super) strength: Strength,
    /// What the retrieval rests on, where it is known.
    pub(super) basis: Option<Arc<Basis>>,
}

/// How well the best passages fit the question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Strength {
    /// The best passage's similarity to the question; -1 where none was found by its vector.
    pub(super) similarity: f32,
    /// Part of the question's content words that the best passages hold, in [0, 1]; 1 for a question without any.
    pub(super) coverage: f32,
}

impl Strength {
    /// Whether an answer would be a guess.
    pub(super) fn is_too_weak(self) -> bool {
        self.similarity + COVERAGE_WEIGHT * self.coverage < STRENGTH_MIN
    }
}

impl Grounds {
    /// Chooses from what was retrieved for `query`.
    pub(super) fn choose(query: &str, retrieved: Retrieved) -> Self {
        let Retrieved { epoch, hits, basis } = retrieved;
        let similarity = hits
            .iter()
            .filter_map(|hit| hit.vector.map(|vector| vector.similarity.get()))
            .fold(-1.0, f32::max);
        let least = hits.first().map_or(0.0, |best| best.score * SCORE_CUTOFF);
        let mut chosen: Vec<(Hit, HashSet<String>)> = Vec::new();
        for hit in hits {
            if chosen.len() == EVIDENCE_PASSAGES_MAX || hit.score < least {
                break;
            }
            let own: HashSet<String> = words(&hit.text).collect();
            if chosen.iter().all(|(_, other)| overlap(&own, other) < DUPLICATE_OVERLAP) {
                chosen.push((hit, own));
            }
        }
        let hits: Vec<Hit> = chosen.into_iter().map(|(hit, _)| hit).collect();
        let coverage = coverage(query, &hits);
        Self { epoch, hits, strength: Strength { similarity, coverage }, basis }
    }

    /// What the answer's cache compares.
    pub(super) fn evidence(&self) -> Evidence {
        let refs = self.hits.iter().map(|hit| PassageRef { document: hit.document.clone(), hash: hit.hash });
        Evidence::new(refs.collect())
    }
}

fn overlap(a: &HashSet<String>, b: &HashSet<String>) -> f32 {
    let common = a.intersection(b).count();
    let all = a.len() + b.len() - common;
    if all == 0 { 1.0 } else { common as f32 / all as f32 }
}

fn coverage(query: &str, hits: &[Hit]) -> f32 {
    let asked = content_stems(query);
    if asked.is_empty() {
        return 1.0;
    }
    let held: HashSet<String> = hits
        .iter()
        .take(COVERING_PASSAGES)
        .flat_map(|hit| content_stems(&format!("{}\n{}\n{}", hit.title, hit.headings.join("\n"), hit.text)))
        .collect();
    asked.iter().filter(|stem| held.contains(*stem)).count() as f32 / asked.len() as f32
}

#[cfg(test)]
mod tests {
    use perigee_shared::id::Similarity;

    use super::*;
    use crate::answer::testing::hit;

    fn choose(query: &str, hits: Vec<Hit>) -> Grounds {
        Grounds::choose(query, Retrieved { epoch: Epoch::new(7), hits, basis: None })
    }

    #[test]
    fn nothing_found_is_too_weak() {
        let grounds = choose("How do I install uv?", Vec::new());
        assert!(grounds.strength.is_too_weak());
        assert_eq!(grounds.evidence().passages(), []);
    }

    #[test]
    fn a_passage_that_says_the_same_is_dropped_and_what_lags_far_behind_too() {
        let mut hits = vec![
            hit(1, "Install", "Run the installer with care, then restart the shell."),
            hit(2, "Copy", "Run the installer, with care; then restart the shell!"),
            hit(3, "Other", "The cache holds wheels."),
            hit(4, "Far", "Nothing to see."),
        ];
        for (hit, score) in hits.iter_mut().zip([1.0, 0.9, 0.5, 0.39]) {
            hit.score = score;
        }
        let grounds = choose("How do I install it?", hits);
        let documents: Vec<&str> = grounds.hits.iter().map(|hit| hit.document.as_str()).collect();
        assert_eq!(documents, ["d1", "d3"]);
        assert_eq!(grounds.epoch, Epoch::new(7));
    }

    #[test]
    fn an_answer_rests_on_a_bounded_number_of_passages() {
        let text = |n: u64| (0..20).map(|i| format!("w{} ", n * 100 + i)).collect::<String>();
        let hits = (1..=16).map(|n| Hit { score: 1.0, ..hit(n, "t", &text(n)) }).collect();
        assert_eq!(choose("w", hits).hits.len(), EVIDENCE_PASSAGES_MAX);
    }

    #[test]
    fn the_questions_words_may_stand_in_titles_and_other_forms() {
        let passage = hit(1, "Installing uv", "Run it on windows.");
        let strength = choose("How do I install uv on Windows?", vec![passage]).strength;
        assert_eq!(strength.coverage, 1.0);
        assert!(!strength.is_too_weak());
    }

    #[test]
    fn neither_likeness_nor_common_words_is_too_weak() {
        let mut passage = hit(1, "Boundary layers", "The flow is laminar.");
        if let Some(vector) = &mut passage.vector {
            vector.similarity = Similarity::new(0.1);
        }
        assert!(choose("Who won the cup in 1998?", vec![passage]).strength.is_too_weak());
    }
}
