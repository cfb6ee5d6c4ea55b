//! The keys that issuers publish: fetched one at a time for each tenant and address, and remembered.
//!
//! When a set is fetched and how long it is believed is [`KeyMemory`]'s to say.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use js_sys::JSON;
use perigee_shared::id::TenantId;
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::token::{
    FETCH_MS_MAX, Found, InvalidJwks, JWKS_BYTES_MAX, Jwks, JwksUrl, KeyMemory, Token, VerifyingKey,
};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, ReadableStream, ReadableStreamDefaultReader, RequestInit, Response, WorkerGlobalScope,
};
use worker::Delay;

use crate::Edge;
use crate::body::next_chunk;
use crate::visit::{Visit, now_ms};

/// Bytes of key sets that an isolate remembers, of all tenants together, and how many of usual size that makes.
const BYTES_MAX: u64 = 4 << 20;
const SETS_ESTIMATE: usize = 1_024;

/// How long a request waits for a fetch that another one makes, and how often it looks. It can't wait for the fetch itself:
/// on this platform each request has its own input and output.
const PATIENCE_MS: u64 = FETCH_MS_MAX + 500;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whose keys, and for which tenant: what one tenant's settings name never verifies for another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Issuer {
    pub(super) tenant: TenantId,
    pub(super) jwks_url: JwksUrl,
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<Issuer, KeyMemory> for Weigh {
    fn weight(&self, issuer: &Issuer, memory: &KeyMemory) -> u64 {
        (128 + issuer.jwks_url.as_str().len() + memory.bytes()) as u64
    }
}

/// What is remembered of all issuers.
pub(super) struct Issuers(Cache<Issuer, KeyMemory, Weigh>);

/// What to do for a token's key.
enum Step {
    /// With `fetch`, the caller has to [`fetch_and_keep`] in the background.
    Verify {
        key: VerifyingKey,
        fetch: bool,
    },
    /// The caller has to [`fetch_and_keep`], and ask again.
    Fetch,
    Wait,
    Nowhere {
        known: bool,
        retry_ms: u64,
    },
}

impl Issuers {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(SETS_ESTIMATE, BYTES_MAX, Weigh))
    }

    fn step(&mut self, issuer: &Issuer, token: &Token<'_>, now_ms: u64) -> Step {
        let nothing = KeyMemory::default();
        let step = match self.0.get(issuer).unwrap_or(&nothing).find(token, now_ms) {
            Found::Key { key, refresh } => Step::Verify { key: key.clone(), fetch: refresh },
            Found::Fetch => Step::Fetch,
            Found::Wait => Step::Wait,
            Found::Nowhere { known, retry_ms } => Step::Nowhere { known, retry_ms },
        };
        if matches!(step, Step::Fetch | Step::Verify { fetch: true, .. }) {
            self.change(issuer, |memory| memory.begin_fetch(now_ms));
        }
        step
    }

    fn end_fetch(&mut self, issuer: &Issuer, fetched: Option<Jwks>, now_ms: u64) {
        self.change(issuer, |memory| match fetched {
            Some(keys) => memory.keep(keys, now_ms),
            None => memory.fail(),
        });
    }

    fn change(&mut self, issuer: &Issuer, change: impl FnOnce(&mut KeyMemory)) {
        // Put in anew, so that what it weighs now is what counts.
        let mut memory = self.0.peek(issuer).cloned().unwrap_or_default();
        change(&mut memory);
        self.0.insert(issuer.clone(), memory);
    }
}

