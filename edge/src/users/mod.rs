//! For which of a tenant's users a request is: the token in `Perigee-User`, and what it makes of the key's caller.
//!
//! A token is believed when the tenant's settings name its issuer, one of the keys that the issuer publishes has signed it,
//! and it is meant for us and for now. What one must look like, and when keys are fetched, is `shared`'s to say; this
//! fetches, verifies with the platform's cryptography, and remembers. All that is remembered is bounded and keyed with its
//! tenant. A token goes no further than this room: no log, no origin, no refusal repeats it.

mod issuer;
mod terms;
mod verdict;
mod verify;

use std::cell::RefCell;
use std::rc::Rc;

use perigee_shared::caller::Scope;
use perigee_shared::header::USER;
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::token::{BadToken, TOKEN_BYTES_MAX, Token, User, UserTokens};

use self::issuer::{Issuer, Issuers, key_for};
use self::verdict::{TokenName, Verdicts};
use self::verify::is_signed;
use crate::Edge;
use crate::admit::Admitted;
use crate::visit::{Visit, now_ms};

pub(crate) use self::terms::Heard;

/// What an isolate remembers of users.
pub(crate) struct Users {
    issuers: RefCell<Issuers>,
    verdicts: RefCell<Verdicts>,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self { issuers: RefCell::new(Issuers::new()), verdicts: RefCell::new(Verdicts::new()) }
    }
}

/// The caller that a key is for the user whose token came with it; without a token, the key's own.
///
/// # Errors
/// 400 the tenant takes no tokens; 401 the token is not believed; 503 what it would be checked against can't be had; and
/// what [`charge`](crate::quota::charge) refuses, where the tenant's settings have to be waited for.
pub(crate) async fn on_behalf(
    edge: &Rc<Edge>,
    visit: &Visit,
    holder: Rc<Admitted>,
) -> Result<Rc<Admitted>, Problem> {
    let Some(token) = visit.header(USER) else { return Ok(holder) };
    let terms = terms::of(edge, visit, &holder).await?;
    let accepted = terms.accepted.as_ref().ok_or_else(|| {
        let detail = "the tenant's settings name no issuer of users' tokens: send no Perigee-User";
        Problem::new(ProblemKind::InvalidRequest, detail)
    })?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(refused(BadToken::TooLong));
    }
    let name = TokenName::of(&holder, &terms, &token);
    let known = edge.users.verdicts.borrow_mut().get(&name, &holder, now_ms());
    if let Some(known) = known {
        return known.map_err(refused);
    }
    match verify(edge, visit, &holder, accepted, &token).await? {
        Ok(user) => Ok(edge.users.verdicts.borrow_mut().keep_good(name, user, holder, now_ms())),
        Err(bad) => {
            edge.users.verdicts.borrow_mut().keep_bad(name, bad, now_ms());
            Err(refused(bad))
        }
    }
}

/// The inner result is about the token; the outer one is 503: nobody can say.
async fn verify(
    edge: &Rc<Edge>,
    visit: &Visit,
    holder: &Admitted,
    accepted: &UserTokens,
    token: &str,
) -> Result<Result<User, BadToken>, Problem> {
    // Claims first, although nobody has signed them yet: what would be refused anyway makes us fetch nothing.
    let read = Token::parse(token)
        .and_then(|token| token.user(accepted, now_ms() / 1_000).map(|user| (token, user)));
    let (token, user) = match read {
        Ok(read) => read,
        Err(bad) => return Ok(Err(bad)),
    };
    let issuer = Issuer { tenant: holder.caller.tenant.clone(), jwks_url: accepted.jwks_url.clone() };
    let Some(key) = key_for(edge, visit, &issuer, &token).await? else {
        return Ok(Err(BadToken::UnknownKey));
    };
    Ok(match is_signed(&key, &token).await {
        Ok(true) => Ok(user),
        Ok(false) => Err(BadToken::Signature),
        Err(cause) => {
            let (request, tenant) = (&visit.trace.request_id, &issuer.tenant);
            worker::console_warn!(
                "{request}: a key of the issuer of {tenant}'s users is of no use: {cause:?}"
            );
            Err(BadToken::UnknownKey)
        }
    })
}

fn refused(bad: BadToken) -> Problem {
    Problem::new(ProblemKind::InvalidUserToken, bad.to_string())
}

/// Checks whether a key may do this for nobody in particular. Ask after the charge: then the settings are at hand.
///
/// # Errors
/// 401 the tenant's settings want a user; 503 the settings can't be had.
pub(crate) async fn check_user(
    edge: &Rc<Edge>,
    visit: &Visit,
    admitted: &Admitted,
    scope: Scope,
) -> Result<(), Problem> {
    let shows_documents = match scope {
        Scope::Ask | Scope::Search | Scope::Read => true,
        Scope::Write | Scope::Admin => false,
    };
    if admitted.user.is_some() || !shows_documents {
        return Ok(());
    }
    let terms = terms::of(edge, visit, admitted).await?;
    if terms.accepted.as_ref().is_some_and(|accepted| accepted.required) {
        let detail = "the tenant's settings want one: send it as Perigee-User: <JWT>";
        return Err(Problem::new(ProblemKind::MissingUserToken, detail));
    }
    Ok(())
}
