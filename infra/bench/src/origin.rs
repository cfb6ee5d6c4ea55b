//! The origin in a process of its own, and in this one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use perigee_origin::corpus::{Corpora, OpenOptions};
use perigee_origin::embed::{EmbedOptions, Embedder};
use perigee_origin::extract::Reader;
use serde_json::json;
use tempfile::TempDir;
use xtask::origin::{Origin, OriginSettings, Profile};
use xtask::process;
use xtask::tools::onnxruntime;
use xtask::workspace::Workspace;

use crate::documents::Documents;

/// Only programs on this machine are let in, and only while the measurement runs.
pub(crate) const EDGE_SECRET: &str = "the-edge-secret-of-a-measurement-0001";
pub(crate) const OPERATOR_TOKEN: &str = "the-operator-token-of-a-measurement-01";

pub(crate) const TENANT: &str = "bench";
pub(crate) const CORPUS: &str = "docs";

/// Where questions are asked, at an edge and at an origin.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// The body of a request that asks the corpus.
pub(crate) fn question(text: &str) -> String {
    json!({"model": CORPUS, "messages": [{"role": "user", "content": text}]}).to_string()
}

/// The built `perigee`.
pub(crate) struct Built<'a> {
    workspace: &'a Workspace,
    binary: PathBuf,
}

/// A `perigee serve` with documents in it. Ended when dropped.
pub(crate) struct Served {
    pub(crate) origin: Origin,
    _data: TempDir,
}

impl<'a> Built<'a> {
    pub(crate) fn of(workspace: &'a Workspace) -> Self {
        Self { workspace, binary: xtask::origin::binary(workspace.target(), Profile::Release) }
    }

    /// Starts it on a data directory, and returns before it is ready.
    pub(crate) fn start(&self, data_dir: &Path) -> Result<Origin> {
        let settings = OriginSettings {
            binary: self.binary.clone(),
            port: 0,
            data_dir: data_dir.to_path_buf(),
            edge_secrets: vec![EDGE_SECRET.to_owned()],
            operator_token: OPERATOR_TOKEN.to_owned(),
            env: Vec::new(),
            log: self.workspace.target().join("bench/origin.log"),
        };
        Origin::start(self.workspace, &settings)
    }

    /// Starts it on nothing, and ingests the documents as a user would.
    pub(crate) fn serve_documents(&self, documents: &Documents) -> Result<Served> {
        let data = folder(self.workspace)?;
        let files = data.path().join("files");
        std::fs::create_dir(&files)?;
        for (id, text) in &documents.documents {
            std::fs::write(files.join(format!("{id}.md")), text)?;
        }
        let mut origin = self.start(&data.path().join("origin"))?;
        origin.wait_ready(|_| ())?;
        let mut command = std::process::Command::new(&self.binary);
        command
            .arg("ingest")
            .arg(&files)
            .args(["--corpus", CORPUS, "--tenant", TENANT, "--url", &origin.url()])
            .env("PERIGEE_OPERATOR_TOKEN", OPERATOR_TOKEN);
        process::run(&mut command)?;
        Ok(Served { origin, _data: data })
    }
}

/// A folder on the disk of the target directory: what the system calls temporary may be memory.
pub(crate) fn folder(workspace: &Workspace) -> Result<TempDir> {
    let parent = workspace.target().join("bench");
    tempfile::Builder::new().prefix("data-").tempdir_in(&parent).context("making a folder for data")
}

/// The model in this process.
pub(crate) fn embedder(workspace: &Workspace) -> Result<Embedder> {
    let mut options = EmbedOptions::new(xtask::origin::model_dir(workspace));
    options.runtime_library = Some(onnxruntime::library(workspace)?);
    Ok(Embedder::load(options)?)
}

/// The corpora of a data directory in this process.
pub(crate) async fn open(data_dir: &Path, embedder: Embedder) -> Result<Corpora> {
    let on_progress = Arc::new(|_: perigee_origin::corpus::Progress<'_>| ());
    let data_dir = data_dir.to_path_buf();
    Ok(Corpora::open(OpenOptions { data_dir, embedder, reader: Reader::here(), on_progress }).await?)
}
