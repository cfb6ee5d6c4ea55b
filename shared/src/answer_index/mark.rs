//! Which answer it is that an entry certifies.

use sha2::{Digest, Sha256};

use crate::answer::Answer;

/// The start of a hash over an answer as its readers see it: what tells it from an older answer of the same question, from
/// one whose citations point elsewhere by now, and from one of a corpus that had the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerMark([u8; 4]);

impl AnswerMark {
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        // The epoch is when it was last checked; the others follow from the id, which is made once.
        let Answer {
            id,
            text,
            citations,
            evidence,
            created_s: _,
            corpus: _,
            epoch: _,
            finish: _,
            usage: _,
            generator: _,
        } = answer;
        // Strings and numbers always serialise; were it otherwise, nothing would be certified.
        let seen = serde_json::to_vec(&(id, text, citations, evidence)).unwrap_or_default();
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(seen).into();
        Self([a, b, c, d])
    }

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}
