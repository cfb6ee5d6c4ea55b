//! What package.json pins: Node itself (wrangler needs a newer one than many machines have),
//! wrangler, workerd, esbuild (through wrangler) and binaryen.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, run};
use crate::workspace::Workspace;

/// Whether `npm ci` has finished for this very package-lock.json.
#[must_use]
pub fn is_ready(workspace: &Workspace) -> bool {
    let lock = fs::read(workspace.root().join("package-lock.json"));
    let installed = fs::read(stamp(workspace));
    matches!((lock, installed), (Ok(lock), Ok(installed)) if lock == installed)
}

/// # Errors
/// When npm fails or left no working Node.
pub fn install(workspace: &Workspace) -> Result<()> {
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(workspace.root()))?;
    output(Command::new(workspace.npm_bin("node")).arg("--version")).context(
        "npm installed the package `node` but not its executable; its install script must be \
         allowed to run (npm config get ignore-scripts)",
    )?;
    fs::copy(workspace.root().join("package-lock.json"), stamp(workspace))
        .context("noting that npm has finished")?;
    Ok(())
}

/// Lies inside node_modules, so that it goes when they go.
fn stamp(workspace: &Workspace) -> PathBuf {
    workspace.root().join("node_modules/.perigee-installed")
}
