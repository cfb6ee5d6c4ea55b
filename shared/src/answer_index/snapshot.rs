//! A whole snapshot, format version 1. Integers and floats are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `PgIx` |
//! | 2, 2 | format version; gate version |
//! | 8 | id of the table that made the vectors |
//! | 8 | epoch |
//! | 4 | threshold, `f32` in [-1, 1]; 2: no answer is served to other words |
//! | 4 | entries, n |
//! | 64 n, 32 n | vectors; answer keys, ascending |
//! | 24 n, 4 n, 4 n | signatures; starts of context keys; marks of the answers |
//! | 4 | CRC-32 of all bytes before: a flipped bit in a signature must not become a wrong answer |

use super::columns::Columns;
use super::{AnswerMark, ENTRY_BYTES, Entry, FORMAT_VERSION, Header, InvalidIndex};
use crate::cache_key::CacheKey;
use crate::id::{Epoch, Similarity};
use crate::limits::ANSWER_INDEX_ENTRIES_MAX;
use crate::static_model::{ModelId, StaticVector};

pub(super) const MAGIC: [u8; 4] = *b"PgIx";
pub(super) const HEADER_BYTES: usize = 32;
pub(super) const CHECKSUM_BYTES: usize = 4;

/// In the place of a threshold: above every similarity.
const OUT_OF_REACH: f32 = 2.0;

/// The answered questions of a corpus at one epoch: the bytes as they travel, proven once, searched where they lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    header: Header,
    count: usize,
    /// The whole encoding.
    bytes: Vec<u8>,
    /// 1 ÷ length of each vector.
    pub(super) inverse_lengths: Vec<f32>,
}

impl Snapshot {
    /// Puts entries in order. Of two with one key the later counts; beyond [`ANSWER_INDEX_ENTRIES_MAX`] the last are left out.
    #[must_use]
    pub fn new(header: Header, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut by_key: Vec<Entry> = entries.into_iter().take(ANSWER_INDEX_ENTRIES_MAX).collect();
        by_key.reverse();
        // Stable: of equal keys the one that came last is now the first, and stays.
        by_key.sort_by_key(|entry| entry.key);
        by_key.dedup_by_key(|entry| entry.key);
        Self::of_sorted(header, &by_key)
    }

    pub(super) fn of_sorted(header: Header, entries: &[Entry]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES + CHECKSUM_BYTES);
        write_header(MAGIC, header, entries.len(), &mut bytes);
        Columns::write(entries, &mut bytes);
        seal(&mut bytes);
        let inverse_lengths = entries.iter().map(|entry| entry.vector.inverse_length()).collect();
        Self { header, count: entries.len(), bytes, inverse_lengths }
    }

    /// Reads a snapshot. Allocates 4 bytes an entry, once the bytes are known to hold as many.
    ///
    /// # Errors
    /// What is wrong with it. Whether model and gate are ours is for the caller to ask.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, InvalidIndex> {
        let (header, count, body) = open(MAGIC, &bytes)?;
        let columns = Columns::over(body, count).ok_or(InvalidIndex::Damaged)?;
        if !columns.are_in_order() {
            return Err(InvalidIndex::Damaged);
        }
        let inverse_lengths =
            columns.vectors.iter().map(|vector| StaticVector::from_bytes(vector).inverse_length()).collect();
        Ok(Self { header, count, inverse_lengths, bytes })
    }

    /// As it travels.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that it takes in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.inverse_lengths.capacity() * size_of::<f32>()
    }

    /// Its name between the halves, quotes included. Equal names, equal bytes.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}-{}-{:08x}\"", self.header.epoch, self.count, self.checksum())
    }

    /// Whether this very answer is the one that stands, under its key, at the snapshot's epoch.
    #[must_use]
    pub fn covers(&self, key: &CacheKey, held: AnswerMark) -> bool {
        let columns = self.columns();
        let row = columns.keys.binary_search(key.as_bytes()).ok();
        row.and_then(|row| columns.marks.get(row)).is_some_and(|mark| *mark == held.to_bytes())
    }

    /// In the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.columns().entries()
    }

    pub(super) fn checksum(&self) -> u32 {
        self.bytes.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    pub(super) fn columns(&self) -> Columns<'_> {
        let body = self.bytes.get(HEADER_BYTES..self.bytes.len().saturating_sub(CHECKSUM_BYTES));
        let empty = Columns { vectors: &[], keys: &[], signatures: &[], contexts: &[], marks: &[] };
        body.and_then(|body| Columns::over(body, self.count)).unwrap_or(empty)
    }
}

pub(super) fn write_header(magic: [u8; 4], header: Header, count: usize, bytes: &mut Vec<u8>) {
    let Header { model, gate_version, epoch, threshold } = header;
    bytes.extend(magic);
    bytes.extend(FORMAT_VERSION.to_le_bytes());
    bytes.extend(gate_version.to_le_bytes());
    bytes.extend(model.to_bytes());
    bytes.extend(epoch.get().to_le_bytes());
    bytes.extend(threshold.map_or(OUT_OF_REACH, Similarity::get).to_le_bytes());
    write_count(count, bytes);
}

/// No count here passes [`ANSWER_INDEX_ENTRIES_MAX`].
pub(super) fn write_count(count: usize, bytes: &mut Vec<u8>) {
    bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

pub(super) fn seal(bytes: &mut Vec<u8>) {
    bytes.extend(crc32fast::hash(bytes).to_le_bytes());
}

/// Checks form and checksum: the header, how many entries it claims, and what lies between header and checksum.
pub(super) fn open(magic: [u8; 4], bytes: &[u8]) -> Result<(Header, usize, &[u8]), InvalidIndex> {
    let mut rest = Reader(bytes);
    if rest.array() != Some(magic) {
        return Err(InvalidIndex::NotAnIndex);
    }
    let version = rest.array().map(u16::from_le_bytes).ok_or(InvalidIndex::Damaged)?;
    if version != FORMAT_VERSION {
        return Err(InvalidIndex::Version(version));
    }
    let (sealed, checksum) = bytes.split_last_chunk().ok_or(InvalidIndex::Damaged)?;
    let (header, count) = rest.header().ok_or(InvalidIndex::Damaged)?;
    if count > ANSWER_INDEX_ENTRIES_MAX {
        return Err(InvalidIndex::TooMany);
    }
    if crc32fast::hash(sealed) != u32::from_le_bytes(*checksum) {
        return Err(InvalidIndex::Damaged);
    }
    let body = sealed.get(HEADER_BYTES..).ok_or(InvalidIndex::Damaged)?;
    Ok((header, count, body))
}

/// What is left to be read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    pub(super) fn number(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    /// What follows magic and format version.
    fn header(&mut self) -> Option<(Header, usize)> {
        let gate_version = u16::from_le_bytes(self.array()?);
        let model = ModelId::from_bytes(self.array()?);
        let epoch = Epoch::new(u64::from_le_bytes(self.array()?));
        let threshold = f32::from_le_bytes(self.array()?);
        let count = self.number()?;
        let threshold = match threshold {
            OUT_OF_REACH => None,
            -1.0..=1.0 => Some(Similarity::new(threshold)),
            _ => return None,
        };
        Some((Header { model, gate_version, epoch, threshold }, count))
    }
}
