//! The exact cache's key: equal keys if and only if nothing that can change the answer differs.

use sha2::{Digest, Sha256};
use std::fmt;

use crate::caller::Audience;
use crate::question::{Options, Question, Speaker, Turn};

/// SHA-256 over every field of a question, with its tenant, corpus and audience.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// Hashes a question. Every field is taken apart by name, so that a new one does not compile until
    /// somebody decides about it.
    #[must_use]
    pub fn of(question: &Question) -> Self {
        let Question { tenant, corpus, audience, turns, options } = question;
        let mut hash = Fields::new();
        hash.text(tenant.as_str());
        hash.text(corpus.as_str());
        hash.audience(audience);
        hash.number(turns.len() as u64);
        for Turn { speaker, text } in turns {
            hash.number(match speaker {
                Speaker::System => 0,
                Speaker::User => 1,
                Speaker::Assistant => 2,
            });
            hash.text(text);
        }
        let Options { temperature, top_p, max_tokens, presence_penalty, frequency_penalty, seed, stop } =
            options;
        for value in [temperature, top_p, presence_penalty, frequency_penalty] {
            hash.option(value.map(|v| u64::from(v.to_bits())));
        }
        hash.option(max_tokens.map(u64::from));
        hash.option(seed.map(i64::cast_unsigned));
        hash.number(stop.len() as u64);
        for sequence in stop {
            hash.text(sequence);
        }
        Self(hash.0.finalize().into())
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// # Errors
    /// The text is not 64 hex digits.
    pub fn parse(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// Feeds fields to the hash so that their borders count: each with its length or a tag in front.
struct Fields(Sha256);

impl Fields {
    fn new() -> Self {
        Self(Sha256::new_with_prefix(b"perigee-question-v1\0"))
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn option(&mut self, value: Option<u64>) {
        self.0.update([u8::from(value.is_some())]);
        self.number(value.unwrap_or(0));
    }

    fn audience(&mut self, audience: &Audience) {
        match audience {
            Audience::Everything => self.0.update([1]),
            Audience::Labels(labels) => {
                self.0.update([0]);
                self.number(labels.len() as u64);
                for label in labels {
                    self.text(label.as_str());
                }
            }
        }
    }
}
