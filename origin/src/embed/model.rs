//! Reads the model's files, names the one that is wrong, and builds fastembed sessions from them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fastembed::{
    InitOptionsUserDefined, Pooling, QuantizationMode, TextEmbedding, TokenizerFiles,
    UserDefinedEmbeddingModel,
};
use ort::environment::Environment;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::{DIMENSIONS, EmbedError, TOKENS_MAX};

/// The bytes of a model directory.
pub(super) struct ModelFiles {
    dir: PathBuf,
    onnx: Vec<u8>,
    tokenizer_files: TokenizerFiles,
}

impl ModelFiles {
    /// Reads the five files.
    pub(super) fn read(dir: &Path) -> Result<Self, EmbedError> {
        let read = |name: &str| {
            let file = dir.join(name);
            std::fs::read(&file).map_err(|error| EmbedError::ModelFile { file, reason: error.to_string() })
        };
        let json = |name: &str| {
            let bytes = read(name)?;
            match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(unusable(dir, name, format!("it is not JSON ({error})"))),
            }
        };
        Ok(Self {
            onnx: read("model.onnx")?,
            tokenizer_files: TokenizerFiles {
                tokenizer_file: json("tokenizer.json")?,
                config_file: json("config.json")?,
                special_tokens_map_file: json("special_tokens_map.json")?,
                tokenizer_config_file: json("tokenizer_config.json")?,
            },
            dir: dir.to_path_buf(),
        })
    }

    /// Whether texts of one call leave each other's vectors alone.
    ///
    /// The operator that quantises activations to the range found in the call's whole tensor is named in the graph.
    pub(super) fn allows_company(&self) -> bool {
        memchr::memmem::find(&self.onnx, b"DynamicQuantizeLinear").is_none()
    }

    /// SHA-256 of `model.onnx`, in hex.
    pub(super) fn hash(&self) -> String {
        hex::encode(Sha256::digest(&self.onnx))
    }

    /// The tokenizer as it measures text: nothing cut off, nothing padded.
    pub(super) fn tokenizer(&self) -> Result<Tokenizer, EmbedError> {
        let bytes = &self.tokenizer_files.tokenizer_file;
        let wrong = |error: tokenizers::Error| unusable(&self.dir, "tokenizer.json", error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(wrong)?;
        tokenizer.with_truncation(None).map_err(wrong)?;
        tokenizer.with_padding(None);
        Ok(tokenizer)
    }

    /// A session of its own, proven by embedding one word.
    pub(super) fn session(
        &self,
        environment: &Environment,
        threads: Option<NonZeroUsize>,
    ) -> Result<TextEmbedding, EmbedError> {
        let quantization =
            if self.allows_company() { QuantizationMode::None } else { QuantizationMode::Dynamic };
        let model = UserDefinedEmbeddingModel::new(self.onnx.clone(), self.tokenizer_files.clone())
            .with_pooling(Pooling::Mean)
            .with_quantization(quantization);
        let mut options =
            InitOptionsUserDefined::new().with_environment(environment.clone()).with_max_length(TOKENS_MAX);
        if let Some(threads) = threads {
            options = options.with_intra_threads(threads.get());
        }
        let mut session = TextEmbedding::try_new_from_user_defined(model, options).map_err(|error| {
            let file = match error {
                fastembed::Error::TokenizerConfig(_) => "tokenizer_config.json",
                _ => "model.onnx",
            };
            unusable(&self.dir, file, error.to_string())
        })?;
        let rows = session
            .embed(["warm"], None)
            .map_err(|error| unusable(&self.dir, "model.onnx", error.to_string()))?;
        match rows.first().map(Vec::len) {
            Some(DIMENSIONS) => Ok(session),
            other => Err(unusable(
                &self.dir,
                "model.onnx",
                format!("its vectors have {} numbers instead of {DIMENSIONS}", other.unwrap_or(0)),
            )),
        }
    }
}

fn unusable(dir: &Path, name: &str, reason: String) -> EmbedError {
    EmbedError::ModelFile { file: dir.join(name), reason }
}
