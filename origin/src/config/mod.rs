//! What the process is told: `perigee.toml`, and over it the environment. Nothing else reads either.
//!
//! Unknown keys and unknown `PERIGEE_*` variables are refused, so that a misspelt one is not silently lost.

mod environment;
mod secret;

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use perigee_shared::limits::{QUESTION_BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};
use serde::Deserialize;

pub use self::environment::Environment;
pub use self::secret::Secret;
use crate::answer::{AnswerOptions, TokenLimit, UpstreamOptions, VerifierOptions, WhenUpstreamFails};
use crate::extract::ReaderOptions;
use crate::paraphrase::Tolerance;

/// The configuration file that is read when none is named.
pub const FILE: &str = "perigee.toml";

/// Characters that a secret or an operator token must have: 128 bits in hex.
pub const SECRET_CHARS_MIN: usize = 32;

/// The whole configuration, defaults filled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `perigee serve` listens. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where corpora live.
    pub data_dir: PathBuf,
    /// The embedding model's files.
    pub model_dir: PathBuf,
    /// ONNX Runtime's shared library; absent: what the system finds.
    pub onnxruntime: Option<PathBuf>,
    /// One secret, or two during a rotation, that edges sign their requests with.
    pub edge_secrets: Vec<Secret>,
    /// Whoever holds it may do everything in every tenant.
    pub operator_token: Option<Secret>,
    pub limits: Limits,
    pub files: FileSettings,
    pub answers: AnswerSettings,
    /// The model server that writes answers; absent: answers are sentences of the documents.
    pub upstream: UpstreamSettings,
    pub reuse: ReuseSettings,
    pub log: LogConfig,
    /// How the commands that talk to a server find it.
    pub client: ClientConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("data"),
            model_dir: PathBuf::from("origin/models/all-MiniLM-L6-v2-int8"),
            onnxruntime: None,
            edge_secrets: Vec::new(),
            operator_token: None,
            limits: Limits::default(),
            files: FileSettings::default(),
            answers: AnswerSettings::default(),
            upstream: UpstreamSettings::default(),
            reuse: ReuseSettings::default(),
            log: LogConfig::default(),
            client: ClientConfig::default(),
        }
    }
}

/// Bounds of what the server does at one time, and of how long it waits for clients.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests that are worked on at one time; a stream counts until its end.
    pub concurrent_requests: usize,
    /// Requests that may wait for their turn; the next one is refused at once.
    pub queued_requests: usize,
    /// How long one waits for its turn before it is refused.
    #[serde(with = "humantime_serde")]
    pub queue_wait: Duration,
    /// Bytes of questions that are held in memory at one time, and of uploads: the next one waits like a request
    /// for its turn. At least one of the largest must fit.
    pub question_bytes: usize,
    pub upload_bytes: usize,
    /// Open connections; more wait in the system's own queue.
    pub connections: usize,
    /// From accepting a connection, or the end of its last request, to the end of the next one's head.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// From the head of a question to the end of its body.
    #[serde(with = "humantime_serde")]
    pub question_timeout: Duration,
    /// The same for an upload. For a batch, which is read as it is worked on: the longest pause.
    #[serde(with = "humantime_serde")]
    pub upload_timeout: Duration,
    /// How long a client may leave what is sent to it unread.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// After SIGTERM: how long `/readyz` says 503 while new connections are still served, so that load
    /// balancers learn of it first.
    #[serde(with = "humantime_serde")]
    pub drain_announce: Duration,
    /// After that: how long requests under way may take to finish.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests: 256,
            queued_requests: 256,
            queue_wait: Duration::from_secs(2),
            question_bytes: 64 << 20,
            upload_bytes: 256 << 20,
            connections: 4_096,
            header_timeout: Duration::from_secs(10),
            question_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(30),
            drain_announce: Duration::from_millis(500),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// A limit that nothing could keep is a mistake.
    fn check(&self) -> Result<(), ConfigError> {
        for (key, count, least) in [
            ("limits.concurrent_requests", self.concurrent_requests, 1),
            ("limits.connections", self.connections, 1),
            // One body may have as many bytes.
            ("limits.question_bytes", self.question_bytes, QUESTION_BODY_BYTES_MAX),
            ("limits.upload_bytes", self.upload_bytes, UPLOAD_BODY_BYTES_MAX),
        ] {
            if count < least {
                return Err(wrong(key, format!("must be at least {least}")));
            }
        }
        for (key, time) in [
            ("limits.header_timeout", self.header_timeout),
            ("limits.question_timeout", self.question_timeout),
            ("limits.upload_timeout", self.upload_timeout),
            ("limits.write_timeout", self.write_timeout),
        ] {
            if time.is_zero() {
                return Err(wrong(key, "must be more than 0"));
            }
        }
        Ok(())
    }
}

