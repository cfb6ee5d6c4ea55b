//! The statistics that BM25 weighs words by, made independent of how the index happens to be cut into segments, and of
//! small changes to the corpus.
//!
//! tantivy counts deleted passages until their segment is merged, and merges when it likes. The same corpus at the
//! same epoch must rank the same, before a merge and after it, and after a rebuild.
//!
//! Every number is rounded to its first four binary digits. A change to a corpus moves all of them a little, and would
//! move every score with them; rounded, nearly all changes move none, and a ranking that a change does not touch stays
//! as it was. That a ranking did not move can then be known without making it again (`moved.rs`). It is a function of
//! the corpus as it is, and of nothing before: a rebuilt index and a replica come to the same numbers.

use std::collections::HashMap;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

/// Characters per word, the space included: turns the corpus's exact character count into words.
const CHARS_PER_WORD: f32 = 6.0;

/// Words of a passage's title and headings. Their length says little, so no average is kept.
const CONTEXT_WORDS: f32 = 8.0;

/// tantivy's k1 (1.2) and b (0.75) are fixed. Told that passages are this many times longer than they are, it
/// computes tf / (tf + 0.3 + 0.9 / STRETCH * length / mean), which is k1 = 0.66, b = 0.55 for 2.5: near the 0.9 and
/// 0.4 that suit short passages, where a long one is not more of the same. Tried: 0.7, 1, 1.5, 2.5, 4.
const STRETCH: f32 = 2.5;

/// tantivy's constants.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// Postings counted one by one to leave out deleted passages; a longer list is taken in proportion.
const COUNTED_MAX: u32 = 50_000;

/// A word found in this many passages may be counted in proportion, and then also moves with passages that do not have
/// it. Half of what is counted one by one: a segment may hold deleted passages too.
pub(crate) const PROPORTIONAL_MIN: u64 = COUNTED_MAX as u64 / 2;

/// Binary digits that a statistic keeps.
const DIGITS: u32 = 4;

/// What a corpus is like as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Passages, rounded up.
    passages: u64,
    /// Mean characters of a passage, rounded down.
    chars: u64,
}

impl Frame {
    pub(crate) fn new(passages: u64, chars: u64) -> Self {
        Self { passages: rounded_up(passages), chars: rounded_down(chars / passages.max(1)) }
    }

    /// Words of all bodies, as tantivy is told.
    fn body_words(self) -> u64 {
        self.all((self.chars as f32 / CHARS_PER_WORD).max(1.0))
    }

    /// Words of all titles and headings, likewise.
    fn context_words(self) -> u64 {
        self.all(CONTEXT_WORDS)
    }

    fn all(self, mean: f32) -> u64 {
        (mean * STRETCH * self.passages as f32) as u64
    }

    /// What a word's occurrences in a body of `length` words add to the passage's score: what tantivy computes, but for
    /// the order of its sums.
    pub(super) fn body_score(self, frequency: u64, times: u32, length: u32) -> f32 {
        self.score(frequency, times, length, self.body_words())
    }

    /// The same for title and headings, before their weight.
    pub(super) fn context_score(self, frequency: u64, times: u32, length: u32) -> f32 {
        self.score(frequency, times, length, self.context_words())
    }

    fn score(self, frequency: u64, times: u32, length: u32, words: u64) -> f32 {
        if times == 0 {
            return 0.0;
        }
        // The index keeps lengths in a byte.
        let length = FieldNormReader::id_to_fieldnorm(FieldNormReader::fieldnorm_to_id(length));
        let rarity = (self.passages.saturating_sub(frequency) as f32 + 0.5) / (frequency as f32 + 0.5);
        let mean = words as f32 / self.passages as f32;
        let times = times as f32;
        let saturation = times / (times + K1 * (1.0 - B + B * length as f32 / mean));
        (1.0 + rarity).ln() * (1.0 + K1) * saturation
    }
}

/// The number with all but its first binary digits set to 0: itself up to 15, then at most an eighth less.
fn rounded_down(number: u64) -> u64 {
    let spare = (u64::BITS - number.leading_zeros()).saturating_sub(DIGITS);
    number >> spare << spare
}

/// The least number of four binary digits that is not less.
fn rounded_up(number: u64) -> u64 {
    let spare = (u64::BITS - number.leading_zeros()).saturating_sub(DIGITS);
    number.checked_next_multiple_of(1 << spare).unwrap_or(u64::MAX)
}

/// The statistics of one searcher for the words of one question.
pub(super) struct Statistics {
    frame: Frame,
    body: Field,
    frequencies: HashMap<Term, u64>,
}

impl Statistics {
    pub(super) fn new(frame: Frame, body: Field, frequencies: HashMap<Term, u64>) -> Self {
        Self { frame, body, frequencies }
    }
}

/// Passages that have the term, rounded down.
pub(super) fn frequency(searcher: &Searcher, term: &Term) -> tantivy::Result<u64> {
    let mut found = 0;
    for segment in searcher.segment_readers() {
        let inverted = segment.inverted_index(term.field())?;
        let Some(info) = inverted.get_term_info(term)? else { continue };
        found += match segment.alive_bitset() {
            None => u64::from(info.doc_freq),
            Some(alive) if info.doc_freq <= COUNTED_MAX => {
                let postings = inverted.read_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
                u64::from(postings.doc_freq_given_deletes(alive))
            }
            Some(_) => {
                u64::from(info.doc_freq) * u64::from(segment.num_docs()) / u64::from(segment.max_doc())
            }
        };
    }
    Ok(rounded_down(found))
}

impl Bm25StatisticsProvider for Statistics {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        Ok(if field == self.body { self.frame.body_words() } else { self.frame.context_words() })
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.frame.passages)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        // tantivy asserts that it is no more than the passages.
        Ok(self.frequencies.get(term).copied().unwrap_or_default().min(self.frame.passages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_the_order_and_loses_at_most_an_eighth() {
        for number in (0..5_000).chain([1 << 40, u64::MAX >> 1]) {
            let (down, up) = (rounded_down(number), rounded_up(number));
            assert!(down <= number && number <= up, "{down} {number} {up}");
            assert!(number - down <= number / 8 && up - number <= number / 8, "{down} {number} {up}");
            assert!(number > 15 || (down == number && up == number));
            assert_eq!((rounded_down(down), rounded_up(up)), (down, up));
        }
    }
}
