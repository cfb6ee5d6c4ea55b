//! The API keys that callers hold, and what is stored of them.
//!
//! A key is `pgk_`, 48 hex digits of randomness and 6 of checksum, so that a slip of the pen is told from
//! an unknown key without a look-up. `pgp_` begins a publishable one, which may stand in a web page: it only
//! asks and searches, and only from the web origins that it is bound to. Of a key only a hash under a secret is ever
//! stored, so that whoever reads the store can neither use a key nor try candidates.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use subtle::ConstantTimeEq;

use crate::caller::{Audience, Caller, CorpusScope, Scope};
use crate::id::{KeyId, Label, TenantId, TierName};
use crate::web_origin::WebOrigin;

const RANDOM_DIGITS: usize = 48;
const CHECKSUM_DIGITS: usize = 6;

/// Random digits that lists show, to recognise a key by; 160 of its 192 random bits stay secret.
const SHOWN_DIGITS: usize = 8;

/// Where a key may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// On servers.
    Secret,
    /// In web pages, where everybody can read it.
    Publishable,
}

impl KeyKind {
    pub const ALL: [Self; 2] = [Self::Secret, Self::Publishable];

    /// What a key of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "pgk_",
            Self::Publishable => "pgp_",
        }
    }

    /// The scopes that a key of this kind may have.
    #[must_use]
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Secret => &Scope::ALL,
            Self::Publishable => &[Scope::Ask, Scope::Search],
        }
    }
}

/// A well-formed key. Its `Debug` shows no secret digit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    text: String,
    kind: KeyKind,
}

/// The text is not a key: wrong prefix, length, digits or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is malformed")]
pub struct MalformedKey;

impl Key {
    /// Makes a key from 24 bytes of the caller's randomness.
    #[must_use]
    pub fn from_random(kind: KeyKind, random: [u8; RANDOM_DIGITS / 2]) -> Self {
        let body = hex::encode(random);
        let checksum = checksum(&body);
        Self { text: format!("{}{body}{checksum}", kind.prefix()), kind }
    }

    /// # Errors
    /// The text has not the form of a key.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let (kind, rest) = KeyKind::ALL
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .ok_or(MalformedKey)?;
        let well_formed = rest.len() == RANDOM_DIGITS + CHECKSUM_DIGITS
            && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !well_formed {
            return Err(MalformedKey);
        }
        let (body, sum) = rest.split_at(RANDOM_DIGITS);
        (checksum(body) == sum).then(|| Self { text: text.to_owned(), kind }).ok_or(MalformedKey)
    }

    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself, to show once to whom it belongs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Its beginning, to recognise it by in a list.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.text.get(..self.kind.prefix().len() + SHOWN_DIGITS).unwrap_or_default()
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

/// What keys are hashed under (HMAC-SHA-256). Never printed.
#[derive(Clone)]
pub struct KeySecret(Hmac<Sha256>);

impl KeySecret {
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        // HMAC takes secrets of any length; `new_from_slice` has no failing case for it.
        Self(Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    #[must_use]
    pub fn hash(&self, key: &Key) -> KeyHash {
        let mut mac = self.0.clone();
        mac.update(key.text.as_bytes());
        KeyHash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

/// What is stored instead of a key. 64 hex digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The name under which the key's record is stored.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("key:{self}")
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl TryFrom<String> for KeyHash {
    type Error = hex::FromHexError;
    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes))
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> String {
        hash.to_string()
    }
}

/// Whether a secret is the one expected; takes as long whichever byte differs.
#[must_use]
pub fn is_same_secret(given: &[u8], expected: &[u8]) -> bool {
    // Of equal length, whatever was given.
    Sha256::digest(given).ct_eq(&Sha256::digest(expected)).into()
}

/// What is stored for a key: whom it stands for and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Missing where the record was written by hand: then no ledger knows the key, and only its record says
    /// that it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<KeyId>,
    pub tenant: TenantId,
    /// Whose limits of a key it has; missing: its tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierName>,
    pub corpora: CorpusScope,
    #[serde(default)]
    pub audience: BTreeSet<Label>,
    pub scopes: BTreeSet<Scope>,
    /// Unix seconds from which on the key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_s: Option<u64>,
    /// Only of a publishable key: where it may be used.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub web_origins: BTreeSet<WebOrigin>,
}

