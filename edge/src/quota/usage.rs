//! `GET /v1/usage`: what a tenant has used and what is left, as its ledger knows it.

use std::rc::Rc;

use perigee_shared::admin::UsageReport;
use perigee_shared::id::TenantId;
use perigee_shared::problem::{Problem, ProblemKind};
use web_sys::Response;

use super::charge::charge;
use crate::Edge;
use crate::admit::admit;
use crate::error::platform;
use crate::ledger::protocol::Command;
use crate::ledger::{Unreachable, call};
use crate::respond::{Head, JSON_TYPE};
use crate::visit::{Visit, now_ms};

/// How long the ledger may take.
const ANSWER_MS_MAX: u64 = 3_000;

/// How long a report is shown again to the same key's tenant: asking here must not flood the ledger.
const FRESH_MS: u64 = 1_000;

/// Tells a key's tenant. Who has used up a limit may still see that they have.
///
/// # Errors
/// 401 key; 403 publishable key; 503 the ledger can't be reached.
pub(crate) async fn show_usage(edge: &Rc<Edge>, visit: &Visit) -> Result<Response, Problem> {
    let admitted = admit(edge, visit).await?;
    if admitted.is_publishable() {
        let detail = "a publishable key, which everybody can read, tells nothing of its tenant";
        return Err(Problem::new(ProblemKind::MissingScope, detail));
    }
    match charge(edge, visit, &admitted, 0).await {
        Ok(charge) => charge.hit_and_tell(visit),
        Err(refused) if matches!(refused.kind, ProblemKind::BudgetSpent | ProblemKind::RateLimited) => {
            visit.forget_retry();
        }
        Err(refused) => return Err(refused),
    }
    let tenant = &admitted.caller.tenant;
    let remembered =
        edge.usage.borrow().get(tenant).filter(|(at_ms, _)| now_ms() < at_ms + FRESH_MS).cloned();
    let body = match remembered {
        Some((_, body)) => body,
        None => {
            let body: Rc<str> =
                serde_json::to_string(&report(visit, tenant).await?).unwrap_or_default().into();
            edge.usage.borrow_mut().insert(tenant.clone(), (now_ms(), Rc::clone(&body)));
            body
        }
    };
    Head::new(200)
        .with("content-type", JSON_TYPE)
        .with("cache-control", "no-store")
        .signed_off(visit, None, 0)
        .respond(visit.content(&body))
        .map_err(|cause| platform("the usage can't be sent", &cause))
}

/// # Errors
/// 503 the ledger can't be reached.
pub(crate) async fn report(visit: &Visit, tenant: &TenantId) -> Result<UsageReport, Problem> {
    call(&visit.env, tenant, Command::Usage, ANSWER_MS_MAX).await.unwrap_or_else(|Unreachable| {
        Err(Problem::new(ProblemKind::QuotaUnknown, "the tenant's ledger can't be reached at the moment"))
    })
}

/// The reports of the last second.
pub(crate) type Reports = quick_cache::unsync::Cache<TenantId, (u64, Rc<str>)>;

pub(crate) const REPORTS_MAX: usize = 256;
