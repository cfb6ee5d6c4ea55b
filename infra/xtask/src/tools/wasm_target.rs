//! Rust's standard library for wasm32, in the toolchain that rust-toolchain.toml names.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::{output, run};

const TARGET: &str = "wasm32-unknown-unknown";

/// Whether the active toolchain has it.
///
/// # Errors
/// When rustc can't be run.
pub fn is_ready() -> Result<bool> {
    let libdir = output(Command::new("rustc").args(["--print=target-libdir", "--target", TARGET]))?;
    Ok(Path::new(libdir.trim()).exists())
}

/// # Errors
/// When rustup fails.
pub fn install() -> Result<()> {
    run(Command::new("rustup").args(["target", "add", TARGET]))
}
