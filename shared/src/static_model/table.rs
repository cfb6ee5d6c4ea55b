//! The table's file, format version 1. Integers and floats are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `PgSt` |
//! | 2 | format version |
//! | 2 | numbers of a row: 64 |
//! | 8 | the table's id: the first 8 bytes of SHA-256 over all that follows |
//! | 32 | SHA-256 of the model that it was distilled from |
//! | 4 × 4 | pieces that start a word; pieces that continue one; bytes of the one list's entries; of the other's |
//! | 4 × rows | each row's scale, `f32`; the row's weight is part of it |
//! | 64 × rows | the rows, `i8` |
//! | 4 × blocks, entries | the list of words (see `vocabulary`) |
//! | 4 × blocks, entries | the list of continuations |
//!
//! A number of the embedding is its `i8` times its row's scale.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::ModelId;
use super::vector::DIMENSIONS;
use super::vocabulary::{Row, Sorted, Vocabulary};

const MAGIC: [u8; 4] = *b"PgSt";
const VERSION: u16 = 1;

/// More pieces, and more bytes of them, than any table has that a worker could carry.
const COUNT_MAX: usize = 1 << 22;

/// SHA-256 of a model's file.
pub type ModelHash = [u8; 32];

/// The bytes are no table that this release can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTable {
    #[error("it is no table")]
    NotATable,
    #[error("it has format version {0}, not {VERSION}")]
    Version(u16),
    #[error("its rows have {0} numbers, not {DIMENSIONS}")]
    Dimensions(u16),
    #[error("its parts don't fit together")]
    Damaged,
}

/// A table over the bytes that hold it.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) id: ModelId,
    pub(super) source: ModelHash,
    scales: &'a [u8],
    rows: &'a [u8],
    pub(super) vocabulary: Vocabulary<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, InvalidTable> {
        let mut rest = Reader(bytes);
        if rest.array::<4>() != Some(MAGIC) {
            return Err(InvalidTable::NotATable);
        }
        let version = rest.array().map(u16::from_le_bytes).ok_or(InvalidTable::NotATable)?;
        if version != VERSION {
            return Err(InvalidTable::Version(version));
        }
        let dimensions = rest.array().map(u16::from_le_bytes).ok_or(InvalidTable::NotATable)?;
        if usize::from(dimensions) != DIMENSIONS {
            return Err(InvalidTable::Dimensions(dimensions));
        }
        Self::parse_parts(rest).ok_or(InvalidTable::Damaged)
    }

    fn parse_parts(mut rest: Reader<'a>) -> Option<Self> {
        let id = ModelId(rest.array()?);
        let source = rest.array()?;
        let (words, continuations) = (rest.count()?, rest.count()?);
        let (word_bytes, continuation_bytes) = (rest.count()?, rest.count()?);
        let count = words + continuations;
        let scales = rest.take(count * size_of::<f32>())?;
        let rows = rest.take(count * DIMENSIONS)?;
        let vocabulary = Vocabulary {
            words: rest.list(words, word_bytes)?,
            continuations: rest.list(continuations, continuation_bytes)?,
        };
        rest.0.is_empty().then_some(Self { id, source, scales, rows, vocabulary })
    }

    /// A row's scale, and its numbers as the bytes of `i8`. `None`: there is no such row.
    pub(super) fn row(&self, row: Row) -> Option<(f32, &'a [u8; DIMENSIONS])> {
        let scale = self.scales.get(row.index() * size_of::<f32>()..)?.first_chunk()?;
        let numbers = self.rows.get(row.index() * DIMENSIONS..)?.first_chunk()?;
        Some((f32::from_le_bytes(*scale), numbers))
    }
}

/// A row to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRow {
    /// The piece as the model's vocabulary writes it.
    pub piece: String,
    /// Its share of an embedding, weight included.
    pub numbers: [f32; DIMENSIONS],
}

/// Writes a table; rows may come in any order. `None`: two rows of one piece, an empty or overlong piece, or a number that
/// is not finite.
#[must_use]
pub fn write_table(source: &ModelHash, rows: &[NewRow]) -> Option<Vec<u8>> {
    let mut words = BTreeMap::new();
    let mut continuations = BTreeMap::new();
    for NewRow { piece, numbers } in rows {
        let twice = match piece.strip_prefix("##").filter(|rest| !rest.is_empty()) {
            Some(rest) => continuations.insert(rest, numbers),
            None => words.insert(piece.as_str(), numbers),
        };
        if twice.is_some() || !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
    }
    let (word_blocks, word_entries) = Sorted::write(&words.keys().copied().collect::<Vec<_>>())?;
    let (next_blocks, next_entries) = Sorted::write(&continuations.keys().copied().collect::<Vec<_>>())?;
    let mut body = source.to_vec();
    for count in [words.len(), continuations.len(), word_entries.len(), next_entries.len()] {
        body.extend(u32::try_from(count).ok()?.to_le_bytes());
    }
    let in_order = || words.values().chain(continuations.values());
    body.extend(in_order().flat_map(|numbers| scale(numbers).to_le_bytes()));
    body.extend(in_order().flat_map(|numbers| quantise(numbers)));
    for part in [word_blocks, word_entries, next_blocks, next_entries] {
        body.extend(part);
    }
    let mut table = MAGIC.to_vec();
    table.extend(VERSION.to_le_bytes());
    table.extend(u16::try_from(DIMENSIONS).ok()?.to_le_bytes());
    table.extend(id_of(&body).to_bytes());
    table.extend(body);
    Some(table)
}

/// What names a table, from everything that comes after the name.
pub(super) fn id_of(body: &[u8]) -> ModelId {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(body).into();
    ModelId([a, b, c, d, e, f, g, h])
}

/// The largest number of a row becomes 127.
fn scale(numbers: &[f32; DIMENSIONS]) -> f32 {
    numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs())) / 127.0
}

fn quantise(numbers: &[f32; DIMENSIONS]) -> [u8; DIMENSIONS] {
    let scale = scale(numbers);
    // A row of nothing divides by nothing; the cast makes 0 of that.
    numbers.map(|number| ((number / scale).round() as i8).cast_unsigned())
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    /// A count that no bytes could hold is refused here, before anybody multiplies it.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        (count <= COUNT_MAX).then_some(count)
    }

    fn list(&mut self, count: usize, entry_bytes: usize) -> Option<Sorted<'a>> {
        let blocks = self.take(Sorted::blocks_bytes(count))?;
        Sorted::parse(count, blocks, self.take(entry_bytes)?)
    }
}
