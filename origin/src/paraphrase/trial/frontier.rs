//! How much is reused for how many wrong answers, by any way of scoring a candidate.

use serde::Serialize;

use super::super::{Decision, Interval};
use super::pairs::{Ask, Candidate, Kind};

/// A way of choosing among candidates: the higher, the surer; `None` never.
pub(super) type Score<'a> = &'a dyn Fn(&Candidate) -> Option<f64>;

/// What reuse at one threshold does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// Paraphrases that got their own group's answer, from the lightest kind to the heaviest.
    pub reused: Vec<f64>,
    /// Near misses that got any answer.
    pub near_misses: Share,
    /// Paraphrases and near misses that got a wrong answer.
    pub requests: Share,
    /// Answered questions that, their own answer taken away, got another.
    pub strangers: Share,
    /// Questions of known intent that got an answer to another one, and those that got one at all.
    pub intents: Share,
    pub intents_reused: f64,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Share {
    pub count: u64,
    pub of: u64,
}

impl Share {
    #[must_use]
    pub fn value(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.count as f64 / self.of as f64 }
    }

    #[must_use]
    pub fn interval(self) -> Interval {
        Interval::of(self.count, self.of)
    }

    fn add(&mut self, counts: bool) {
        self.count += u64::from(counts);
        self.of += 1;
    }
}

/// What would be served: the surest candidate's score, and whether it is right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Served {
    pub(super) kind: Kind,
    pub(super) score: f64,
    pub(super) right: bool,
}

/// The surest candidate of each question; a question without any has a score below every threshold.
pub(super) fn served<'a>(asks: impl Iterator<Item = &'a Ask>, score: Score<'_>) -> Vec<Served> {
    asks.map(|ask| {
        let scored = ask.candidates.iter().filter_map(|one| score(one).map(|score| (score, one.right)));
        let (score, right) = scored.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NEG_INFINITY, false));
        Served { kind: ask.kind, score, right }
    })
    .collect()
}

/// What reuse from `threshold` on does.
pub(super) fn rates(served: &[Served], threshold: f64) -> Rates {
    let mut reused: Vec<Share> = Vec::new();
    let (mut near_misses, mut requests, mut strangers) =
        (Share::default(), Share::default(), Share::default());
    let (mut intents, mut intents_reused) = (Share::default(), Share::default());
    for Served { kind, score, right } in served {
        let hit = *score >= threshold;
        let wrong = hit && !right;
        match kind {
            Kind::Paraphrase(place) => {
                if reused.len() <= *place {
                    reused.resize(place + 1, Share::default());
                }
                reused[*place].add(hit && *right);
                requests.add(wrong);
            }
            Kind::NearMiss => {
                near_misses.add(wrong);
                requests.add(wrong);
            }
            Kind::Stranger => strangers.add(wrong),
            Kind::Intent => {
                intents.add(wrong);
                intents_reused.add(hit);
            }
        }
    }
    let reused = reused.into_iter().map(Share::value).collect();
    Rates { reused, near_misses, requests, strangers, intents, intents_reused: intents_reused.value() }
}

/// The lowest threshold at which `bearable` holds, and holds at every higher one; above every score if none does.
pub(super) fn threshold(served: &[Served], bearable: impl Fn(f64, &Rates) -> bool) -> f64 {
    let mut scores: Vec<f64> = served.iter().map(|one| one.score).filter(|score| score.is_finite()).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.dedup();
    let mut lowest = f64::INFINITY;
    for score in scores {
        if !bearable(score, &rates(served, score)) {
            break;
        }
        lowest = score;
    }
    lowest
}

/// Where the paraphrases and near misses end, by the decision on their surest candidate.
pub(super) fn ends<'a>(
    asks: impl Iterator<Item = &'a Ask>,
    decide: impl Fn(&Candidate) -> Decision,
) -> std::collections::BTreeMap<(Kind, Option<Decision>), u64> {
    let mut ends = std::collections::BTreeMap::new();
    for ask in asks {
        // The best that any candidate came to; none, where there was none.
        let decision = ask.candidates.iter().map(&decide).min();
        *ends.entry((ask.kind, decision)).or_default() += 1;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: Kind, score: f64, right: bool) -> Served {
        Served { kind, score, right }
    }

    fn some() -> Vec<Served> {
        vec![
            one(Kind::Paraphrase(0), 0.9, true),
            one(Kind::Paraphrase(0), 0.7, true),
            one(Kind::Paraphrase(1), 0.6, false),
            one(Kind::NearMiss, 0.8, false),
            one(Kind::NearMiss, f64::NEG_INFINITY, false),
            one(Kind::Stranger, 0.65, false),
        ]
    }

    #[test]
    fn right_wrong_and_unanswered_are_told_apart() {
        let at = rates(&some(), 0.7);
        assert_eq!(at.reused, [1.0, 0.0]);
        assert_eq!(at.near_misses, Share { count: 1, of: 2 });
        assert_eq!(at.requests, Share { count: 1, of: 5 });
        assert_eq!(at.strangers.count, 0);
        assert_eq!(rates(&some(), 0.6).requests.count, 2);
    }

    #[test]
    fn the_threshold_is_the_lowest_that_is_still_bearable() {
        let found = threshold(&some(), |_, rates| rates.near_misses.count == 0);
        assert_eq!(found, 0.9);
        assert_eq!(threshold(&some(), |_, _| false), f64::INFINITY);
    }
}
