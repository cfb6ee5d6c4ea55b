//! The embedding model, for commands that need no server.

use anyhow::Context;

use crate::config::Config;
use crate::embed::{EmbedOptions, Embedder};

/// Loads the configured model.
///
/// # Errors
/// Model or runtime are not there, or cannot be used.
pub(super) async fn load(config: &Config) -> anyhow::Result<Embedder> {
    let (model_dir, runtime_library) = (config.model_dir.clone(), config.onnxruntime.clone());
    let load = || Embedder::load(EmbedOptions { model_dir, runtime_library, threads: None });
    let loading = tokio::task::spawn_blocking(load);
    Ok(loading.await.context("loading the model broke off")??)
}
