//! Who may pass: the bearer key, looked up by its hash, in isolate memory first, then in KV; and for whom it speaks.

use std::collections::BTreeSet;
use std::rc::Rc;

use perigee_shared::admission::Subject;
use perigee_shared::caller::{Caller, Scope};
use perigee_shared::id::{ContentHash, CorpusName, KeyId, TierName};
use perigee_shared::key::{Key, KeyHash, KeyKind, KeyRecord};
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::token::User;
use perigee_shared::web_origin::WebOrigin;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::Edge;
use crate::config::KEYS;
use crate::users::on_behalf;
use crate::visit::Visit;

/// Bytes of keys' callers that an isolate remembers, and how many of usual size that makes; and keys that it remembers not
/// to exist, few and apart, so that a stream of invented keys drives no real one out.
const KNOWN_BYTES_MAX: u64 = 6 << 20;
const KNOWN_ESTIMATE: usize = 4_096;
const UNKNOWN_MAX: usize = 1_024;

/// A key that was just made should work soon.
const UNKNOWN_MS_MAX: u64 = 5_000;

/// A caller with a valid key.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// The caller as the origin is told, written once.
    pub(crate) header: String,
    pub(crate) hash: KeyHash,
    /// On whose account the key's requests go: old and new digits of one key are one account.
    pub(crate) subject: Subject,
    /// The account of the user for whom it asks; `None`: for nobody in particular.
    pub(crate) user: Option<Subject>,
    pub(crate) tier: Option<TierName>,
    id: Option<KeyId>,
    expires_at_s: Option<u64>,
    /// Where the key may be used; `None`: it is secret, and pages of other sites have no business with it.
    web_origins: Option<BTreeSet<WebOrigin>>,
}

impl Admitted {
    pub(crate) fn new(record: KeyRecord, kind: KeyKind, hash: KeyHash) -> Self {
        let caller = record.caller(kind);
        let header = header_json(&caller);
        let KeyRecord { id, tier, expires_at_s, web_origins, .. } = record;
        let subject = match &id {
            Some(id) => account_of(id),
            None => Subject::key(hash.as_bytes()),
        };
        let web_origins = (kind == KeyKind::Publishable).then_some(web_origins);
        Self { caller, header, hash, subject, user: None, tier, id, expires_at_s, web_origins }
    }

    /// The same key on behalf of a user.
    pub(crate) fn as_user(&self, user: &User) -> Self {
        let caller = user.caller(&self.caller);
        let header = header_json(&caller);
        Self { caller, header, user: Some(user.subject), ..self.clone() }
    }

    /// About what it takes of memory: its header says all that the caller holds.
    pub(crate) fn bytes(&self) -> usize {
        let web_origins = self.web_origins.iter().flatten().map(|origin| 64 + origin.as_str().len());
        512 + 4 * self.header.len() + web_origins.sum::<usize>()
    }

    /// What the audit trail calls who holds this key.
    pub(crate) fn name(&self) -> String {
        self.id.as_ref().map_or_else(|| format!("key:{}", self.hash), ToString::to_string)
    }

    /// # Errors
    /// 401 when the key's time is over; 403 when it may not be used on the page that uses it.
    fn check_use(&self, visit: &Visit) -> Result<(), Problem> {
        if self.expires_at_s.is_some_and(|at_s| visit.started_ms / 1_000 >= at_s) {
            return Err(Problem::new(ProblemKind::InvalidKey, "the key has expired"));
        }
        let Some(allowed) = &self.web_origins else { return Ok(()) };
        match visit.header("origin") {
            Some(origin) if allowed.contains(origin.as_str()) => {
                visit.will_share_with(origin);
                Ok(())
            }
            Some(_) => Err(Problem::new(ProblemKind::WrongWebOrigin, "this site is not among the key's")),
            None => {
                let detail = "a publishable key is for web pages; a server needs a secret key";
                Err(Problem::new(ProblemKind::WrongWebOrigin, detail))
            }
        }
    }

    /// # Errors
    /// 403 when the key may not do this, 404 when it does not name the corpus.
    pub(crate) fn check(&self, scope: Scope, corpus: Option<&CorpusName>) -> Result<(), Problem> {
        if !self.caller.may(scope) {
            let detail = format!("the key lacks the scope {:?}", scope.name());
            return Err(Problem::new(ProblemKind::MissingScope, detail));
        }
        if corpus.is_some_and(|corpus| !self.caller.corpora.allows(corpus)) {
            return Err(Problem::new(ProblemKind::CorpusNotFound, "no such corpus for this key"));
        }
        Ok(())
    }
}

