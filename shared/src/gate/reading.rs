//! A question as the gate reads it.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::signature::Signature;
use super::verdict::{Doubt, Verdict};

/// One question, read once; compare it with many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    words: Vec<String>,
}

impl Reading {
    /// Reads any text; never fails, what cannot be judged is unsure later.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text: String = text.trim().nfc().collect();
        Self { words: text.split_whitespace().map(str::to_owned).collect() }
    }

    /// The words in their order, as written.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    #[must_use]
    pub fn signature(&self) -> Signature {
        let digest: [u8; 32] = Sha256::digest(self.words.join(" ")).into();
        let mut form = [0; 16];
        form.copy_from_slice(&digest[..16]);
        Signature::new([0; 7], form)
    }

    /// Symmetric; every reading is the same as itself.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Verdict {
        if self == other { Verdict::Same } else { Verdict::Unsure(Doubt::Words) }
    }
}
