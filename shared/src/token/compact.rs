//! The compact form of a signed token (RFC 7515, RFC 7519), read strictly.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::BadToken;

/// Bytes of a token. Identity providers stay well below it, and so do servers' limits on headers.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// How a token may be signed. Nothing else is ever accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Es256,
    Rs256,
    /// With Ed25519.
    EdDsa,
}

/// A well-formed token. Nobody has verified it.
#[derive(Debug)]
pub struct Token<'t> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    signed: &'t str,
    signature: Vec<u8>,
    pub(super) claims: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl<'t> Token<'t> {
    /// # Errors
    /// It is too long, has not three parts of base64url and JSON, or is signed in a way that is not accepted.
    pub fn parse(text: &'t str) -> Result<Self, BadToken> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BadToken::Malformed)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| BadToken::Malformed)?;
        let algorithm = match header.alg.as_str() {
            "ES256" => Algorithm::Es256,
            "RS256" => Algorithm::Rs256,
            "EdDSA" => Algorithm::EdDsa,
            _ => return Err(BadToken::Algorithm),
        };
        if header.crit.is_some() {
            return Err(BadToken::Critical);
        }
        let known_type = |typ: &str| ["jwt", "at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known));
        if header.typ.is_some_and(|typ| !known_type(&typ)) {
            return Err(BadToken::Malformed);
        }
        let signature = decode(signature)?;
        let fits = match algorithm {
            Algorithm::Es256 | Algorithm::EdDsa => signature.len() == 64,
            Algorithm::Rs256 => (256..=1_024).contains(&signature.len()),
        };
        if !fits {
            return Err(BadToken::Malformed);
        }
        Ok(Self { algorithm, key_id: header.kid, signed, signature, claims: decode(claims)? })
    }

    /// The bytes that the signature covers.
    #[must_use]
    pub const fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// ES256: r and s, 32 bytes each. EdDSA: 64 bytes. RS256: as long as the key's modulus.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// A fourth part has a full stop in it, which base64url has not.
fn decode(part: &str) -> Result<Vec<u8>, BadToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Malformed)
}
