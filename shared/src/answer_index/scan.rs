//! Finds the stored questions nearest to the one that is asked: an exact scan, 64 products an entry, in one loop that
//! compiles to vector instructions where the target has them.

use super::Snapshot;
use crate::cache_key::{CacheKey, ContextTag};
use crate::gate::SIGNATURE_BYTES;
use crate::id::Similarity;
use crate::static_model::StaticVector;

/// A stored question that may mean the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Names its answer.
    pub key: CacheKey,
    pub similarity: Similarity,
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Snapshot {
    /// The questions of one context that are at least so similar, nearest first, `most` at most.
    #[must_use]
    pub fn scan(
        &self,
        asked: &StaticVector,
        context: ContextTag,
        at_least: Similarity,
        most: usize,
    ) -> Vec<Candidate> {
        let columns = self.columns();
        let (asked_inverse, context) = (asked.inverse_length(), context.to_bytes());
        let mut best: Vec<(Similarity, usize)> = Vec::new();
        let mut floor = at_least;
        let rows = columns.vectors.iter().zip(&self.inverse_lengths).zip(columns.contexts);
        for (row, ((vector, inverse), of)) in rows.enumerate() {
            if *of != context {
                continue;
            }
            let similarity = asked.cosine(asked_inverse, vector, *inverse);
            if similarity < floor {
                continue;
            }
            // Of equally near ones the first stays in front, so that equal snapshots find equal candidates.
            let at = best.partition_point(|(other, _)| *other >= similarity);
            best.insert(at, (similarity, row));
            if best.len() > most {
                best.truncate(most);
            }
            if best.len() == most
                && let Some((last, _)) = best.last()
            {
                floor = *last;
            }
        }
        let candidate = |(similarity, row): (Similarity, usize)| {
            let key = CacheKey::from_bytes(*columns.keys.get(row)?);
            Some(Candidate { key, similarity, signature: *columns.signatures.get(row)? })
        };
        best.into_iter().filter_map(candidate).collect()
    }
}
