//! `cargo xtask bench`: builds both halves and the measurements for release, and runs these.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;
use xtask::part::Part;
use xtask::process::Running;
use xtask::steps::Steps;
use xtask::tools::{self, Purpose, onnxruntime};
use xtask::workspace::{Workspace, cargo};
use xtask::{process, worker};

const BARE_WORKER: &str = "infra/bench/bare-worker";

/// Options of `cargo xtask bench`.
#[derive(Args)]
#[command(after_help = "Close what else uses the processor: ratios bear a busy machine, times do not.")]
pub(crate) struct Options {
    /// Measure only this
    #[arg(long)]
    only: Option<Part>,
    /// Measure the growth of search time up to 1,000,000 passages: half an hour and 2 GB more
    #[arg(long)]
    large: bool,
}

/// Builds what is measured, and measures it.
///
/// # Errors
/// When a tool is missing or something doesn't compile or doesn't run; never for being slow.
pub(crate) fn run(options: &Options, workspace: &Workspace, steps: &Steps) -> Result<()> {
    tools::setup(workspace, steps, Purpose::Run)?;
    if options.only.is_none_or(Part::is_at_the_edge) {
        steps.run("build the worker", || worker::build(workspace))?;
        steps.run("build the bare worker", || worker::build_in(workspace, Path::new(BARE_WORKER)))?;
    }
    steps.run("build the origin and the measurements", || {
        // In one command, so that both are built with the same features of what they share.
        let packages = ["--package=perigee-origin", "--package=perigee-bench", "--bins"];
        process::run(cargo().args(["build", "--release"]).args(packages).current_dir(workspace.root()))
    })?;
    let mut measurements = Command::new(workspace.target().join("release/perigee-bench"));
    measurements.current_dir(workspace.root()).env("ORT_DYLIB_PATH", onnxruntime::library(workspace)?);
    if let Some(only) = options.only {
        measurements.args(["--only", &only.name()]);
    }
    if options.large {
        measurements.arg("--large");
    }
    let status = Running::spawn(&mut measurements)?.wait()?;
    ensure!(status.success(), "the measurements failed ({status})");
    Ok(())
}
