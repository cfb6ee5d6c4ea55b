//! workerd as a child process, with any configuration: starts it and learns its ports.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::service::Service;

const START: Duration = Duration::from_secs(30);

/// A running workerd. Ended when dropped.
#[derive(Debug)]
pub struct Workerd {
    service: Service,
    sockets: BTreeMap<&'static str, SocketAddr>,
}

impl Workerd {
    /// Starts `workerd serve` and waits until every socket listens on 127.0.0.1.
    ///
    /// `command` names the executable and its environment; `sockets` the configuration's sockets
    /// with their ports, 0 for one that the system chooses; `directories` its disks with their places.
    ///
    /// # Errors
    /// When a port is taken or the configuration is wrong: the message carries workerd's own words.
    pub fn start(
        name: &'static str,
        mut command: Command,
        config: &Path,
        sockets: &[(&'static str, u16)],
        directories: &[(&'static str, &Path)],
        log: PathBuf,
    ) -> Result<Self> {
        command.arg("serve").arg(config);
        for (disk, directory) in directories {
            command.arg(format!("--directory-path={disk}={}", directory.display()));
        }
        for (socket, port) in sockets {
            command.arg(format!("--socket-addr={socket}=127.0.0.1:{port}"));
        }
        // Ports are reported on stdout, one JSON object a line.
        command.arg("--control-fd=1");
        let mut service = Service::start(name, &mut command, log)?;
        let mut listening = BTreeMap::new();
        let sockets = service.wait_for_line(START, |line| {
            if let Some((socket, port)) = report(line)
                && let Some((known, _)) = sockets.iter().find(|(known, _)| *known == socket)
            {
                listening.insert(*known, (Ipv4Addr::LOCALHOST, port).into());
            }
            (listening.len() == sockets.len()).then(|| std::mem::take(&mut listening))
        })?;
        Ok(Self { service, sockets })
    }

    /// Where a socket listens: one of those that `start` was given.
    ///
    /// Port 0 of loopback, where nothing listens, for a socket that `start` was not given.
    #[must_use]
    pub fn address(&self, socket: &str) -> SocketAddr {
        self.sockets.get(socket).copied().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())
    }

    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }
}

/// The socket's name and port, when the line reports one.
fn report(line: &str) -> Option<(String, u16)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["event"] != "listen" {
        return None;
    }
    let port = message["port"].as_u64()?.try_into().ok()?;
    Some((message["socket"].as_str()?.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_report_of_a_socket_names_a_port() {
        assert_eq!(report("not json"), None);
        assert_eq!(report(r#"{"event":"else","socket":"edge","port":1}"#), None);
        assert_eq!(report(r#"{"event":"listen","port":1}"#), None);
        assert_eq!(report(r#"{"event":"listen","socket":"edge","port":70000}"#), None);
        let reported = report(r#"{"event":"listen","socket":"edge","port":8787}"#);
        assert_eq!(reported, Some(("edge".to_owned(), 8787)));
    }
}
