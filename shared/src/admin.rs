//! The admin routes' language: keys as they are made, listed and rotated, a tenant's settings, the audit trail.
//! Times are Unix seconds.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

use crate::admission::{Dimension, Measure, Overrides};
use crate::caller::{CorpusScope, Scope};
use crate::id::{KeyId, Label, TenantId, TierName};
use crate::key::KeyKind;
use crate::limits::{KEY_NAME_CHARS_MAX, LABELS_MAX, WEB_ORIGINS_MAX};
use crate::token::UserTokens;
use crate::web_origin::WebOrigin;

/// How long an old key goes on after a rotation: when nothing is said, and at most. A deployment takes hours, not
/// months.
pub const OVERLAP_S_DEFAULT: u64 = 24 * 3_600;
pub const OVERLAP_S_MAX: u64 = 30 * 24 * 3_600;

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What people call it.
    #[serde(default)]
    pub name: String,
    #[serde(default = "secret_kind")]
    pub kind: KeyKind,
    /// `["*"]` means all of the tenant's, and is the default.
    #[serde(default = "all_corpora")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub corpora: CorpusScope,
    /// Access labels.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub audience: BTreeSet<Label>,
    /// `ask` and `search` if missing.
    #[serde(default = "asking")]
    pub scopes: BTreeSet<Scope>,
    /// From when on it is refused; never if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_s: Option<u64>,
    /// Where a publishable key may be used.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub web_origins: BTreeSet<WebOrigin>,
}

const fn secret_kind() -> KeyKind {
    KeyKind::Secret
}

const fn all_corpora() -> CorpusScope {
    CorpusScope::All
}

fn asking() -> BTreeSet<Scope> {
    [Scope::Ask, Scope::Search].into()
}

/// Why a key can't be made as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRequest {
    #[error("the name must have at most {KEY_NAME_CHARS_MAX} characters and no control characters")]
    Name,
    #[error("a key needs a scope at least")]
    NoScope,
    #[error("a publishable key only asks and searches")]
    PublishableScope,
    #[error("a publishable key needs the web origins where it may be used, at most {WEB_ORIGINS_MAX}")]
    NoWebOrigin,
    #[error("a secret key has no web origins: it must not be in a web page")]
    SecretWebOrigin,
    #[error("at most {LABELS_MAX} labels")]
    Labels,
    #[error("it would be expired already")]
    Expired,
}

impl CreateKey {
    /// # Errors
    /// The first thing that no key may be.
    pub fn check(&self, now_s: u64) -> Result<(), InvalidKeyRequest> {
        let Self { name, kind, corpora: _, audience, scopes, expires_at_s, web_origins } = self;
        if name.chars().count() > KEY_NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(InvalidKeyRequest::Name);
        }
        if scopes.is_empty() {
            return Err(InvalidKeyRequest::NoScope);
        }
        if audience.len() > LABELS_MAX {
            return Err(InvalidKeyRequest::Labels);
        }
        if expires_at_s.is_some_and(|at_s| at_s <= now_s) {
            return Err(InvalidKeyRequest::Expired);
        }
        match kind {
            KeyKind::Publishable if !scopes.iter().all(|scope| kind.scopes().contains(scope)) => {
                Err(InvalidKeyRequest::PublishableScope)
            }
            KeyKind::Publishable if web_origins.is_empty() || web_origins.len() > WEB_ORIGINS_MAX => {
                Err(InvalidKeyRequest::NoWebOrigin)
            }
            KeyKind::Secret if !web_origins.is_empty() => Err(InvalidKeyRequest::SecretWebOrigin),
            KeyKind::Publishable | KeyKind::Secret => Ok(()),
        }
    }
}

/// A key as lists show it: everything but its secret digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeySummary {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: KeyId,
    /// How the key begins.
    pub begins: String,
    #[serde(flatten)]
    pub made_as: CreateKey,
    pub created_at_s: u64,
    /// The key before the last rotation, while it is still valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_s: Option<u64>,
}

/// What a rotation left valid for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviousKey {
    pub begins: String,
    pub valid_until_s: u64,
}

/// A key that was just made or rotated. The only time that it is shown.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShownKey {
    /// The key itself; it is stored nowhere.
    pub key: String,
    #[serde(flatten)]
    pub summary: KeySummary,
}

