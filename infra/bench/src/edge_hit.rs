//! An exact hit at the edge against a bare Rust worker, under the same `workerd serve`, in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perigee_shared::key::Key;
use serde_json::json;
use xtask::edge::{Edge, EdgeSettings, OriginAt};
use xtask::origin::Origin;
use xtask::workspace::Workspace;

use crate::load;
use crate::table::Row;

const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const QUESTION: &str = "How long does a refund take?";

/// Requests per second of both, interleaved; the ratio is of the medians.
pub(crate) async fn measure(workspace: &Workspace, origin: &Origin, secret: &str) -> Result<Vec<Row>> {
    let key = Key::from_random([1; 24]);
    let edge = start_edge(workspace, origin, secret, &key)?;
    let bare = BareWorker::start(workspace)?;
    let body = json!({"model": "bench", "messages": [{"role": "user", "content": QUESTION}]}).to_string();
    let authorization = format!("Bearer {}", key.reveal());
    let headers = [("Authorization", authorization.as_str())];
    let hit = load::post(edge.address(), "/v1/chat/completions", &headers, &body);
    let plain = load::post(bare.address, "/v1/chat/completions", &headers, &body);
    // Warm up both, and fill the edge's cache.
    load::run(edge.address(), &hit, 1, ROUND / 3).await?;
    load::run(bare.address, &plain, 1, ROUND / 3).await?;
    let (mut hits, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hits.push(load::run(edge.address(), &hit, CONNECTIONS, ROUND).await?);
        bares.push(load::run(bare.address, &plain, CONNECTIONS, ROUND).await?);
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

fn median(outcomes: &[load::Outcome]) -> f64 {
    let mut rates: Vec<f64> = outcomes.iter().map(|o| o.requests_per_s).collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn start_edge(workspace: &Workspace, origin: &Origin, secret: &str, key: &Key) -> Result<Edge> {
    let record = json!({"tenant": "bench", "corpora": ["*"], "audience": [], "scopes": ["ask"]});
    let settings = EdgeSettings {
        port: 0,
        origins: vec![OriginAt { name: "bench".into(), url: origin.url(), lat: 0.0, lon: 0.0 }],
        secret: secret.to_owned(),
        keys: BTreeMap::from([(key.record_name(), record.to_string())]),
        vars: BTreeMap::new(),
        log: workspace.target().join("bench/edge.log"),
    };
    Edge::start(workspace, &settings)
}

/// The bare worker in a workerd of its own. Ended when dropped.
struct BareWorker {
    _service: xtask::service::Service,
    address: std::net::SocketAddr,
}

impl BareWorker {
    fn start(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root().join("infra/bench");
        ensure!(folder.join("bare-worker/build/index.js").exists(), "the bare worker is not built");
        let mut command = std::process::Command::new(workspace.npm_bin("workerd"));
        command.arg("serve").arg(folder.join("bare.capnp")).arg("--control-fd=1");
        let log = workspace.target().join("bench/bare-worker.log");
        let mut service = xtask::service::Service::start("the bare worker", &mut command, log)?;
        let port = service.wait_for_line(Duration::from_secs(30), |line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            message["port"].as_u64()
        })?;
        let port = u16::try_from(port).context("a port")?;
        Ok(Self { _service: service, address: (std::net::Ipv4Addr::LOCALHOST, port).into() })
    }
}
