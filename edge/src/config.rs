//! The worker's variables and secrets, parsed into types once per isolate. Nothing else reads them.

use std::fmt;

use perigee_shared::admission::{Limits, Overrides, Tiers};
use perigee_shared::id::TierName;
use perigee_shared::key::KeySecret;
use perigee_shared::region::Origin;

/// The names of wrangler.toml.
const ORIGINS: &str = "ORIGINS";
const ORIGIN_SECRET: &str = "ORIGIN_SECRET";
const EPOCH_STALENESS_S: &str = "EPOCH_STALENESS_S";
const EPOCH_REFRESH_S: &str = "EPOCH_REFRESH_S";
const KEY_CACHE_S: &str = "KEY_CACHE_S";
const KEY_SECRET: &str = "KEY_SECRET";
const ADMIN_SECRET: &str = "ADMIN_SECRET";
const QUOTAS: &str = "QUOTAS";
const TIERS: &str = "TIERS";
const TIER_DEFAULT: &str = "TIER_DEFAULT";
const CLIENT_ADDRESS_HEADER: &str = "CLIENT_ADDRESS_HEADER";

/// The KV namespace that holds key records.
pub(crate) const KEYS: &str = "KEYS";

/// The Durable Objects that hold each tenant's ledger.
pub(crate) const LEDGER: &str = "LEDGER";

/// The platform's own rate limit, in front of everything; it may be missing.
pub(crate) const FLOOD_GUARD: &str = "FLOOD_GUARD";

/// The origin that takes every write, by its place in `ORIGINS`.
pub(crate) const WRITER: usize = 0;

const ORIGINS_MAX: usize = 64;
/// Shorter secrets could be guessed; a longer one costs nothing.
const SECRET_BYTES_MIN: usize = 16;
/// An hour. Whoever wants staler answers than that wants no freshness at all, and should say so elsewhere.
const SECONDS_MAX: u32 = 3_600;

/// How this edge is set up.
#[derive(Debug)]
pub(crate) struct Config {
    /// At least one; all of them doors to the same data.
    pub(crate) origins: Vec<Origin>,
    pub(crate) secret: Secret,
    pub(crate) bounds: Bounds,
    /// How long a key's record is believed without asking again.
    pub(crate) key_cache_ms: u64,
    pub(crate) key_secret: KeySecret,
    /// `None`: nobody manages keys here.
    pub(crate) admin_secret: Option<Secret>,
    /// The header that the platform sets to the client's address; `None`: nobody can be believed about it.
    pub(crate) client_address_header: Option<String>,
    /// Whether requests are counted against their tenant's limits.
    pub(crate) quotas: bool,
    pub(crate) tiers: Tiers,
    /// The tier of a tenant that has no settings; one of `tiers`.
    pub(crate) tier_default: TierName,
    /// Its limits.
    pub(crate) limits_default: Limits,
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

/// A secret variable. Never printed.
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
        let secret = |name| {
            let given = read(name).filter(|secret| !secret.is_empty());
            given.map(|secret| parse_secret(name, secret)).transpose()
        };
        let required = |name| secret(name)?.ok_or(ConfigError::Missing(name));
        let tiers = parse_tiers(read(TIERS))?;
        let (tier_default, limits_default) = parse_tier_default(read(TIER_DEFAULT), &tiers)?;
        let milliseconds = |name, default| parse_seconds(name, read(name), default).map(|s| s * 1_000);
        let staleness_ms = milliseconds(EPOCH_STALENESS_S, 10)?;
        let refresh_ms = milliseconds(EPOCH_REFRESH_S, 3)?.min(staleness_ms / 2);
        Ok(Self {
            origins,
            secret: required(ORIGIN_SECRET)?,
            bounds: Bounds { staleness_ms, refresh_ms },
            key_cache_ms: milliseconds(KEY_CACHE_S, 30)?,
            key_secret: KeySecret::new(required(KEY_SECRET)?.as_bytes()),
            admin_secret: secret(ADMIN_SECRET)?,
            quotas: parse_switch(QUOTAS, read(QUOTAS))?,
            client_address_header: read(CLIENT_ADDRESS_HEADER).filter(|name| !name.is_empty()),
            tiers,
            tier_default,
            limits_default,
        })
    }
}

fn parse_secret(name: &'static str, secret: String) -> Result<Secret, ConfigError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(ConfigError::Invalid(name, format!("must have at least {SECRET_BYTES_MIN} bytes")));
    }
    Ok(Secret(secret))
}