impl fmt::Debug for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownKey").field("summary", &self.summary).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyList {
    pub data: Vec<KeySummary>,
}

/// How a key is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Seconds for which the old key goes on; at most 30 days, a day if missing, 0: it ends at once.
    #[serde(default = "overlap_s")]
    pub overlap_s: u64,
}

const fn overlap_s() -> u64 {
    OVERLAP_S_DEFAULT
}

/// What a tenant may use, and how. The operator's to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub tier: TierName,
    /// What differs from the tier.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub limits: Overrides,
    /// Whose tokens say for which of the tenant's users a request is; nobody's if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<UserTokens>,
}

/// What a tenant has used, and what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub tenant: TenantId,
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub tier: TierName,
    /// The tenant's limits, and those of keys that have something to their account.
    pub data: Vec<LimitUsage>,
}

/// Where one limit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitUsage {
    /// `tenant` or `key`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub of: Dimension,
    /// The key, if it is one of the ledger's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub key: Option<KeyId>,
    /// `requests`, `tokens`, `concurrent` or `spend`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub measure: Measure,
    /// How many there are: in the window, at once, or in the calendar month (UTC).
    pub limit: u64,
    /// Seconds; missing where there is no window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_s: Option<u64>,
    /// What is used and has not come back.
    pub used: u64,
    /// What data centres hold ready, and requests that run.
    pub on_lease: u64,
    pub left: u64,
    /// Until nothing is used any more, if nobody asks.
    pub resets_in_s: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    KeyCreated,
    KeyRotated,
    KeyRevoked,
    SettingsChanged,
}

/// One change, and who made it. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Counts from 1 in each tenant.
    pub number: u64,
    pub at_s: u64,
    /// `operator`, or the id of the key that did it.
    pub actor: String,
    pub action: AuditAction,
    /// The key that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub key: Option<KeyId>,
    pub request_id: String,
    /// What it is now.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub now: serde_json::Value,
}

/// One page of the audit trail, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    pub data: Vec<AuditEntry>,
    /// `after` of the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), InvalidKeyRequest> {
        serde_json::from_str::<CreateKey>(json).unwrap().check(1_000)
    }

    #[test]
    fn a_key_is_made_for_asking_unless_more_is_said() {
        let key: CreateKey = serde_json::from_str("{}").unwrap();
        assert_eq!(key.check(0), Ok(()));
        assert_eq!((key.kind, key.corpora, key.scopes), (KeyKind::Secret, CorpusScope::All, asking()));
    }

    #[test]
    fn what_no_key_may_be_is_refused() {
        let origin = r#""web_origins":["https://a.example"]"#;
        for (json, expected) in [
            (r#"{"name":"a\u0000b"}"#.to_owned(), InvalidKeyRequest::Name),
            (format!(r#"{{"name":"{}"}}"#, "x".repeat(101)), InvalidKeyRequest::Name),
            (r#"{"scopes":[]}"#.to_owned(), InvalidKeyRequest::NoScope),
            (r#"{"expires_at_s":1000}"#.to_owned(), InvalidKeyRequest::Expired),
            (r#"{"kind":"publishable"}"#.to_owned(), InvalidKeyRequest::NoWebOrigin),
            (
                format!(r#"{{"kind":"publishable","scopes":["ask","read"],{origin}}}"#),
                InvalidKeyRequest::PublishableScope,
            ),
            (format!("{{{origin}}}"), InvalidKeyRequest::SecretWebOrigin),
        ] {
            assert_eq!(check(&json), Err(expected), "{json}");
        }
        assert_eq!(check(&format!(r#"{{"kind":"publishable",{origin}}}"#)), Ok(()));
        assert!(serde_json::from_str::<CreateKey>(r#"{"scope":["ask"]}"#).is_err(), "a slip is no default");
    }

    #[test]
    fn a_key_that_is_shown_is_not_shown_in_a_log() {
        let summary: KeySummary =
            serde_json::from_str(r#"{"id":"key_1","begins":"pgk_12345678","created_at_s":1}"#).unwrap();
        let shown = ShownKey { key: "pgk_123456789".to_owned(), summary };
        assert!(!format!("{shown:?}").contains("pgk_123456789"));
    }
}
