//! How often an edge gave which answer: what it tells the origin when it asks for the index, so that the most used answers
//! are the ones that are published. Best effort: a report that is lost is lost, and none is made twice.

use std::collections::BTreeMap;
use std::fmt;

use super::AnswerMark;

/// Answers that one report names: a kilobyte of a request's query.
const ANSWERS_MAX: usize = 64;

/// Uses of one answer that one report can tell of.
const COUNT_MAX: u32 = 1_000_000;

/// Uses of answers since the report before, each answer once. As text: `1a2b3c4d.12-9f8e7d6c.3`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses(BTreeMap<AnswerMark, u32>);

impl Uses {
    /// The query's parameter that carries them.
    pub const PARAMETER: &str = "uses";

    /// Takes the most used ones out of `counts`, as many as a report may name.
    #[must_use]
    pub fn take_from(counts: &mut BTreeMap<AnswerMark, u32>) -> Self {
        if counts.len() <= ANSWERS_MAX {
            return Self::of(std::mem::take(counts));
        }
        let mut by_use: Vec<(u32, AnswerMark)> = counts.iter().map(|(mark, count)| (*count, *mark)).collect();
        by_use.select_nth_unstable_by(ANSWERS_MAX, |a, b| b.cmp(a));
        by_use.truncate(ANSWERS_MAX);
        Self::of(by_use.into_iter().filter_map(|(_, mark)| counts.remove_entry(&mark)))
    }

    fn of(counts: impl IntoIterator<Item = (AnswerMark, u32)>) -> Self {
        Self(counts.into_iter().map(|(mark, count)| (mark, count.min(COUNT_MAX))).collect())
    }

    /// Reads what [`fmt::Display`] writes. What is none of it is left out: only a count is lost.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let one = |part: &str| {
            let (mark, count) = part.split_once('.')?;
            let mut bytes = [0; 4];
            hex::decode_to_slice(mark, &mut bytes).ok()?;
            Some((AnswerMark::from_bytes(bytes), count.parse().ok()?))
        };
        Self::of(text.split('-').take(ANSWERS_MAX).filter_map(one))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often this answer was given.
    #[must_use]
    pub fn of_answer(&self, mark: AnswerMark) -> u32 {
        self.0.get(&mark).copied().unwrap_or(0)
    }

    /// Uses of all answers together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|count| u64::from(*count)).sum()
    }
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (mark, count)) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { "-" };
            write!(f, "{between}{}.{count}", hex::encode(mark.to_bytes()))?;
        }
        Ok(())
    }
}
