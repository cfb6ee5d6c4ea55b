//! What a token claims, and how a tenant says which claims count.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

use super::BadToken;
use super::compact::Token;
use super::jwks::JwksUrl;
use crate::admission::Subject;
use crate::id::Label;
use crate::limits::LABELS_MAX;

/// Bytes of a user's name.
const NAME_BYTES_MAX: usize = 256;

/// Whose tokens a tenant accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserTokens {
    /// Where the issuer publishes its keys.
    pub jwks_url: JwksUrl,
    /// `iss` must be this.
    pub issuer: String,
    /// `aud` must be or contain this.
    pub audience: String,
    /// The claim that lists the user's access labels: an array, or words in a text. Without it a user has none.
    #[serde(default)]
    pub labels_claim: Option<String>,
}

impl UserTokens {
    /// Seconds by which the issuer's clock may differ from ours, either way.
    pub const SKEW_S: u64 = 60;
}

/// One of a tenant's users, as a token names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// The user's account for limits.
    pub subject: Subject,
    pub labels: BTreeSet<Label>,
    /// Unix seconds at which the token is no longer believed.
    pub until_s: u64,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Token<'_> {
    /// Whom this token names. Believe it only after the signature was verified.
    ///
    /// # Errors
    /// A claim is missing, or says that the token is not for us or not for now.
    pub fn user(&self, accepted: &UserTokens, now_s: u64) -> Result<User, BadToken> {
        let claims: Claims = serde_json::from_slice(&self.claims).map_err(|_| BadToken::Malformed)?;
        if claims.iss != accepted.issuer {
            return Err(BadToken::Issuer);
        }
        let for_us = match &claims.aud {
            OneOrMany::One(one) => *one == accepted.audience,
            OneOrMany::Many(many) => many.contains(&accepted.audience),
        };
        if !for_us {
            return Err(BadToken::Audience);
        }
        let until_s = whole_seconds(claims.exp)?.saturating_add(UserTokens::SKEW_S);
        if now_s >= until_s {
            return Err(BadToken::Expired);
        }
        let from_s = claims.nbf.map_or(Ok(0), whole_seconds)?;
        if now_s.saturating_add(UserTokens::SKEW_S) < from_s {
            return Err(BadToken::NotYet);
        }
        let name = claims.sub;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(BadToken::Subject);
        }
        let claim = accepted.labels_claim.as_ref().and_then(|claim| claims.others.get(claim));
        let labels = claim.map_or(Ok(BTreeSet::new()), labels)?;
        Ok(User { subject: Subject::user(&name), name, labels, until_s })
    }
}

/// `NumericDate` may have a fraction. What lies before 1970 has long expired.
fn whole_seconds(date: f64) -> Result<u64, BadToken> {
    const FOREVER_S: f64 = 1e11;
    if !date.is_finite() {
        return Err(BadToken::Malformed);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
    Ok(date.clamp(0.0, FOREVER_S) as u64)
}

/// What is no label in Perigee's sense gives no access, and is left out.
fn labels(claim: &Value) -> Result<BTreeSet<Label>, BadToken> {
    let words: Vec<&str> = match claim {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let labels: BTreeSet<_> = words.into_iter().filter_map(|word| Label::new(word).ok()).collect();
    if labels.len() > LABELS_MAX { Err(BadToken::Labels) } else { Ok(labels) }
}
