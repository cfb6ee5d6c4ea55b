//! The second cache: what all isolates of one data centre share, through the platform's Cache API. It holds
//! canonical answers, sightings of epochs, and answer indexes. A failure here is a miss.
//!
//! Entries are put under the address that this edge itself has, as the platform advises: the cache keeps nothing for hosts
//! that are not the worker's own.

use std::cell::OnceCell;
use std::rc::Rc;

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::SNAPSHOT_MEDIA_TYPE;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::id::{ContentHash, Epoch};
use worker::{Cache, Headers, Response};

use crate::config::Bounds;
use crate::freshness::{Held, PlaceRef, Sighting};
use crate::memory::Kept;

/// How long an answer stays, whatever else. An origin that is asked again answers from its own cache, so a
/// longer time would save little; and should a corpus ever be restored to an earlier state without the edge
/// hearing of it, this bounds the time.
pub(crate) const ANSWER_TTL_S: u64 = 3_600;

/// No route takes this path. And should a zone send only some of its paths to this worker, and so answer this one from its
/// cache, what follows is known to nobody outside.
const PATH: &str = "/.perigee/cache";

const SEEN_MS: &str = "perigee-seen-ms";
const BORN_MS: &str = "perigee-born-ms";
const CONTEXT: &str = "perigee-context";
/// There, if the answer was made for other words.
const OTHER_WORDS: &str = "perigee-other-words";

thread_local! {
    /// What all entries' addresses begin with, set by the isolate's first request.
    static BASE: OnceCell<Rc<str>> = const { OnceCell::new() };
}

/// Names the cache by the URL of the isolate's first request. `secret`: one that all of the edge's isolates hold. `false`: it
/// has its name already.
pub(crate) fn begin(url: impl FnOnce() -> String, secret: &[u8]) -> bool {
    BASE.with(|base| base.get().is_none() && base.set(base_of(&url(), secret).into()).is_ok())
}

/// Looks once whether the cache keeps anything. Where it does not, each isolate is on its own, and nothing else would say so.
pub(crate) async fn probe() {
    let Some(url) = url("probe") else { return };
    let entry = headers(60).and_then(|headers| Ok(Response::ok("1")?.with_headers(headers)));
    put(Some(url.clone()), entry).await;
    if !matches!(Cache::default().get(url, false).await, Ok(Some(_))) {
        worker::console_warn!(
            "this data centre's cache keeps nothing, so isolates share no answers: Cloudflare keeps one for workers on custom \
             domains only (docs/deploy.md)"
        );
    }
}

/// Scheme and host without a port: isolates of one machine may listen at several.
fn base_of(url: &str, secret: &[u8]) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    };
    let unknown = ContentHash::of(&[b"the data centre's cache\n", secret].concat());
    format!("{scheme}://{host}{PATH}/{unknown}")
}

/// The answer that some isolate of this data centre stored under the key.
pub(crate) async fn get_answer(key: &CacheKey) -> Option<Kept> {
    let mut response = Cache::default().get(answer_url(key)?, false).await.ok()??;
    let (seen_ms, born_ms) = (number(response.headers(), SEEN_MS)?, number(response.headers(), BORN_MS)?);
    let context = ContextKey::parse(&response.headers().get(CONTEXT).ok()??).ok()?;
    let of_other_words = response.headers().has(OTHER_WORDS).ok()?;
    let bytes = response.bytes().await.ok()?;
    let answer: Answer = serde_json::from_slice(&bytes).ok()?;
    let held = held(&answer, seen_ms, born_ms);
    Some(Kept::new(answer, context, held, of_other_words, bytes.len()))
}

/// Stores an answer. Its JSON is `canonical`.
pub(crate) async fn put_answer(key: CacheKey, kept: &Kept, canonical: Vec<u8>) {
    let Kept { context, held, of_other_words, .. } = kept;
    let entry = headers(ANSWER_TTL_S).and_then(|headers| {
        headers.set("content-type", perigee_shared::answer::MEDIA_TYPE)?;
        headers.set(SEEN_MS, &held.checked.seen_ms.to_string())?;
        headers.set(BORN_MS, &held.born_ms.to_string())?;
        headers.set(CONTEXT, &context.to_string())?;
        if *of_other_words {
            headers.set(OTHER_WORDS, "1")?;
        }
        Ok(Response::from_bytes(canonical)?.with_headers(headers))
    });
    put(answer_url(&key), entry).await;
}

/// What the decision needs of an answer that was the latest at `seen_ms`.
pub(crate) fn held(answer: &Answer, seen_ms: u64, born_ms: u64) -> Held {
    let checked = Sighting { epoch: answer.epoch, seen_ms };
    Held { checked, certified: None, born_ms, until_ms: seen_ms.saturating_add(ANSWER_TTL_S * 1_000) }
}

/// The latest sighting that any isolate of this data centre shared.
pub(crate) async fn get_epoch(place: PlaceRef<'_>) -> Option<Sighting> {
    let mut response = Cache::default().get(epoch_url(place)?, false).await.ok()??;
    let seen_ms = number(response.headers(), SEEN_MS)?;
    let epoch = response.text().await.ok()?.parse().ok()?;
    Some(Sighting { epoch: Epoch::new(epoch), seen_ms })
}

