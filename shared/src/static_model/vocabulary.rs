//! The word pieces of a table: two sorted lists of texts, front-coded, searched where they lie.
//!
//! One list holds what a word can start with, the other what can continue it. Of an entry only what differs from the one
//! before is written; every 16th is written whole, and where it stands is listed. So 29,000 pieces take 140 kB, nothing is
//! built when the worker starts, and a look-up is one binary search and at most one run through 16 entries, seldom more.

/// Entries between two that are written whole.
const BLOCK: usize = 16;

/// Bytes of the longest piece that a table may hold; the model's longest has 18.
pub(super) const PIECE_BYTES_MAX: usize = 64;

/// The number of a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row(u32);

impl Row {
    pub(super) const FIRST: Self = Self(0);

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where in a word a piece stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Word,
    Continuation,
}

/// Both lists; the rows of the continuations come after those of the words.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    pub(super) words: Sorted<'a>,
    pub(super) continuations: Sorted<'a>,
}

impl Vocabulary<'_> {
    /// The longest piece that `text` starts with: its row, and how many of the text's bytes it takes.
    pub(super) fn longest_start(&self, part: Part, text: &str) -> Option<(Row, usize)> {
        let (list, first) = match part {
            Part::Word => (&self.words, 0),
            Part::Continuation => (&self.continuations, self.words.count),
        };
        let (index, bytes) = list.longest_start(text.as_bytes())?;
        u32::try_from(first + index).ok().map(|row| (Row(row), bytes))
    }

    /// A piece as the model's vocabulary writes it.
    pub(super) fn text_of(&self, row: Row) -> String {
        match row.index().checked_sub(self.words.count) {
            None => self.words.entry(row.index()),
            Some(index) => format!("##{}", self.continuations.entry(index)),
        }
    }
}

/// A sorted, front-coded list of texts, none of them empty and no two of them equal.
///
/// An entry: one byte with how many of the bytes before it stay (0 in every 16th), one with how many follow, these.
#[derive(Debug)]
pub(super) struct Sorted<'a> {
    count: usize,
    /// Where every 16th entry starts in `entries`: `u32`, little-endian.
    blocks: &'a [u8],
    entries: &'a [u8],
}

impl<'a> Sorted<'a> {
    pub(super) const fn blocks_bytes(count: usize) -> usize {
        count.div_ceil(BLOCK) * size_of::<u32>()
    }

    /// Reads a list and proves its order. `None`: it is none.
    pub(super) fn parse(count: usize, blocks: &'a [u8], entries: &'a [u8]) -> Option<Self> {
        let list = Self { count, blocks, entries };
        if blocks.len() != Self::blocks_bytes(count) {
            return None;
        }
        let mut before = Text::new();
        let mut at = 0;
        for index in 0..count {
            let first = index % BLOCK == 0;
            if first && list.block(index / BLOCK)? != at {
                return None;
            }
            let last = before;
            let mut text = if first { Text::new() } else { before };
            at = text.read(entries, at)?;
            if text.bytes() <= last.bytes() || std::str::from_utf8(text.bytes()).is_err() {
                return None;
            }
            before = text;
        }
        (at == entries.len()).then_some(list)
    }

