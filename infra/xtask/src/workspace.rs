//! Where things are: the project's root and cargo's target directory.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The project on this machine. Every path that the tooling uses starts here.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the project that this crate belongs to.
    ///
    /// # Errors
    /// When cargo can't be run or doesn't understand the manifest.
    pub fn find() -> Result<Self> {
        // Cargo and nextest set it when they run something; what was compiled in is wrong when several
        // checkouts share a target directory.
        let member = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let manifest = Path::new(&member).join("Cargo.toml");
        let metadata = crate::process::output(
            cargo()
                .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
                .arg(manifest),
        )?;
        let metadata: serde_json::Value =
            serde_json::from_str(&metadata).context("reading cargo metadata")?;
        let path = |name: &str| {
            metadata[name]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no {name}"))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory, wherever the user put it.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Everything that `setup` installs, apart from `node_modules`.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// An executable of an npm package, e.g. `workerd`.
    #[must_use]
    pub fn npm_bin(&self, name: &str) -> PathBuf {
        self.root.join("node_modules/.bin").join(name)
    }

    /// The version that Cargo.lock holds for `package`.
    ///
    /// # Errors
    /// When the lock can't be read or has no such package.
    pub fn locked_version(&self, package: &str) -> Result<String> {
        let path = self.root.join("Cargo.lock");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let heading = format!("name = \"{package}\"");
        text.lines()
            .skip_while(|line| *line != heading)
            .nth(1)
            .and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
            .map(str::to_owned)
            .with_context(|| format!("Cargo.lock has no package {package}"))
    }
}

/// The cargo that runs us, else the one on the path.
#[must_use]
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
