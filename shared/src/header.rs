//! Names of Perigee's own headers, and the structured ones that both sides write.

/// The caller whom the edge admitted, as JSON; covered by the signature.
pub const CALLER: &str = "perigee-caller";
pub const SIGNATURE: &str = "perigee-signature";
/// The SHA-256 of a signed request's body, 64 hex digits; covered by the signature, which an origin checks before it reads.
pub const BODY_SHA256: &str = "perigee-body-sha256";
/// Milliseconds that are left until the edge's deadline.
pub const DEADLINE_MS: &str = "perigee-deadline-ms";
/// On answers: the epoch that the answer was checked at. Always the corpus's current one at the origin.
pub const EPOCH: &str = "perigee-epoch";
/// On answer indexes: so many milliseconds ago the epoch of the index was the corpus's latest one.
pub const INDEX_AGE_MS: &str = "perigee-index-age-ms";
/// On requests: never answer from anything older.
pub const MIN_EPOCH: &str = "perigee-min-epoch";
/// On requests, `1`: say why the question was or was not answered by another's answer. On their responses: why, as JSON.
pub const EXPLAIN: &str = "perigee-explain";
/// On a generated stream: the key under which the finished answer can be fetched from the same origin.
pub const ANSWER_KEY: &str = "perigee-answer-key";
/// An operator's tenant and, optionally, comma-separated audience labels.
pub const TENANT: &str = "perigee-tenant";
pub const AUDIENCE: &str = "perigee-audience";
/// On responses: how a request was admitted when its tenant's ledger could not be reached.
pub const QUOTA: &str = "perigee-quota";
/// On requests, beside the key: the token (JWT) of one of the tenant's users. Goes no further than the edge.
pub const USER: &str = "perigee-user";
pub const REQUEST_ID: &str = "x-request-id";
pub const TRACEPARENT: &str = "traceparent";
pub const CACHE_STATUS: &str = "cache-status";
pub const SERVER_TIMING: &str = "server-timing";

/// Where a cached answer came from or why there was none (RFC 9211).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheOutcome {
    /// The very same question.
    HitExact,
    /// Evidence was retrieved again and is the same; no generation.
    HitRevalidated,
    /// The answer to a question that means the same in other words, whose evidence stands.
    HitParaphrase,
    /// Joined a generation that was under way.
    Collapsed,
    /// Joined a generation for other words that mean the same.
    CollapsedParaphrase,
    Miss,
    /// There was an answer, but the corpus has changed since, or nobody knows.
    Stale,
    /// The model server failed; sentences of the documents are the answer.
    Substitute,
    /// The caller asked for it (`no-cache`, `max-age`) or the route has no cache.
    Bypass,
}

impl CacheOutcome {
    /// One member of `Cache-Status`.
    #[must_use]
    pub fn member(self, cache: &str) -> String {
        let parameters = match self {
            Self::HitExact => "hit; detail=exact",
            Self::HitRevalidated => "hit; detail=revalidated",
            Self::HitParaphrase => "hit; detail=paraphrase",
            Self::Collapsed => "fwd=miss; collapsed",
            Self::CollapsedParaphrase => "fwd=miss; collapsed; detail=paraphrase",
            Self::Miss => "fwd=miss",
            Self::Stale => "fwd=stale",
            Self::Substitute => "fwd=miss; detail=substitute",
            Self::Bypass => "fwd=bypass",
        };
        format!("{cache}; {parameters}")
    }

    /// Whether the answer was kept, not made now: it has an age.
    #[must_use]
    pub const fn is_hit(self) -> bool {
        match self {
            Self::HitExact | Self::HitRevalidated | Self::HitParaphrase => true,
            Self::Collapsed | Self::CollapsedParaphrase => false,
            Self::Miss | Self::Stale | Self::Bypass | Self::Substitute => false,
        }
    }

    /// A label for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HitExact => "hit",
            Self::HitRevalidated => "revalidated",
            Self::HitParaphrase => "paraphrase",
            Self::Collapsed => "collapsed",
            Self::CollapsedParaphrase => "collapsed_paraphrase",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Substitute => "substitute",
            Self::Bypass => "bypass",
        }
    }
}

/// Whether a member of a `Cache-Status` says that the answer was made for other words that mean the same.
#[must_use]
pub fn is_of_other_words(cache_status: &str) -> bool {
    cache_status.split(';').any(|parameter| parameter.trim() == "detail=paraphrase")
}

/// The caches' names in `Cache-Status`.
pub const EDGE_CACHE: &str = "perigee-edge";
pub const ORIGIN_CACHE: &str = "perigee-origin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_other_words_is_told_by_its_cache_status() {
        use CacheOutcome as Outcome;
        for (outcome, of_other_words) in [
            (Outcome::HitParaphrase, true),
            (Outcome::CollapsedParaphrase, true),
            (Outcome::HitExact, false),
            (Outcome::HitRevalidated, false),
            (Outcome::Collapsed, false),
            (Outcome::Miss, false),
            (Outcome::Substitute, false),
        ] {
            assert_eq!(is_of_other_words(&outcome.member(ORIGIN_CACHE)), of_other_words, "{outcome:?}");
        }
    }
}