/// How files with complicated formats are read: PDF, DOCX and HTML.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileSettings {
    /// Files read at one time; each may take `memory_bytes`.
    pub at_once: Option<NonZeroUsize>,
    /// Bytes of memory that reading one file may take.
    pub memory_bytes: Option<NonZeroU64>,
    /// How long reading one file may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Option<Duration>,
}

impl FileSettings {
    /// What is not set is left to the defaults of reading itself.
    #[must_use]
    pub fn options(self) -> ReaderOptions {
        let Self { at_once, memory_bytes, timeout } = self;
        let default = ReaderOptions::default();
        ReaderOptions {
            at_once: at_once.unwrap_or(default.at_once),
            memory_bytes: memory_bytes.unwrap_or(default.memory_bytes),
            timeout: timeout.unwrap_or(default.timeout),
        }
    }
}

/// How answers are kept, and what is answered when there is no way to make one.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerSettings {
    /// Bytes of memory for kept answers.
    pub cache_bytes: Option<NonZeroU64>,
    /// How long an answer is kept at most after it was last checked.
    #[serde(with = "humantime_serde")]
    pub cache_ttl: Option<Duration>,
    pub when_upstream_fails: WhenUpstreamFails,
}

impl AnswerSettings {
    /// What is not set is left to the defaults of answering itself.
    #[must_use]
    pub fn options(self) -> AnswerOptions {
        let Self { cache_bytes, cache_ttl, when_upstream_fails } = self;
        let default = AnswerOptions::default();
        AnswerOptions {
            cache_bytes_max: cache_bytes.unwrap_or(default.cache_bytes_max),
            cache_ttl: cache_ttl.unwrap_or(default.cache_ttl),
            when_upstream_fails,
            ..default
        }
    }
}

/// An OpenAI-compatible model server. Without `base_url` and `model` there is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSettings {
    /// With `/v1` or whatever the server's API begins with: `https://api.openai.com/v1`.
    pub base_url: Option<String>,
    pub api_key: Option<Secret>,
    pub model: Option<String>,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Option<Duration>,
    /// From the request to the first piece of text.
    #[serde(with = "humantime_serde")]
    pub first_token_timeout: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub whole_timeout: Option<Duration>,
    /// Answers generated at one time; more wait for their turn.
    pub concurrency: Option<NonZeroUsize>,
    /// The field that carries the most tokens of an answer: `max_tokens` or `max_completion_tokens`.
    pub token_limit: TokenLimit,
}

impl UpstreamSettings {
    /// The model server, where one is set; what is not set is left to its own defaults.
    fn config(&self) -> Result<Option<UpstreamOptions>, ConfigError> {
        let Self {
            base_url,
            api_key,
            model,
            connect_timeout,
            first_token_timeout,
            whole_timeout,
            concurrency,
            token_limit,
        } = self;
        let (base_url, model) = match (base_url, model) {
            (Some(base_url), Some(model)) => (base_url, model),
            (Some(_), None) => {
                return Err(wrong("upstream.model", "must be set along with upstream.base_url"));
            }
            (None, Some(_)) => {
                return Err(wrong("upstream.base_url", "must be set along with upstream.model"));
            }
            (None, None) => return Ok(None),
        };
        check_url("upstream.base_url", base_url)?;
        let mut config = UpstreamOptions::new(base_url, model);
        config.api_key = api_key.as_ref().map(|key| key.expose().into());
        config.connect_timeout = connect_timeout.unwrap_or(config.connect_timeout);
        config.first_token_timeout = first_token_timeout.unwrap_or(config.first_token_timeout);
        config.whole_timeout = whole_timeout.unwrap_or(config.whole_timeout);
        config.concurrency = concurrency.unwrap_or(config.concurrency);
        config.token_limit = *token_limit;
        Ok(Some(config))
    }
}

/// Reuse of answers across wordings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReuseSettings {
    /// The share of requests that may be answered wrongly by it, where a corpus sets none of its own; 0 turns it off.
    pub tolerance: Tolerance,
    /// Who is asked about what stays unsure.
    pub verifier: VerifierKind,
    /// The directory of the cross-encoder's files.
    pub cross_encoder: Option<PathBuf>,
}

