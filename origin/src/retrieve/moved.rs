//! What one change to a corpus means for rankings that were made before it: which of them could come out otherwise now.
//!
//! Sound for exact rankings: one that no rule here touches comes out the same, score for score. Vectors say nothing
//! about each other, so the vector list only changes with a passage that was in it, or with one that is near enough to
//! enter. Words are weighed by the whole corpus; as long as the rounded statistics of a question's words are what they
//! were, the same holds for the lexical list. Above 10,000 passages the vector list comes from a graph and is itself
//! approximate: there the rules tell whether it has become outdated, not whether the graph would find it again. Whoever
//! crosses that border, either way, is in doubt.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use perigee_shared::caller::Audience;
use perigee_shared::id::Label;

use super::basis::{Basis, Word};
use super::bm25::Frame;
use super::lexical::{CONTEXT_WEIGHT, Lexical, counted};
use super::method::Method;
use super::quantized::{QuantizedVector, QueryVector};
use super::views::State;
use crate::corpus::CorpusError;

/// usearch's cosine and ours differ in the last bits.
const SIMILARITY_MARGIN: f32 = 1e-3;

/// Sums in another order, and the rounding of scores (2 to the power of -16), differ by less.
const SCORE_MARGIN: f32 = 1.001;

/// Why a ranking may come out otherwise. The last two are of those who follow many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// A passage of its lists is gone.
    Removed,
    /// A new passage is near enough for its vector list.
    Near,
    /// A new passage has its words, and enough of them for its lexical list.
    Worded,
    /// One of its words has become rarer or more common.
    Frequency,
    /// The corpus has grown or shrunk so much that every word weighs differently.
    Frame,
    /// The vector list would be found another way: there are so many passages now, or so few.
    Method,
    /// Too much changed at once, or it is not known what.
    Missed,
    /// Its answer was made while the corpus changed.
    Late,
}

impl Rule {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Removed,
        Self::Near,
        Self::Worded,
        Self::Frequency,
        Self::Frame,
        Self::Method,
        Self::Missed,
        Self::Late,
    ];

    /// A label for metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Near => "near",
            Self::Worded => "worded",
            Self::Frequency => "frequency",
            Self::Frame => "frame",
            Self::Method => "method",
            Self::Missed => "missed",
            Self::Late => "late",
        }
    }
}

/// The rules in force: all of them. Tests leave one out, to see that it is needed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    #[cfg(test)]
    pub(crate) without: Option<Rule>,
}

impl Rules {
    pub(crate) fn hold(self, rule: Rule) -> bool {
        #[cfg(test)]
        let left_out = self.without == Some(rule);
        #[cfg(not(test))]
        let (left_out, _) = (false, rule);
        !left_out
    }
}

/// What words and vectors came or went with a passage.
pub(crate) struct ChangedPassage<'a> {
    pub(crate) title: &'a str,
    pub(crate) headings: &'a [String],
    pub(crate) text: &'a str,
}

/// A passage that came, with those who may read it.
pub(crate) struct NewPassage<'a> {
    pub(crate) passage: ChangedPassage<'a>,
    pub(crate) vector: &'a QuantizedVector,
    pub(crate) audience: &'a [Label],
}

/// One change, made ready to be compared with many rankings.
pub(crate) struct Moved<'a> {
    frame: Frame,
    methods: HashMap<&'a Audience, Method>,
    removed: Vec<Range<u64>>,
    arrivals: Vec<Arrival<'a>>,
    words: HashMap<String, MovedWord>,
}

struct Arrival<'a> {
    vector: QueryVector,
    audience: &'a [Label],
    body_words: u32,
    context_words: u32,
}

#[derive(Default)]
struct MovedWord {
    /// How many passages have it now; known for words that a ranking asks for.
    now: Option<Word>,
    /// Arrivals that have it, with how often: in the body, in title and headings.
    at: Vec<(usize, u32, u32)>,
}