/// The key that is to have signed a token; `None`: its issuer publishes none of this name.
///
/// # Errors
/// 503: no set of keys can be had.
pub(super) async fn key_for(
    edge: &Rc<Edge>,
    visit: &Visit,
    issuer: &Issuer,
    token: &Token<'_>,
) -> Result<Option<VerifyingKey>, Problem> {
    let give_up_ms = now_ms() + PATIENCE_MS;
    loop {
        let now_ms = now_ms();
        let step = edge.users.issuers.borrow_mut().step(issuer, token, now_ms);
        match step {
            Step::Verify { key, fetch } => {
                if fetch {
                    let (edge, issuer) = (Rc::clone(edge), issuer.clone());
                    visit.context.wait_until(async move { fetch_and_keep(&edge, &issuer).await });
                }
                return Ok(Some(key));
            }
            Step::Fetch => {
                let (edge, issuer) = (Rc::clone(edge), issuer.clone());
                // To its end: others wait for it, even if this client leaves.
                let fetching = async move {
                    fetch_and_keep(&edge, &issuer).await;
                    Ok(())
                };
                visit.to_its_end(fetching).await?;
            }
            Step::Nowhere { known: true, .. } => return Ok(None),
            Step::Nowhere { known: false, retry_ms } => return Err(unknown(retry_ms)),
            Step::Wait if now_ms >= give_up_ms => return Err(unknown(0)),
            Step::Wait => Delay::from(LOOK_EVERY).await,
        }
    }
}

