//! What this isolate holds of each tenant's quota, and what it has heard from the tenant's ledger.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use perigee_shared::admin::TenantSettings;
use perigee_shared::admission::{Ask, IsolateId, Overrides, Purse, Who, fields};
use perigee_shared::id::{TenantId, TierName};
use perigee_shared::key::KeyHash;
use quick_cache::unsync::Cache;
use worker::Env;

use crate::config::Config;
use crate::ledger::protocol::{Command, Lease};
use crate::ledger::{Unreachable, call, default_settings, limits};
use crate::respond::headers_json;
use crate::trace::Random;
use crate::users::Heard;
use crate::visit::now_ms;

/// Tenants that an isolate holds quota of. What is held of one that is driven out lapses, and counts as used.
const TENANTS_MAX: usize = 1_024;

/// How long a ledger may take to answer.
const ANSWER_MS_MAX: u64 = 1_500;

/// From when on a call that has not ended is taken for lost, with the request that made it.
const LOST_MS: u64 = 2 * ANSWER_MS_MAX;

/// The tenants of whom this isolate holds something.
pub(crate) struct Holdings(Cache<TenantId, Rc<Holding>>);

/// What this isolate holds of one tenant.
pub(crate) struct Holding {
    tenant: TenantId,
    pub(super) purse: RefCell<Purse>,
    /// Whose tokens the tenant takes.
    pub(crate) users: Heard,
    revoked: RefCell<HashSet<KeyHash>>,
    /// The number of the last piece of news that was heard.
    known: Cell<u64>,
    /// Since when a call is under way.
    calling_since_ms: Cell<Option<u64>>,
    /// Where a caller stood last, as headers.
    told: RefCell<Option<Standing>>,
    /// Since when a keeper is at work.
    pub(super) kept_since_ms: Cell<Option<u64>>,
}

/// Where a caller stands at one millisecond.
struct Standing {
    at_ms: u64,
    who: Who,
    headers: Rc<str>,
}

impl Holdings {
    pub(crate) fn new() -> Self {
        Self(Cache::new(TENANTS_MAX))
    }

    /// What is held of a tenant; nothing yet for one that was not met before. `tier` is only a first guess.
    pub(crate) fn of(
        &mut self,
        tenant: &TenantId,
        tier: Option<&TierName>,
        config: &Config,
        random: &Random,
    ) -> Rc<Holding> {
        if let Some(holding) = self.0.get(tenant) {
            return Rc::clone(holding);
        }
        let settings = match tier.filter(|tier| config.tiers.get(tier.as_str()).is_some()) {
            Some(tier) => TenantSettings { tier: tier.clone(), limits: Overrides::default(), users: None },
            None => default_settings(config),
        };
        let purse = Purse::new(IsolateId::from_random(random.number()), limits(&settings, config));
        let holding = Rc::new(Holding {
            tenant: tenant.clone(),
            purse: RefCell::new(purse),
            users: Heard::default(),
            revoked: RefCell::default(),
            known: Cell::new(0),
            calling_since_ms: Cell::new(None),
            told: RefCell::default(),
            kept_since_ms: Cell::new(None),
        });
        self.0.insert(tenant.clone(), Rc::clone(&holding));
        holding
    }
}

impl Holding {
    /// Whether the ledger has said that these digits are not valid any more. What is admitted on a lease knows everything
    /// that happened before the lease was asked for.
    pub(super) fn is_revoked(&self, hash: &KeyHash) -> bool {
        let revoked = self.revoked.borrow();
        !revoked.is_empty() && revoked.contains(hash)
    }

    /// Where a caller stands, as headers. Written once for all the requests of one millisecond.
    pub(super) fn standing(&self, now_ms: u64, who: &Who) -> Rc<str> {
        let mut told = self.told.borrow_mut();
        if let Some(told) = told.as_ref().filter(|told| told.at_ms == now_ms && told.who == *who) {
            return Rc::clone(&told.headers);
        }
        let standing: Vec<_> = self.purse.borrow().standing(now_ms, who).collect();
        let fields = fields(&standing, None);
        let headers: Rc<str> =
            headers_json(fields.iter().map(|field| (field.name, field.value.as_str()))).into();
        *told = Some(Standing { at_ms: now_ms, who: *who, headers: Rc::clone(&headers) });
        headers
    }

    /// The question to put to the ledger now, if one is due and none is under way. Whoever takes it must [`Self::send`] it.
    pub(super) fn next_ask(&self, now_ms: u64) -> Option<Ask> {
        if let Some(since_ms) = self.calling_since_ms.get() {
            if now_ms.abs_diff(since_ms) < LOST_MS {
                return None;
            }
            self.purse.borrow_mut().failed(now_ms);
        }
        let ask = self.purse.borrow_mut().ask(now_ms);
        self.calling_since_ms.set(ask.is_some().then_some(now_ms));
        ask
    }

    /// Puts a question to the ledger, and takes note of the answer or of its absence.
    pub(super) async fn send(&self, env: &Env, config: &Config, ask: Ask) {
        let began_ms = self.calling_since_ms.get();
        let command = Command::Lease { ask, known: self.known.get() };
        let answered = call::<Lease>(env, &self.tenant, command, ANSWER_MS_MAX).await;
        // Unless it was taken for lost, and another one is under way.
        if self.calling_since_ms.get() != began_ms {
            return;
        }
        self.calling_since_ms.set(None);
        match answered {
            Ok(Ok(lease)) => self.learn(lease, began_ms.unwrap_or_default(), config),
            Ok(Err(_)) | Err(Unreachable) => self.purse.borrow_mut().failed(now_ms()),
        }
    }

    fn learn(&self, lease: Lease, asked_ms: u64, config: &Config) {
        let Lease { grant, known, settings, revoked } = lease;
        self.users.tell(settings.as_ref(), asked_ms);
        if let Some(settings) = settings {
            self.purse.borrow_mut().set_limits(limits(&settings, config));
        }
        self.revoked.borrow_mut().extend(revoked);
        self.known.set(known);
        self.purse.borrow_mut().receive(now_ms(), &grant);
    }

    pub(super) fn is_calling(&self) -> bool {
        self.calling_since_ms.get().is_some()
    }
}
