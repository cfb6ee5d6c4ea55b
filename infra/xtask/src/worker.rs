//! The worker: built for release by worker-build, which finds its helpers through the environment
//! instead of downloading them.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// Bytes of the built worker: Wasm and its JavaScript.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub raw: u64,
    /// As wrangler counts it against Cloudflare's limit.
    pub gzip: u64,
}

/// The module that workerd and wrangler load.
#[must_use]
pub fn entry(workspace: &Workspace) -> PathBuf {
    workspace.root().join("edge/build/index.js")
}

/// Builds `edge/` into `edge/build/` with the profile `worker` of Cargo.toml.
///
/// # Errors
/// When a tool is missing or the worker doesn't compile.
pub fn build(workspace: &Workspace) -> Result<()> {
    build_in(workspace, Path::new("edge"))
}

/// Builds the worker of another crate in the same way, into `build/` in its folder.
///
/// # Errors
/// As [`build`].
pub fn build_in(workspace: &Workspace, folder: &Path) -> Result<()> {
    let mut command = Command::new(workspace.tools().join("bin/worker-build"));
    command
        .args(["--profile", "worker"])
        .current_dir(workspace.root().join(folder))
        .env("PATH", path_with_node(workspace)?)
        .env("WASM_BINDGEN_BIN", workspace.tools().join("bin/wasm-bindgen"))
        .env("WASM_OPT_BIN", workspace.npm_bin("wasm-opt"))
        .env("ESBUILD_BIN", workspace.npm_bin("esbuild"));
    process::run(&mut command)
}

/// Measures what `build` left.
///
/// # Errors
/// When the worker isn't built.
pub fn size(workspace: &Workspace) -> Result<Size> {
    let mut all = Vec::new();
    for name in ["index.js", "index_bg.wasm"] {
        let path = workspace.root().join("edge/build").join(name);
        let mut bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        all.append(&mut bytes);
    }
    Ok(Size { raw: all.len() as u64, gzip: gzip_size(workspace, &all)? })
}

/// Node does the compressing: it is here already, and a crate for it would be one more to build.
fn gzip_size(workspace: &Workspace, bytes: &[u8]) -> Result<u64> {
    const SCRIPT: &str = "const chunks = []; process.stdin.on('data', c => chunks.push(c)).on('end', \
        () => console.log(require('zlib').gzipSync(Buffer.concat(chunks)).length))";
    let mut child = Command::new(workspace.npm_bin("node"))
        .args(["-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running node")?;
    child.stdin.take().context("node's input")?.write_all(bytes)?;
    let output = child.wait_with_output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().context("node printed no size")
}

/// The variables of wrangler.toml.
///
/// # Errors
/// When wrangler.toml can't be read or holds a variable that is not a string.
pub fn default_vars(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let path = workspace.root().join("wrangler.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let config: toml::Table = text.parse().context("wrangler.toml")?;
    let vars = config.get("vars").and_then(toml::Value::as_table);
    vars.into_iter()
        .flatten()
        .map(|(name, value)| {
            let value = value.as_str().with_context(|| format!("wrangler.toml: {name} must be a string"))?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

/// Everything that `wrangler deploy` does except deploying. Builds the worker once more, by the
/// command in wrangler.toml, as it would for whoever deploys.
///
/// # Errors
/// When wrangler finds something wrong.
pub fn dry_run(workspace: &Workspace) -> Result<()> {
    let mut command = Command::new(workspace.npm_bin("wrangler"));
    command
        .args(["deploy", "--dry-run", "--outdir"])
        .arg(workspace.target().join("wrangler"))
        .current_dir(workspace.root())
        .env("PATH", path_with_node(workspace)?)
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CI", "true");
    process::run(&mut command)
}

/// `PATH` with the project's own Node first: wrangler needs a newer one than many machines have.
fn path_with_node(workspace: &Workspace) -> Result<std::ffi::OsString> {
    let own = workspace.root().join("node_modules/.bin");
    let inherited = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(own).chain(env::split_paths(&inherited))).context("PATH")
}
