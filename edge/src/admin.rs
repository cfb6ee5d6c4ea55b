//! `/v1/admin/`: a tenant's keys, settings, audit trail and usage. The operator may do everything with the admin secret; a key
//! with the scope `admin` manages the keys of its own tenant.
//!
//! The digits of a new key are made here and shown once; the ledger gets their hash.

use std::rc::Rc;

use perigee_shared::admin::{
    AuditPage, CreateKey, KeyList, KeySummary, OVERLAP_S_MAX, RotateKey, ShownKey, TenantSettings,
};
use perigee_shared::admission::{Gcra, Rate};
use perigee_shared::caller::Scope;
use perigee_shared::id::{KeyId, TenantId};
use perigee_shared::key::{Key, KeyKind, is_same_secret};
use perigee_shared::limits::{PAGE_DEFAULT, PAGE_MAX, QUESTION_BODY_BYTES_MAX};
use perigee_shared::problem::{Problem, ProblemKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use web_sys::Response;

use crate::Edge;
use crate::admit::{admit, read_bearer};
use crate::body::Body;
use crate::error::{platform, unreadable};
use crate::ledger::protocol::{By, Command, Digits};
use crate::ledger::{Unreachable, call};
use crate::quota::{check_key, report};
use crate::respond::{Content, Head, JSON_TYPE};
use crate::route::{AdminRoute, Method, query_value};
use crate::visit::Visit;

/// How long the ledger may take to make a change and to publish it.
const ANSWER_MS_MAX: u64 = 10_000;

/// What a tenant's own keys may do to its keys in a minute, at each isolate.
const MANAGED_A_MINUTE: u64 = 120;

/// The paces of the tenants that were managed lately.
pub(crate) type Paces = quick_cache::unsync::Cache<TenantId, Gcra>;

pub(crate) const PACES_MAX: usize = 1_024;

/// Who manages.
enum Manager {
    Operator,
    Key(String),
}

/// Manages a tenant.
///
/// # Errors
/// 400 request; 401 secret or key; 403 scope, another tenant, or the operator's alone; 404 key; 409 too many keys;
/// 503 the ledger can't be reached.
pub(crate) async fn manage(
    edge: &Rc<Edge>,
    visit: &Rc<Visit>,
    tenant: &TenantId,
    route: &AdminRoute,
    method: Method,
) -> Result<Response, Problem> {
    let manager = authenticate(edge, visit, tenant).await?;
    let by = By { actor: manager.name(), request_id: visit.trace.request_id.clone() };
    let ask = |command| ask(visit, tenant, command);
    match (route, method) {
        (AdminRoute::Settings, Method::Put) => {
            manager.check_operator()?;
            let settings: Box<TenantSettings> = read(edge, visit).await?;
            send(
                visit,
                200,
                &ask(Command::SetSettings { settings, by }).await.and_then(typed::<TenantSettings>)?,
            )
        }
        (AdminRoute::Settings, _) => {
            send(visit, 200, &ask(Command::Settings).await.and_then(typed::<TenantSettings>)?)
        }
        (AdminRoute::Keys, Method::Post) => {
            let made_as: CreateKey = read(edge, visit).await?;
            if made_as.tier.is_some() {
                manager.check_operator()?;
            }
            create_key(edge, visit, tenant, made_as, by).await
        }
        (AdminRoute::Keys, _) => send(visit, 200, &ask(Command::Keys).await.and_then(typed::<KeyList>)?),
        (AdminRoute::Key(id), Method::Delete) => {
            let command = Command::RevokeKey { id: id.clone(), by };
            send(visit, 200, &ask(command).await.and_then(typed::<KeySummary>)?)
        }
        (AdminRoute::Key(id), _) => {
            send(visit, 200, &ask(Command::Key { id: id.clone() }).await.and_then(typed::<KeySummary>)?)
        }
        (AdminRoute::Rotate(id), _) => rotate_key(edge, visit, tenant, id, by).await,
        (AdminRoute::Audit, _) => {
            let command = Command::Audit { after: number(visit, "after", 0)?, limit: page(visit)? };
            send(visit, 200, &ask(command).await.and_then(typed::<AuditPage>)?)
        }
        (AdminRoute::Usage, _) => send(visit, 200, &report(visit, tenant).await?),
    }
}

impl Manager {
    fn name(&self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Key(id) => id.clone(),
        }
    }

    /// # Errors
    /// 403 for everybody else.
    fn check_operator(&self) -> Result<(), Problem> {
        match self {
            Self::Operator => Ok(()),
            Self::Key(_) => Err(Problem::new(ProblemKind::MissingScope, "only the operator changes limits")),
        }
    }
}

/// # Errors
/// 401 neither the admin secret nor a key; 403 a key without the scope, or of another tenant.
async fn authenticate(edge: &Rc<Edge>, visit: &Visit, tenant: &TenantId) -> Result<Manager, Problem> {
    let authorization = visit.header("authorization");
    let given = read_bearer(authorization.as_deref())?;
    if !KeyKind::ALL.iter().any(|kind| given.starts_with(kind.prefix())) {
        let known = edge.config.admin_secret.as_ref();
        let same = known.is_some_and(|known| is_same_secret(given.as_bytes(), known.as_bytes()));
        let wrong = || Problem::new(ProblemKind::InvalidKey, "it is neither the admin secret nor a key");
        return if same { Ok(Manager::Operator) } else { Err(wrong()) };
    }
    let admitted = admit(edge, visit).await?;
    admitted.check(Scope::Admin, None)?;
    if admitted.caller.tenant != *tenant {
        return Err(Problem::new(ProblemKind::MissingScope, "the key manages another tenant"));
    }
    // Whoever has spent everything can still revoke the key that did it; and none floods the ledger.
    check_key(edge, visit, &admitted).await?;
    check_pace(edge, visit, tenant)?;
    Ok(Manager::Key(admitted.name()))
}

