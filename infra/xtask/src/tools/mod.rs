//! Everything that must be there before the project can be built and run, installed below cargo's
//! target directory (and `node_modules`) by the package managers' own clients, with the user's
//! configuration of them. Each file owns one tool: what is pinned, whether it is there, how it comes.

pub mod cargo_tools;
pub mod node_packages;
pub mod onnxruntime;
pub mod prerequisites;
pub mod python_packages;
pub mod wasm_target;

use anyhow::Result;

use crate::steps::Steps;
use crate::workspace::Workspace;

/// What the tools are wanted for: a worker alone needs less than the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Building and deploying the edge.
    Worker,
    /// Running both halves.
    Run,
    /// Running everything that must hold.
    Test,
}

/// Installs what is missing; quick when nothing is.
///
/// # Errors
/// When a prerequisite is missing, with where to get it, or a package manager fails.
pub fn setup(workspace: &Workspace, steps: &Steps, purpose: Purpose) -> Result<()> {
    prerequisites::check(purpose)?;
    if !wasm_target::is_ready()? {
        steps.run("install the wasm32 target", wasm_target::install)?;
    }
    if !node_packages::is_ready(workspace) {
        steps.run("install the node packages", || node_packages::install(workspace))?;
    }
    for tool in cargo_tools::wanted(workspace, purpose)? {
        if !tool.is_ready(workspace) {
            steps.run(&format!("install {tool} (compiles for a few minutes)"), || tool.install(workspace))?;
        }
    }
    cargo_tools::clean(workspace);
    if purpose != Purpose::Worker && !onnxruntime::is_ready(workspace) {
        steps.run("install ONNX Runtime", || onnxruntime::install(workspace))?;
    }
    if purpose == Purpose::Test && !python_packages::is_ready(workspace) {
        steps.run("install the Python packages", || python_packages::install(workspace))?;
    }
    Ok(())
}
