//! What workers and a tenant's ledger say to each other: JSON in both directions, within one deployment.

use perigee_shared::admin::{CreateKey, TenantSettings};
use perigee_shared::admission::{Ask, Grant};
use perigee_shared::id::{KeyId, TenantId};
use perigee_shared::key::KeyHash;
use serde::{Deserialize, Serialize};

/// A command to the ledger of one tenant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<C> {
    pub(crate) tenant: TenantId,
    pub(crate) command: C,
}

/// What a ledger does. Each answers with a type of its own, as JSON, or with a problem.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Answers with [`Lease`].
    Lease {
        ask: Ask,
        known: u64,
    },
    /// Answers with `UsageReport`.
    Usage,
    /// Answers with `TenantSettings`.
    Settings,
    SetSettings {
        settings: Box<TenantSettings>,
        by: By,
    },
    /// Answers with `KeySummary`.
    CreateKey {
        id: KeyId,
        made_as: CreateKey,
        digits: Digits,
        by: By,
    },
    /// Answers with `KeyList`.
    Keys,
    /// Answers with `KeySummary`, as the next two do.
    Key {
        id: KeyId,
    },
    RotateKey {
        id: KeyId,
        digits: Digits,
        overlap_s: u64,
        by: By,
    },
    RevokeKey {
        id: KeyId,
        by: By,
    },
    /// Answers with `AuditPage`.
    Audit {
        after: u64,
        limit: usize,
    },
}

/// What a ledger learns of a key's digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digits {
    pub(crate) hash: KeyHash,
    pub(crate) begins: String,
}

/// Who changes something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct By {
    /// `operator`, or a key's id.
    pub(crate) actor: String,
    pub(crate) request_id: String,
}

/// A grant, and the news that the isolate has not heard.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) grant: Grant,
    /// The number of the last piece of news; what the isolate says it knows next time.
    pub(crate) known: u64,
    /// `None`: as before.
    pub(crate) settings: Option<TenantSettings>,
    /// Keys that are not valid any more.
    pub(crate) revoked: Vec<KeyHash>,
}
