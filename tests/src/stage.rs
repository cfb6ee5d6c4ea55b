//! One whole Perigee on loopback: origins, an edge in front of them, and the keys it knows.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use perigee_shared::key::{Key, KeyKind, KeySecret};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::edge::{Edge, EdgeSettings, EdgeShape, OriginAt};
use xtask::origin::{self, Origin, OriginSettings, Profile};
use xtask::workspace::Workspace;

use crate::client::Client;

pub const EDGE_SECRET: &str = "an-edge-secret-for-tests-0123456789";
pub const KEY_SECRET: &str = "a-key-secret-for-tests-0123456789";
pub const ADMIN_SECRET: &str = "an-admin-secret-for-tests-0123456789";
pub const OPERATOR_TOKEN: &str = "an-operator-token-for-tests-0123456789";

/// Settings of a stage; [`Stage::start`] takes the defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    pub origins: usize,
    /// The origins' upstream; none: the extractive generator.
    pub upstream: Option<String>,
    /// More of the origins' environment.
    pub origin_env: Vec<(String, String)>,
    /// Megabytes of the disk that the origins' data lies on, a file `ballast` of half of them included; none: the
    /// machine's own disk.
    pub disk_mb: Option<usize>,
    /// The worker's variables that differ from wrangler.toml.
    pub edge_vars: BTreeMap<String, String>,
    pub edge_shape: EdgeShape,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origins: 1,
            upstream: None,
            origin_env: Vec::new(),
            disk_mb: None,
            edge_vars: BTreeMap::new(),
            edge_shape: EdgeShape::default(),
        }
    }
}

impl Settings {
    #[must_use]
    pub fn upstream(mut self, base_url: &str) -> Self {
        self.upstream = Some(base_url.to_owned());
        self
    }

    #[must_use]
    pub fn origins(mut self, count: usize) -> Self {
        self.origins = count;
        self
    }

    #[must_use]
    pub fn edge_var(mut self, name: &str, value: &str) -> Self {
        self.edge_vars.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn edge_shape(mut self, shape: EdgeShape) -> Self {
        self.edge_shape = shape;
        self
    }

    #[must_use]
    pub fn disk_mb(mut self, size: usize) -> Self {
        self.disk_mb = Some(size);
        self
    }

    #[must_use]
    pub fn origin_env(mut self, name: &str, value: &str) -> Self {
        self.origin_env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running Perigee. Everything ends when it is dropped.
pub struct Stage {
    pub edge: Edge,
    pub origins: Vec<Origin>,
    pub workspace: Workspace,
    settings: Settings,
    edge_settings: EdgeSettings,
    /// What clients' keys were put into the key-value store.
    records: Mutex<BTreeMap<String, String>>,
    folder: TempDir,
}

impl Stage {
    /// One origin without upstream, one edge.
    ///
    /// # Errors
    /// A part is not built or does not start; the message says which and shows its output.
    pub fn start() -> Result<Self> {
        Self::with(Settings::default())
    }

    /// # Errors
    /// As [`Stage::start`].
    pub fn with(settings: Settings) -> Result<Self> {
        let workspace = Workspace::find()?;
        let folder = TempDir::new()?;
        let mut origins = Vec::new();
        for number in 0..settings.origins {
            origins.push(start_origin(&workspace, &folder, number, &settings)?);
        }
        for origin in &mut origins {
            origin.wait_ready(|_| ())?;
        }
        let edge_settings = edge_settings(&folder, &origins, &settings);
        let edge = Edge::start(&workspace, &edge_settings)?;
        Ok(Self { edge, origins, workspace, settings, edge_settings, records: Mutex::default(), folder })
    }

    /// Ends the edge as a crash would, and starts it again on the ledgers that it left, on a port of its own. Its key-value
    /// store knows the keys of this stage's clients; on the platform it would not have forgotten them.
    ///
    /// # Errors
    /// workerd does not start.
    pub fn restart_edge(&mut self) -> Result<()> {
        self.edge.service().kill();
        let keys = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.edge_settings.keys = keys;
        self.edge = Edge::start(&self.workspace, &self.edge_settings)?;
        Ok(())
    }

    /// Starts an origin again on the data that it left, on a port of its own.
    ///
    /// # Errors
    /// It does not start or is never ready.
    pub fn restart_origin(&mut self, number: usize) -> Result<()> {
        let mut origin = start_origin(&self.workspace, &self.folder, number, &self.settings)?;
        origin.wait_ready(|_| ())?;
        self.origins[number] = origin;
        Ok(())
    }

    /// A second edge before the same origins, with caches of its own.
    ///
    /// # Errors
    /// workerd does not start.
    pub fn another_edge(&self) -> Result<Edge> {
        Edge::start(&self.workspace, &edge_settings(&self.folder, &self.origins, &self.settings))
    }

    /// A client of the edge with a fresh key that may do everything with every corpus of `tenant`.
    ///
    /// # Errors
    /// The key store refuses.
    pub fn client(&self, tenant: &str) -> Result<Client> {
        self.client_with(&json!({
            "tenant": tenant, "corpora": ["*"], "audience": [], "scopes": ["ask", "search", "read", "write"],
        }))
    }

    /// A client of the edge with a fresh key of this record.
    ///
    /// # Errors
    /// The key store refuses.
    pub fn client_with(&self, record: &Value) -> Result<Client> {
        let key = fresh_key();
        let (name, record) = (record_name(&key), record.to_string());
        self.edge.put_key(&name, &record)?;
        self.records.lock().unwrap_or_else(PoisonError::into_inner).insert(name, record);
        Client::new(&self.edge.url(), Some(key.reveal()))
    }

    /// A client of the edge with the admin secret.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn admin(&self) -> Result<Client> {
        Client::new(&self.edge.url(), Some(ADMIN_SECRET))
    }

    /// A client of an origin with the operator's token, acting for `tenant`.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn operator(&self, origin: usize, tenant: &str) -> Result<Client> {
        Ok(Client::new(&self.origins[origin].url(), Some(OPERATOR_TOKEN))?.tenant(tenant))
    }

    /// Everything that the parts have logged so far.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn logs(&self) -> Result<String> {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "log") {
                text.push_str(&std::fs::read_to_string(&path)?);
            }
        }
        Ok(text)
    }

    #[must_use]
    pub fn data_dir(&self, origin: usize) -> PathBuf {
        self.folder.path().join(format!("origin-{origin}"))
    }
}

