//! The origin's binary as a child process, told through the environment where to serve from.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http;
use crate::service::Service;
use crate::tools::onnxruntime;
use crate::workspace::{Workspace, cargo};

/// How cargo builds the executable; the container image does the same.
pub const BUILD: [&str; 3] = ["build", "--package=perigee-origin", "--bin=perigee"];

const START: Duration = Duration::from_secs(60);
/// A large corpus may have to be indexed again before the first answer.
const READY: Duration = Duration::from_secs(30 * 60);
const POLL: Duration = Duration::from_millis(50);

/// How to run an origin.
#[derive(Clone, Debug)]
pub struct OriginSettings {
    /// The `perigee` executable.
    pub binary: PathBuf,
    /// On 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    pub data_dir: PathBuf,
    /// One or two, of which an edge signs with one.
    pub edge_secrets: Vec<String>,
    pub operator_token: String,
    /// More of the environment, applied last.
    pub env: Vec<(String, String)>,
    /// Where the output goes.
    pub log: PathBuf,
}

/// A running origin. Ended when dropped.
#[derive(Debug)]
pub struct Origin {
    service: Service,
    address: SocketAddr,
}

impl Origin {
    /// Starts `perigee serve` and waits until it listens; it may not be ready yet.
    ///
    /// # Errors
    /// When the binary is missing, or ends before it listens: the message carries its output.
    pub fn start(workspace: &Workspace, settings: &OriginSettings) -> Result<Self> {
        let mut command = Command::new(&settings.binary);
        // It refuses variables that it doesn't know, and a user's shell may hold some.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PERIGEE_") {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .current_dir(workspace.root())
            .env("PERIGEE_LISTEN", format!("127.0.0.1:{}", settings.port))
            .env("PERIGEE_DATA_DIR", &settings.data_dir)
            .env("PERIGEE_MODEL_DIR", model_dir(workspace))
            .env("ORT_DYLIB_PATH", onnxruntime::library(workspace)?)
            .env("PERIGEE_EDGE_SECRETS", settings.edge_secrets.join(","))
            .env("PERIGEE_OPERATOR_TOKEN", &settings.operator_token)
            .envs(settings.env.iter().map(|(name, value)| (name, value)));
        let mut service = Service::start("the origin", &mut command, settings.log.clone())?;
        let address = service.wait_for_line(START, listening)?;
        Ok(Self { service, address })
    }

    /// Waits until `/readyz` says 200; `waiting` hears what it says until then.
    ///
    /// # Errors
    /// When the origin ends, or isn't ready within half an hour.
    pub fn wait_ready(&mut self, mut waiting: impl FnMut(&str)) -> Result<()> {
        let began = Instant::now();
        loop {
            if let Ok(answer) = http::request("GET", self.address, "/readyz", "") {
                if answer.status == 200 {
                    return Ok(());
                }
                waiting(answer.body.trim());
            }
            crate::process::rest_if_interrupted();
            if let Some(status) = self.service.try_wait() {
                bail!("the origin ended ({status}):\n{}", self.service.tail());
            }
            if began.elapsed() > READY {
                bail!("the origin is not ready after {READY:?}:\n{}", self.service.tail());
            }
            std::thread::sleep(POLL);
        }
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

    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }
}

/// The model that the project bundles.
#[must_use]
pub fn model_dir(workspace: &Workspace) -> PathBuf {
    workspace.root().join("origin/models/all-MiniLM-L6-v2-int8")
}

/// The address in a JSON log line's `listen`, at the top or among its `fields`.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let listen = line.get("listen").or_else(|| line["fields"].get("listen"))?;
    let address: SocketAddr = listen.as_str()?.parse().ok()?;
    Some((Ipv4Addr::LOCALHOST, address.port()).into())
}

/// Builds the `perigee` executable and says where it is.
///
/// # Errors
/// When it doesn't compile.
pub fn build(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--package=perigee-origin", "--bin=perigee"]).current_dir(workspace.root());
    match profile {
        Profile::Dev => {}
        Profile::Release => {
            command.arg("--release");
        }
    }
    crate::process::run(&mut command)?;
    let binary = binary(workspace.target(), profile);
    binary.exists().then_some(()).with_context(|| format!("cargo built no {}", binary.display()))?;
    Ok(binary)
}

/// Cargo's profiles that the origin is built in.
#[derive(Clone, Copy, Debug)]
pub enum Profile {
    /// For tests: compiles faster.
    Dev,
    Release,
}

/// Where `build` leaves the executable.
#[must_use]
pub fn binary(target: &Path, profile: Profile) -> PathBuf {
    let directory = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    target.join(directory).join("perigee")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_log_and_nowhere_else() {
        assert_eq!(listening("listen 127.0.0.1:1"), None);
        assert_eq!(listening(r#"{"listen":"nonsense"}"#), None);
        let expected = Some("127.0.0.1:8080".parse().unwrap());
        assert_eq!(listening(r#"{"listen":"127.0.0.1:8080"}"#), expected);
        assert_eq!(listening(r#"{"fields":{"listen":"127.0.0.1:8080"}}"#), expected);
    }
}
