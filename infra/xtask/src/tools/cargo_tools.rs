//! Rust programs that the build needs: wasm-bindgen and worker-build in the versions of the crates
//! in Cargo.lock, and nextest where the machine has none.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Purpose;
use crate::process::{output, run};
use crate::workspace::{Workspace, cargo};

const NEXTEST_VERSION: &str = "0.9.143";

/// A program from crates.io.
#[derive(Debug)]
pub struct Tool {
    package: &'static str,
    program: &'static str,
    version: String,
    /// Only where its authors demand it: a lock may name a release that a mirror doesn't have yet.
    locked: bool,
}

/// The programs that `purpose` needs.
///
/// # Errors
/// When Cargo.lock can't be read.
pub fn wanted(workspace: &Workspace, purpose: Purpose) -> Result<Vec<Tool>> {
    let mut tools = vec![
        Tool {
            package: "wasm-bindgen-cli",
            program: "wasm-bindgen",
            // The two must be equal to the last digit.
            version: workspace.locked_version("wasm-bindgen")?,
            locked: false,
        },
        Tool {
            package: "worker-build",
            program: "worker-build",
            version: workspace.locked_version("worker")?,
            locked: false,
        },
    ];
    if purpose == Purpose::Test && output(cargo().args(["nextest", "--version"])).is_err() {
        tools.push(Tool {
            package: "cargo-nextest",
            program: "cargo-nextest",
            version: NEXTEST_VERSION.to_owned(),
            locked: true,
        });
    }
    Ok(tools)
}

impl Tool {
    /// Whether the right version is installed.
    #[must_use]
    pub fn is_ready(&self, workspace: &Workspace) -> bool {
        let program = workspace.tools().join("bin").join(self.program);
        let version = if self.program == "cargo-nextest" {
            output(Command::new(program).args(["nextest", "--version"]))
        } else {
            output(Command::new(program).arg("--version"))
        };
        version.is_ok_and(|version| version.split_whitespace().any(|word| word == self.version))
    }

    /// # Errors
    /// When cargo can't fetch or compile it.
    pub fn install(&self, workspace: &Workspace) -> Result<()> {
        let mut command = cargo();
        command
            .args(["install", "--force", "--version", &self.version])
            .arg("--root")
            .arg(workspace.tools())
            .arg("--target-dir")
            .arg(build_dir(workspace))
            .arg(self.package)
            .args(["--bin", self.program])
            // They run for seconds; compiling them well would take minutes.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        if self.locked {
            command.arg("--locked");
        }
        run(&mut command)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.version)
    }
}

/// nextest as a command that still wants its arguments, from `nextest` on: the machine's own, else ours.
#[must_use]
pub fn nextest(workspace: &Workspace) -> Command {
    let own = workspace.tools().join("bin/cargo-nextest");
    if own.exists() { Command::new(own) } else { cargo() }
}

/// The tools share their compiled dependencies while they are being installed; afterwards nothing
/// needs them.
pub fn clean(workspace: &Workspace) {
    let _ = fs::remove_dir_all(build_dir(workspace));
}

fn build_dir(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("build")
}
