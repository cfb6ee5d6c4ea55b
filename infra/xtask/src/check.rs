//! `cargo xtask test`: everything that must hold, cheapest first, stopping at the first failure.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use xtask::steps::Steps;
use xtask::tools::{self, Purpose, cargo_tools, onnxruntime, python_packages};
use xtask::workspace::{Workspace, cargo};
use xtask::{process, worker};

/// The crate of the system tests: it needs the worker and the origin built, so it runs last.
const SYSTEM_TESTS: &str = "perigee-tests";
const WASM: &str = "wasm32-unknown-unknown";

/// Crates that would bring IO, a clock, randomness or a runtime into `shared`.
const NEVER_IN_SHARED: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "js-sys",
    "mio",
    "rand",
    "reqwest",
    "socket2",
    "tokio",
    "ureq",
    "wasm-bindgen",
    "worker",
];

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only the tests that this nextest filter chooses, e.g. 'package(perigee-origin) and test(epoch)'
    filter: Option<String>,
}

/// Runs all checks, or only some tests with everything that they need.
///
/// # Errors
/// The first one that fails, with what to do about it.
pub(crate) fn run(options: &Options, workspace: &Workspace, steps: &Steps) -> Result<()> {
    tools::setup(workspace, steps, Purpose::Test)?;
    match &options.filter {
        Some(filter) => some(filter, workspace, steps),
        None => everything(workspace, steps),
    }
}

fn some(filter: &str, workspace: &Workspace, steps: &Steps) -> Result<()> {
    compile(workspace, steps)?;
    steps.run("build the worker", || worker::build(workspace))?;
    steps.run("tests", || nextest(workspace, filter))
}

/// One build with one set of features: what follows finds everything compiled, `perigee` included.
fn compile(workspace: &Workspace, steps: &Steps) -> Result<()> {
    steps.run("compile", || in_root(workspace, &["build", "--workspace", "--all-targets"]))
}

fn everything(workspace: &Workspace, steps: &Steps) -> Result<()> {
    steps.run("formatting", || {
        in_root(workspace, &["fmt", "--all", "--check"]).context("run `cargo fmt --all`")
    })?;
    steps.run("layers", || layers(workspace))?;
    steps.run("clippy", || {
        in_root(workspace, &["clippy", "--workspace", "--all-targets", "--", "--deny=warnings"])
            .context("mend what clippy names, or say why not with #[expect(lint, reason = \"…\")]")
    })?;
    steps.run("clippy for the worker", || {
        let arguments = ["clippy", "--package=perigee-edge", "--target", WASM, "--", "--deny=warnings"];
        in_root(workspace, &arguments)
            .context("the worker compiles for wasm32 only without threads and clocks")
    })?;
    compile(workspace, steps)?;
    steps.run("unit, property and HTTP tests", || {
        nextest(workspace, &format!("not package({SYSTEM_TESTS})"))
    })?;
    steps.run("examples in the documentation", || {
        process::run(with_tools(
            workspace,
            cargo().args(["test", "--doc", "--workspace", "--quiet"]).current_dir(workspace.root()),
        )?)
    })?;
    steps.run("build the worker", || worker::build(workspace))?;
    steps.run("system tests", || nextest(workspace, &format!("package({SYSTEM_TESTS})")))?;
    steps.run("wrangler deploy --dry-run", || worker::dry_run(workspace))?;
    steps.say("everything holds");
    Ok(())
}

/// What the design promises about who depends on whom.
fn layers(workspace: &Workspace) -> Result<()> {
    let shared = dependencies(workspace, "perigee-shared")?;
    let strangers: Vec<&str> =
        NEVER_IN_SHARED.iter().copied().filter(|name| shared.contains(*name)).collect();
    ensure!(
        strangers.is_empty(),
        "perigee-shared must stay without IO, clock, randomness and async, but depends on {}; \
         `cargo tree -p perigee-shared -e normal -i {}` says through what",
        strangers.join(", "),
        strangers.first().copied().unwrap_or_default()
    );
    for (crate_name, never) in [("perigee-edge", "perigee-origin"), ("perigee-origin", "perigee-edge")] {
        if dependencies(workspace, crate_name)?.contains(never) {
            bail!("{crate_name} must not depend on {never}: what both need belongs in perigee-shared");
        }
    }
    Ok(())
}

/// The names of everything that ends up in `package`, on any platform.
fn dependencies(workspace: &Workspace, package: &str) -> Result<BTreeSet<String>> {
    let tree = process::output(
        cargo()
            .args(["tree", "--locked", "--edges=normal", "--target=all", "--prefix=none", "--format={p}"])
            .args(["--package", package])
            .current_dir(workspace.root()),
    )?;
    Ok(tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

fn in_root(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    process::run(cargo().args(arguments).current_dir(workspace.root()))
}

/// Runs the tests that nextest's filter expression chooses.
fn nextest(workspace: &Workspace, filter: &str) -> Result<()> {
    let mut command = cargo_tools::nextest(workspace);
    command
        .args(["nextest", "run", "--workspace", "--no-fail-fast", "--filterset", filter])
        .current_dir(workspace.root());
    process::run(with_tools(workspace, &mut command)?)
}

/// Tells a test run where `setup` put what it needs.
fn with_tools<'a>(workspace: &Workspace, command: &'a mut Command) -> Result<&'a mut Command> {
    Ok(command
        .env("ORT_DYLIB_PATH", onnxruntime::library(workspace)?)
        .env("PYTHONPATH", python_packages::directory(workspace)))
}
