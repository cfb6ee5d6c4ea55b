//! What a ranking rests on: all that must stay as it is for the same search to find the same passages in the same order.
//!
//! The fused scores of a search are made of two candidate lists, all of them: their least scores are the zero that the
//! others are measured from. So a ranking rests on every passage of both lists, on the least score of each, which a new
//! passage must reach to enter, on the statistics that weigh the words, and on how the vector list was found.

use super::bm25::{Frame, PROPORTIONAL_MIN};
use super::method::Method;
use super::quantized::QueryVector;
use super::top_passages::Ranked;

/// A word of a question, and how many passages have it in their body, and in title or headings (rounded).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: Box<str>,
    pub(crate) body: u64,
    pub(crate) context: u64,
}

impl Word {
    /// Whether its count may move with passages that do not have it.
    pub(crate) const fn is_counted_in_proportion(&self) -> bool {
        self.body >= PROPORTIONAL_MIN || self.context >= PROPORTIONAL_MIN
    }
}

/// What one search rests on.
pub(crate) struct Basis {
    pub(super) vector: QueryVector,
    /// How the vector list was found.
    pub(super) method: Method,
    pub(super) words: Box<[Word]>,
    pub(super) frame: Frame,
    /// Every passage of either list, ascending.
    pub(super) passages: Box<[u64]>,
    /// The least similarity in the vector list; `None` while it has room for any passage.
    pub(super) vector_floor: Option<f32>,
    /// The least score in the lexical list; `None` while it has room for any passage with one of the words.
    pub(super) words_floor: Option<f32>,
}

impl Basis {
    pub(super) fn new(
        vector: QueryVector,
        method: Method,
        by_vector: &[Ranked],
        words: Vec<Word>,
        by_words: &[Ranked],
        frame: Frame,
        depth: usize,
    ) -> Self {
        let floor = |list: &[Ranked]| list.last().filter(|_| list.len() >= depth).map(|last| last.score);
        let mut passages: Vec<u64> = by_vector.iter().chain(by_words).map(|ranked| ranked.passage).collect();
        passages.sort_unstable();
        passages.dedup();
        Self {
            vector,
            method,
            words: words.into_boxed_slice(),
            frame,
            passages: passages.into_boxed_slice(),
            vector_floor: floor(by_vector),
            words_floor: floor(by_words),
        }
    }

    /// Of a search that found nothing.
    #[cfg(test)]
    pub(crate) fn open(vector: QueryVector) -> Self {
        Self::new(vector, Method::Exact, &[], Vec::new(), &[], Frame::new(0, 0), 1)
    }

    /// The question in the model's space.
    pub(crate) const fn vector(&self) -> &QueryVector {
        &self.vector
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let words = self.words.iter().map(|word| size_of::<Word>() + word.text.len());
        size_of::<Self>() + crate::embed::DIMENSIONS + size_of_val(&*self.passages) + words.sum::<usize>()
    }
}

impl std::fmt::Debug for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The vector's numbers tell nobody anything.
        f.debug_struct("Basis").field("words", &self.words).field("passages", &self.passages.len()).finish()
    }
}