/// Shares a sighting for as long as it is worth anything.
pub(crate) async fn put_epoch(place: PlaceRef<'_>, sighting: Sighting, bounds: Bounds) {
    put_seen(epoch_url(place), &sighting.epoch.to_string(), sighting.seen_ms, bounds).await;
}

/// The name (ETag) of the latest index that any isolate of this data centre fetched, and when its epoch was the latest.
pub(crate) async fn get_index_name(place: PlaceRef<'_>) -> Option<(String, u64)> {
    let mut response = Cache::default().get(index_url(place, "latest")?, false).await.ok()??;
    let seen_ms = number(response.headers(), SEEN_MS)?;
    Some((response.text().await.ok()?, seen_ms))
}

/// The index of a name, as it travels.
pub(crate) async fn get_index(place: PlaceRef<'_>, etag: &str) -> Option<Vec<u8>> {
    let mut response = Cache::default().get(index_url(place, etag)?, false).await.ok()??;
    response.bytes().await.ok()
}

pub(crate) async fn put_index_name(place: PlaceRef<'_>, etag: &str, seen_ms: u64, bounds: Bounds) {
    put_seen(index_url(place, "latest"), etag, seen_ms, bounds).await;
}

/// What was the latest at `seen_ms`. Without a staleness bound, it is not by the time that anybody reads it.
async fn put_seen(url: Option<String>, what: &str, seen_ms: u64, bounds: Bounds) {
    if bounds.staleness_ms == 0 {
        return;
    }
    let entry = headers(bounds.staleness_ms.div_ceil(1_000)).and_then(|headers| {
        headers.set(SEEN_MS, &seen_ms.to_string())?;
        Ok(Response::ok(what)?.with_headers(headers))
    });
    put(url, entry).await;
}

/// Stores an index until nobody would use it any more; while its name stays the latest it is put no second time, so it
/// has to outlive many refreshes.
pub(crate) async fn put_index(place: PlaceRef<'_>, etag: &str, bytes: Vec<u8>) {
    let entry = headers(ANSWER_TTL_S).and_then(|headers| {
        headers.set("content-type", SNAPSHOT_MEDIA_TYPE)?;
        Ok(Response::from_bytes(bytes)?.with_headers(headers))
    });
    put(index_url(place, etag), entry).await;
}

async fn put(url: Option<String>, entry: worker::Result<Response>) {
    let Some(url) = url else { return };
    let stored = match entry {
        Ok(response) => Cache::default().put(url, response).await,
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        worker::console_warn!("the data centre's cache took no entry: {error}");
    }
}

/// Headers of an entry that stays for so many seconds.
fn headers(ttl_s: u64) -> worker::Result<Headers> {
    let headers = Headers::new();
    headers.set("cache-control", &format!("max-age={ttl_s}"))?;
    Ok(headers)
}

fn url(path: &str) -> Option<String> {
    BASE.with(|base| Some(format!("{}/{path}", base.get()?)))
}

fn answer_url(key: &CacheKey) -> Option<String> {
    url(&format!("answers/{key}"))
}

/// Names of tenants and corpora are safe in a path by their types, and neither can hold a slash.
fn epoch_url(place: PlaceRef<'_>) -> Option<String> {
    url(&format!("epochs/{}/{}", place.tenant, place.corpus))
}

/// An ETag is digits, hex and dashes between its quotes.
fn index_url(place: PlaceRef<'_>, name: &str) -> Option<String> {
    url(&format!("answer-indexes/{}/{}/{}", place.tenant, place.corpus, name.trim_matches('"')))
}

fn number(headers: &Headers, name: &str) -> Option<u64> {
    headers.get(name).ok()??.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Route;

    #[test]
    fn entries_lie_at_the_edge_s_own_host_where_no_client_reaches_them() {
        for (url, host) in [
            ("https://edge.example.com/v1/models?a=b:c", "https://edge.example.com"),
            ("http://127.0.0.1:8787/", "http://127.0.0.1"),
            ("http://[::1]:8787/x", "http://[::1]"),
            ("http://[::1]/x", "http://[::1]"),
        ] {
            let base = base_of(url, b"a secret");
            let path = base.strip_prefix(host).unwrap();
            assert!(path.starts_with(PATH), "{base}");
            for name in ["", "/probe", "/answers/00", "/epochs/acme/docs"] {
                assert!(Route::find(&format!("{path}{name}")).is_err(), "{path}{name}");
            }
        }
    }

    #[test]
    fn nobody_knows_the_addresses_without_the_edge_s_secret() {
        let base = |secret: &[u8]| base_of("https://edge.example.com/", secret);
        assert_eq!(base(b"a secret"), base(b"a secret"), "isolates share them");
        assert_ne!(base(b"a secret"), base(b"another"));
        assert!(!base(b"a secret").contains("a secret"));
    }
}
