//! `cargo xtask`: what one types to set up, build, run and test Perigee.
#![expect(clippy::print_stderr, reason = "a command line: telling people what happens is its job")]

mod bench;
mod check;
mod dev;
mod distil;
mod key;
mod openapi;
mod words;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::steps::Steps;
use xtask::tools::{self, Purpose};
use xtask::workspace::Workspace;
use xtask::{process, worker};

/// Perigee's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install the tools that building, running and testing need. The other commands do it too.
    Setup,
    /// Build the edge's worker for release, into edge/build, and print its size.
    Worker,
    /// Start both halves with documents to ask about: builds what is needed, prints `ready: URL key: KEY`.
    Dev(dev::Options),
    /// Make the secrets and a first key for infra/compose.yaml.
    Key(key::Options),
    /// Write the API document, edge/openapi.json, anew from the code.
    Openapi,
    /// Make the edge's table of word vectors anew from the bundled model: a few minutes.
    Distil(distil::Options),
    /// Derive the gate's word tables, shared/src/gate/tables, anew from an installed WordNet.
    Words(words::Options),
    /// Run everything that must hold: formatting, lints, layers, all tests, the deployable worker.
    Test(check::Options),
    /// Measure Perigee beside its parts called bare: prints a table, writes target/bench/results.json.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = run(&Cli::parse());
    process::rest_if_interrupted();
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Setup => alone(|workspace, steps| tools::setup(workspace, steps, Purpose::Test)),
        Command::Worker => alone(|workspace, steps| {
            tools::setup(workspace, steps, Purpose::Worker)?;
            build_worker(workspace, steps)
        }),
        Command::Dev(options) => dev::run(options),
        Command::Key(options) => key::run(options),
        Command::Openapi => alone(openapi::write),
        Command::Distil(options) => alone(|workspace, steps| distil::run(options, workspace, steps)),
        Command::Words(options) => alone(|workspace, steps| words::run(options, workspace, steps)),
        Command::Bench(options) => alone(|workspace, steps| bench::run(options, workspace, steps)),
        Command::Test(options) => alone(|workspace, steps| check::run(options, workspace, steps)),
    }
}

/// Runs a command that ends by itself; an interrupt ends it with 130, as a shell says it.
fn alone(command: impl FnOnce(&Workspace, &Steps) -> Result<()>) -> Result<ExitCode> {
    process::end_children_when_interrupted(|| 130)?;
    command(&Workspace::find()?, &Steps::default())?;
    Ok(ExitCode::SUCCESS)
}

fn build_worker(workspace: &Workspace, steps: &Steps) -> Result<()> {
    steps.run("build the worker", || worker::build(workspace))?;
    let size = worker::size(workspace)?;
    steps.say(&format!(
        "the worker: {:.1} KiB, {:.1} KiB gzip",
        size.raw as f64 / 1024.0,
        size.gzip as f64 / 1024.0
    ));
    Ok(())
}
