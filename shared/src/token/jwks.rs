//! An issuer's published keys (RFC 7517): which are of use, where they are, and when to fetch them again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;

use super::compact::{Algorithm, Token};
use crate::limits::URL_BYTES_MAX;

/// Bytes of a key set. A key takes a kilobyte at most.
pub const JWKS_BYTES_MAX: usize = 64 << 10;

/// Keys of a set. Issuers publish two or three.
const KEYS_MAX: usize = 32;

/// Milliseconds between two fetches of one key set, whatever tokens come.
const FETCH_EVERY_MS: u64 = 60_000;

/// Milliseconds that a fetch may take.
pub const FETCH_MS_MAX: u64 = 3_000;

/// Milliseconds after which a fetch that has not ended is taken for lost, with the request that made it.
const LOST_MS: u64 = 2 * FETCH_MS_MAX;

/// Milliseconds after which a key set is fetched again, and after which it is not believed any more where that
/// does not succeed. An issuer that withdraws a key is followed within the first.
const FRESH_MS: u64 = 600_000;
const STALE_MS_MAX: u64 = 86_400_000;

/// Where an issuer publishes its keys: over https, or from this very machine while developing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JwksUrl(String);

/// The text is not such an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("jwks_url must be an https address without user or fragment")]
pub struct InvalidJwksUrl;

impl JwksUrl {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JwksUrl {
    type Error = InvalidJwksUrl;

    fn try_from(url: String) -> Result<Self, InvalidJwksUrl> {
        let secure = url.strip_prefix("https://");
        let rest = secure.or_else(|| url.strip_prefix("http://")).ok_or(InvalidJwksUrl)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = split_authority(authority);
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\' | b'"'));
        let fits = plain
            && url.len() <= URL_BYTES_MAX
            && !host.is_empty()
            && port_fits
            && !authority.contains('@')
            && (secure.is_some() || here);
        if fits { Ok(Self(url)) } else { Err(InvalidJwksUrl) }
    }
}

/// Host and port; the host of an address of IPv6 with its brackets, which hold colons of their own.
fn split_authority(authority: &str) -> (&str, Option<&str>) {
    let (address, rest) = authority.split_at(authority.find(']').map_or(0, |end| end + 1));
    match rest.split_once(':') {
        Some((name, port)) => (authority.split_at(address.len() + name.len()).0, Some(port)),
        None => (authority, None),
    }
}

impl From<JwksUrl> for String {
    fn from(url: JwksUrl) -> String {
        url.0
    }
}

/// The keys of a set that can verify tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks(Vec<VerifyingKey>);

/// One public key, and the one algorithm that it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    pub algorithm: Algorithm,
    id: Option<String>,
    /// As a JWK with the public members only, to import.
    pub jwk: String,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?}, {:?})", self.algorithm, self.id)
    }
}

/// The content is not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JWK set of at most {KEYS_MAX} keys and {JWKS_BYTES_MAX} bytes")]
pub struct InvalidJwks;

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwks {
    /// Reads a key set; keys of other kinds or uses, and malformed ones, are left out, as RFC 7517 asks.
    ///
    /// # Errors
    /// It is too large, or not a key set.
    pub fn parse(content: &[u8]) -> Result<Self, InvalidJwks> {
        if content.len() > JWKS_BYTES_MAX {
            return Err(InvalidJwks);
        }
        let Set { keys } = serde_json::from_slice(content).map_err(|_| InvalidJwks)?;
        if keys.len() > KEYS_MAX {
            return Err(InvalidJwks);
        }
        let published = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(published.filter_map(verifying_key).collect()))
    }

    /// About what the set takes of memory.
    fn bytes(&self) -> usize {
        let bytes = |key: &VerifyingKey| {
            size_of::<VerifyingKey>() + key.jwk.len() + key.id.as_ref().map_or(0, String::len)
        };
        self.0.iter().map(bytes).sum()
    }

    /// The key that a token names; without a name, the only one of its algorithm.
    fn find(&self, token: &Token<'_>) -> Option<&VerifyingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithm == token.algorithm && (token.key_id.is_none() || key.id == token.key_id)
        });
        let found = fitting.next()?;
        fitting.next().is_none().then_some(found)
    }
}

