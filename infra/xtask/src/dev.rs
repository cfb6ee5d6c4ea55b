//! `cargo xtask dev`: both halves on this machine, with documents to ask about.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use xtask::credentials::Credentials;
use xtask::edge::{self, Edge, EdgeSettings, EdgeShape, OriginAt};
use xtask::origin::{self, Origin, OriginSettings, Profile};
use xtask::steps::Steps;
use xtask::tools::{self, Purpose};
use xtask::workspace::Workspace;
use xtask::{process, worker};

const CORPUS: &str = "docs";
/// How soon it is noticed that one half has ended by itself.
const WATCH: Duration = Duration::from_millis(250);

/// Options of `cargo xtask dev`.
#[derive(Args)]
pub(crate) struct Options {
    /// Documents for the corpus `docs`: a directory or a file [default: the project's own documentation]
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// Port of the edge, on 127.0.0.1; 0 lets the system choose
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Port of the origin, on 127.0.0.1; 0 lets the system choose
    #[arg(long, default_value_t = 8080)]
    origin_port: u16,
    /// Where documents, keys and logs are kept [default: target/dev]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Sets up, builds, starts, ingests, and serves until interrupted.
///
/// # Errors
/// When a tool is missing, a port is taken, or a step fails.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    // Interrupted before it served: 130, as a shell says it. Afterwards that is how one ends it: 0.
    let exit_code = Arc::new(AtomicI32::new(130));
    let when_interrupted = Arc::clone(&exit_code);
    process::end_children_when_interrupted(move || when_interrupted.load(Ordering::SeqCst))?;

    let steps = Steps::default();
    let workspace = Workspace::find()?;
    edge::ensure_free(options.port, "the edge", "--port")?;
    edge::ensure_free(options.origin_port, "the origin", "--origin-port")?;
    let documents = documents(options, &workspace)?;

    tools::setup(&workspace, &steps, Purpose::Run)?;
    steps.run("build the worker", || worker::build(&workspace))?;
    let binary = steps.run("build the origin", || origin::build(&workspace, Profile::Release))?;

    let data = match &options.data {
        Some(data) => std::path::absolute(data)?,
        None => workspace.target().join("dev"),
    };
    let credentials = Credentials::load_or_create(&data)?;
    let mut origin = steps.run("start the origin", || {
        let mut origin = Origin::start(&workspace, &origin_settings(options, &binary, &data, &credentials))?;
        let mut said = String::new();
        origin.wait_ready(|state| {
            if state != said {
                steps.say(&format!("  the origin: {state}"));
                state.clone_into(&mut said);
            }
        })?;
        Ok(origin)
    })?;
    let mut edge = steps.run("start the edge", || {
        Edge::start(&workspace, &edge_settings(options, &origin, &data, &credentials))
    })?;
    for path in &documents {
        steps.run(&format!("ingest {}", path.display()), || ingest(&binary, path, &origin, &credentials))?;
    }

    exit_code.store(0, Ordering::SeqCst);
    ready(&edge, &credentials);
    steps.say(&format!("logs: {}", data.join("logs").display()));
    watch(&mut origin, &mut edge)
}

#[expect(clippy::print_stdout, reason = "the one line that other programs may read")]
fn ready(edge: &Edge, credentials: &Credentials) {
    println!("ready: {} key: {}", edge.url(), credentials.key().reveal());
}

/// Returns only when one half ends by itself.
fn watch(origin: &mut Origin, edge: &mut Edge) -> Result<ExitCode> {
    loop {
        for service in [origin.service(), edge.service()] {
            if let Some(status) = service.try_wait() {
                process::rest_if_interrupted();
                anyhow::bail!("{} ended by itself ({status}):\n{}", service.name(), service.tail());
            }
        }
        std::thread::sleep(WATCH);
    }
}

fn origin_settings(
    options: &Options,
    binary: &Path,
    data: &Path,
    credentials: &Credentials,
) -> OriginSettings {
    OriginSettings {
        binary: binary.to_owned(),
        port: options.origin_port,
        data_dir: data.join("origin"),
        edge_secrets: vec![credentials.edge_secret().to_owned()],
        operator_token: credentials.operator_token().to_owned(),
        env: upstream_from_the_environment(),
        log: data.join("logs/origin.log"),
    }
}

/// Whoever has a model server sets it as in production; nothing else of the shell reaches the origin.
fn upstream_from_the_environment() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with("PERIGEE_UPSTREAM_")).collect()
}

fn edge_settings(options: &Options, origin: &Origin, data: &Path, credentials: &Credentials) -> EdgeSettings {
    EdgeSettings {
        port: options.port,
        shape: EdgeShape::OneIsolate,
        origins: vec![OriginAt { name: "development".to_owned(), url: origin.url(), lat: 0.0, lon: 0.0 }],
        secret: credentials.edge_secret().to_owned(),
        key_secret: credentials.key_secret().to_owned(),
        admin_secret: credentials.admin_secret().to_owned(),
        ledgers: data.join("ledgers"),
        keys: [credentials.key_entry()].into(),
        // One machine's own work should not run into limits that are made for strangers.
        vars: [("TIER_DEFAULT".to_owned(), "enterprise".to_owned())].into(),
        log: data.join("logs/edge.log"),
    }
}

fn ingest(binary: &Path, path: &Path, origin: &Origin, credentials: &Credentials) -> Result<()> {
    process::run(
        Command::new(binary)
            .arg("ingest")
            .arg(path)
            .args(["--corpus", CORPUS, "--url", &origin.url()])
            .args(["--tenant", credentials.record().tenant.as_str()])
            .env("PERIGEE_OPERATOR_TOKEN", credentials.operator_token()),
    )
}

/// What to ingest: what was asked for, else what the project says about itself.
fn documents(options: &Options, workspace: &Workspace) -> Result<Vec<PathBuf>> {
    if let Some(docs) = &options.docs {
        let docs = std::path::absolute(docs).context("--docs")?;
        ensure!(docs.exists(), "--docs {}: there is no such directory", docs.display());
        return Ok(vec![docs]);
    }
    let own = ["README.md", "docs"].map(|name| workspace.root().join(name));
    Ok(own.into_iter().filter(|path| path.exists()).collect())
}
