//! What is counted: whom, and in which measure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

use super::network::NetworkPrefix;

/// Whom a counter counts, from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// Everybody behind one network prefix.
    Network,
    /// One of the tenant's own users.
    User,
    Key,
    Tenant,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::Network, Self::User, Self::Key, Self::Tenant];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::User => "user",
            Self::Key => "key",
            Self::Tenant => "tenant",
        }
    }
}

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// In hundredths, because a cache hit may count for less than a request.
    Requests,
    /// Prompt and answer.
    Tokens,
    /// Requests that run at this moment.
    Concurrent,
    /// The tier's price of what was used in a calendar month (UTC).
    Spend,
}

impl Measure {
    pub const ALL: [Self; 4] = [Self::Requests, Self::Tokens, Self::Concurrent, Self::Spend];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrent => "concurrent",
            Self::Spend => "spend",
        }
    }

    /// Units in which counters of this measure count, per one that configuration and callers see.
    #[must_use]
    pub const fn scale(self) -> u64 {
        match self {
            Self::Requests => 100,
            Self::Tokens | Self::Concurrent | Self::Spend => 1,
        }
    }
}

/// A key, user or network of a tenant, or the tenant itself: 128 bits, so that finding one is a comparison
/// of numbers. Which of them it is says the [`Dimension`] beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(u128);

impl Subject {
    pub const TENANT: Self = Self(0);

    /// A key, by the hash under which it is stored.
    #[must_use]
    pub fn key(hash: &[u8; 32]) -> Self {
        Self(first_half(hash))
    }

    /// A user, by the name that the tenant's token gives. Hashes it: make it once for a token.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self(first_half(&Sha256::digest(name.as_bytes()).into()))
    }

    #[must_use]
    pub const fn network(prefix: NetworkPrefix) -> Self {
        Self(prefix.number())
    }
}

fn first_half(hash: &[u8; 32]) -> u128 {
    hash[..16].iter().fold(0, |number, &byte| (number << 8) | u128::from(byte))
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({:032x})", self.0)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        format!("{:032x}", subject.0)
    }
}

/// The text is not 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject is 32 hex digits")]
pub struct InvalidSubject;

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;
    fn try_from(text: String) -> Result<Self, InvalidSubject> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| InvalidSubject)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// One counter of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CounterId {
    pub dimension: Dimension,
    pub subject: Subject,
    pub measure: Measure,
}

/// On whose account one request of a tenant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    pub key: Subject,
    /// With a token of one of the tenant's users.
    pub user: Option<Subject>,
    /// Where the platform says from where the request came.
    pub network: Option<Subject>,
}

impl Who {
    /// The accounts of this request, from narrow to wide.
    #[must_use]
    pub fn accounts(&self) -> [(Dimension, Option<Subject>); 4] {
        [
            (Dimension::Network, self.network),
            (Dimension::User, self.user),
            (Dimension::Key, Some(self.key)),
            (Dimension::Tenant, Some(Subject::TENANT)),
        ]
    }
}
