//! How many word pieces a part of a text has, without tokenising the part: the whole is tokenised once.

use text_splitter::ChunkSizer;
use tokenizers::Tokenizer;

/// Bytes that count as one word piece where the tokenizer sees fewer. It drops white space and takes a word of
/// over 100 characters for one piece; without this a passage could be megabytes of either.
const BYTES_PER_TOKEN_MAX: usize = 16;

/// The word pieces of one text.
pub(super) struct Measure {
    /// Where the text lies in memory: parts are recognised by their address, which is only ever compared.
    base: usize,
    length: usize,
    /// First byte of each word piece, ascending.
    starts: Vec<usize>,
}

impl Measure {
    /// Tokenises `text`. None if the tokenizer refuses it.
    pub(super) fn of(tokenizer: &Tokenizer, text: &str) -> Option<Self> {
        let encoding = tokenizer.encode(text, false).ok()?;
        let mut starts: Vec<usize> = encoding.get_offsets().iter().map(|(start, _)| *start).collect();
        starts.sort_unstable();
        Some(Self { base: text.as_ptr().addr(), length: text.len(), starts })
    }

    /// Size of the bytes `start..end`.
    pub(super) fn tokens(&self, start: usize, end: usize) -> usize {
        let before = |offset: usize| self.starts.partition_point(|token| *token < offset);
        let tokens = before(end).saturating_sub(before(start));
        tokens.max(end.saturating_sub(start) / BYTES_PER_TOKEN_MAX)
    }
}

impl ChunkSizer for Measure {
    fn size(&self, chunk: &str) -> usize {
        match chunk.as_ptr().addr().checked_sub(self.base) {
            Some(start) if start + chunk.len() <= self.length => self.tokens(start, start + chunk.len()),
            // Not a part of the text: cannot happen, as the splitter only slices; a guess does no harm.
            _ => chunk.len() / 4,
        }
    }
}