/// On which account a key's requests go, whatever its digits.
pub(crate) fn account_of(id: &KeyId) -> Subject {
    Subject::key(ContentHash::of(id.as_str().as_bytes()).as_bytes())
}

/// Header values are bytes that both sides must read alike, so what is not ASCII is escaped. (Nothing in a
/// caller can be, by its types; this keeps it so.)
fn header_json(caller: &Caller) -> String {
    let json = serde_json::to_string(caller).unwrap_or_default();
    debug_assert!(json.is_ascii());
    json
}

/// Admits whoever sent this request.
///
/// # Errors
/// 401 without a key, with a malformed, an unknown or an expired one; 403 on a page that the key is not for; 503 when
/// keys can't be looked up; and with a user's token, what [`on_behalf`] says of it.
pub(crate) async fn admit(edge: &Rc<Edge>, visit: &Visit) -> Result<Rc<Admitted>, Problem> {
    let key = read_key(visit.header("authorization").as_deref())?;
    let hash = edge.config.key_secret.hash(&key);
    let now_ms = visit.started_ms;
    let known = edge.keys.borrow().get(&hash, now_ms);
    let admitted = match known {
        Some(known) => known,
        None => {
            let record = look_up(visit, hash).await?;
            let admitted = record.map(|record| Rc::new(Admitted::new(record, key.kind(), hash)));
            edge.keys.borrow_mut().put(hash, admitted.clone(), now_ms, edge.config.key_cache_ms);
            admitted
        }
    };
    let admitted = admitted.ok_or_else(unknown_key)?;
    admitted.check_use(visit)?;
    on_behalf(edge, visit, admitted).await
}

/// What follows `Bearer`.
///
/// # Errors
/// 401: there is nothing.
pub(crate) fn read_bearer(authorization: Option<&str>) -> Result<&str, Problem> {
    let missing = || Problem::new(ProblemKind::MissingKey, "send it as: Authorization: Bearer <key>");
    let (scheme, given) = authorization.ok_or_else(missing)?.trim().split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    Ok(given.trim())
}

/// # Errors
/// 401: there is no bearer key, or it is malformed.
fn read_key(authorization: Option<&str>) -> Result<Key, Problem> {
    Key::parse(read_bearer(authorization)?).map_err(|_| {
        let detail =
            "it is not a key of Perigee, or a character of it is wrong; one starts with pgk_ or pgp_";
        Problem::new(ProblemKind::InvalidKey, detail)
    })
}

pub(crate) fn revoked_key() -> Problem {
    Problem::new(ProblemKind::InvalidKey, "the key was revoked or rotated")
}

fn unknown_key() -> Problem {
    Problem::new(ProblemKind::InvalidKey, "nobody holds this key")
}

async fn look_up(visit: &Visit, hash: KeyHash) -> Result<Option<KeyRecord>, Problem> {
    let unavailable = |cause: String| {
        worker::console_error!("{}: looking up a key failed: {cause}", visit.trace.request_id);
        Problem::new(ProblemKind::NotReady, "keys can't be looked up at the moment")
    };
    let keys = visit.env.kv(KEYS).map_err(|e| unavailable(e.to_string()))?;
    let name = hash.record_name();
    let text = keys.get(&name).text().await.map_err(|e| unavailable(e.to_string()))?;
    let Some(text) = text else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| {
        worker::console_error!("{}: the record {name} can't be read: {e}", visit.trace.request_id);
        Problem::new(ProblemKind::Internal, "this key's record can't be read")
    })
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<KeyHash, Remembered<Rc<Admitted>>> for Weigh {
    fn weight(&self, _: &KeyHash, known: &Remembered<Rc<Admitted>>) -> u64 {
        known.what.bytes() as u64
    }
}

/// The keys that an isolate remembers, each for a bounded time.
pub(crate) struct KeyMemory {
    known: Cache<KeyHash, Remembered<Rc<Admitted>>, Weigh>,
    unknown: Cache<KeyHash, Remembered<()>>,
}

#[derive(Debug, Clone)]
struct Remembered<T> {
    what: T,
    until_ms: u64,
}

