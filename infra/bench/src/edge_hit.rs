//! An exact hit at the edge against a bare Rust worker, under the same `workerd serve`, in turn.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use perigee_shared::key::{Key, KeyKind, KeySecret};
use serde_json::json;
use xtask::edge::{Edge, EdgeSettings, EdgeShape, OriginAt};
use xtask::workerd::Workerd;
use xtask::workspace::Workspace;

use crate::load;
use crate::origin::{CORPUS, EDGE_SECRET, Served, TENANT};
use crate::statistics::median;
use crate::table::Row;

const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const QUESTION: &str = "How is an answer kept in a cache?";

const KEY_SECRET: &str = "a-key-secret-of-the-bench-0123456789";

/// Every limit there is for a request of this kind, and none that is ever reached.
const TIERS: &str = r#"{"bench": {
    "network": {"requests": "6000000/min"},
    "key": {"requests": "6000000/min", "tokens": "6000000000/min"},
    "tenant": {"requests": "6000000/min", "tokens": "6000000000/min", "concurrent": 100000, "spend": 100000000000},
    "hit_percent": 20,
    "price": {"hit": 1, "miss": 10, "thousand_tokens": 5},
    "unreachable": "closed"
}}"#;

/// The socket in bare.capnp.
const SOCKET: &str = "edge";

/// Requests per second of both, interleaved; the ratio is of the medians.
pub(crate) async fn measure(workspace: &Workspace, origin: &Served) -> Result<Vec<Row>> {
    let key = Key::from_random(KeyKind::Secret, [1; 24]);
    let edge = start_edge(workspace, origin, &key, true)?;
    let uncounted = start_edge(workspace, origin, &key, false)?;
    let bare = start_bare_worker(workspace)?;
    let body = json!({"model": CORPUS, "messages": [{"role": "user", "content": QUESTION}]}).to_string();
    let authorization = format!("Bearer {}", key.reveal());
    // As on Cloudflare, so that the network is counted too.
    let headers = [("Authorization", authorization.as_str()), ("cf-connecting-ip", "192.0.2.1")];
    let hit = load::post(edge.address(), "/v1/chat/completions", &headers, &body);
    let uncounted_hit = load::post(uncounted.address(), "/v1/chat/completions", &headers, &body);
    let plain = load::post(bare.address(SOCKET), "/v1/chat/completions", &headers, &body);
    // Warm up both, and fill the edge's cache.
    load::run(edge.address(), &hit, 1, ROUND / 3).await?;
    load::run(uncounted.address(), &uncounted_hit, 1, ROUND / 3).await?;
    load::run(bare.address(SOCKET), &plain, 1, ROUND / 3).await?;
    let (mut hits, mut uncounted_hits, mut bares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hits.push(load::run(edge.address(), &hit, CONNECTIONS, ROUND).await?.requests_per_s);
        let round = load::run(uncounted.address(), &uncounted_hit, CONNECTIONS, ROUND).await?;
        uncounted_hits.push(round.requests_per_s);
        bares.push(load::run(bare.address(SOCKET), &plain, CONNECTIONS, ROUND).await?.requests_per_s);
    }
    let one_by_one = load::run(edge.address(), &hit, 1, ROUND).await?;
    let (hit, uncounted_hit, bare) = (median(&hits), median(&uncounted_hits), median(&bares));
    Ok(vec![
        Row::new("edge exact hit, limits on ÷ off, requests/s", hit / uncounted_hit, "×").at_least(0.85),
        Row::new("edge exact hit ÷ bare Rust worker, requests/s", hit / bare, "×").at_least(0.6),
        Row::new("edge exact hit, 32 connections", hit, "requests/s"),
        Row::new("bare Rust worker, 32 connections", bare, "requests/s"),
        Row::new("edge exact hit, one at a time, p50", one_by_one.percentile_ms(0.5), "ms"),
        Row::new("edge exact hit, one at a time, p99", one_by_one.percentile_ms(0.99), "ms"),
    ])
}

/// What Cloudflare counts: 3 MB on the free plan. Some 2 MB of it are the table of word vectors, which hardly packs.
pub(crate) fn size(workspace: &Workspace) -> Result<Vec<Row>> {
    let size = xtask::worker::size(workspace)?;
    Ok(vec![Row::new("worker, gzip", size.gzip as f64 / 1e6, "MB").at_most(3.0)])
}

fn start_edge(workspace: &Workspace, served: &Served, key: &Key, quotas: bool) -> Result<Edge> {
    let record_name = KeySecret::new(KEY_SECRET.as_bytes()).hash(key).record_name();
    let folder = workspace.target().join(if quotas { "bench/edge" } else { "bench/edge-uncounted" });
    // What earlier runs have used up is no part of this one.
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    std::fs::create_dir_all(&folder)?;
    let record = json!({"tenant": TENANT, "corpora": ["*"], "audience": [], "scopes": ["ask"]});
    let settings = EdgeSettings {
        port: 0,
        shape: EdgeShape::OneIsolate,
        origins: vec![OriginAt { name: "bench".into(), url: served.origin.url(), lat: 0.0, lon: 0.0 }],
        secret: EDGE_SECRET.to_owned(),
        key_secret: KEY_SECRET.to_owned(),
        admin_secret: EDGE_SECRET.to_owned(),
        ledgers: folder.join("ledgers"),
        keys: BTreeMap::from([(record_name, record.to_string())]),
        vars: BTreeMap::from([
            ("QUOTAS".to_owned(), if quotas { "on" } else { "off" }.to_owned()),
            ("TIERS".to_owned(), TIERS.to_owned()),
            ("TIER_DEFAULT".to_owned(), "bench".to_owned()),
            ("CLIENT_ADDRESS_HEADER".to_owned(), "cf-connecting-ip".to_owned()),
        ]),
        log: folder.join("edge.log"),
    };
    Edge::start(workspace, &settings)
}

/// The bare worker in a workerd of its own. Ended when dropped.
fn start_bare_worker(workspace: &Workspace) -> Result<Workerd> {
    let folder = workspace.root().join("infra/bench");
    ensure!(folder.join("bare-worker/build/index.js").exists(), "the bare worker is not built");
    let command = Command::new(workspace.npm_bin("workerd"));
    let log = workspace.target().join("bench/bare-worker.log");
    Workerd::start("the bare worker (workerd)", command, &folder.join("bare.capnp"), &[(SOCKET, 0)], &[], log)
}