impl KeyRecord {
    /// Whether the key's time is over.
    #[must_use]
    pub fn is_expired(&self, now_s: u64) -> bool {
        self.expires_at_s.is_some_and(|at_s| now_s >= at_s)
    }

    /// The caller for whom the key speaks. A publishable key never gets more than its kind allows, whatever its
    /// record says.
    #[must_use]
    pub fn caller(&self, kind: KeyKind) -> Caller {
        let Self { tenant, corpora, audience, scopes, id: _, tier: _, expires_at_s: _, web_origins: _ } =
            self;
        let scopes = scopes.iter().copied().filter(|scope| kind.scopes().contains(scope)).collect();
        let audience = Audience::Labels(audience.clone());
        Caller { tenant: tenant.clone(), corpora: corpora.clone(), audience, scopes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_malformed() {
        for kind in KeyKind::ALL {
            let key = Key::from_random(kind, [7; 24]);
            let text = key.reveal();
            assert_eq!(Key::parse(text).as_ref(), Ok(&key));
            for at in kind.prefix().len()..text.len() {
                let mut slip = text.as_bytes().to_vec();
                slip[at] = if slip[at] == b'0' { b'1' } else { b'0' };
                assert_eq!(Key::parse(std::str::from_utf8(&slip).unwrap()), Err(MalformedKey), "digit {at}");
            }
            let (short, long, upper) = (&text[..text.len() - 1], format!("{text}0"), text.to_uppercase());
            for bad in ["", "pgk_", "pgp_", "sk-123", short, &long, &upper] {
                assert_eq!(Key::parse(bad), Err(MalformedKey), "{bad}");
            }
        }
    }

    #[test]
    fn nothing_that_is_printed_or_stored_is_the_key() {
        let key = Key::from_random(KeyKind::Secret, [7; 24]);
        let secret = KeySecret::new(b"a secret");
        assert_eq!(format!("{key:?} {secret:?}"), "Key(…) KeySecret(…)");
        assert_eq!(key.shown(), "pgk_07070707");
        assert!(!secret.hash(&key).record_name().contains("07070707"));
    }

    #[test]
    fn a_hash_is_worth_nothing_without_its_secret() {
        let key = Key::from_random(KeyKind::Secret, [7; 24]);
        let hash = KeySecret::new(b"one").hash(&key);
        assert_eq!(hash, KeySecret::new(b"one").hash(&key));
        assert_ne!(hash, KeySecret::new(b"two").hash(&key));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<KeyHash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<KeyHash>("\"00\"").is_err());
    }

    #[test]
    fn a_secret_is_the_same_only_as_a_whole() {
        assert!(is_same_secret(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secret ", b"Secret"] {
            assert!(!is_same_secret(other, b"secret"));
        }
    }

    #[test]
    fn a_publishable_key_only_asks_and_searches_whatever_its_record_says() {
        let record = r#"{"tenant":"acme","corpora":["*"],"scopes":["ask","search","read","write","admin"]}"#;
        let record: KeyRecord = serde_json::from_str(record).unwrap();
        assert_eq!(record.caller(KeyKind::Publishable).scopes, [Scope::Ask, Scope::Search].into());
        assert_eq!(record.caller(KeyKind::Secret).scopes, Scope::ALL.into());
    }

    #[test]
    fn a_key_is_refused_from_the_second_on_in_which_it_expires() {
        let record = r#"{"tenant":"acme","corpora":["*"],"scopes":[],"expires_at_s":100}"#;
        let record: KeyRecord = serde_json::from_str(record).unwrap();
        assert!(!record.is_expired(99) && record.is_expired(100));
    }
}
