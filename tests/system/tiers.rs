//! Tiers whose limits tests reach quickly, and tenants in them.

use anyhow::Result;
use futures::future::join_all;
use perigee_tests::client::Client;
use perigee_tests::stage::{Settings, Stage};
use serde_json::{Value, json};

use crate::{GUIDE, REFUND};

/// So many requests, and hardly any come back.
const TIERS: &str = r#"{
    "wide": {"unreachable": "closed"},
    "hundred": {"tenant": {"requests": "100/h burst 100"}, "unreachable": "closed"},
    "ten": {"tenant": {"requests": "10/h burst 10"}, "unreachable": "closed"},
    "forgiving": {"tenant": {"requests": "100/h burst 100"}, "unreachable": {"allow": "3/h burst 3"}},
    "key": {"key": {"requests": "3/h burst 3"}, "unreachable": "closed"},
    "network": {"network": {"requests": "5/h burst 5"}, "unreachable": "closed"},
    "cool": {
        "network": {"requests": "3/h burst 3"}, "unreachable": "closed",
        "cool_off": {"refusals": "5/min burst 5", "block_s": 300}
    },
    "slow": {"tenant": {"requests": "1/s burst 1"}, "unreachable": "closed"},
    "tokens": {"tenant": {"tokens": "20000/h burst 20000"}, "unreachable": "closed"},
    "one": {"tenant": {"concurrent": 1}, "unreachable": "closed"},
    "poor": {"tenant": {"spend": 25}, "price": {"hit": 1, "miss": 10}, "unreachable": "closed"},
    "cheap": {"tenant": {"requests": "10/h burst 10"}, "hit_percent": 10, "unreachable": "closed"}
}"#;

/// An edge with these tiers. A tenant without settings is in `wide`, which limits nothing.
pub(crate) fn settings() -> Settings {
    Settings::default().edge_var("TIERS", TIERS).edge_var("TIER_DEFAULT", "wide")
}

/// The same, where the platform says from where a request comes.
pub(crate) fn settings_with_addresses() -> Settings {
    settings().edge_var("CLIENT_ADDRESS_HEADER", "cf-connecting-ip")
}

pub(crate) async fn set_tier(stage: &Stage, tenant: &str, tier: &str) -> Result<()> {
    let path = format!("/v1/admin/tenants/{tenant}");
    stage.admin()?.put(&path, &json!({"tier": tier})).await?.expect(200)?;
    Ok(())
}

/// The tenant `name` with a fresh key and a corpus of its own, in a tier that no isolate knows yet.
pub(crate) async fn tenant(stage: &Stage, name: &str, tier: &str) -> Result<Client> {
    // Documents come past the edge, so that nothing is counted yet.
    stage.operator(0, name)?.fill("docs", GUIDE).await?;
    set_tier(stage, name, tier).await?;
    stage.client(name)
}

/// Where a tenant's limits stand, as its ledger knows it.
pub(crate) async fn usage(stage: &Stage, tenant: &str) -> Result<Value> {
    stage.admin()?.get(&format!("/v1/admin/tenants/{tenant}/usage")).await?.expect(200)?.json()
}

/// The statuses of `each` questions from each client, all at once.
pub(crate) async fn statuses(clients: &[Client], each: usize) -> Result<Vec<u16>> {
    let asks = clients.iter().flat_map(|client| (0..each).map(move |_| client.ask("docs", REFUND)));
    join_all(asks).await.into_iter().map(|reply| Ok(reply?.status)).collect()
}

pub(crate) fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|s| **s == status).count()
}
