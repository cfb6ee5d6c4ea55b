//! `cargo xtask`: what one types to set up, build, run and test Perigee.
#![expect(clippy::print_stderr, reason = "a command line: telling people what happens is its job")]

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
}

fn main() -> ExitCode {
    let outcome = run(&Cli::parse());
    process::rest_if_interrupted();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    process::end_children_when_interrupted(|| 130)?;
    let workspace = Workspace::find()?;
    let steps = Steps::default();
    match &cli.command {
        Command::Setup => tools::setup(&workspace, &steps, Purpose::Test),
        Command::Worker => {
            tools::setup(&workspace, &steps, Purpose::Worker)?;
            build_worker(&workspace, &steps)
        }
    }
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
