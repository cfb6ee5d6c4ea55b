//! The statistics that BM25 weighs words by, made independent of how the index happens to be cut into segments.
//!
//! tantivy counts deleted passages until their segment is merged, and merges when it likes. The same corpus at the
//! same epoch must rank the same, before a merge and after it, and after a rebuild.

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

/// Postings counted one by one to leave out deleted passages; a longer list is taken in proportion.
const COUNTED_MAX: u32 = 50_000;

/// The statistics of one searcher.
pub(super) struct Statistics<'a> {
    searcher: &'a Searcher,
    body: Field,
    /// Mean characters of a passage's body.
    chars: f32,
}

impl<'a> Statistics<'a> {
    pub(super) const fn new(searcher: &'a Searcher, body: Field, chars: f32) -> Self {
        Self { searcher, body, chars }
    }
}

impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        let mean = if field == self.body { (self.chars / CHARS_PER_WORD).max(1.0) } else { CONTEXT_WORDS };
        Ok((mean * STRETCH * self.searcher.num_docs() as f32) as u64)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.searcher.num_docs())
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let mut found = 0;
        for segment in self.searcher.segment_readers() {
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
        // tantivy asserts this.
        Ok(found.min(self.searcher.num_docs()))
    }
}
