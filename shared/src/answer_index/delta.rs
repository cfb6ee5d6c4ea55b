//! What changed between two snapshots, format version 1: enough to make the later one of the earlier one.
//!
//! | bytes | what |
//! |---|---|
//! | 32 | as a snapshot's, of the later one, but `PgId` |
//! | 4, 4 | CRC-32 that ends the earlier snapshot; that ends the later one |
//! | 4, 4 | entries removed, r; entries added or changed, a |
//! | 32 r | keys of the removed, ascending |
//! | 128 a | the added and changed, in columns as in a snapshot |
//! | 4 | CRC-32 of all bytes before |

use std::cmp::Ordering;

use super::columns::Columns;
use super::snapshot::{Reader, Snapshot, open, seal, write_count, write_header};
use super::{ENTRY_BYTES, Entry, Header, InvalidIndex};
use crate::cache_key::CacheKey;
use crate::limits::ANSWER_INDEX_ENTRIES_MAX;

const MAGIC: [u8; 4] = *b"PgId";

/// A delta that was read.
struct Delta<'a> {
    header: Header,
    count: usize,
    base: u32,
    result: u32,
    removed: &'a [[u8; 32]],
    put: Columns<'a>,
}

impl Snapshot {
    /// What an edge that has `base` needs to have this one.
    #[must_use]
    pub fn delta_from(&self, base: &Self) -> Vec<u8> {
        let (mut removed, mut put) = (Vec::new(), Vec::new());
        merge(base.entries(), self.entries(), |old, new| match (old, new) {
            (Some(old), None) => removed.push(old.key),
            (old, Some(new)) if old != Some(new) => put.push(new),
            (_, Some(_)) | (None, None) => {}
        });
        let mut bytes = Vec::new();
        write_header(MAGIC, *self.header(), self.len(), &mut bytes);
        bytes.extend(base.checksum().to_le_bytes());
        bytes.extend(self.checksum().to_le_bytes());
        write_count(removed.len(), &mut bytes);
        write_count(put.len(), &mut bytes);
        bytes.extend(removed.iter().flat_map(|key| *key.as_bytes()));
        Columns::write(&put, &mut bytes);
        seal(&mut bytes);
        bytes
    }

    /// Makes the later snapshot.
    ///
    /// # Errors
    /// It is no delta, one of another snapshot, or what it makes is not what it was made from.
    pub fn apply(&self, delta: &[u8]) -> Result<Self, InvalidIndex> {
        let delta = Delta::parse(delta)?;
        if delta.base != self.checksum() {
            return Err(InvalidIndex::OtherBase);
        }
        let removed = |key: &CacheKey| delta.removed.binary_search(key.as_bytes()).is_ok();
        let mut entries = Vec::with_capacity(self.len() + delta.put.keys.len());
        merge(self.entries(), delta.put.entries(), |old, new| {
            entries.extend(new.or(old.filter(|old| !removed(&old.key))));
        });
        if entries.len() != delta.count {
            return Err(InvalidIndex::Damaged);
        }
        let later = Self::of_sorted(delta.header, &entries);
        if later.checksum() == delta.result { Ok(later) } else { Err(InvalidIndex::Damaged) }
    }
}

impl<'a> Delta<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, InvalidIndex> {
        let (header, count, body) = open(MAGIC, bytes)?;
        let delta = Self::parse_body(header, count, Reader(body)).ok_or(InvalidIndex::Damaged)?;
        let in_order = delta.put.are_in_order() && delta.removed.is_sorted_by(|a, b| a < b);
        if in_order { Ok(delta) } else { Err(InvalidIndex::Damaged) }
    }

    fn parse_body(header: Header, count: usize, mut rest: Reader<'a>) -> Option<Self> {
        let (base, result) = (u32::from_le_bytes(rest.array()?), u32::from_le_bytes(rest.array()?));
        let (removed, put) = (rest.number()?, rest.number()?);
        if removed.max(put) > ANSWER_INDEX_ENTRIES_MAX {
            return None;
        }
        let removed = rest.take(removed * 32)?.as_chunks().0;
        let columns = Columns::over(rest.take(put * ENTRY_BYTES)?, put)?;
        rest.0.is_empty().then_some(Self { header, count, base, result, removed, put: columns })
    }
}

/// Walks two lists in the order of their keys; hands over what each has under a key.
fn merge(
    left: impl Iterator<Item = Entry>,
    right: impl Iterator<Item = Entry>,
    mut both: impl FnMut(Option<Entry>, Option<Entry>),
) {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.key.cmp(&right.key),
        };
        match order {
            Ordering::Less => both(left.next(), None),
            Ordering::Greater => both(None, right.next()),
            Ordering::Equal => both(left.next(), right.next()),
        }
    }
}
