//! How to reach a model server.

use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

/// Hosted APIs limit an account to about so many streams at a time.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A server and how much patience it gets.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// Of an OpenAI-compatible API, such as `https://api.openai.com/v1`; `/chat/completions` is added.
    pub base_url: String,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// The model's name at that server.
    pub model: String,
    /// To a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the request to the first piece of text, retries included.
    pub first_token_timeout: Duration,
    /// From the request to the end of the answer.
    pub whole_timeout: Duration,
    /// Answers generated at one time; more wait for their turn.
    pub concurrency: NonZeroUsize,
    pub token_limit: TokenLimit,
}

/// The field by which a server takes the most tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimit {
    /// OpenAI's older name, which nearly every compatible server knows.
    #[default]
    MaxTokens,
    /// The newer one, which OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

impl UpstreamOptions {
    /// A server without a key, with a patience that fits hosted models: two seconds reach every continent and
    /// leave time for another try, large models under load take several seconds to read eight passages, and long
    /// answers of slow ones a minute or two.
    #[must_use]
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            model: model.into(),
            connect_timeout: Duration::from_secs(2),
            first_token_timeout: Duration::from_secs(20),
            whole_timeout: Duration::from_secs(120),
            concurrency: CONCURRENCY,
            token_limit: TokenLimit::default(),
        }
    }

    /// The address of chat completions.
    pub(super) fn endpoint(&self) -> Result<Url, InvalidUpstream> {
        let base = format!("{}/", self.base_url.trim_end_matches('/'));
        let base = Url::parse(&base).map_err(|_| InvalidUpstream::BaseUrl)?;
        let plain = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !plain {
            return Err(InvalidUpstream::BaseUrl);
        }
        base.join("chat/completions").map_err(|_| InvalidUpstream::BaseUrl)
    }
}

/// Why a server cannot be used. Repeats no value: a key may have been put into the wrong field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstream {
    /// The base URL is none.
    #[error("upstream.base_url must be an http or https URL without user, query or fragment")]
    BaseUrl,
    /// The key has characters that a header cannot carry.
    #[error("upstream.api_key has characters that an HTTP header cannot carry")]
    ApiKey,
    /// The TLS library could not be set up.
    #[error("the HTTP client cannot be set up; check the system's certificate store")]
    Client,
}
