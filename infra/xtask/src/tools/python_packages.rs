//! The Python packages that the system tests use as clients, in a directory of their own
//! (`PYTHONPATH`): not every Python can make virtual environments, every pip can do this.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;
use crate::workspace::Workspace;

/// The value for `PYTHONPATH`.
#[must_use]
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("python")
}

/// Whether pip has finished for this very list of requirements.
#[must_use]
pub fn is_ready(workspace: &Workspace) -> bool {
    let wanted = fs::read(requirements(workspace));
    let installed = fs::read(stamp(workspace));
    matches!((wanted, installed), (Ok(wanted), Ok(installed)) if wanted == installed)
}

/// # Errors
/// When pip fails.
pub fn install(workspace: &Workspace) -> Result<()> {
    let directory = directory(workspace);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-warn-conflicts", "--target"])
        .arg(&directory)
        .arg("--requirement")
        .arg(requirements(workspace)))?;
    fs::copy(requirements(workspace), stamp(workspace)).context("noting that pip has finished")?;
    Ok(())
}

fn requirements(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests/requirements.txt")
}

fn stamp(workspace: &Workspace) -> PathBuf {
    directory(workspace).join(".perigee-installed")
}
