//! How answering is set up: what is kept, and what is given where no answer can be made.

use std::num::NonZeroU64;
use std::time::Duration;

use super::verifier::Verifier;
use crate::paraphrase::Tolerance;

/// How answers are kept.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    /// Bytes of kept answers, about.
    pub cache_bytes_max: NonZeroU64,
    /// How long an answer is kept at most after it was last checked.
    pub cache_ttl: Duration,
    pub when_upstream_fails: WhenUpstreamFails,
    /// The share of requests that reuse across wordings may answer wrongly, where a corpus sets none of its own.
    pub reuse_tolerance: Tolerance,
    /// Who is asked about what the calibration leaves open.
    pub verifier: Verifier,
}

/// What a caller gets when the model server fails before its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUpstreamFails {
    /// Sentences of the documents, marked in `Cache-Status` and not kept.
    #[default]
    Substitute,
    /// The failure.
    Refuse,
}

impl Default for AnswerOptions {
    /// 128 MiB are about 20,000 answers; a day covers what is asked again and again.
    fn default() -> Self {
        Self {
            cache_bytes_max: const { NonZeroU64::new(128 << 20).unwrap() },
            cache_ttl: Duration::from_secs(24 * 60 * 60),
            when_upstream_fails: WhenUpstreamFails::default(),
            reuse_tolerance: Tolerance::default(),
            verifier: Verifier::default(),
        }
    }
}
