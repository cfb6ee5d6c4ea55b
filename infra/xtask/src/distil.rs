//! `cargo xtask distil`: the edge's table, made anew from the bundled model.

use anyhow::Result;
use clap::Args;
use xtask::process;
use xtask::steps::Steps;
use xtask::tools::{self, Purpose};
use xtask::workspace::{Workspace, cargo};

/// Options of `cargo xtask distil`.
#[derive(Args)]
pub(crate) struct Options {
    /// Distil, and compare with the table that is there instead of writing it
    #[arg(long)]
    check: bool,
}

/// Runs the distillation, which is a crate of its own: it needs the origin's embedder, and this crate should stay quick to
/// build.
///
/// # Errors
/// When a tool is missing, it doesn't compile, or `--check` finds another table.
pub(crate) fn run(options: &Options, workspace: &Workspace, steps: &Steps) -> Result<()> {
    tools::setup(workspace, steps, Purpose::Run)?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package=perigee-distil", "--"]).current_dir(workspace.root());
    if options.check {
        command.arg("--check");
    }
    process::run(&mut command)
}