fn verifying_key(key: Published) -> Option<VerifyingKey> {
    if key.used_for.is_some_and(|used_for| used_for != "sig") {
        return None;
    }
    let (algorithm, name, jwk) = match (key.kty.as_str(), key.crv.as_deref()) {
        ("EC", Some("P-256")) => {
            let (x, y) = (part(key.x, 32..=32)?, part(key.y, 32..=32)?);
            (Algorithm::Es256, "ES256", format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#))
        }
        // 2,048 bits at least (RFC 7518), and no more than verifies in reasonable time.
        ("RSA", None) => {
            let (n, e) = (part(key.n, 256..=1_024)?, part(key.e, 1..=4)?);
            (Algorithm::Rs256, "RS256", format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
        }
        ("OKP", Some("Ed25519")) => {
            let x = part(key.x, 32..=32)?;
            (Algorithm::EdDsa, "EdDSA", format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#))
        }
        _ => return None,
    };
    let fits = key.alg.is_none_or(|alg| alg == name || (alg == "Ed25519" && algorithm == Algorithm::EdDsa));
    fits.then_some(VerifyingKey { algorithm, id: key.kid, jwk })
}

/// A number in base64url, of so many bytes.
fn part(text: Option<String>, bytes: std::ops::RangeInclusive<usize>) -> Option<String> {
    text.filter(|text| URL_SAFE_NO_PAD.decode(text).is_ok_and(|decoded| bytes.contains(&decoded.len())))
}

/// What is known of one issuer's keys.
#[derive(Debug, Clone, Default)]
pub struct KeyMemory {
    keys: Option<Jwks>,
    fetched_ms: u64,
    tried_ms: Option<u64>,
    /// A fetch has begun and not ended.
    fetching: bool,
}

/// Where a token's key is.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'k> {
    /// Here; with `refresh` the set should be fetched again in the background.
    Key { key: &'k VerifyingKey, refresh: bool },
    /// Perhaps in a newer set: fetch it, and look again.
    Fetch,
    /// Perhaps in the set that is being fetched: look again soon.
    Wait,
    /// Nowhere, for the next milliseconds; `known` if a set was ever read.
    Nowhere { known: bool, retry_ms: u64 },
}

impl KeyMemory {
    /// Finds a token's key, or says whether a fetch may find it.
    #[must_use]
    pub fn find(&self, token: &Token<'_>, now_ms: u64) -> Found<'_> {
        // Either way, so that a clock that stepped back does not put everything off until it is where it was.
        let since_try_ms = self.tried_ms.map(|tried_ms| now_ms.abs_diff(tried_ms));
        let may_fetch = since_try_ms.is_none_or(|ms| ms >= FETCH_EVERY_MS);
        let age_ms = now_ms.abs_diff(self.fetched_ms);
        let believed = self.keys.as_ref().filter(|_| age_ms < STALE_MS_MAX);
        let fetching = self.fetching && since_try_ms.is_some_and(|ms| ms < LOST_MS);
        match believed.and_then(|keys| keys.find(token)) {
            Some(key) => Found::Key { key, refresh: may_fetch && age_ms >= FRESH_MS },
            None if fetching => Found::Wait,
            None if may_fetch => Found::Fetch,
            None => Found::Nowhere {
                known: believed.is_some(),
                retry_ms: FETCH_EVERY_MS - since_try_ms.unwrap_or(FETCH_EVERY_MS),
            },
        }
    }

    /// A fetch begins: until it has ended and for a while after it, there is no other.
    pub const fn begin_fetch(&mut self, now_ms: u64) {
        (self.tried_ms, self.fetching) = (Some(now_ms), true);
    }

    /// The fetch has succeeded.
    pub fn keep(&mut self, keys: Jwks, now_ms: u64) {
        (self.keys, self.fetched_ms, self.fetching) = (Some(keys), now_ms, false);
    }

    /// The fetch has failed. What was known is known still.
    pub const fn fail(&mut self) {
        self.fetching = false;
    }

    /// About what is remembered, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.keys.as_ref().map_or(0, Jwks::bytes)
    }
}
