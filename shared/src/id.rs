//! Names and numbers that mean something: each a type of its own, made only by a constructor that checks.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::limits::{DOCUMENT_ID_BYTES_MAX, LABEL_BYTES_MAX, NAME_BYTES_MAX};

/// Why a text is not the id it should be. Says what an id may be, never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {bytes_max} of {allowed}")]
pub struct InvalidId {
    what: &'static str,
    bytes_max: usize,
    allowed: &'static str,
}

const NAME_ALLOWED: &str = "lower-case letters, digits, '-', '_' and '.', starting with a letter or digit";
const ID_ALLOWED: &str = "letters, digits, '-', '_', '.', ':', '~' and '@', starting with a letter or digit";
const LABEL_ALLOWED: &str = "letters, digits, '-', '_', '.', ':' and '@'";

fn check(
    text: &str,
    what: &'static str,
    bytes_max: usize,
    allowed: &'static str,
    first: fn(u8) -> bool,
    rest: fn(u8) -> bool,
) -> Result<(), InvalidId> {
    let bytes = text.as_bytes();
    let fits =
        !bytes.is_empty() && bytes.len() <= bytes_max && first(bytes[0]) && bytes.iter().all(|&b| rest(b));
    fits.then_some(()).ok_or(InvalidId { what, bytes_max, allowed })
}

fn is_name_first(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_name(b: u8) -> bool {
    is_name_first(b) || matches!(b, b'-' | b'_' | b'.')
}

fn is_id_first(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn is_id(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'~' | b'@')
}

fn is_label(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'@')
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $allowed:expr, $first:expr, $rest:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// The text is empty, too long, or has a character that is not allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check(&text, $what, $max, $allowed, $first, $rest)?;
                Ok(Self(text))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// Who owns corpora. Nothing ever crosses it.
    TenantId, "a tenant", NAME_BYTES_MAX, NAME_ALLOWED, is_name_first, is_name
);
text_id!(
    /// A corpus's name, unique within its tenant. It is what `model` names in a chat request.
    CorpusName, "a corpus name", NAME_BYTES_MAX, NAME_ALLOWED, is_name_first, is_name
);
text_id!(
    /// A document's id, unique within its corpus; safe in a URL path without escaping.
    DocumentId, "a document id", DOCUMENT_ID_BYTES_MAX, ID_ALLOWED, is_id_first, is_id
);
text_id!(
    /// An access label: a caller who holds one of a document's labels may read it.
    Label, "a label", LABEL_BYTES_MAX, LABEL_ALLOWED, is_label, is_label
);

text_id!(
    /// The name of a key that never changes, whatever digits the key has at the moment.
    KeyId, "a key id", NAME_BYTES_MAX, NAME_ALLOWED, is_name_first, is_name
);
text_id!(
    /// A set of limits that the operator has named.
    TierName, "a tier", NAME_BYTES_MAX, NAME_ALLOWED, is_name_first, is_name
);

impl KeyId {
    /// Makes an id from 8 bytes of the caller's randomness.
    #[must_use]
    pub fn from_random(random: [u8; 8]) -> Self {
        Self(format!("key_{}", hex::encode(random)))
    }
}

impl DocumentId {
    /// Makes an id from a file's path below the ingested folder: `guide/install.md` is
    /// `guide:install.md`. Where characters had to be replaced or cut, eight hex digits of the path's hash
    /// keep two such paths apart.
    ///
    /// # Errors
    /// The path is empty.
    pub fn from_path(path: &str) -> Result<Self, InvalidId> {
        use sha2::{Digest, Sha256};
        let joined = path.replace('\\', "/");
        let joined = joined.trim_matches('/');
        let mut id: String = joined
            .chars()
            .map(|c| match c {
                '/' => ':',
                c if c.is_ascii() && is_id(c as u8) => c,
                _ => '-',
            })
            .collect();
        let clean =
            id.len() == joined.len() && id.replace(':', "/") == joined && id.len() <= DOCUMENT_ID_BYTES_MAX;
        if !id.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            id.insert(0, 'd');
        }
        if !clean {
            id.truncate(DOCUMENT_ID_BYTES_MAX - 9);
            let digest = Sha256::digest(joined.as_bytes());
            id = format!("{id}-{}", hex::encode(&digest[..4]));
        }
        if joined.is_empty() { Self::new("") } else { Self::new(id) }
    }
}

/// The number of the last change applied to a corpus; 0 for a corpus that never had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 of a content, shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(bytes).into())
    }

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for ContentHash {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| InvalidId {
            what: "a content hash",
            bytes_max: 64,
            allowed: "hex digits, all 64 of them",
        })?;
        Ok(Self(bytes))
    }
}

/// Cosine of two vectors, in [-1, 1], never NaN.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Similarity(f32);

impl Similarity {
    /// Clamps to [-1, 1]; NaN counts as -1, the least similar there is.
    #[must_use]
    pub fn new(cosine: f32) -> Self {
        Self(if cosine.is_nan() { -1.0 } else { cosine.clamp(-1.0, 1.0) })
    }

    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_slashes_controls_or_nothing_are_refused() {
        for bad in ["", "a/b", "../x", "a\0b", "a\nb", "a b", "-a", ".a", "é", "a%2fb", &"x".repeat(257)] {
            assert!(DocumentId::new(bad).is_err(), "{bad:?}");
        }
        assert!(CorpusName::new("Docs").is_err());
        assert!(DocumentId::new("guide:install.md").is_ok());
    }

    #[test]
    fn a_path_becomes_a_readable_id_and_two_odd_paths_stay_apart() {
        assert_eq!(DocumentId::from_path("guide/install.md").unwrap().as_str(), "guide:install.md");
        let a = DocumentId::from_path("a b.md").unwrap();
        let b = DocumentId::from_path("a-b.md").unwrap();
        let c = DocumentId::from_path("a:b.md").unwrap();
        let d = DocumentId::from_path("a/b.md").unwrap();
        assert!(a != b && c != d);
        assert!(DocumentId::from_path(&"ü/".repeat(400)).is_ok());
        assert!(DocumentId::from_path("/").is_err());
    }

    #[test]
    fn a_similarity_is_never_nan() {
        assert_eq!(Similarity::new(f32::NAN).get(), -1.0);
        assert_eq!(Similarity::new(1.0001).get(), 1.0);
    }
}