fn unknown(retry_ms: u64) -> Problem {
    let retry_s = u32::try_from(retry_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    let detail = "the issuer that the tenant's settings name gives no keys at the moment";
    Problem::new(ProblemKind::UserKeysUnknown, detail).with_retry_after_s(retry_s)
}

async fn fetch_and_keep(edge: &Edge, issuer: &Issuer) {
    let fetched = fetch_in_time(&issuer.jwks_url).await;
    if let Err(failed) = &fetched {
        worker::console_warn!("the keys of the issuer of {}'s users: {failed}", issuer.tenant);
    }
    edge.users.issuers.borrow_mut().end_fetch(issuer, fetched.ok(), now_ms());
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the request can't be made: {0:?}")]
    Platform(JsValue),
    #[error("the issuer can't be reached")]
    Unreachable,
    #[error("no answer within {FETCH_MS_MAX} ms")]
    TimedOut,
    /// Also a redirect: only the address in the settings is believed.
    #[error("status {0}")]
    Status(u16),
    #[error("more than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    #[error("{0}")]
    Invalid(#[from] InvalidJwks),
}

impl From<JsValue> for Failure {
    fn from(cause: JsValue) -> Self {
        Self::Platform(cause)
    }
}

/// From the request to the last byte.
async fn fetch_in_time(url: &JwksUrl) -> Result<Jwks, Failure> {
    let controller = AbortController::new()?;
    let fetched = Box::pin(fetch(url, &controller));
    match select(fetched, Delay::from(Duration::from_millis(FETCH_MS_MAX))).await {
        Either::Left((fetched, _)) => fetched,
        Either::Right(((), _)) => {
            controller.abort();
            Err(Failure::TimedOut)
        }
    }
}

async fn fetch(url: &JwksUrl, controller: &AbortController) -> Result<Jwks, Failure> {
    let init = concat!(
        r#"{"redirect":"manual","headers":{"accept":"application/jwk-set+json, application/json","user-agent":"perigee-edge/"#,
        env!("CARGO_PKG_VERSION"),
        r#""}}"#
    );
    let init: RequestInit = JSON::parse(init)?.unchecked_into();
    init.set_signal(Some(&controller.signal()));
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(global.fetch_with_str_and_init(url.as_str(), &init)).await;
    let response: Response = response.map_err(|_| Failure::Unreachable)?.unchecked_into();
    let (status, body) = (response.status(), response.body());
    if status != 200 {
        if let Some(body) = body {
            let _cancelled = body.cancel();
        }
        return Err(Failure::Status(status));
    }
    let content = match body {
        Some(body) => read(&body).await?,
        None => Vec::new(),
    };
    Ok(Jwks::parse(&content)?)
}

/// Reads no more than a set may have, whatever length is declared.
async fn read(body: &ReadableStream) -> Result<Vec<u8>, Failure> {
    let reader = ReadableStreamDefaultReader::new(body)?;
    let mut content = Vec::new();
    // How long all of it may take is bounded by who asks.
    while let Some(chunk) = next_chunk(&reader, u64::MAX).await.map_err(|_| Failure::Unreachable)? {
        if content.len() + chunk.length() as usize > JWKS_BYTES_MAX {
            let _cancelled = reader.cancel();
            return Err(Failure::TooLarge);
        }
        content.extend(chunk.to_vec());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(tenant: &str, url: &str) -> Issuer {
        Issuer {
            tenant: TenantId::new(tenant).unwrap(),
            jwks_url: JwksUrl::try_from(url.to_owned()).unwrap(),
        }
    }

    /// Its header says ES256 and the key `k`, its claims are none, its signature is 64 zeros.
    fn token() -> String {
        format!("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.{}", "A".repeat(86))
    }

    /// `k`, `k1`, `k2` and so on: so many.
    fn keys(count: usize) -> Jwks {
        let number = "A".repeat(43);
        let key = |n| format!(r#"{{"kty":"EC","crv":"P-256","kid":"k{n}","x":"{number}","y":"{number}"}}"#);
        let list = std::iter::once(key(String::new())).chain((1..count).map(|n| key(n.to_string())));
        Jwks::parse(format!(r#"{{"keys":[{}]}}"#, list.collect::<Vec<_>>().join(",")).as_bytes()).unwrap()
    }

    #[test]
    fn one_request_fetches_and_all_others_wait_for_it() {
        let (mut issuers, text) = (Issuers::new(), token());
        let token = Token::parse(&text).unwrap();
        let acme = issuer("acme", "https://id.example/keys");
        assert!(matches!(issuers.step(&acme, &token, 1_000), Step::Fetch));
        assert!(matches!(issuers.step(&acme, &token, 1_001), Step::Wait));
        issuers.end_fetch(&acme, None, 2_000);
        assert!(matches!(issuers.step(&acme, &token, 2_001), Step::Nowhere { known: false, .. }));
        assert!(matches!(issuers.step(&acme, &token, 61_000), Step::Fetch));
        issuers.end_fetch(&acme, Some(keys(1)), 61_500);
        assert!(matches!(issuers.step(&acme, &token, 62_000), Step::Verify { fetch: false, .. }));
        assert!(matches!(issuers.step(&acme, &token, 700_000), Step::Verify { fetch: true, .. }));
        assert!(matches!(issuers.step(&acme, &token, 700_001), Step::Verify { fetch: false, .. }), "once");
    }

    #[test]
    fn what_one_tenant_s_issuer_publishes_is_nothing_to_another_tenant() {
        let (mut issuers, text) = (Issuers::new(), token());
        let token = Token::parse(&text).unwrap();
        let url = "https://id.example/keys";
        issuers.end_fetch(&issuer("acme", url), Some(keys(1)), 1_000);
        assert!(matches!(issuers.step(&issuer("acme", url), &token, 1_001), Step::Verify { .. }));
        assert!(matches!(issuers.step(&issuer("rival", url), &token, 1_001), Step::Fetch));
        assert!(matches!(
            issuers.step(&issuer("acme", "https://id.example/other"), &token, 1_001),
            Step::Fetch
        ));
    }

    #[test]
    fn many_issuers_share_a_bounded_memory() {
        let mut issuers = Issuers::new();
        for number in 0..3_000 {
            let issuer = issuer(&format!("tenant-{number}"), "https://id.example/keys");
            issuers.change(&issuer, |memory| memory.begin_fetch(0));
            issuers.end_fetch(&issuer, Some(keys(32)), 0);
        }
        assert!(issuers.0.weight() <= BYTES_MAX, "{}", issuers.0.weight());
        assert!(issuers.0.len() > 300);
    }
}
