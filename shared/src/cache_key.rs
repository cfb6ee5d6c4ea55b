//! The exact cache's key: equal keys if and only if nothing that can change the answer differs. And what is left of it
//! without the words that are asked: only questions of one context can ever share an answer.

use sha2::{Digest, Sha256};
use std::fmt;

use crate::caller::Audience;
use crate::question::{Options, Question, Speaker, Turn};

/// A name that is a hash: 32 bytes, 64 hex digits where it is written.
macro_rules! hash_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// # Errors
            /// The text is not 64 hex digits.
            pub fn parse(text: &str) -> Result<Self, hex::FromHexError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hash_name! {
    /// SHA-256 over every field of a question, with its tenant, corpus and audience.
    CacheKey
}

hash_name! {
    /// SHA-256 over every field of a question except the words that are asked now: tenant, corpus, audience, the turns
    /// before, options. An answer is reused for other words only between questions of equal context (invariant I1).
    ContextKey
}

impl CacheKey {
    /// Hashes a question. Every field is taken apart by name, so that a new one does not compile until
    /// somebody decides about it.
    #[must_use]
    pub fn of(question: &Question) -> Self {
        let Question { tenant, corpus, audience, turns, options } = question;
        let mut hash = Fields::new(b"perigee-question-v1\0");
        hash.text(tenant.as_str());
        hash.text(corpus.as_str());
        hash.audience(audience);
        hash.turns(turns);
        hash.options(options);
        Self(hash.0.finalize().into())
    }
}

impl ContextKey {
    /// Hashes what surrounds the last turn. Taken apart by name, as [`CacheKey::of`].
    #[must_use]
    pub fn of(question: &Question) -> Self {
        let Question { tenant, corpus, audience, turns, options } = question;
        let mut hash = Fields::new(b"perigee-context-v1\0");
        hash.text(tenant.as_str());
        hash.text(corpus.as_str());
        hash.audience(audience);
        if let Some((Turn { speaker, text: _ }, before)) = turns.split_last() {
            hash.turns(before);
            hash.speaker(*speaker);
        }
        hash.options(options);
        Self(hash.0.finalize().into())
    }

    /// The start of the key, which sorts out nearly all others where 32 bytes are too many.
    #[must_use]
    pub const fn tag(&self) -> ContextTag {
        let [a, b, c, d, ..] = self.0;
        ContextTag([a, b, c, d])
    }
}

/// The first 4 bytes of a [`ContextKey`]. A filter only: whoever serves an answer compares the whole key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextTag([u8; 4]);

impl ContextTag {
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

/// Feeds fields to the hash so that their borders count: each with its length or a tag in front.
struct Fields(Sha256);

impl Fields {
    fn new(domain: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(domain))
    }

    fn turns(&mut self, turns: &[Turn]) {
        self.number(turns.len() as u64);
        for Turn { speaker, text } in turns {
            self.speaker(*speaker);
            self.text(text);
        }
    }

    fn speaker(&mut self, speaker: Speaker) {
        self.number(match speaker {
            Speaker::System => 0,
            Speaker::User => 1,
            Speaker::Assistant => 2,
        });
    }

    fn options(&mut self, options: &Options) {
        let Options { temperature, top_p, max_tokens, presence_penalty, frequency_penalty, seed, stop } =
            options;
        for value in [temperature, top_p, presence_penalty, frequency_penalty] {
            self.option(value.map(|v| u64::from(v.to_bits())));
        }
        self.option(max_tokens.map(u64::from));
        self.option(seed.map(i64::cast_unsigned));
        self.number(stop.len() as u64);
        for sequence in stop {
            self.text(sequence);
        }
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
