//! What can go wrong with embedding, in words for whoever runs the server.

use std::path::PathBuf;

/// Why there is no vector. Cloneable, because one failed model call answers many waiting callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    /// A file of the model is missing, unreadable or damaged.
    #[error(
        "model file {} is unusable: {reason}; restore the model's files there, or set the model directory to \
         one that holds model.onnx, tokenizer.json, config.json, special_tokens_map.json and tokenizer_config.json",
        file.display()
    )]
    ModelFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// ONNX Runtime's shared library is missing, too old or not what it claims to be.
    #[error(
        "ONNX Runtime cannot be used from {}: {reason}; set ORT_DYLIB_PATH to libonnxruntime.so 1.24 or later \
         (`cargo xtask setup` installs it; the PyPI package onnxruntime carries it)",
        library.display()
    )]
    Runtime {
        /// The library that was tried.
        library: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// More work waits than the lane admits.
    #[error("the embedding queue is full")]
    Busy,
    /// The model call failed; only its own batch is affected.
    #[error("embedding failed: {0}")]
    Failed(String),
    /// The lane's thread is gone: the process is shutting down.
    #[error("embedding has stopped")]
    Stopped,
}
