//! What a token claims, and how a tenant says which claims count.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

use super::BadToken;
use super::compact::Token;
use super::jwks::JwksUrl;
use crate::admission::Subject;
use crate::caller::{Audience, Caller};
use crate::id::Label;
use crate::limits::{LABELS_MAX, URL_BYTES_MAX};

/// Bytes of a user's name, and of a claim's.
const NAME_BYTES_MAX: usize = 256;

/// Whose tokens a tenant accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserTokens {
    /// Where the issuer publishes its keys: https.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub jwks_url: JwksUrl,
    /// `iss` must be this.
    pub issuer: String,
    /// `aud` must be or contain this.
    pub audience: String,
    /// The claim that lists the user's access labels: an array, or words in a text. With it the labels of a token stand in
    /// place of the key's, and a token that lacks the claim has none; without it the key's labels count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_claim: Option<String>,
    /// Whether a key asks, searches and reads only for a user. Writing and managing need none.
    #[serde(default)]
    pub required: bool,
}

/// The settings name nothing that a token could be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "issuer and audience of users have 1 to {URL_BYTES_MAX} bytes, and the name of a claim 1 to {NAME_BYTES_MAX}"
)]
pub struct InvalidUserTokens;

impl UserTokens {
    /// Seconds by which the issuer's clock may differ from ours, either way.
    pub const SKEW_S: u64 = 60;

    /// # Errors
    /// A text is empty or too long.
    pub fn check(&self) -> Result<(), InvalidUserTokens> {
        let Self { jwks_url: _, issuer, audience, labels_claim, required: _ } = self;
        let compared = [issuer, audience].into_iter().all(|text| (1..=URL_BYTES_MAX).contains(&text.len()));
        let named = labels_claim.as_ref().is_none_or(|claim| (1..=NAME_BYTES_MAX).contains(&claim.len()));
        if compared && named { Ok(()) } else { Err(InvalidUserTokens) }
    }
}

/// One of a tenant's users, as a token names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// The user's account for limits.
    pub subject: Subject,
    /// `None`: the settings name no claim for them.
    pub labels: Option<BTreeSet<Label>>,
    /// Unix seconds from which the token is believed, and at which no longer.
    pub from_s: u64,
    pub until_s: u64,
}

impl User {
    /// Whether the token is for now. Ask each time that it is used.
    ///
    /// # Errors
    /// Its time is over, or has not come.
    pub const fn check_time(&self, now_s: u64) -> Result<(), BadToken> {
        if now_s >= self.until_s {
            return Err(BadToken::Expired);
        }
        if now_s < self.from_s { Err(BadToken::NotYet) } else { Ok(()) }
    }

    /// The caller that a key is for this user: what the key may do, and what the user may see.
    #[must_use]
    pub fn caller(&self, key: &Caller) -> Caller {
        let Caller { tenant, corpora, audience, scopes } = key.clone();
        let audience = self.labels.clone().map_or(audience, Audience::Labels);
        Caller { tenant, corpora, audience, scopes }
    }
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
        let from_s = claims.nbf.map_or(Ok(0), whole_seconds)?.saturating_sub(UserTokens::SKEW_S);
        let name = claims.sub;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(BadToken::Subject);
        }
        let labels = accepted.labels_claim.as_ref();
        let labels = labels.map(|claim| claims.others.get(claim).map_or(Ok(BTreeSet::new()), labels_of));
        let user = User { subject: Subject::user(&name), name, labels: labels.transpose()?, from_s, until_s };
        user.check_time(now_s).map(|()| user)
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
fn labels_of(claim: &Value) -> Result<BTreeSet<Label>, BadToken> {
    let words: Vec<&str> = match claim {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let labels: BTreeSet<_> = words.into_iter().filter_map(|word| Label::new(word).ok()).collect();
    if labels.len() > LABELS_MAX { Err(BadToken::Labels) } else { Ok(labels) }
}
