//! The second cache: what all isolates of one data centre share, through the platform's Cache API. It holds
//! canonical answers, sightings of epochs, and answer indexes. A failure here is a miss.

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::SNAPSHOT_MEDIA_TYPE;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::id::Epoch;
use worker::{Cache, Headers, Response};

use crate::config::Bounds;
use crate::freshness::{Held, PlaceRef, Sighting};
use crate::memory::Kept;

/// How long an answer stays, whatever else. An origin that is asked again answers from its own cache, so a
/// longer time would save little; and should a corpus ever be restored to an earlier state without the edge
/// hearing of it, this bounds the time.
pub(crate) const ANSWER_TTL_S: u64 = 3_600;

/// A name that no resolver ever answers (RFC 6761): entries can't be reached by URL from outside.
const BASE: &str = "https://perigee.invalid";

const SEEN_MS: &str = "perigee-seen-ms";
const BORN_MS: &str = "perigee-born-ms";
const CONTEXT: &str = "perigee-context";
/// There, if the answer was made for other words.
const OTHER_WORDS: &str = "perigee-other-words";

/// The answer that some isolate of this data centre stored under the key.
pub(crate) async fn get_answer(key: &CacheKey) -> Option<Kept> {
    let mut response = Cache::default().get(answer_url(key), false).await.ok()??;
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
    let headers = Headers::new();
    let entry = headers
        .set("content-type", perigee_shared::answer::MEDIA_TYPE)
        .and_then(|()| headers.set("cache-control", &format!("max-age={ANSWER_TTL_S}")))
        .and_then(|()| headers.set(SEEN_MS, &held.checked.seen_ms.to_string()))
        .and_then(|()| headers.set(BORN_MS, &held.born_ms.to_string()))
        .and_then(|()| headers.set(CONTEXT, &context.to_string()))
        .and_then(|()| if *of_other_words { headers.set(OTHER_WORDS, "1") } else { Ok(()) })
        .and_then(|()| Response::from_bytes(canonical));
    put(answer_url(&key), entry.map(|response| response.with_headers(headers))).await;
}

/// What the decision needs of an answer that was the latest at `seen_ms`.
pub(crate) fn held(answer: &Answer, seen_ms: u64, born_ms: u64) -> Held {
    let checked = Sighting { epoch: answer.epoch, seen_ms };
    Held { checked, certified: None, born_ms, until_ms: seen_ms.saturating_add(ANSWER_TTL_S * 1_000) }
}

/// The latest sighting that any isolate of this data centre shared.
pub(crate) async fn get_epoch(place: PlaceRef<'_>) -> Option<Sighting> {
    let mut response = Cache::default().get(epoch_url(place), false).await.ok()??;
    let seen_ms = number(response.headers(), SEEN_MS)?;
    let epoch = response.text().await.ok()?.parse().ok()?;
    Some(Sighting { epoch: Epoch::new(epoch), seen_ms })
}

/// Shares a sighting for as long as it is worth anything.
pub(crate) async fn put_epoch(place: PlaceRef<'_>, sighting: Sighting, bounds: Bounds) {
    let headers = Headers::new();
    let ttl_s = bounds.staleness_ms.div_ceil(1_000);
    let entry = headers
        .set("cache-control", &format!("max-age={ttl_s}"))
        .and_then(|()| headers.set(SEEN_MS, &sighting.seen_ms.to_string()))
        .and_then(|()| Response::ok(sighting.epoch.to_string()));
    put(epoch_url(place), entry.map(|response| response.with_headers(headers))).await;
}

/// The name (ETag) of the latest index that any isolate of this data centre fetched, and when its epoch was the latest.
pub(crate) async fn get_index_name(place: PlaceRef<'_>) -> Option<(String, u64)> {
    let mut response = Cache::default().get(index_url(place, "latest"), false).await.ok()??;
    let seen_ms = number(response.headers(), SEEN_MS)?;
    Some((response.text().await.ok()?, seen_ms))
}

/// The index of a name, as it travels.
pub(crate) async fn get_index(place: PlaceRef<'_>, etag: &str) -> Option<Vec<u8>> {
    let mut response = Cache::default().get(index_url(place, etag), false).await.ok()??;
    response.bytes().await.ok()
}

pub(crate) async fn put_index_name(place: PlaceRef<'_>, etag: &str, seen_ms: u64, bounds: Bounds) {
    let headers = Headers::new();
    let entry = headers
        .set("cache-control", &format!("max-age={}", bounds.staleness_ms.div_ceil(1_000)))
        .and_then(|()| headers.set(SEEN_MS, &seen_ms.to_string()))
        .and_then(|()| Response::ok(etag.to_owned()));
    put(index_url(place, "latest"), entry.map(|response| response.with_headers(headers))).await;
}

/// Stores an index until nobody would use it any more; while its name stays the latest it is put no second time, so it
/// has to outlive many refreshes.
pub(crate) async fn put_index(place: PlaceRef<'_>, etag: &str, bytes: Vec<u8>) {
    let headers = Headers::new();
    let entry = headers
        .set("content-type", SNAPSHOT_MEDIA_TYPE)
        .and_then(|()| headers.set("cache-control", &format!("max-age={ANSWER_TTL_S}")))
        .and_then(|()| Response::from_bytes(bytes));
    put(index_url(place, etag), entry.map(|response| response.with_headers(headers))).await;
}

async fn put(url: String, entry: worker::Result<Response>) {
    let stored = match entry {
        Ok(response) => Cache::default().put(url, response).await,
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        worker::console_warn!("the data centre's cache took no entry: {error}");
    }
}

fn answer_url(key: &CacheKey) -> String {
    format!("{BASE}/answers/{key}")
}

/// Names of tenants and corpora are safe in a path by their types, and neither can hold a slash.
fn epoch_url(place: PlaceRef<'_>) -> String {
    format!("{BASE}/epochs/{}/{}", place.tenant, place.corpus)
}

/// An ETag is digits, hex and dashes between its quotes.
fn index_url(place: PlaceRef<'_>, name: &str) -> String {
    format!("{BASE}/answer-indexes/{}/{}/{}", place.tenant, place.corpus, name.trim_matches('"'))
}

fn number(headers: &Headers, name: &str) -> Option<u64> {
    headers.get(name).ok()??.parse().ok()
}