/// # Errors
/// 429 when a tenant's keys manage faster than anybody has to.
fn check_pace(edge: &Edge, visit: &Visit, tenant: &TenantId) -> Result<(), Problem> {
    let Ok(rate) = Rate::new(MANAGED_A_MINUTE, 60_000, MANAGED_A_MINUTE) else { return Ok(()) };
    let mut paces = edge.managed.borrow_mut();
    let mut pace = paces.get(tenant).copied().unwrap_or_default();
    let admitted = pace.draw(rate, visit.started_ms, 1);
    let wait_ms = pace.wait_ms(rate, visit.started_ms, 1).unwrap_or(0);
    paces.insert(tenant.clone(), pace);
    if admitted {
        return Ok(());
    }
    let detail = format!("at most {MANAGED_A_MINUTE} requests a minute manage a tenant here");
    let wait_s = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
    Err(Problem::new(ProblemKind::RateLimited, detail).with_retry_after_s(wait_s.max(1)))
}

async fn create_key(
    edge: &Edge,
    visit: &Visit,
    tenant: &TenantId,
    made_as: CreateKey,
    by: By,
) -> Result<Response, Problem> {
    let (key, digits) = new_digits(edge, made_as.kind)?;
    let id = KeyId::from_random(random()?);
    let command = Command::CreateKey { id, made_as, digits, by };
    let summary = ask(visit, tenant, command).await.and_then(typed::<KeySummary>)?;
    show(visit, 201, &key, summary)
}

async fn rotate_key(
    edge: &Rc<Edge>,
    visit: &Rc<Visit>,
    tenant: &TenantId,
    id: &KeyId,
    by: By,
) -> Result<Response, Problem> {
    let RotateKey { overlap_s } = read(edge, visit).await?;
    if overlap_s > OVERLAP_S_MAX {
        let detail = format!("overlap_s is at most {OVERLAP_S_MAX}");
        return Err(Problem::new(ProblemKind::InvalidRequest, detail));
    }
    let found = ask(visit, tenant, Command::Key { id: id.clone() }).await.and_then(typed::<KeySummary>)?;
    let (key, digits) = new_digits(edge, found.made_as.kind)?;
    let command = Command::RotateKey { id: id.clone(), digits, overlap_s, by };
    let summary = ask(visit, tenant, command).await.and_then(typed::<KeySummary>)?;
    show(visit, 200, &key, summary)
}

fn new_digits(edge: &Edge, kind: KeyKind) -> Result<(Key, Digits), Problem> {
    let key = Key::from_random(kind, random()?);
    let digits = Digits { hash: edge.config.key_secret.hash(&key), begins: key.shown().to_owned() };
    Ok((key, digits))
}

/// # Errors
/// The platform gives no randomness: no key is better than one that can be guessed.
fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|_| Problem::new(ProblemKind::Internal, "the platform gives no randomness"))?;
    Ok(bytes)
}

/// The ledger's answer, still as it came.
async fn ask(visit: &Visit, tenant: &TenantId, command: Command) -> Result<serde_json::Value, Problem> {
    call(&visit.env, tenant, command, ANSWER_MS_MAX).await.unwrap_or_else(|Unreachable| {
        let detail =
            "the tenant's ledger did not answer; look whether the change was made before you repeat it";
        Err(Problem::new(ProblemKind::QuotaUnknown, detail))
    })
}

fn typed<T: DeserializeOwned>(answer: serde_json::Value) -> Result<T, Problem> {
    serde_json::from_value(answer)
        .map_err(|_| Problem::new(ProblemKind::Internal, "the tenant's ledger is of another release"))
}

/// # Errors
/// 400 body, 413 body. An empty body is an empty object.
async fn read<T: DeserializeOwned>(edge: &Rc<Edge>, visit: &Rc<Visit>) -> Result<T, Problem> {
    let body = Body::read(edge, visit, QUESTION_BODY_BYTES_MAX).await?.to_vec();
    let body = if body.is_empty() { b"{}".as_slice() } else { &body };
    serde_json::from_slice(body).map_err(|e| unreadable(&e))
}

/// # Errors
/// 400 when it is no number.
fn number(visit: &Visit, name: &'static str, default: u64) -> Result<u64, Problem> {
    let Some(text) = query_value(&visit.query, name) else { return Ok(default) };
    text.parse().map_err(|_| Problem::new(ProblemKind::InvalidRequest, format!("{name} must be a number")))
}

/// # Errors
/// 400 when it is no number of entries.
fn page(visit: &Visit) -> Result<usize, Problem> {
    let limit = usize::try_from(number(visit, "limit", PAGE_DEFAULT as u64)?).unwrap_or(usize::MAX);
    let in_range = (1..=PAGE_MAX).contains(&limit);
    let invalid = || Problem::new(ProblemKind::InvalidRequest, format!("limit must be 1 to {PAGE_MAX}"));
    in_range.then_some(limit).ok_or_else(invalid)
}

fn show(visit: &Visit, status: u16, key: &Key, summary: KeySummary) -> Result<Response, Problem> {
    send(visit, status, &ShownKey { key: key.reveal().to_owned(), summary })
}

fn send(visit: &Visit, status: u16, answer: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_string(answer).unwrap_or_default();
    let content = if visit.method == Some(Method::Head) { Content::Nothing } else { Content::Text(&body) };
    Head::new(status)
        .with("content-type", JSON_TYPE)
        .with("cache-control", "no-store")
        .signed_off(visit, None, 0)
        .respond(content)
        .map_err(|cause| platform("an answer can't be sent", &cause))
}
