//! The API keys that callers hold.
//!
//! A key is `pgk_`, 48 hex digits of randomness and 6 of checksum, so that a slip of the pen is told from
//! an unknown key without a look-up. Only its SHA-256 is ever stored.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;

use crate::caller::{Audience, Caller, CorpusScope, Scope};
use crate::id::{Label, TenantId};

const PREFIX: &str = "pgk_";
const RANDOM_DIGITS: usize = 48;
const CHECKSUM_DIGITS: usize = 6;

/// A well-formed key. Its `Debug` shows no secret digit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

/// The text is not a key: wrong prefix, length, digits or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is malformed")]
pub struct MalformedKey;

impl Key {
    /// Makes a key from 24 bytes of the caller's randomness.
    #[must_use]
    pub fn from_random(random: [u8; RANDOM_DIGITS / 2]) -> Self {
        let body = hex::encode(random);
        let checksum = checksum(&body);
        Self(format!("{PREFIX}{body}{checksum}"))
    }

    /// # Errors
    /// The text has not the form of a key.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let rest = text.strip_prefix(PREFIX).ok_or(MalformedKey)?;
        let well_formed = rest.len() == RANDOM_DIGITS + CHECKSUM_DIGITS
            && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !well_formed {
            return Err(MalformedKey);
        }
        let (body, sum) = rest.split_at(RANDOM_DIGITS);
        (checksum(body) == sum).then(|| Self(text.to_owned())).ok_or(MalformedKey)
    }

    /// The name under which the key's record is stored: `key:` and the key's SHA-256.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("key:{}", hex::encode(Sha256::digest(self.0.as_bytes())))
    }

    /// The key itself, to show once to whom it belongs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

fn checksum(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..CHECKSUM_DIGITS / 2])
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What is stored for a key: whom it stands for and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    pub tenant: TenantId,
    pub corpora: CorpusScope,
    #[serde(default)]
    pub audience: BTreeSet<Label>,
    pub scopes: BTreeSet<Scope>,
}

impl From<KeyRecord> for Caller {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord { tenant, corpora, audience, scopes } = record;
        Self { tenant, corpora, audience: Audience::Labels(audience), scopes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_malformed() {
        let key = Key::from_random([7; 24]);
        assert_eq!(Key::parse(key.reveal()).as_ref(), Ok(&key));
        let text = key.reveal();
        for at in PREFIX.len()..text.len() {
            let mut slip = text.as_bytes().to_vec();
            slip[at] = if slip[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(Key::parse(std::str::from_utf8(&slip).unwrap()), Err(MalformedKey), "digit {at}");
        }
        for bad in ["", "pgk_", "sk-123", &text[..text.len() - 1], &format!("{text}0"), &text.to_uppercase()]
        {
            assert!(Key::parse(bad).is_err());
        }
    }

    #[test]
    fn debug_shows_no_digit() {
        assert_eq!(format!("{:?}", Key::from_random([7; 24])), "Key(…)");
    }
}
