//! The edges that are measured, and the bare worker beside them, each in a workerd of its own.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};
use perigee_shared::key::{Key, KeyKind, KeySecret};
use serde_json::json;
use xtask::edge::{Edge, EdgeSettings, EdgeShape, OriginAt};
use xtask::workerd::Workerd;
use xtask::workspace::Workspace;

use crate::origin::{EDGE_SECRET, Served, TENANT};

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
pub(crate) const SOCKET: &str = "edge";

/// Who asks at an edge.
pub(crate) struct Client {
    authorization: String,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self { authorization: format!("Bearer {}", key().reveal()) }
    }

    /// As on Cloudflare, so that the network is counted too.
    pub(crate) fn headers(&self) -> [(&'static str, &str); 2] {
        [("Authorization", &self.authorization), ("cf-connecting-ip", "192.0.2.1")]
    }
}

/// The one key that every edge knows.
fn key() -> Key {
    Key::from_random(KeyKind::Secret, [1; 24])
}

/// Whether an edge counts what is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Quotas {
    On,
    Off,
}

impl Quotas {
    const fn setting(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// An edge before this origin, that remembers nothing of earlier runs. Ended when dropped.
pub(crate) fn start_edge(workspace: &Workspace, served: &Served, quotas: Quotas) -> Result<Edge> {
    let record_name = KeySecret::new(KEY_SECRET.as_bytes()).hash(&key()).record_name();
    let folder = workspace.target().join("bench").join(format!("edge-quotas-{}", quotas.setting()));
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
            ("QUOTAS".to_owned(), quotas.setting().to_owned()),
            ("TIERS".to_owned(), TIERS.to_owned()),
            ("TIER_DEFAULT".to_owned(), "bench".to_owned()),
            ("CLIENT_ADDRESS_HEADER".to_owned(), "cf-connecting-ip".to_owned()),
        ]),
        log: folder.join("edge.log"),
    };
    Edge::start(workspace, &settings)
}

/// The bare worker in a workerd of its own. Ended when dropped.
pub(crate) fn start_bare_worker(workspace: &Workspace) -> Result<Workerd> {
    let folder = workspace.root().join("infra/bench");
    ensure!(folder.join("bare-worker/build/index.js").exists(), "the bare worker is not built");
    let command = Command::new(workspace.npm_bin("workerd"));
    let log = workspace.target().join("bench/bare-worker.log");
    Workerd::start("the bare worker (workerd)", command, &folder.join("bare.capnp"), &[(SOCKET, 0)], &[], log)
}
