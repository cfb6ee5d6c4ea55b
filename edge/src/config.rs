//! The worker's variables and secrets, parsed into types once per isolate. Nothing else reads them.

use std::fmt;

use perigee_shared::region::Origin;

/// The names of wrangler.toml.
const ORIGINS: &str = "ORIGINS";
const ORIGIN_SECRET: &str = "ORIGIN_SECRET";
const EPOCH_STALENESS_S: &str = "EPOCH_STALENESS_S";
const EPOCH_REFRESH_S: &str = "EPOCH_REFRESH_S";
const KEY_CACHE_S: &str = "KEY_CACHE_S";

/// The KV namespace that holds key records.
pub(crate) const KEYS: &str = "KEYS";

const ORIGINS_MAX: usize = 64;
/// Shorter secrets could be guessed; a longer one costs nothing.
const SECRET_BYTES_MIN: usize = 16;
/// An hour. Whoever wants staler answers than that wants no freshness at all, and should say so elsewhere.
const SECONDS_MAX: u32 = 3_600;

/// How this edge is set up.
#[derive(Debug)]
pub(crate) struct Config {
    /// At least one.
    pub(crate) origins: Vec<Origin>,
    pub(crate) secret: Secret,
    pub(crate) bounds: Bounds,
    /// How long a key's record is believed without asking again.
    pub(crate) key_cache_ms: u64,
}

/// How old knowledge of a corpus's epoch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// From this age on the epoch counts as unknown; 0: always.
    pub(crate) staleness_ms: u64,
    /// From this age on it is asked for again in the background; at most half of the staleness bound, so
    /// that a busy corpus never becomes unknown.
    pub(crate) refresh_ms: u64,
}

/// What requests to origins are signed with. Never printed.
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is wrong with a variable; names it, and never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{0} {1}")]
    Invalid(&'static str, String),
}

impl Config {
    /// Reads every variable through `read`, which gives `None` for one that is not set.
    ///
    /// # Errors
    /// The first variable that is missing or out of bounds.
    pub(crate) fn parse(read: impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let origins = parse_origins(&read(ORIGINS).ok_or(ConfigError::Missing(ORIGINS))?)?;
        let secret = read(ORIGIN_SECRET).ok_or(ConfigError::Missing(ORIGIN_SECRET))?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ConfigError::Invalid(
                ORIGIN_SECRET,
                format!("must have at least {SECRET_BYTES_MIN} bytes"),
            ));
        }
        let milliseconds = |name, default| parse_seconds(name, read(name), default).map(|s| s * 1_000);
        let staleness_ms = milliseconds(EPOCH_STALENESS_S, 10)?;
        let refresh_ms = milliseconds(EPOCH_REFRESH_S, 3)?.min(staleness_ms / 2);
        Ok(Self {
            origins,
            secret: Secret(secret),
            bounds: Bounds { staleness_ms, refresh_ms },
            key_cache_ms: milliseconds(KEY_CACHE_S, 30)?,
        })
    }
}

fn parse_origins(json: &str) -> Result<Vec<Origin>, ConfigError> {
    let invalid = |why: String| ConfigError::Invalid(ORIGINS, why);
    let mut origins: Vec<Origin> = serde_json::from_str(json)
        .map_err(|e| invalid(format!("must be a JSON array of {{name, url, lat, lon}}: {e}")))?;
    if origins.is_empty() || origins.len() > ORIGINS_MAX {
        return Err(invalid(format!("must list 1 to {ORIGINS_MAX} origins")));
    }
    for origin in &mut origins {
        let host = origin.url.strip_prefix("https://").or(origin.url.strip_prefix("http://"));
        let host = host.map(|h| h.strip_suffix('/').unwrap_or(h));
        let plain = host.is_some_and(|h| {
            !h.is_empty()
                && !h.contains(['/', '?', '#', '@', '\\'])
                && h.bytes().all(|b| b.is_ascii_graphic())
        });
        if !plain {
            return Err(invalid(format!("the url of {:?} must be http(s)://host[:port]", origin.name)));
        }
        if !(-90.0..=90.0).contains(&origin.lat) || !(-180.0..=180.0).contains(&origin.lon) {
            return Err(invalid(format!("the place of {:?} must be degrees on Earth", origin.name)));
        }
        if origin.url.ends_with('/') {
            origin.url.pop();
        }
    }
    Ok(origins)
}

fn parse_seconds(name: &'static str, value: Option<String>, default: u32) -> Result<u64, ConfigError> {
    let Some(value) = value.filter(|v| !v.is_empty()) else { return Ok(u64::from(default)) };
    match value.parse::<u32>() {
        Ok(seconds) if seconds <= SECONDS_MAX => Ok(u64::from(seconds)),
        Ok(_) | Err(_) => {
            Err(ConfigError::Invalid(name, format!("must be whole seconds, at most {SECONDS_MAX}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"[{"name":"fra","url":"https://fra.example/","lat":50.1,"lon":8.7}]"#;

    fn parse(vars: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_no_secret_is_repeated() {
        let secret = ("ORIGIN_SECRET", "0123456789abcdef");
        for (vars, named) in [
            (vec![secret], "ORIGINS"),
            (vec![("ORIGINS", "[]"), secret], "ORIGINS"),
            (vec![("ORIGINS", r#"[{"name":"a","url":"ftp://a","lat":0,"lon":0}]"#), secret], "ORIGINS"),
            (vec![("ORIGINS", r#"[{"name":"a","url":"http://a/b","lat":0,"lon":0}]"#), secret], "ORIGINS"),
            (vec![("ORIGINS", r#"[{"name":"a","url":"http://a","lat":91,"lon":0}]"#), secret], "ORIGINS"),
            (vec![("ORIGINS", ONE)], "ORIGIN_SECRET"),
            (vec![("ORIGINS", ONE), ("ORIGIN_SECRET", "hunter2")], "ORIGIN_SECRET"),
            (vec![("ORIGINS", ONE), secret, ("EPOCH_STALENESS_S", "10s")], "EPOCH_STALENESS_S"),
            (vec![("ORIGINS", ONE), secret, ("EPOCH_REFRESH_S", "-1")], "EPOCH_REFRESH_S"),
            (vec![("ORIGINS", ONE), secret, ("KEY_CACHE_S", "999999")], "KEY_CACHE_S"),
        ] {
            let error = parse(&vars).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_busy_corpus_is_asked_again_before_it_becomes_unknown() {
        let config = parse(&[("ORIGINS", ONE), ("ORIGIN_SECRET", "0123456789abcdef")]).unwrap();
        assert_eq!(config.bounds, Bounds { staleness_ms: 10_000, refresh_ms: 3_000 });
        assert_eq!(config.origins[0].url, "https://fra.example");
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
        let short =
            parse(&[("ORIGINS", ONE), ("ORIGIN_SECRET", "0123456789abcdef"), ("EPOCH_STALENESS_S", "1")]);
        assert_eq!(short.unwrap().bounds, Bounds { staleness_ms: 1_000, refresh_ms: 500 });
    }
}
