//! What the edge has of a stored question: 24 bytes that say *same*, *different* or *unsure* of two.
//!
//! Layout, little-endian: version 1, flags and kind 1, negations 1, hash of the numbers 2, hash of the quantities
//! 2, zero 1, hash of the reduced question 16. Two questions are the same if the last are equal. Those are the
//! first 128 bits of a SHA-256: among 10,000 stored questions a question that should match none matches one with a
//! chance of 10,000 in 2^128, and to find a text that does so on purpose takes as long as breaking SHA-256.

use sha2::{Digest, Sha256};

use super::GATE_VERSION;
use super::facts::{FactHash, FactHashes, Facts};
use super::form::Form;
use super::kind::Kind;
use super::verdict::{Doubt, Verdict};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 24;

const FORM_AT: usize = 8;
/// Instead of a kind: the text could not be read, the hash is of its letters.
const UNREADABLE: u8 = 0x80;

/// A question reduced to what its meaning hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; SIGNATURE_BYTES]);

/// The bytes are no signature of this version's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature of this version of the gate")]
pub struct MalformedSignature;

impl Signature {
    /// Of a text that is only ever the same as itself.
    pub(super) fn of_letters(text: &str) -> Self {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes[0] = GATE_VERSION;
        bytes[1] = UNREADABLE;
        bytes[FORM_AT..].copy_from_slice(&hash(["letters", text])[..SIGNATURE_BYTES - FORM_AT]);
        Self(bytes)
    }

    pub(super) fn of_form(form: &Form, facts: &Facts) -> Self {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes[0] = GATE_VERSION;
        bytes[1] = facts.kind as u8;
        bytes[2] = facts.negations;
        bytes[3..5].copy_from_slice(&hash(facts.numbers.iter().map(String::as_str))[..2]);
        bytes[5..7].copy_from_slice(&hash(facts.quantities.iter().copied())[..2]);
        let kind = [form.kind as u8].map(|kind| char::from(b'a' + kind)).iter().collect::<String>();
        let words = ["form", &kind].into_iter().chain(form.words.iter().map(String::as_str));
        bytes[FORM_AT..].copy_from_slice(&hash(words)[..SIGNATURE_BYTES - FORM_AT]);
        Self(bytes)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; SIGNATURE_BYTES] {
        self.0
    }

    /// # Errors
    /// Another version of the gate made it, or none.
    pub fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Result<Self, MalformedSignature> {
        let known = bytes[1] == UNREADABLE || Kind::from_number(bytes[1]).is_some();
        if bytes[0] == GATE_VERSION && known { Ok(Self(bytes)) } else { Err(MalformedSignature) }
    }

    /// Symmetric; every signature is the same as itself.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Verdict {
        if self == other {
            return Verdict::Same;
        }
        match (self.facts(), other.facts()) {
            (Some(facts), Some(others)) => match facts.difference(&others) {
                Some(difference) => Verdict::Different(difference),
                // Unequal facts have said so; an equal form with them is the same question.
                None if self.0[FORM_AT..] == other.0[FORM_AT..] => Verdict::Same,
                None => Verdict::Unsure(Doubt::Words),
            },
            _ => Verdict::Unsure(Doubt::Unreadable),
        }
    }

    /// `None` for a text that could not be read.
    pub(super) fn facts(&self) -> Option<FactHashes> {
        let [_, kind, negations, n0, n1, q0, q1, ..] = self.0;
        let kind = Kind::from_number(kind)?;
        let [numbers, quantities] = [[n0, n1], [q0, q1]].map(FactHash::from_le_bytes);
        Some(FactHashes { kind, negations, numbers, quantities })
    }
}

/// Each part with its length, so that none runs into the next.
fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
