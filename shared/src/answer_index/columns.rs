//! Entries in columns: all vectors, all keys, all signatures, all contexts, all marks. A scan runs over the vectors alone.

use super::{AnswerMark, ENTRY_BYTES, Entry};
use crate::cache_key::{CacheKey, ContextTag};
use crate::gate::SIGNATURE_BYTES;
use crate::static_model::{DIMENSIONS, StaticVector};

const KEY_BYTES: usize = 32;
const CONTEXT_BYTES: usize = 4;
const MARK_BYTES: usize = 4;

/// The columns over the bytes that hold them, one entry a row, keys ascending.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) vectors: &'a [[u8; DIMENSIONS]],
    pub(super) keys: &'a [[u8; KEY_BYTES]],
    pub(super) signatures: &'a [[u8; SIGNATURE_BYTES]],
    pub(super) contexts: &'a [[u8; CONTEXT_BYTES]],
    pub(super) marks: &'a [[u8; MARK_BYTES]],
}

impl<'a> Columns<'a> {
    /// `None`: the bytes are not exactly so many entries. Nothing is said of their order.
    pub(super) fn over(bytes: &'a [u8], count: usize) -> Option<Self> {
        if count.checked_mul(ENTRY_BYTES)? != bytes.len() {
            return None;
        }
        let (vectors, rest) = bytes.split_at_checked(count * DIMENSIONS)?;
        let (keys, rest) = rest.split_at_checked(count * KEY_BYTES)?;
        let (signatures, rest) = rest.split_at_checked(count * SIGNATURE_BYTES)?;
        let (contexts, marks) = rest.split_at_checked(count * CONTEXT_BYTES)?;
        Some(Self {
            vectors: vectors.as_chunks().0,
            keys: keys.as_chunks().0,
            signatures: signatures.as_chunks().0,
            contexts: contexts.as_chunks().0,
            marks: marks.as_chunks().0,
        })
    }

    pub(super) fn write(entries: &[Entry], bytes: &mut Vec<u8>) {
        bytes.extend(entries.iter().flat_map(|entry| entry.vector.to_bytes()));
        bytes.extend(entries.iter().flat_map(|entry| *entry.key.as_bytes()));
        bytes.extend(entries.iter().flat_map(|entry| entry.signature));
        bytes.extend(entries.iter().flat_map(|entry| entry.context.to_bytes()));
        bytes.extend(entries.iter().flat_map(|entry| entry.mark.to_bytes()));
    }

    pub(super) fn entry(&self, row: usize) -> Option<Entry> {
        Some(Entry {
            key: CacheKey::from_bytes(*self.keys.get(row)?),
            context: ContextTag::from_bytes(*self.contexts.get(row)?),
            vector: StaticVector::from_bytes(self.vectors.get(row)?),
            signature: *self.signatures.get(row)?,
            mark: AnswerMark::from_bytes(*self.marks.get(row)?),
        })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let columns = *self;
        (0..columns.keys.len()).filter_map(move |row| columns.entry(row))
    }

    /// No key twice, and each after the one before: what a binary search and a merge stand on.
    pub(super) fn are_in_order(&self) -> bool {
        self.keys.is_sorted_by(|a, b| a < b)
    }
}
