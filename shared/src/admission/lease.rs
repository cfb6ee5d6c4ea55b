//! What an isolate and its tenant's ledger say to each other, and how long a lease lives.
//!
//! An isolate has one ask on the way at a time. It numbers them, and says which answer it last received, so
//! that the ledger can tell a repeated report from a new one: whatever is lost on the way, spending is
//! counted once. While a release is rolled out, an isolate and a ledger may be of two: what one does not know, it ignores.

use serde::{Deserialize, Serialize};

use super::subject::{CounterId, Dimension, Subject};
use super::tier::Limit;

/// Milliseconds that an isolate uses a lease, by its own clock, from before it asked. Also the age that news
/// carried by grants (revoked keys, settings) can reach.
pub const LEASE_MS: u64 = 15_000;

/// Milliseconds after which the ledger counts a silent isolate's lease as used. Longer than [`LEASE_MS`] by
/// what two clocks may drift apart in that time and more.
pub const LAPSE_MS: u64 = 20_000;

/// One isolate's life with one tenant: random, made by the isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IsolateId(u64);

impl IsolateId {
    #[must_use]
    pub const fn from_random(random: u64) -> Self {
        Self(random)
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What an isolate reports and wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub isolate: IsolateId,
    /// Counts the isolate's leases: a new one begins when the last was not renewed in time.
    pub generation: u32,
    /// Counts the asks of a generation, from 1.
    pub seq: u32,
    /// The last ask of this generation whose grant arrived; 0 for none.
    pub acked: u32,
    /// Only the counters about which there is something to say.
    pub lines: Vec<AskLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskLine {
    pub counter: CounterId,
    /// Units spent since the acknowledged ask.
    pub spent: u64,
    /// Units still held: free to draw, or reserved by requests that run. What was held beyond is returned.
    pub holding: u64,
    /// Units for which requests wait.
    pub need: u64,
    /// Units that would be welcome beyond that.
    pub want: u64,
    /// Requests refused by this limit since the acknowledged ask.
    pub refused: u64,
    /// The counter's limit, where it is not the tenant's settings that give it: of a key with a tier of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Limit>,
}

/// The ledger's answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub generation: u32,
    pub seq: u32,
    /// The ledger had given this lease up and counted it as used: the isolate begins a new one.
    pub lapsed: bool,
    pub lines: Vec<GrantLine>,
    /// Everybody who is kept out at the moment.
    pub blocked: Vec<Blocked>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLine {
    pub counter: CounterId,
    pub granted: u64,
    /// Units that are left with the ledger.
    pub free: u64,
    /// When less was granted than needed: milliseconds after which asking again makes sense.
    pub dry_ms: Option<u64>,
}

/// Somebody who is kept out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    pub dimension: Dimension,
    pub subject: Subject,
    pub for_ms: u64,
}
