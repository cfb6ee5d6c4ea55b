//! The built worker in workerd: `infra/workerd/perigee.capnp` with its settings in the environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perigee_shared::key::{Key, KeyRecord};
use perigee_shared::region::Origin;
use serde_json::{Value, json};

use crate::http;
use crate::service::Service;
use crate::workspace::Workspace;

const START: Duration = Duration::from_secs(30);

/// How to run an edge.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// On 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Nearest is chosen by the worker, so the order doesn't matter.
    pub origins: Vec<Origin>,
    /// What the edge signs its requests with.
    pub secret: String,
    /// The keys that the key-value store holds at the start.
    pub keys: Vec<(Key, KeyRecord)>,
    /// The worker's other variables; those of wrangler.toml apply where this is silent.
    pub vars: BTreeMap<String, String>,
    /// Where the output goes.
    pub log: PathBuf,
}

/// A running edge. Ended when dropped.
#[derive(Debug)]
pub struct Edge {
    service: Service,
    address: SocketAddr,
    keys: SocketAddr,
}

impl Edge {
    /// Starts workerd with the worker that `cargo xtask worker` built, and waits until it listens.
    ///
    /// # Errors
    /// When the worker isn't built, the port is taken, or workerd doesn't start.
    pub fn start(workspace: &Workspace, settings: &EdgeSettings) -> Result<Self> {
        let built = crate::worker::entry(workspace);
        ensure!(built.exists(), "{} is missing: run `cargo xtask worker` first", built.display());
        let mut service =
            Service::start("the edge (workerd)", &mut command(workspace, settings)?, settings.log.clone())?;
        let (mut edge, mut keys) = (None, None);
        let (edge, keys) = service.wait_for_line(START, |line| {
            match listening(line) {
                Some(("edge", port)) => edge = Some(port),
                Some(("keys", port)) => keys = Some(port),
                Some(_) | None => {}
            }
            Some((edge?, keys?))
        })?;
        Ok(Self {
            service,
            address: (Ipv4Addr::LOCALHOST, edge).into(),
            keys: (Ipv4Addr::LOCALHOST, keys).into(),
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a key, or changes what it may do. The edge may remember the old record for a while.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn put_key(&self, key: &Key, record: &KeyRecord) -> Result<()> {
        self.change_key("PUT", key, &json!(record).to_string())
    }

    /// Removes a key. The edge may remember it for a while.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn delete_key(&self, key: &Key) -> Result<()> {
        self.change_key("DELETE", key, "")
    }

    fn change_key(&self, method: &str, key: &Key, record: &str) -> Result<()> {
        let path = format!("/{}", escaped(&key.record_name()));
        let answer = http::request(method, self.keys, &path, record)?;
        ensure!(answer.status == 200, "the key store answered {} to {method}", answer.status);
        Ok(())
    }

    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }
}

fn command(workspace: &Workspace, settings: &EdgeSettings) -> Result<Command> {
    let mut command = Command::new(workspace.npm_bin("workerd"));
    command
        .arg("serve")
        .arg(workspace.root().join("infra/workerd/perigee.capnp"))
        .arg(format!("--socket-addr=edge=127.0.0.1:{}", settings.port))
        .arg("--socket-addr=keys=127.0.0.1:0")
        // Ports are reported on stdout, one JSON object a line.
        .arg("--control-fd=1")
        .current_dir(workspace.root())
        .envs(crate::worker::default_vars(workspace)?)
        .envs(&settings.vars)
        .env("ORIGINS", json!(settings.origins).to_string())
        .env("ORIGIN_SECRET", &settings.secret)
        .env("KEYS_SEED", seed(&settings.keys).to_string());
    Ok(command)
}

/// What `keys.js` starts with: a JSON object of strings.
fn seed(keys: &[(Key, KeyRecord)]) -> Value {
    keys.iter()
        .map(|(key, record)| (key.record_name(), Value::from(json!(record).to_string())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The socket's name and port, when the line reports one.
fn listening(line: &str) -> Option<(&'static str, u16)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["event"] != "listen" {
        return None;
    }
    let port = message["port"].as_u64()?.try_into().ok()?;
    match message["socket"].as_str()? {
        "edge" => Some(("edge", port)),
        "keys" => Some(("keys", port)),
        _ => None,
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
    fn only_a_report_of_a_known_socket_names_a_port() {
        assert_eq!(listening("not json"), None);
        assert_eq!(listening(r#"{"event":"listen","socket":"other","port":1}"#), None);
        assert_eq!(listening(r#"{"event":"else","socket":"edge","port":1}"#), None);
        assert_eq!(listening(r#"{"event":"listen","socket":"edge","port":70000}"#), None);
        assert_eq!(listening(r#"{"event":"listen","socket":"edge","port":8787}"#), Some(("edge", 8787)));
    }

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