impl KeyMemory {
    pub(crate) fn new() -> Self {
        let known = Cache::with_weighter(KNOWN_ESTIMATE, KNOWN_BYTES_MAX, Weigh);
        Self { known, unknown: Cache::new(UNKNOWN_MAX) }
    }

    /// `None`: ask; `Some(None)`: there is no such key.
    fn get(&self, hash: &KeyHash, now_ms: u64) -> Option<Option<Rc<Admitted>>> {
        if let Some(known) = self.known.get(hash).filter(|known| now_ms < known.until_ms) {
            return Some(Some(Rc::clone(&known.what)));
        }
        self.unknown.get(hash).filter(|unknown| now_ms < unknown.until_ms).map(|_| None)
    }

    fn put(&mut self, hash: KeyHash, admitted: Option<Rc<Admitted>>, now_ms: u64, ttl_ms: u64) {
        match admitted {
            Some(what) => self.known.insert(hash, Remembered { what, until_ms: now_ms + ttl_ms }),
            None => {
                self.known.remove(&hash);
                let until_ms = now_ms + ttl_ms.min(UNKNOWN_MS_MAX);
                self.unknown.insert(hash, Remembered { what: (), until_ms });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_shared::key::KeySecret;

    fn hash() -> KeyHash {
        KeySecret::new(b"a secret").hash(&Key::from_random(KeyKind::Secret, [1; 24]))
    }

    fn admitted(scopes: &str, corpora: &str) -> Rc<Admitted> {
        let record = format!(r#"{{"tenant":"acme","corpora":{corpora},"scopes":{scopes}}}"#);
        Rc::new(Admitted::new(serde_json::from_str(&record).unwrap(), KeyKind::Secret, hash()))
    }

    #[test]
    fn a_header_without_a_key_is_told_from_one_with_a_bad_key() {
        for missing in [None, Some(""), Some("Bearer"), Some("Basic dTpw"), Some("pgk_00")] {
            assert_eq!(read_key(missing).unwrap_err().kind, ProblemKind::MissingKey, "{missing:?}");
        }
        for bad in ["Bearer sk-123", "bearer pgk_", "Bearer pgk_00 extra"] {
            assert_eq!(read_key(Some(bad)).unwrap_err().kind, ProblemKind::InvalidKey, "{bad:?}");
        }
        let key = Key::from_random(KeyKind::Secret, [1; 24]);
        assert_eq!(read_key(Some(&format!("bEARER  {}", key.reveal()))).unwrap(), key);
    }

    #[test]
    fn a_key_does_only_what_its_record_says() {
        let reader = admitted(r#"["read"]"#, r#"["docs"]"#);
        let corpus = |name: &str| CorpusName::new(name).unwrap();
        assert_eq!(reader.check(Scope::Write, None).unwrap_err().kind, ProblemKind::MissingScope);
        let other = reader.check(Scope::Read, Some(&corpus("other"))).unwrap_err();
        assert_eq!(other.kind, ProblemKind::CorpusNotFound);
        assert_eq!(reader.check(Scope::Read, Some(&corpus("docs"))), Ok(()));
    }

    #[test]
    fn keys_that_name_much_leave_less_room_for_others() {
        let corpora: Vec<String> = (0..256).map(|n| format!("a-corpus-of-some-length-{n:036}")).collect();
        let corpora = serde_json::to_string(&corpora).unwrap();
        let mut memory = KeyMemory::new();
        for number in 0..500_u16 {
            let mut digits = [0; 24];
            digits[..2].copy_from_slice(&number.to_be_bytes());
            let hash = KeySecret::new(b"a secret").hash(&Key::from_random(KeyKind::Secret, digits));
            memory.put(hash, Some(admitted("[]", &corpora)), 0, 30_000);
        }
        assert!(memory.known.weight() <= KNOWN_BYTES_MAX);
        assert!(memory.known.len() > 50);
    }

    #[test]
    fn a_record_is_believed_for_its_cache_time_and_no_longer() {
        let mut memory = KeyMemory::new();
        memory.put(hash(), Some(admitted("[]", "[]")), 1_000, 30_000);
        assert!(matches!(memory.get(&hash(), 30_999), Some(Some(_))));
        assert!(memory.get(&hash(), 31_000).is_none());
        memory.put(hash(), None, 31_000, 30_000);
        assert!(matches!(memory.get(&hash(), 31_001), Some(None)));
        assert!(memory.get(&hash(), 36_000).is_none(), "a new key works within seconds");
    }
}
