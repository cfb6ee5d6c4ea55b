//! What a tenant's settings say of its users, as far as this isolate has heard.
//!
//! The ledger tells it with each lease, and is believed as long as the lease is. Where there is no lease (the ledger can't be
//! reached, or nothing is counted), the settings are read where the ledger publishes them.

use std::cell::RefCell;
use std::rc::Rc;

use perigee_shared::admin::TenantSettings;
use perigee_shared::admission::LEASE_MS;
use perigee_shared::id::ContentHash;
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::token::UserTokens;

use crate::Edge;
use crate::admit::Admitted;
use crate::config::KEYS;
use crate::ledger::settings_name;
use crate::quota::{charge, holding_of};
use crate::visit::{Visit, now_ms};

/// Whose tokens a tenant takes, under a name that changes whenever the settings do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// `None`: nobody's.
    pub(super) accepted: Option<UserTokens>,
    pub(super) tag: ContentHash,
}

impl Terms {
    pub(super) fn new(accepted: Option<UserTokens>) -> Self {
        let json = serde_json::to_vec(&accepted).unwrap_or_default();
        Self { accepted, tag: ContentHash::of(&json) }
    }
}

/// What was heard of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Heard(RefCell<Sources>);

#[derive(Debug, Default)]
struct Sources {
    /// By the ledger, which says nothing again as long as nothing changes.
    told: Option<Rc<Terms>>,
    told_until_ms: u64,
    /// In the key-value store.
    read: Option<Rc<Terms>>,
    read_until_ms: u64,
}

impl Heard {
    /// A lease has come that was asked for at `asked_ms`; with settings if they are news.
    pub(crate) fn tell(&self, settings: Option<&TenantSettings>, asked_ms: u64) {
        let mut sources = self.0.borrow_mut();
        if let Some(settings) = settings {
            sources.told = Some(Rc::new(Terms::new(settings.users.clone())));
        }
        sources.told_until_ms = asked_ms + LEASE_MS;
    }

    fn read(&self, users: Option<UserTokens>, now_ms: u64) -> Rc<Terms> {
        let terms = Rc::new(Terms::new(users));
        let mut sources = self.0.borrow_mut();
        (sources.read, sources.read_until_ms) = (Some(Rc::clone(&terms)), now_ms + LEASE_MS);
        terms
    }

    /// `None`: nothing is known for sure.
    fn current(&self, now_ms: u64) -> Option<Rc<Terms>> {
        let Sources { told, told_until_ms, read, read_until_ms } = &*self.0.borrow();
        let told = told.as_ref().filter(|_| now_ms < *told_until_ms);
        told.or_else(|| read.as_ref().filter(|_| now_ms < *read_until_ms)).cloned()
    }
}

/// Whose tokens the tenant of a key takes.
///
/// # Errors
/// Where the ledger has to be waited for, what it refuses; 503 when the settings can't be had at all.
pub(super) async fn of(edge: &Rc<Edge>, visit: &Visit, admitted: &Admitted) -> Result<Rc<Terms>, Problem> {
    let holding = holding_of(edge, admitted);
    if let Some(known) = holding.users.current(now_ms()) {
        return Ok(known);
    }
    if edge.config.quotas {
        // A request without a lease waits for the ledger anyway, and the settings come with the lease. Nothing is drawn.
        drop(charge(edge, visit, admitted, 0).await?);
        if let Some(known) = holding.users.current(now_ms()) {
            return Ok(known);
        }
    }
    let settings = published(visit, admitted).await?;
    Ok(holding.users.read(settings.and_then(|settings| settings.users), now_ms()))
}

async fn published(visit: &Visit, admitted: &Admitted) -> Result<Option<TenantSettings>, Problem> {
    let tenant = &admitted.caller.tenant;
    let unavailable = |cause: String| {
        let request = &visit.trace.request_id;
        worker::console_error!("{request}: the settings of {tenant} can't be looked up: {cause}");
        Problem::new(ProblemKind::NotReady, "the tenant's settings can't be looked up at the moment")
    };
    let store = visit.env.kv(KEYS).map_err(|e| unavailable(e.to_string()))?;
    let text = store.get(&settings_name(tenant)).text().await.map_err(|e| unavailable(e.to_string()))?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| unavailable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(issuer: &str) -> UserTokens {
        let json =
            format!(r#"{{"jwks_url":"https://id.example/k","issuer":"{issuer}","audience":"perigee"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn settings(users: Option<UserTokens>) -> TenantSettings {
        TenantSettings { users, ..serde_json::from_str(r#"{"tier":"pro"}"#).unwrap() }
    }

    /// The issuer of what is known; `nobody` where that is known.
    fn issuer(known: Option<Rc<Terms>>) -> Option<String> {
        let issuer = |terms: Rc<Terms>| terms.accepted.as_ref().map(|users| users.issuer.clone());
        known.map(|terms| issuer(terms).unwrap_or_else(|| "nobody".to_owned()))
    }

    #[test]
    fn the_ledger_is_believed_as_long_as_its_lease_and_before_anybody_else() {
        let heard = Heard::default();
        assert_eq!(heard.current(0), None, "nothing is known, which is not the same as no users");
        heard.read(Some(users("old")), 0);
        assert_eq!(issuer(heard.current(1)), Some("old".to_owned()));
        heard.tell(Some(&settings(Some(users("new")))), 1_000);
        assert_eq!(issuer(heard.current(1_001)), Some("new".to_owned()));
        heard.tell(None, 10_000);
        assert_eq!(issuer(heard.current(1_000 + LEASE_MS)), Some("new".to_owned()), "as before");
        assert_eq!(heard.current(10_000 + LEASE_MS), None, "a lease that has ended says nothing");
        heard.tell(Some(&settings(None)), 60_000);
        assert_eq!(issuer(heard.current(60_001)), Some("nobody".to_owned()));
    }

    #[test]
    fn other_settings_have_another_name() {
        let tag = |users| Terms::new(Some(users)).tag;
        let (one, two) = (tag(users("a")), tag(users("b")));
        let required = tag(UserTokens { required: true, ..users("a") });
        let labelled = tag(UserTokens { labels_claim: Some("groups".to_owned()), ..users("a") });
        assert_eq!(one, tag(users("a")));
        assert!(![two, required, labelled, Terms::new(None).tag].contains(&one));
    }
}
