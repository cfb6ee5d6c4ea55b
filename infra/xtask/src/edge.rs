//! The built worker in workerd: `infra/workerd/perigee.capnp` with its settings in the environment.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
/// An origin as the worker's `ORIGINS` variable lists it.
pub use perigee_shared::region::Origin as OriginAt;
use serde_json::json;

use crate::http;
use crate::service::Service;
use crate::workerd::Workerd;
use crate::workspace::Workspace;

/// The sockets of the isolates: the first is everywhere, the others in isolates.capnp.
const ISOLATES: [&str; 3] = ["edge", "edge-2", "edge-3"];

/// What runs as the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EdgeShape {
    #[default]
    OneIsolate,
    /// Three with one set of ledgers, each on a port that the system chooses.
    ThreeIsolates,
    /// One with faults that tests call for through the key-value store (tests/workerd/faults.js).
    WithFaults,
}

impl EdgeShape {
    const fn config(self) -> &'static str {
        match self {
            Self::OneIsolate => "infra/workerd/perigee.capnp",
            Self::ThreeIsolates => "infra/workerd/isolates.capnp",
            Self::WithFaults => "tests/workerd/faults.capnp",
        }
    }

    const fn isolates(self) -> usize {
        match self {
            Self::OneIsolate | Self::WithFaults => 1,
            Self::ThreeIsolates => ISOLATES.len(),
        }
    }
}

/// How to run an edge.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// On 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    pub shape: EdgeShape,
    /// The worker asks the nearest one; the first takes the writes.
    pub origins: Vec<OriginAt>,
    /// What the edge signs its requests with.
    pub secret: String,
    /// What keys are hashed under.
    pub key_secret: String,
    /// For the admin routes.
    pub admin_secret: String,
    /// Where the tenants' ledgers are kept; made if it is missing.
    pub ledgers: PathBuf,
    /// What the key-value store holds at the start: `KeyHash::record_name()` to a record's JSON.
    pub keys: BTreeMap<String, String>,
    /// The worker's other variables; those of wrangler.toml apply where this is silent.
    pub vars: BTreeMap<String, String>,
    /// Where the output goes.
    pub log: PathBuf,
}

/// A running edge. Ended when dropped.
#[derive(Debug)]
pub struct Edge {
    workerd: Workerd,
}

impl Edge {
    /// Starts workerd with the worker that `cargo xtask worker` built, and waits until it listens.
    ///
    /// # Errors
    /// When the worker isn't built, the port is taken, or workerd doesn't start.
    pub fn start(workspace: &Workspace, settings: &EdgeSettings) -> Result<Self> {
        let built = crate::worker::entry(workspace);
        ensure!(built.exists(), "{} is missing: run `cargo xtask worker` first", built.display());
        let mut command = Command::new(workspace.npm_bin("workerd"));
        command
            .current_dir(workspace.root())
            .envs(crate::worker::default_vars(workspace)?)
            .envs(&settings.vars)
            .env("ORIGINS", json!(settings.origins).to_string())
            .env("ORIGIN_SECRET", &settings.secret)
            .env("KEY_SECRET", &settings.key_secret)
            .env("ADMIN_SECRET", &settings.admin_secret)
            .env("KEYS_SEED", json!(settings.keys).to_string());
        // No platform here says from where a request comes; a client would be believed if it did.
        if !settings.vars.contains_key("CLIENT_ADDRESS_HEADER") {
            command.env("CLIENT_ADDRESS_HEADER", "");
        }
        fs::create_dir_all(&settings.ledgers)
            .with_context(|| format!("creating {}", settings.ledgers.display()))?;
        let directories = [("ledgers", settings.ledgers.as_path())];
        let config = workspace.root().join(settings.shape.config());
        let mut sockets = vec![("keys", 0)];
        sockets.extend(ISOLATES.iter().take(settings.shape.isolates()).map(|isolate| (*isolate, 0)));
        if let Some((_, port)) = sockets.iter_mut().find(|(socket, _)| *socket == ISOLATES[0]) {
            *port = settings.port;
        }
        let workerd = Workerd::start(
            "the edge (workerd)",
            command,
            &config,
            &sockets,
            &directories,
            settings.log.clone(),
        )?;
        Ok(Self { workerd })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Each isolate's URL.
    #[must_use]
    pub fn isolate_urls(&self) -> [String; 3] {
        ISOLATES.map(|isolate| format!("http://{}", self.workerd.address(isolate)))
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.workerd.address("edge")
    }

    /// Adds an entry of the key-value store or replaces it. The edge may remember the old one for a while.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn put_key(&self, name: &str, value: &str) -> Result<()> {
        self.change_key("PUT", name, value)
    }

    /// Removes an entry of the key-value store. The edge may remember it for a while.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn delete_key(&self, name: &str) -> Result<()> {
        self.change_key("DELETE", name, "")
    }

    fn change_key(&self, method: &str, name: &str, value: &str) -> Result<()> {
        let path = format!("/{}", escaped(name));
        let answer = http::request(method, self.workerd.address("keys"), &path, value)?;
        ensure!(answer.status == 200, "the key store answered {} to {method}", answer.status);
        Ok(())
    }

    pub fn service(&mut self) -> &mut Service {
        self.workerd.service()
    }
}

/// Percent-encodes everything but letters and digits.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Fails when something listens on `port` of loopback already.
///
/// # Errors
/// Names the port, what it is for and the option that chooses another.
pub fn ensure_free(port: u16, what: &str, option: &str) -> Result<()> {
    if port == 0 {
        return Ok(());
    }
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).with_context(|| {
        format!("port {port}, wanted for {what}, is taken: free it or choose another with {option}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_by_number_and_option() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let refusal = ensure_free(port, "the edge", "--port").unwrap_err().to_string();
        assert!(refusal.contains(&port.to_string()), "{refusal}");
        assert!(refusal.contains("--port"), "{refusal}");
    }

    #[test]
    fn names_of_keys_survive_the_path() {
        assert_eq!(escaped("key:a/b"), "key%3Aa%2Fb");
    }
}