impl<'a> Moved<'a> {
    /// Reads a change that led to `state`, for these rankings.
    ///
    /// # Errors
    /// The lexical index cannot be read.
    pub(crate) fn read(
        lexical: &Lexical,
        state: &State,
        removed: Vec<Range<u64>>,
        gone: impl Iterator<Item = ChangedPassage<'a>>,
        came: impl Iterator<Item = NewPassage<'a>>,
        rankings: &'a [(Audience, Arc<Basis>)],
    ) -> Result<Self, CorpusError> {
        let bases = || rankings.iter().map(|(_, basis)| basis);
        let mut words: HashMap<String, MovedWord> = HashMap::new();
        for ChangedPassage { title, headings, text } in gone {
            let all = context(title, headings).chain([text]);
            for word in counted(all).0.into_keys() {
                words.entry(word).or_default();
            }
        }
        let mut arrivals = Vec::new();
        for NewPassage { passage: ChangedPassage { title, headings, text }, vector, audience } in came {
            let (body, body_words) = counted(std::iter::once(text));
            let (context, context_words) = counted(context(title, headings));
            let number = arrivals.len();
            for word in body.keys().chain(context.keys().filter(|word| !body.contains_key(*word))) {
                let times = |field: &HashMap<String, u32>| field.get(word).copied().unwrap_or_default();
                let entry = words.entry(word.clone()).or_default();
                entry.at.push((number, times(&body), times(&context)));
            }
            let vector = QueryVector::of(vector.clone());
            arrivals.push(Arrival { vector, audience, body_words, context_words });
        }
        for basis in bases() {
            for word in basis.words.iter().filter(|word| word.is_counted_in_proportion()) {
                words.entry(word.text.to_string()).or_default();
            }
        }
        let asked: HashSet<&str> =
            bases().flat_map(|basis| basis.words.iter().map(|word| &*word.text)).collect();
        for (text, moved) in words.iter_mut().filter(|(text, _)| asked.contains(text.as_str())) {
            moved.now = Some(lexical.word(&state.searcher, text.clone())?);
        }
        let methods = state.methods.of(rankings.iter().map(|(audience, _)| audience));
        Ok(Self { frame: state.frame, methods, removed, arrivals, words })
    }

    /// Whether a ranking for this audience may come out otherwise after the change, and why.
    pub(crate) fn touches(&self, basis: &Basis, audience: &Audience, rules: Rules) -> Option<Rule> {
        let in_lists = |range: &Range<u64>| {
            let first = basis.passages.partition_point(|passage| *passage < range.start);
            basis.passages.get(first).is_some_and(|passage| *passage < range.end)
        };
        if rules.hold(Rule::Removed) && self.removed.iter().any(in_lists) {
            return Some(Rule::Removed);
        }
        if rules.hold(Rule::Method) && self.methods.get(audience).is_some_and(|now| *now != basis.method) {
            return Some(Rule::Method);
        }
        if rules.hold(Rule::Frame) && basis.frame != self.frame {
            return Some(Rule::Frame);
        }
        let mut scores = vec![0.0_f32; self.arrivals.len()];
        for word in &basis.words {
            let Some(MovedWord { now, at }) = self.words.get(&*word.text) else { continue };
            if rules.hold(Rule::Frequency) && now.as_ref().is_none_or(|now| now != word) {
                return Some(Rule::Frequency);
            }
            for &(number, body, context) in at {
                let Arrival { body_words, context_words, .. } = self.arrivals[number];
                scores[number] += basis.frame.body_score(word.body, body, body_words)
                    + CONTEXT_WEIGHT * basis.frame.context_score(word.context, context, context_words);
            }
        }
        let enters = |score: f32, floor: Option<f32>| floor.is_none_or(|floor| score >= floor);
        for (arrival, score) in self.arrivals.iter().zip(scores) {
            if !audience.may_read(arrival.audience) {
                continue;
            }
            let similarity = basis.vector.likeness(&arrival.vector).get() + SIMILARITY_MARGIN;
            if rules.hold(Rule::Near) && enters(similarity, basis.vector_floor) {
                return Some(Rule::Near);
            }
            if rules.hold(Rule::Worded) && score > 0.0 && enters(score * SCORE_MARGIN, basis.words_floor) {
                return Some(Rule::Worded);
            }
        }
        None
    }
}

fn context<'a>(title: &'a str, headings: &'a [String]) -> impl Iterator<Item = &'a str> {
    std::iter::once(title).chain(headings.iter().map(String::as_str))
}
