//! Text to vectors: the bundled sentence model, run by fastembed on ONNX Runtime.
//!
//! Two lanes, each one model session on a thread of its own: short questions never queue behind a bulk
//! ingest. A lane takes whatever waits, across requests, and nobody waits for a batch to fill.
//!
//! Whether texts then share a model call depends on the model. One that quantises its activations per call, as
//! the bundled one does, gives a text another vector in other company (cosine 0.99, for short texts 0.96), and
//! evidence that changes with the load is no evidence: such a model gets one text per call. On a CPU that costs
//! little for questions and gains for passages, as nothing is padded. A float model's texts share calls.
//! Splitting documents and storing vectors is done elsewhere.

mod error;
mod lane;
mod model;
mod runtime;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use moka::future::Cache;
use tokenizers::Tokenizer;

pub use self::error::EmbedError;
use self::lane::{Lane, LaneLimits};

/// Length of every vector.
pub const DIMENSIONS: usize = 384;

/// Word pieces of one text that the model sees, its two marker tokens included; the rest is cut off.
/// The model card's training length is 128 and its limit 512; above 256 quality falls and cost grows squared.
pub const TOKENS_MAX: usize = 256;

/// Bytes of one text that are tokenised at all. 256 word pieces are about 1,300 bytes of English; the room
/// above that is for scripts and white space, the limit is against a megabyte sent as one "sentence".
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Bytes of cached query vectors: about 9,000 questions.
const QUERY_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// What a cached vector costs beside its text: the numbers, and the cache's own bookkeeping (estimated).
const CACHED_VECTOR_BYTES: usize = DIMENSIONS * size_of::<f32>() + 128;

/// The query lane: many small jobs. 256 waiting questions are about a third of a second of work on two cores.
const QUERY_LANE: LaneLimits =
    LaneLimits { queue_jobs_max: 256, together_texts_max: 32, batch_texts_max: 32, batch_tokens_max: 2048 };

/// The bulk lane. Where texts share calls, 2,048 word pieces take some 130 MB of activations (measured: 4,096
/// take 260 MB); one text at a time takes 15 MB.
const BULK_LANE: LaneLimits =
    LaneLimits { queue_jobs_max: 64, together_texts_max: 256, batch_texts_max: 32, batch_tokens_max: 2048 };

/// Sentences handed to the query lane at once, so that a question waits for at most so many.
const SENTENCES_TURN: usize = 8;

/// Passages handed to the bulk lane at once: enough to sort by length, few enough to take turns fairly.
const PASSAGES_TURN: usize = 256;

/// ONNX Runtime as the embedding model runs on it, for other models beside it.
pub(crate) fn runtime_environment() -> Result<ort::environment::Environment, EmbedError> {
    runtime::environment(None)
}

/// How to load the model.
#[derive(Debug, Clone)]
pub struct EmbedOptions {
    /// Directory with `model.onnx`, `tokenizer.json`, `config.json`, `special_tokens_map.json` and
    /// `tokenizer_config.json`.
    pub model_dir: PathBuf,
    /// The ONNX Runtime shared library, 1.24 or later. `None`: what `ORT_DYLIB_PATH` names, else the system's.
    pub runtime_library: Option<PathBuf>,
    /// Threads of each lane. `None`: the machine's available parallelism.
    pub threads: Option<NonZeroUsize>,
}

impl EmbedOptions {
    /// The model of `model_dir`, with all else left to the defaults.
    pub fn new(model_dir: impl Into<PathBuf>) -> Self {
        Self { model_dir: model_dir.into(), runtime_library: None, threads: None }
    }
}

/// A handle to the loaded model; cheap to clone. The lanes' threads end with the last handle.
#[derive(Clone)]
pub struct Embedder {
    shared: Arc<Shared>,
}

struct Shared {
    model_hash: String,
    tokenizer: Arc<Tokenizer>,
    query_lane: Lane,
    bulk_lane: Lane,
    query_cache: Cache<String, Arc<[f32]>>,
}

