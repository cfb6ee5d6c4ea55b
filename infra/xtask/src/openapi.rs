//! `cargo xtask openapi`: the API document that the edge serves, generated from the types of `shared`.

use std::fs;

use anyhow::{Context, Result};
use xtask::process;
use xtask::steps::Steps;
use xtask::workspace::{Workspace, cargo};

/// Writes `edge/openapi.json`. A test of `shared` fails when it is out of date.
///
/// # Errors
/// When `shared` doesn't compile or the file can't be written.
pub(crate) fn write(workspace: &Workspace, steps: &Steps) -> Result<()> {
    let path = workspace.root().join("edge/openapi.json");
    steps.run("the API document", || {
        let arguments =
            ["run", "--quiet", "--package=perigee-shared", "--features=openapi", "--example=openapi"];
        let document = process::output(cargo().args(arguments).current_dir(workspace.root()))?;
        fs::write(&path, document).with_context(|| format!("writing {}", path.display()))
    })
}