/// The name under which a stage's edge looks for a key's record.
#[must_use]
pub fn record_name(key: &Key) -> String {
    KeySecret::new(KEY_SECRET.as_bytes()).hash(key).record_name()
}

/// A key that nobody else in this process has.
#[must_use]
pub fn fresh_key() -> Key {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    Key::from_random(KeyKind::Secret, [COUNT.fetch_add(1, Ordering::Relaxed); 24])
}

/// The `perigee` executable that `cargo xtask test` built.
///
/// # Errors
/// It is not built.
pub fn perigee(workspace: &Workspace) -> Result<PathBuf> {
    let binary = origin::binary(workspace.target(), Profile::Dev);
    ensure!(binary.exists(), "{} is missing: run `cargo xtask test`, which builds it", binary.display());
    Ok(binary)
}

fn start_origin(
    workspace: &Workspace,
    folder: &TempDir,
    number: usize,
    settings: &Settings,
) -> Result<Origin> {
    let mut env = settings.origin_env.clone();
    if let Some(base_url) = &settings.upstream {
        env.push(("PERIGEE_UPSTREAM_BASE_URL".into(), base_url.clone()));
        env.push(("PERIGEE_UPSTREAM_MODEL".into(), "scripted".into()));
        env.push(("PERIGEE_UPSTREAM_API_KEY".into(), "an-upstream-key-for-tests".into()));
    }
    let binary = match settings.disk_mb {
        None => perigee(workspace)?,
        Some(size) => on_a_small_disk(&perigee(workspace)?, folder, size)?,
    };
    let settings = OriginSettings {
        binary,
        port: 0,
        data_dir: folder.path().join(format!("origin-{number}")),
        edge_secrets: vec![EDGE_SECRET.to_owned()],
        operator_token: OPERATOR_TOKEN.to_owned(),
        env,
        log: folder.path().join(format!("origin-{number}.log")),
    };
    Origin::start(workspace, &settings).with_context(|| format!("origin {number}"))
}

/// Whether this machine lets a test have a disk of its own: a mount in a user namespace.
#[must_use]
pub fn has_small_disks() -> bool {
    let tried = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// A program that starts `binary` with its data directory on a disk of `size_mb`, which nobody else sees.
fn on_a_small_disk(binary: &Path, folder: &TempDir, size_mb: usize) -> Result<PathBuf> {
    let script = folder.path().join("perigee-on-a-small-disk");
    let ballast = size_mb / 2;
    let text = format!(
        "#!/bin/sh\nmkdir -p \"$PERIGEE_DATA_DIR\"\nexec unshare --map-root-user --mount sh -ec '\n\
         mount -t tmpfs -o size={size_mb}m tmpfs \"$PERIGEE_DATA_DIR\"\n\
         head -c {ballast}M /dev/zero > \"$PERIGEE_DATA_DIR/ballast\"\n\
         exec \"$0\" \"$@\"' '{}' \"$@\"\n",
        binary.display()
    );
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))?;
    Ok(script)
}

fn edge_settings(folder: &TempDir, origins: &[Origin], settings: &Settings) -> EdgeSettings {
    // Each edge has ledgers of its own, as it has caches: two programs can't share a database.
    static EDGES: AtomicU8 = AtomicU8::new(0);
    let name = format!("edge-{}", EDGES.fetch_add(1, Ordering::Relaxed));
    let origins = origins
        .iter()
        .enumerate()
        // Ten degrees apart on the equator: a test places its caller by longitude.
        .map(|(n, origin)| OriginAt {
            name: format!("origin-{n}"),
            url: origin.url(),
            lat: 0.0,
            lon: 10.0 * n as f64,
        })
        .collect();
    EdgeSettings {
        port: 0,
        shape: settings.edge_shape,
        origins,
        secret: EDGE_SECRET.to_owned(),
        key_secret: KEY_SECRET.to_owned(),
        admin_secret: ADMIN_SECRET.to_owned(),
        ledgers: folder.path().join(&name).join("ledgers"),
        keys: BTreeMap::new(),
        vars: settings.edge_vars.clone(),
        log: folder.path().join(format!("{name}.log")),
    }
}