    /// Writes a list; the texts come sorted. `None`: one is too long, or out of order.
    pub(super) fn write(texts: &[&str]) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut blocks, mut entries) = (Vec::new(), Vec::new());
        let mut before = "";
        for (index, text) in texts.iter().enumerate() {
            if text.as_bytes() <= before.as_bytes() || text.len() > PIECE_BYTES_MAX {
                return None;
            }
            let mut shared = 0;
            if index % BLOCK == 0 {
                blocks.extend(u32::try_from(entries.len()).ok()?.to_le_bytes());
            } else {
                shared = shared_start(before.as_bytes(), text.as_bytes());
            }
            let suffix = text.as_bytes().get(shared..)?;
            entries.push(u8::try_from(shared).ok()?);
            entries.push(u8::try_from(suffix.len()).ok()?);
            entries.extend(suffix);
            before = text;
        }
        Some((blocks, entries))
    }

    /// The longest entry that `wanted` starts with, and its length.
    ///
    /// Of the entries not after `wanted` the last one is looked at. It is the answer, or tells how much of `wanted` any
    /// answer can share with it: everything between an answer and `wanted` starts with the answer.
    fn longest_start(&self, wanted: &[u8]) -> Option<(usize, usize)> {
        let mut wanted = wanted.get(..PIECE_BYTES_MAX).unwrap_or(wanted);
        while !wanted.is_empty() {
            let (index, text) = self.last_not_after(wanted)?;
            let shared = shared_start(text.bytes(), wanted);
            if shared == text.length {
                return Some((index, shared));
            }
            wanted = wanted.get(..shared)?;
        }
        None
    }

    fn last_not_after(&self, wanted: &[u8]) -> Option<(usize, Text)> {
        let (mut low, mut high) = (0, self.count.div_ceil(BLOCK));
        while low < high {
            let middle = low.midpoint(high);
            let mut head = Text::new();
            head.read(self.entries, self.block(middle)?)?;
            if head.bytes() <= wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let block = low.checked_sub(1)?;
        let (first, mut at) = (block * BLOCK, self.block(block)?);
        let (mut text, mut found) = (Text::new(), None);
        for index in first..self.count.min(first + BLOCK) {
            at = text.read(self.entries, at)?;
            if text.bytes() > wanted {
                break;
            }
            found = Some((index, text));
        }
        found
    }

    fn entry(&self, index: usize) -> String {
        let mut text = Text::new();
        let mut at = self.block(index / BLOCK).unwrap_or(self.entries.len());
        for _ in 0..=index % BLOCK {
            at = text.read(self.entries, at).unwrap_or(self.entries.len());
        }
        String::from_utf8_lossy(text.bytes()).into_owned()
    }

    fn block(&self, number: usize) -> Option<usize> {
        let bytes = self.blocks.get(number * size_of::<u32>()..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }
}

/// One entry as it is put together.
#[derive(Clone, Copy)]
struct Text {
    buffer: [u8; PIECE_BYTES_MAX],
    length: usize,
}

impl Text {
    const fn new() -> Self {
        Self { buffer: [0; PIECE_BYTES_MAX], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// Turns the entry before into the one at `at`; where the next one starts.
    fn read(&mut self, entries: &[u8], at: usize) -> Option<usize> {
        let (&[shared, added], rest) = entries.get(at..)?.split_first_chunk()?;
        let (shared, added) = (usize::from(shared), usize::from(added));
        if shared > self.length || added == 0 {
            return None;
        }
        let suffix = rest.get(..added)?;
        self.buffer.get_mut(shared..shared + added)?.copy_from_slice(suffix);
        self.length = shared + added;
        Some(at + 2 + added)
    }
}

fn shared_start(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_longest_start_is_what_a_plain_search_finds(
            texts in proptest::collection::btree_set("[abcé]{1,6}", 0..200),
            wanted in "[abcé]{0,9}",
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (blocks, entries) = Sorted::write(&texts).unwrap();
            let list = Sorted::parse(texts.len(), &blocks, &entries).unwrap();
            let plain = texts.iter().enumerate().filter(|(_, text)| wanted.starts_with(**text));
            let plain = plain.max_by_key(|(_, text)| text.len()).map(|(index, text)| (index, text.len()));
            prop_assert_eq!(list.longest_start(wanted.as_bytes()), plain);
            for (index, text) in texts.iter().enumerate() {
                prop_assert_eq!(&list.entry(index), text);
            }
        }

        #[test]
        fn damaged_lists_are_refused_or_read_without_harm(
            texts in proptest::collection::btree_set("[ab]{1,4}", 1..60),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            wanted in "[ab]{0,5}",
        ) {
            let texts: BTreeSet<String> = texts;
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (blocks, mut entries) = Sorted::write(&texts).unwrap();
            let at = at.index(entries.len());
            entries[at] = byte;
            if let Some(list) = Sorted::parse(texts.len(), &blocks, &entries) {
                list.longest_start(wanted.as_bytes());
            }
            prop_assert!(Sorted::parse(texts.len() + 1, &blocks, &entries).is_none());
            prop_assert!(Sorted::parse(texts.len(), &blocks, &entries[..at]).is_none());
        }
    }

    #[test]
    fn a_list_out_of_order_is_not_written() {
        assert!(Sorted::write(&["b", "a"]).is_none());
        assert!(Sorted::write(&["a", "a"]).is_none());
        assert!(Sorted::write(&[&"a".repeat(PIECE_BYTES_MAX + 1)]).is_none());
    }
}
