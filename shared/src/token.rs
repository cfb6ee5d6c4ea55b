//! Tokens of a tenant's own users: what one must look like, which key signed it, and whom it names.
//!
//! Nothing here verifies a signature or fetches keys: whoever does gives [`Token::signed`] and
//! [`Token::signature`] to the platform's cryptography, with the key that [`KeyMemory::find`] names, and
//! believes [`Token::user`] only after that. A key belongs to one algorithm, so that no token can choose
//! how it is verified.

mod claims;
mod compact;
mod jwks;

pub use claims::{InvalidUserTokens, User, UserTokens};
pub use compact::{Algorithm, TOKEN_BYTES_MAX, Token};
pub use jwks::{FETCH_MS_MAX, Found, InvalidJwks, JWKS_BYTES_MAX, Jwks, JwksUrl, KeyMemory, VerifyingKey};

/// Why a token is not believed. None of it repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's algorithm is none of ES256, RS256 and EdDSA")]
    Algorithm,
    #[error("the token has critical extensions")]
    Critical,
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token names no user")]
    Subject,
    #[error("the token has too many labels")]
    Labels,
}