/// Who is asked about what stays unsure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifierKind {
    /// Nobody.
    #[default]
    Off,
    /// The upstream, with a question that it answers in one token.
    Upstream,
    CrossEncoder,
}

impl ReuseSettings {
    /// # Errors
    /// A cross-encoder is wanted, and its directory is not set.
    pub fn verifier(&self) -> Result<VerifierOptions, ConfigError> {
        Ok(match (self.verifier, &self.cross_encoder) {
            (VerifierKind::Off, _) => VerifierOptions::Off,
            (VerifierKind::Upstream, _) => VerifierOptions::Upstream,
            (VerifierKind::CrossEncoder, Some(dir)) => VerifierOptions::CrossEncoder(dir.clone()),
            (VerifierKind::CrossEncoder, None) => {
                return Err(wrong(
                    "reuse.cross_encoder",
                    "must be the directory of the cross-encoder's files",
                ));
            }
        })
    }
}

/// What is logged and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// In tracing's own syntax: `info`, `perigee_origin=debug,warn`.
    pub filter: String,
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    Json,
    Text,
}

/// The server that `ingest`, `ask`, `search` and `corpora` talk to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// Absent: this machine, on the port of `listen`.
    pub url: Option<String>,
    /// A caller's key, to go through an edge; absent: the operator token.
    pub key: Option<Secret>,
    /// An edge's admin secret, to manage keys.
    pub admin_secret: Option<Secret>,
}

/// Why the configuration is refused; each says which key and what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}, line {line}: {message}", path.display())]
    File { path: PathBuf, line: usize, message: String },
    #[error("the environment variable {name} {problem}")]
    Variable { name: String, problem: String },
    #[error("{key} {problem}")]
    Value { key: &'static str, problem: String },
}

impl Config {
    /// Reads `file`, or [`FILE`] where it exists, and then the environment.
    ///
    /// # Errors
    /// The first key or variable that is unknown, of the wrong type or out of bounds.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let file = file.map(Path::to_path_buf).or_else(|| environment.path("PERIGEE_CONFIG"));
        let mut config = match file {
            Some(path) => Self::read(&path)?,
            None if Path::new(FILE).exists() => Self::read(Path::new(FILE))?,
            None => Self::default(),
        };
        environment.apply(&mut config)?;
        config.check()?;
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
        // Not the error's own Display: it shows the line, and a line may hold a secret.
        toml::from_str(&text).map_err(|error| ConfigError::File {
            path: path.to_path_buf(),
            line: error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
            message: error.message().to_owned(),
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.edge_secrets.len() > 2 {
            return Err(wrong("edge_secrets", "must be one secret, or two during a rotation"));
        }
        let secrets = self.edge_secrets.iter().map(|secret| ("edge_secrets", secret));
        let token = self.operator_token.iter().map(|secret| ("operator_token", secret));
        for (key, secret) in secrets.chain(token) {
            if secret.expose().chars().count() < SECRET_CHARS_MIN {
                let problem = format!(
                    "must have at least {SECRET_CHARS_MIN} characters; `openssl rand -hex 32` makes a good one"
                );
                return Err(wrong(key, problem));
            }
        }
        self.limits.check()?;
        if self.files.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(wrong("files.timeout", "must be more than 0"));
        }
        self.upstream()?;
        self.reuse.verifier()?;
        self.client.url.as_deref().map_or(Ok(()), |url| check_url("client.url", url))
    }

    /// The model server, where one is set.
    ///
    /// # Errors
    /// None after [`Self::load`], which has checked it.
    pub fn upstream(&self) -> Result<Option<UpstreamOptions>, ConfigError> {
        self.upstream.config()
    }

    /// What only a server needs: somebody must be able to get in.
    ///
    /// # Errors
    /// Neither an edge's secret nor an operator token is set.
    pub fn check_for_serving(&self) -> Result<(), ConfigError> {
        if self.edge_secrets.is_empty() && self.operator_token.is_none() {
            let problem = "must be set, or operator_token (PERIGEE_EDGE_SECRETS, PERIGEE_OPERATOR_TOKEN): \
                           without either every request would be refused";
            return Err(wrong("edge_secrets", problem));
        }
        Ok(())
    }
}

fn wrong(key: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, problem: problem.into() }
}

fn check_url(key: &'static str, url: &str) -> Result<(), ConfigError> {
    let sound =
        reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    sound.then_some(()).ok_or_else(|| wrong(key, "must be a URL such as https://api.openai.com/v1"))
}

#[cfg(test)]
mod tests;
