//! An exact hit at the edge against a bare Rust worker, under the same `workerd serve`, in turn.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use perigee_shared::key::Key;
use serde_json::json;
use xtask::edge::{Edge, EdgeSettings, OriginAt};
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

/// The socket in bare.capnp.
const SOCKET: &str = "edge";

/// Requests per second of both, interleaved; the ratio is of the medians.
pub(crate) async fn measure(workspace: &Workspace, origin: &Served) -> Result<Vec<Row>> {
    let key = Key::from_random([1; 24]);
    let edge = start_edge(workspace, origin, &key)?;
    let bare = start_bare_worker(workspace)?;
    let body = json!({"model": CORPUS, "messages": [{"role": "user", "content": QUESTION}]}).to_string();
    let authorization = format!("Bearer {}", key.reveal());
    let headers = [("Authorization", authorization.as_str())];
    let hit = load::post(edge.address(), "/v1/chat/completions", &headers, &body);
    let plain = load::post(bare.address(SOCKET), "/v1/chat/completions", &headers, &body);
    // Warm up both, and fill the edge's cache.
    load::run(edge.address(), &hit, 1, ROUND / 3).await?;
    load::run(bare.address(SOCKET), &plain, 1, ROUND / 3).await?;
    let (mut hits, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hits.push(load::run(edge.address(), &hit, CONNECTIONS, ROUND).await?.requests_per_s);
        bares.push(load::run(bare.address(SOCKET), &plain, CONNECTIONS, ROUND).await?.requests_per_s);
    }
    let one_by_one = load::run(edge.address(), &hit, 1, ROUND).await?;
    let (hit, bare) = (median(&hits), median(&bares));
    Ok(vec![
        Row::new("edge exact hit ÷ bare Rust worker, requests/s", hit / bare, "×").at_least(0.6),
        Row::new("edge exact hit, 32 connections", hit, "requests/s"),
        Row::new("bare Rust worker, 32 connections", bare, "requests/s"),
        Row::new("edge exact hit, one at a time, p50", one_by_one.percentile_ms(0.5), "ms"),
        Row::new("edge exact hit, one at a time, p99", one_by_one.percentile_ms(0.99), "ms"),
    ])
}

/// What Cloudflare counts.
pub(crate) fn size(workspace: &Workspace) -> Result<Vec<Row>> {
    let size = xtask::worker::size(workspace)?;
    Ok(vec![Row::new("worker, gzip", size.gzip as f64 / 1e6, "MB").at_most(1.0)])
}

fn start_edge(workspace: &Workspace, served: &Served, key: &Key) -> Result<Edge> {
    let record = json!({"tenant": TENANT, "corpora": ["*"], "audience": [], "scopes": ["ask"]});
    let settings = EdgeSettings {
        port: 0,
        origins: vec![OriginAt { name: "bench".into(), url: served.origin.url(), lat: 0.0, lon: 0.0 }],
        secret: EDGE_SECRET.to_owned(),
        keys: BTreeMap::from([(key.record_name(), record.to_string())]),
        vars: BTreeMap::new(),
        log: workspace.target().join("bench/edge.log"),
    };
    Edge::start(workspace, &settings)
}

/// The bare worker in a workerd of its own. Ended when dropped.
fn start_bare_worker(workspace: &Workspace) -> Result<Workerd> {
    let folder = workspace.root().join("infra/bench");
    ensure!(folder.join("bare-worker/build/index.js").exists(), "the bare worker is not built");
    let command = Command::new(workspace.npm_bin("workerd"));
    let log = workspace.target().join("bench/bare-worker.log");
    Workerd::start("the bare worker (workerd)", command, &folder.join("bare.capnp"), &[(SOCKET, 0)], log)
}
