//! The environment's variables, read once, and where each goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Config, ConfigError, LogFormat, Secret, VerifierKind};
use crate::answer::{TokenLimit, WhenUpstreamFails};

const PREFIX: &str = "PERIGEE_";

/// A copy of the variables that mean something here.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    onnxruntime: Option<PathBuf>,
}

impl Environment {
    /// The process's own.
    ///
    /// # Errors
    /// A variable's value is not Unicode.
    pub fn of_process() -> Result<Self, ConfigError> {
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let value = value.into_string().map_err(|_| wrong(name, "must be Unicode text"))?;
            variables.insert(name.to_owned(), value);
        }
        let onnxruntime = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
        Ok(Self { variables, onnxruntime: onnxruntime.map(PathBuf::from) })
    }

    /// These variables and no others.
    #[must_use]
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: variables.into(), onnxruntime: None }
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(name).map(PathBuf::from)
    }

    /// Sets what the variables say.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        if config.onnxruntime.is_none() {
            config.onnxruntime.clone_from(&self.onnxruntime);
        }
        for (name, value) in &self.variables {
            if let Some(key) = name.strip_prefix(PREFIX) {
                set(config, key, value).map_err(|expected| wrong(name, expected))?;
            }
        }
        Ok(())
    }
}

/// What a variable should have been.
type Expected = &'static str;

const DURATION: Expected = "must be a duration with its unit, such as 8s or 500ms";
const WHOLE: Expected = "must be a whole number";
const COUNT: Expected = "must be a whole number, at least 1";
const UNKNOWN: Expected = "is not known; `perigee serve --help` lists those that are";

fn set(config: &mut Config, key: &str, value: &str) -> Result<(), Expected> {
    let Config { limits, files, answers, upstream, reuse, .. } = config;
    match key {
        // Read before everything else.
        "CONFIG" => {}
        "LISTEN" => {
            config.listen =
                value.parse().map_err(|_| "must be an address and port such as 127.0.0.1:8080")?;
        }
        "DATA_DIR" => config.data_dir = PathBuf::from(value),
        "MODEL_DIR" => config.model_dir = PathBuf::from(value),
        "ONNXRUNTIME" => config.onnxruntime = Some(PathBuf::from(value)),
        "EDGE_SECRETS" => {
            let secrets = value.split(',').map(str::trim).filter(|secret| !secret.is_empty());
            config.edge_secrets = secrets.map(Secret::new).collect();
        }
        "OPERATOR_TOKEN" => config.operator_token = secret(value),
        "LIMITS_CONCURRENT_REQUESTS" => limits.concurrent_requests = count(value)?,
        "LIMITS_QUEUED_REQUESTS" => limits.queued_requests = count(value)?,
        "LIMITS_QUEUE_WAIT" => limits.queue_wait = duration(value)?,
        "LIMITS_QUESTION_BYTES" => limits.question_bytes = count(value)?,
        "LIMITS_UPLOAD_BYTES" => limits.upload_bytes = count(value)?,
        "LIMITS_CONNECTIONS" => limits.connections = count(value)?,
        "LIMITS_HEADER_TIMEOUT" => limits.header_timeout = duration(value)?,
        "LIMITS_QUESTION_TIMEOUT" => limits.question_timeout = duration(value)?,
        "LIMITS_UPLOAD_TIMEOUT" => limits.upload_timeout = duration(value)?,
        "LIMITS_WRITE_TIMEOUT" => limits.write_timeout = duration(value)?,
        "LIMITS_DRAIN_ANNOUNCE" => limits.drain_announce = duration(value)?,
        "LIMITS_DRAIN_TIMEOUT" => limits.drain_timeout = duration(value)?,
        "FILES_AT_ONCE" => files.at_once = Some(value.parse().map_err(|_| COUNT)?),
        "FILES_MEMORY_BYTES" => files.memory_bytes = Some(value.parse().map_err(|_| COUNT)?),
        "FILES_TIMEOUT" => files.timeout = Some(duration(value)?),
        "ANSWERS_CACHE_BYTES" => answers.cache_bytes = Some(value.parse().map_err(|_| COUNT)?),
        "ANSWERS_CACHE_TTL" => answers.cache_ttl = Some(duration(value)?),
        "ANSWERS_WHEN_UPSTREAM_FAILS" => {
            answers.when_upstream_fails = match value {
                "substitute" => WhenUpstreamFails::Substitute,
                "refuse" => WhenUpstreamFails::Refuse,
                _ => return Err("must be substitute or refuse"),
            }
        }
        "UPSTREAM_BASE_URL" => upstream.base_url = text(value),
        "UPSTREAM_API_KEY" => upstream.api_key = secret(value),
        "UPSTREAM_MODEL" => upstream.model = text(value),
        "UPSTREAM_CONNECT_TIMEOUT" => upstream.connect_timeout = Some(duration(value)?),
        "UPSTREAM_FIRST_TOKEN_TIMEOUT" => upstream.first_token_timeout = Some(duration(value)?),
        "UPSTREAM_WHOLE_TIMEOUT" => upstream.whole_timeout = Some(duration(value)?),
        "UPSTREAM_CONCURRENCY" => upstream.concurrency = Some(value.parse().map_err(|_| COUNT)?),
        "UPSTREAM_TOKEN_LIMIT" => {
            upstream.token_limit = match value {
                "max_tokens" => TokenLimit::MaxTokens,
                "max_completion_tokens" => TokenLimit::MaxCompletionTokens,
                _ => return Err("must be max_tokens or max_completion_tokens"),
            }
        }
        "REUSE_TOLERANCE" => {
            reuse.tolerance = value.parse().map_err(|_| "must be a share of requests between 0 and 0.05")?;
        }
        "REUSE_VERIFIER" => {
            reuse.verifier = match value {
                "off" => VerifierKind::Off,
                "upstream" => VerifierKind::Upstream,
                "cross-encoder" => VerifierKind::CrossEncoder,
                _ => return Err("must be off, upstream or cross-encoder"),
            }
        }
        "REUSE_CROSS_ENCODER" => reuse.cross_encoder = text(value).map(PathBuf::from),
        "LOG_FILTER" => config.log.filter = value.to_owned(),
        "LOG_FORMAT" => {
            config.log.format = match value {
                "auto" => LogFormat::Auto,
                "json" => LogFormat::Json,
                "text" => LogFormat::Text,
                _ => return Err("must be auto, json or text"),
            }
        }
        "URL" => config.client.url = text(value),
        "KEY" => config.client.key = secret(value),
        "ADMIN_SECRET" => config.client.admin_secret = secret(value),
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

/// Empty means absent, as with variables that a template leaves empty.
fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn secret(value: &str) -> Option<Secret> {
    (!value.is_empty()).then(|| Secret::new(value))
}

fn count(value: &str) -> Result<usize, Expected> {
    value.parse().map_err(|_| WHOLE)
}

fn duration(value: &str) -> Result<Duration, Expected> {
    humantime::parse_duration(value).map_err(|_| DURATION)
}

fn wrong(name: &str, problem: &str) -> ConfigError {
    ConfigError::Variable { name: name.to_owned(), problem: problem.to_owned() }
}
