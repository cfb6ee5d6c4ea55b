//! Who may pass: the bearer key, looked up by its hash, in isolate memory first, then in KV.

use std::rc::Rc;

use perigee_shared::caller::{Caller, Scope};
use perigee_shared::id::CorpusName;
use perigee_shared::key::{Key, KeyRecord};
use perigee_shared::problem::{Problem, ProblemKind};
use quick_cache::unsync::Cache;

use crate::Edge;
use crate::config::KEYS;
use crate::visit::Visit;

/// Keys that an isolate remembers; and keys that it remembers not to exist, fewer and apart, so that a
/// stream of invented keys drives no real one out.
const KNOWN_MAX: usize = 4_096;
const UNKNOWN_MAX: usize = 1_024;

/// A key that was just made should work soon.
const UNKNOWN_MS_MAX: u64 = 5_000;

/// A caller with a valid key.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// The caller as the origin is told, written once.
    pub(crate) header: String,
}

impl Admitted {
    fn new(caller: Caller) -> Self {
        let header = header_json(&caller);
        Self { caller, header }
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
/// 401 without a key, with a malformed or an unknown one; 503 when keys can't be looked up.
pub(crate) async fn admit(edge: &Edge, visit: &Visit) -> Result<Rc<Admitted>, Problem> {
    let key = read_key(visit.header("authorization").as_deref())?;
    let name = key.record_name();
    let now_ms = visit.started_ms;
    if let Some(known) = edge.keys.borrow().get(&name, now_ms) {
        return known.ok_or_else(unknown_key);
    }
    let record = look_up(visit, &name).await?;
    let admitted = record.map(|record| Rc::new(Admitted::new(record.into())));
    edge.keys.borrow_mut().put(name, admitted.clone(), now_ms, edge.config.key_cache_ms);
    admitted.ok_or_else(unknown_key)
}

/// # Errors
/// 401: there is no bearer key, or it is malformed.
fn read_key(authorization: Option<&str>) -> Result<Key, Problem> {
    let missing = || Problem::new(ProblemKind::MissingKey, "send it as: Authorization: Bearer <key>");
    let (scheme, key) = authorization.ok_or_else(missing)?.trim().split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    Key::parse(key.trim()).map_err(|_| {
        Problem::new(ProblemKind::InvalidKey, "it is not a key of Perigee; one starts with pgk_")
    })
}

fn unknown_key() -> Problem {
    Problem::new(ProblemKind::InvalidKey, "nobody holds this key")
}

async fn look_up(visit: &Visit, name: &str) -> Result<Option<KeyRecord>, Problem> {
    let unavailable = |cause: String| {
        worker::console_error!("{}: looking up a key failed: {cause}", visit.trace.request_id);
        Problem::new(ProblemKind::NotReady, "keys can't be looked up at the moment")
    };
    let keys = visit.env.kv(KEYS).map_err(|e| unavailable(e.to_string()))?;
    let text = keys.get(name).text().await.map_err(|e| unavailable(e.to_string()))?;
    let Some(text) = text else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| {
        worker::console_error!("{}: the record {name} can't be read: {e}", visit.trace.request_id);
        Problem::new(ProblemKind::Internal, "this key's record can't be read")
    })
}

/// The keys that an isolate remembers, each for a bounded time.
pub(crate) struct KeyMemory {
    known: Cache<String, Remembered<Rc<Admitted>>>,
    unknown: Cache<String, Remembered<()>>,
}

#[derive(Debug, Clone)]
struct Remembered<T> {
    what: T,
    until_ms: u64,
}

impl KeyMemory {
    pub(crate) fn new() -> Self {
        Self { known: Cache::new(KNOWN_MAX), unknown: Cache::new(UNKNOWN_MAX) }
    }

    /// `None`: ask; `Some(None)`: there is no such key.
    fn get(&self, name: &str, now_ms: u64) -> Option<Option<Rc<Admitted>>> {
        if let Some(known) = self.known.get(name).filter(|known| now_ms < known.until_ms) {
            return Some(Some(Rc::clone(&known.what)));
        }
        self.unknown.get(name).filter(|unknown| now_ms < unknown.until_ms).map(|_| None)
    }

    fn put(&mut self, name: String, admitted: Option<Rc<Admitted>>, now_ms: u64, ttl_ms: u64) {
        match admitted {
            Some(what) => self.known.insert(name, Remembered { what, until_ms: now_ms + ttl_ms }),
            None => {
                self.known.remove(&name);
                let until_ms = now_ms + ttl_ms.min(UNKNOWN_MS_MAX);
                self.unknown.insert(name, Remembered { what: (), until_ms });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(scopes: &str, corpora: &str) -> Rc<Admitted> {
        let record = format!(r#"{{"tenant":"acme","corpora":{corpora},"scopes":{scopes}}}"#);
        Rc::new(Admitted::new(serde_json::from_str::<KeyRecord>(&record).unwrap().into()))
    }

    #[test]
    fn a_header_without_a_key_is_told_from_one_with_a_bad_key() {
        for missing in [None, Some(""), Some("Bearer"), Some("Basic dTpw"), Some("pgk_00")] {
            assert_eq!(read_key(missing).unwrap_err().kind, ProblemKind::MissingKey, "{missing:?}");
        }
        for bad in ["Bearer sk-123", "bearer pgk_", "Bearer pgk_00 extra"] {
            assert_eq!(read_key(Some(bad)).unwrap_err().kind, ProblemKind::InvalidKey, "{bad:?}");
        }
        let key = Key::from_random([1; 24]);
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
    fn a_revoked_key_is_refused_within_its_cache_time() {
        let mut memory = KeyMemory::new();
        memory.put("key:a".to_owned(), Some(admitted("[]", "[]")), 1_000, 30_000);
        assert!(matches!(memory.get("key:a", 30_999), Some(Some(_))));
        assert!(memory.get("key:a", 31_000).is_none());
        memory.put("key:a".to_owned(), None, 31_000, 30_000);
        assert!(matches!(memory.get("key:a", 31_001), Some(None)));
        assert!(memory.get("key:a", 36_000).is_none(), "a new key works within seconds");
    }
}
