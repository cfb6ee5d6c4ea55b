//! What a caller asks of the caches, in HTTP's own words (RFC 9111 §5.2.1). A caller can only tighten.

use headers::{Header, HeaderValue};

/// The request's `Cache-Control`, as far as it means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheControl {
    /// Check at the origin before reusing anything.
    pub no_cache: bool,
    /// Do not keep the answer. It may still be served from cache.
    pub no_store: bool,
    /// Answer from cache or not at all (504).
    pub only_if_cached: bool,
    /// Reuse nothing older than this.
    pub max_age_s: Option<u64>,
}

impl CacheControl {
    /// Parses the header's value. What is not understood is ignored, as RFC 9111 demands.
    #[must_use]
    pub fn parse(value: Option<&str>) -> Self {
        // Directives are case-insensitive; the parser below takes them in lower case.
        let Some(value) = value.and_then(|v| HeaderValue::from_str(&v.to_ascii_lowercase()).ok()) else {
            return Self::default();
        };
        let Ok(parsed) = headers::CacheControl::decode(&mut std::iter::once(&value)) else {
            return Self::default();
        };
        Self {
            no_cache: parsed.no_cache(),
            no_store: parsed.no_store(),
            only_if_cached: parsed.only_if_cached(),
            max_age_s: parsed.max_age().map(|age| age.as_secs()),
        }
    }

    /// Whether an answer of this age may be given without asking the origin.
    #[must_use]
    pub fn allows_reuse_at(&self, age_s: u64) -> bool {
        !self.no_cache && self.max_age_s.is_none_or(|max| age_s <= max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_nonsense_is_ignored() {
        let all = CacheControl::parse(Some("No-Cache, no-store, only-if-cached, max-age=60, x-y=z"));
        assert_eq!(
            all,
            CacheControl { no_cache: true, no_store: true, only_if_cached: true, max_age_s: Some(60) }
        );
        for nonsense in
            [None, Some(""), Some(",,,"), Some("max-age=-1"), Some("max-age=soon"), Some("\u{7f}")]
        {
            assert_eq!(CacheControl::parse(nonsense), CacheControl::default(), "{nonsense:?}");
        }
    }

    #[test]
    fn max_age_only_tightens() {
        let control = CacheControl::parse(Some("max-age=10"));
        assert!(control.allows_reuse_at(10) && !control.allows_reuse_at(11));
        assert!(!CacheControl::parse(Some("no-cache")).allows_reuse_at(0));
    }
}
