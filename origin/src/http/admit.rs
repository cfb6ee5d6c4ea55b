//! Who may be served: requests signed by an edge, and the operator. Everybody else is told 401 and no more.
//!
//! The head alone decides. Who is not let in takes no place, and of their body nothing is kept.

use std::marker::PhantomData;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use perigee_shared::caller::{Audience, Caller, CorpusScope, Scope};
use perigee_shared::header::{AUDIENCE, BODY_SHA256, CALLER, SIGNATURE, TENANT};
use perigee_shared::id::{ContentHash, Label, TenantId};
use perigee_shared::limits::LABELS_MAX;
use perigee_shared::problem::ProblemKind;
use perigee_shared::signature::{self, InvalidSignature, Signed};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Refused;
use super::{App, body};
use crate::config::Secret;

/// The tenant of an operator who names none.
const DEFAULT_TENANT: &str = "default";

/// The secrets that open this server.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub edge_secrets: Vec<Secret>,
    pub operator_token: Option<Secret>,
}

/// Who sends a request's body, as its head proves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sender {
    Operator,
    /// An edge, which signed that the body has this hash.
    Edge(ContentHash),
}

/// Lets a request through with its caller and its [`Sender`] beside it.
pub(super) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (caller, sender) = match authenticate(app.credentials(), &request) {
        Ok(admitted) => admitted,
        Err(refused) => {
            let (head, body) = request.into_parts();
            body::let_finish(&head.headers, body.into_data_stream()).await;
            return refused.into_response();
        }
    };
    let tenant = caller.tenant.clone();
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(sender);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(tenant);
    response
}

fn authenticate(credentials: &Credentials, request: &Request) -> Result<(Caller, Sender), Refused> {
    if request.headers().contains_key(SIGNATURE) {
        signed_caller(credentials, request, unix_now_s())
    } else {
        Ok((operator(credentials, request.headers())?, Sender::Operator))
    }
}

fn operator(credentials: &Credentials, headers: &HeaderMap) -> Result<Caller, Refused> {
    let given = header(headers, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let (Some(given), Some(token)) = (given, &credentials.operator_token) else { return Err(unsigned()) };
    // Hashes have one length, so that not even the token's length shows in the time that this takes.
    let same = Sha256::digest(given.as_bytes()).ct_eq(&Sha256::digest(token.expose().as_bytes()));
    if !bool::from(same) {
        return Err(unsigned());
    }
    let tenant = header(headers, TENANT).unwrap_or(DEFAULT_TENANT);
    let tenant = TenantId::new(tenant).map_err(|error| invalid(TENANT, &error))?;
    Ok(Caller { tenant, corpora: CorpusScope::All, audience: audience(headers)?, scopes: Scope::ALL.into() })
}

fn audience(headers: &HeaderMap) -> Result<Audience, Refused> {
    let Some(value) = headers.get(AUDIENCE) else { return Ok(Audience::Everything) };
    let text = value.to_str().map_err(|error| invalid(AUDIENCE, &error))?;
    let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty()).take(LABELS_MAX);
    let labels: Result<_, _> = labels.map(Label::new).collect();
    labels.map(Audience::Labels).map_err(|error| invalid(AUDIENCE, &error))
}

fn signed_caller(
    credentials: &Credentials,
    request: &Request,
    now_s: u64,
) -> Result<(Caller, Sender), Refused> {
    let signature = header(request.headers(), SIGNATURE).unwrap_or_default();
    let malformed = || unsigned().because(InvalidSignature::Malformed);
    let caller = header(request.headers(), CALLER).ok_or_else(malformed)?;
    let body = header(request.headers(), BODY_SHA256).ok_or_else(malformed)?;
    let body = ContentHash::try_from(body.to_owned()).map_err(|_| malformed())?;
    let path_and_query = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let method = request.method().as_str();
    let signed = Signed { method, path_and_query, body_sha256: body.as_bytes(), caller };
    signature::verify(&credentials.edge_secrets, signed, signature, now_s)
        .map_err(|error| unsigned().because(error))?;
    // Signed and yet unreadable: an edge of another version.
    let caller = serde_json::from_str(caller).map_err(|error| unsigned().because(error))?;
    Ok((caller, Sender::Edge(body)))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn unsigned() -> Refused {
    Refused::new(ProblemKind::Unsigned, "the signature or token is missing, wrong or out of its time")
}

fn invalid(name: &str, error: &dyn std::fmt::Display) -> Refused {
    Refused::new(ProblemKind::InvalidRequest, format!("{name}: {error}"))
}

fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a route demands of its caller.
pub trait Demand: Send {
    /// Any one of these will do.
    const SCOPES: &'static [Scope];
}

macro_rules! demands {
    ($($(#[$doc:meta])* $name:ident: $scopes:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;
        impl Demand for $name {
            const SCOPES: &'static [Scope] = &$scopes;
        }
    )*};
}

demands! {
    Ask: [Scope::Ask];
    Search: [Scope::Search];
    Read: [Scope::Read];
    Write: [Scope::Write];
    /// Whoever may do anything may know how new it is.
    Anything: Scope::ALL;
}

/// A caller who holds the scope that the route demands. A handler gets at its caller in no other way.
#[derive(Debug)]
pub struct Admitted<D: Demand> {
    pub caller: Caller,
    demand: PhantomData<D>,
}

impl<S: Sync, D: Demand> FromRequestParts<S> for Admitted<D> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(unsigned)?;
        if !D::SCOPES.iter().any(|scope| caller.may(*scope)) {
            let wanted = D::SCOPES.first().map_or("", |scope| scope.name());
            return Err(Refused::new(ProblemKind::MissingScope, format!("this needs the scope `{wanted}`")));
        }
        Ok(Self { caller, demand: PhantomData })
    }
}