fn parse_switch(name: &'static str, value: Option<String>) -> Result<bool, ConfigError> {
    match value.as_deref().unwrap_or_default() {
        "on" | "" => Ok(true),
        "off" => Ok(false),
        _ => Err(ConfigError::Invalid(name, "must be on or off".to_owned())),
    }
}

fn parse_tiers(json: Option<String>) -> Result<Tiers, ConfigError> {
    let json = json.filter(|json| !json.is_empty());
    let invalid = |why: String| ConfigError::Invalid(TIERS, why);
    let tiers: Tiers = serde_json::from_str(json.as_deref().unwrap_or(Tiers::DEFAULT_JSON))
        .map_err(|e| invalid(format!("must be a JSON object of tiers by name: {e}")))?;
    for name in tiers.names() {
        TierName::new(name).map_err(|e| invalid(e.to_string()))?;
        let limits = tiers.get(name).map(|tier| Limits::resolve(tier, &Overrides::default()));
        limits.transpose().map_err(|e| invalid(format!("{name}: {e}")))?;
    }
    Ok(tiers)
}

fn parse_tier_default(name: Option<String>, tiers: &Tiers) -> Result<(TierName, Limits), ConfigError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "pro".to_owned());
    TierName::new(name)
        .ok()
        .and_then(|name| {
            let limits = Limits::resolve(tiers.get(name.as_str())?, &Overrides::default()).ok()?;
            Some((name, limits))
        })
        .ok_or_else(|| ConfigError::Invalid(TIER_DEFAULT, format!("must be one of the tiers in {TIERS}")))
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
        let keys = ("KEY_SECRET", "0123456789abcdef");
        let with = |more| vec![("ORIGINS", ONE), secret, keys, more];
        for (vars, named) in [
            (vec![secret], "ORIGINS"),
            (vec![("ORIGINS", ONE), secret], "KEY_SECRET"),
            (with(("ADMIN_SECRET", "hunter2")), "ADMIN_SECRET"),
            (with(("QUOTAS", "yes")), "QUOTAS"),
            (with(("TIERS", "[]")), "TIERS"),
            (with(("TIERS", r#"{"Free":{"unreachable":"closed"}}"#)), "TIERS"),
            (with(("TIERS", r#"{"free":{"unreachable":"closed","hit_percent":101}}"#)), "TIERS"),
            (with(("TIERS", r#"{"free":{"unreachable":"closed"}}"#)), "TIER_DEFAULT"),
            (with(("TIER_DEFAULT", "gold")), "TIER_DEFAULT"),
            (vec![("ORIGINS", "[]"), secret], "ORIGINS"),
            (vec![("ORIGINS", r#"[{"name":"a","url":"ftp://a","lat":0,"lon":0}]"#), secret], "ORIGINS"),
            (vec![("ORIGINS", r#"[{"name":"a","url":"http://a/b","lat":0,"lon":0}]"#), secret], "ORIGINS"),
            (vec![("ORIGINS", r#"[{"name":"a","url":"http://a","lat":91,"lon":0}]"#), secret], "ORIGINS"),
            (vec![("ORIGINS", ONE)], "ORIGIN_SECRET"),
            (vec![("ORIGINS", ONE), ("ORIGIN_SECRET", "hunter2")], "ORIGIN_SECRET"),
            (with(("EPOCH_STALENESS_S", "10s")), "EPOCH_STALENESS_S"),
            (with(("EPOCH_REFRESH_S", "-1")), "EPOCH_REFRESH_S"),
            (with(("KEY_CACHE_S", "999999")), "KEY_CACHE_S"),
        ] {
            let error = parse(&vars).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_busy_corpus_is_asked_again_before_it_becomes_unknown() {
        let vars = [
            ("ORIGINS", ONE),
            ("ORIGIN_SECRET", "0123456789abcdef"),
            ("KEY_SECRET", "0123456789abcdef"),
            ("EPOCH_STALENESS_S", "1"),
        ];
        let config = parse(&vars[..3]).unwrap();
        assert_eq!(config.bounds, Bounds { staleness_ms: 10_000, refresh_ms: 3_000 });
        assert_eq!(config.origins[0].url, "https://fra.example");
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
        assert_eq!(parse(&vars).unwrap().bounds, Bounds { staleness_ms: 1_000, refresh_ms: 500 });
    }
}
