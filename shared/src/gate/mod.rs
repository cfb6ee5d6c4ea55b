//! The gate: do two questions ask the same, so that one's answer may serve the other?
//!
//! It answers *same*, *different* or *unsure*, each with its reason, from the words alone: numbers, negation,
//! opposites, quantities, kind of question, names, and who does what to whom. What it cannot judge is unsure,
//! never same. It knows no vectors, no documents and no probabilities: those judge what the gate left open.

mod align;
mod facts;
mod form;
mod kind;
mod lexicon;
mod order;
mod reading;
mod signature;
mod tokens;
mod verdict;
mod written;

pub use align::{Alignment, Kin, Pair, Unaligned, align};
pub use reading::Reading;
pub use signature::{MalformedSignature, SIGNATURE_BYTES, Signature};
pub use verdict::{Difference, Doubt, Verdict};

/// Of the rules and tables. Signatures of another version say nothing about each other.
pub const GATE_VERSION: u8 = 2;
