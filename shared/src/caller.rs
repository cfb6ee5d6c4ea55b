//! Who asks: the tenant, and what of it they may see and do.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::id::{CorpusName, Label, TenantId};
use crate::limits::KEY_CORPORA_MAX;

/// An admitted caller. The edge makes it from a key and hands it to the origin inside the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    pub tenant: TenantId,
    pub corpora: CorpusScope,
    pub audience: Audience,
    pub scopes: BTreeSet<Scope>,
}

impl Caller {
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Ask questions.
    Ask,
    /// Search passages.
    Search,
    /// Read and list documents and corpora.
    Read,
    /// Write and delete documents and corpora.
    Write,
    /// Manage the tenant's keys.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Ask, Self::Search, Self::Read, Self::Write, Self::Admin];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Search => "search",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// The corpora that a caller may name: `["*"]` on the wire means all of the tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum CorpusScope {
    All,
    Only(BTreeSet<CorpusName>),
}

impl CorpusScope {
    #[must_use]
    pub fn allows(&self, corpus: &CorpusName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(corpus),
        }
    }
}

/// The list of corpora is too long or has an invalid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corpora must be [\"*\"] or at most {KEY_CORPORA_MAX} corpus names")]
pub struct InvalidCorpusScope;

impl TryFrom<Vec<String>> for CorpusScope {
    type Error = InvalidCorpusScope;

    fn try_from(names: Vec<String>) -> Result<Self, InvalidCorpusScope> {
        if names.len() == 1 && names[0] == "*" {
            return Ok(Self::All);
        }
        if names.len() > KEY_CORPORA_MAX {
            return Err(InvalidCorpusScope);
        }
        let names: Result<_, _> = names.into_iter().map(CorpusName::new).collect();
        names.map(Self::Only).map_err(|_| InvalidCorpusScope)
    }
}

impl From<CorpusScope> for Vec<String> {
    fn from(scope: CorpusScope) -> Self {
        match scope {
            CorpusScope::All => vec!["*".to_owned()],
            CorpusScope::Only(names) => names.into_iter().map(Into::into).collect(),
        }
    }
}

/// The access labels that a caller holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Sees unlabelled documents, and those that carry one of these labels.
    Labels(BTreeSet<Label>),
    /// Sees every document of the tenant: the operator.
    Everything,
}

impl Audience {
    /// The audience of a caller without labels.
    #[must_use]
    pub const fn public() -> Self {
        Self::Labels(BTreeSet::new())
    }

    /// Whether a document with these labels may be read.
    #[must_use]
    pub fn may_read(&self, document_labels: &[Label]) -> bool {
        match self {
            Self::Everything => true,
            Self::Labels(held) => {
                document_labels.is_empty() || document_labels.iter().any(|l| held.contains(l))
            }
        }
    }
}