impl Embedder {
    /// Loads the model and proves it with one embedding per lane. Blocking: a few hundred milliseconds.
    ///
    /// # Errors
    /// A missing or damaged model file, or a missing or too old ONNX Runtime; each names the file and what to do.
    pub fn load(options: EmbedOptions) -> Result<Self, EmbedError> {
        let environment = runtime::environment(options.runtime_library.as_deref())?;
        let files = model::ModelFiles::read(&options.model_dir)?;
        let tokenizer = Arc::new(files.tokenizer()?);
        let model_hash = files.hash();
        let together = files.allows_company();
        let query_model = files.session(&environment, options.threads)?;
        let bulk_model = files.session(&environment, options.threads)?;
        let query_cache = Cache::builder()
            .max_capacity(QUERY_CACHE_BYTES)
            .weigher(|text: &String, _| {
                u32::try_from(text.len().saturating_add(CACHED_VECTOR_BYTES)).unwrap_or(u32::MAX)
            })
            .build();
        Ok(Self {
            shared: Arc::new(Shared {
                model_hash,
                tokenizer,
                query_lane: Lane::start("embed-query", query_model, QUERY_LANE.alone_unless(together))?,
                bulk_lane: Lane::start("embed-bulk", bulk_model, BULK_LANE.alone_unless(together))?,
                query_cache,
            }),
        })
    }

    /// SHA-256 of `model.onnx` in hex: names the vector space, so that vectors of another model are recognised.
    pub fn model_hash(&self) -> &str {
        &self.shared.model_hash
    }

    /// The model's tokenizer without truncation and padding, for measuring text.
    pub fn tokenizer(&self) -> Arc<Tokenizer> {
        Arc::clone(&self.shared.tokenizer)
    }

    /// One question's vector: `[384]`, L2-normalised. Cached; equal questions at one time are embedded once.
    ///
    /// Cancel-safe: a caller that goes away costs nothing, and takes nothing from others with the same question.
    ///
    /// # Errors
    /// [`EmbedError::Busy`] when too many wait; [`EmbedError::Failed`] when the model fails.
    pub async fn query(&self, text: &str) -> Result<Arc<[f32]>, EmbedError> {
        let text = cut_text(text);
        let embed = async {
            let rows = self.shared.query_lane.admit(vec![text.to_owned()])?.await?;
            let row = rows.into_iter().next();
            row.map(Arc::from).ok_or_else(|| EmbedError::Failed("no vector for the query".to_owned()))
        };
        self.shared.query_cache.try_get_with_by_ref(text, embed).await.map_err(|error| (*error).clone())
    }

    /// Sentences on the query lane, uncached: `[texts.len(), 384]`, L2-normalised, in order.
    ///
    /// Handed over in small turns, between which waiting questions are served.
    ///
    /// # Errors
    /// [`EmbedError::Busy`] when too many wait; [`EmbedError::Failed`] when the model fails.
    pub async fn sentences(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        in_turns(&self.shared.query_lane, texts, SENTENCES_TURN).await
    }

    /// Passages on the bulk lane: `[texts.len(), 384]`, L2-normalised, in order.
    ///
    /// Once the first turn is admitted the rest waits for its place rather than failing half-way.
    ///
    /// # Errors
    /// [`EmbedError::Busy`] when too many wait; [`EmbedError::Failed`] when the model fails.
    pub async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        in_turns(&self.shared.bulk_lane, texts, PASSAGES_TURN).await
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("model_hash", &self.shared.model_hash).finish_non_exhaustive()
    }
}

async fn in_turns(lane: &Lane, texts: Vec<String>, turn: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
    let mut rows = Vec::with_capacity(texts.len());
    let mut texts = texts.into_iter().map(cut_string);
    let mut first = true;
    loop {
        let part: Vec<String> = texts.by_ref().take(turn).collect();
        if part.is_empty() {
            return Ok(rows);
        }
        let reply = if first { lane.admit(part)? } else { lane.wait(part).await? };
        first = false;
        rows.extend(reply.await?);
    }
}

/// `text` up to the byte limit, never inside a character.
fn cut_text(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn cut_string(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests;
