//! What the edge has of a stored question: 24 bytes that can say *same*, *different* or *unsure* of two.

use super::GATE_VERSION;
use super::verdict::{Doubt, Verdict};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 24;

/// A question reduced to what its meaning hangs on. Layout: version 1, facts 7, form 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; SIGNATURE_BYTES]);

/// The bytes are no signature of this version's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature of this version of the gate")]
pub struct MalformedSignature;

impl Signature {
    pub(super) fn new(facts: [u8; 7], form: [u8; 16]) -> Self {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes[0] = GATE_VERSION;
        bytes[1..8].copy_from_slice(&facts);
        bytes[8..].copy_from_slice(&form);
        Self(bytes)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; SIGNATURE_BYTES] {
        self.0
    }

    /// # Errors
    /// Another version of the gate made it.
    pub fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Result<Self, MalformedSignature> {
        if bytes[0] == GATE_VERSION { Ok(Self(bytes)) } else { Err(MalformedSignature) }
    }

    /// Symmetric; every signature is the same as itself.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Verdict {
        if self == other { Verdict::Same } else { Verdict::Unsure(Doubt::Words) }
    }
}
