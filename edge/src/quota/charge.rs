//! One request's draw on its tenant's quota: reserved before it runs, settled when it has ended.

use std::rc::Rc;
use std::time::Duration;

use perigee_shared::admission::{Draw, Field, Measure, Outcome, Reason, Refusal, Ticket, Who, fields};
use perigee_shared::header::QUOTA;
use perigee_shared::problem::{Problem, ProblemKind};
use worker::Delay;

use super::holding::Holding;
use super::keeper::keep_up;
use crate::admit::{Admitted, revoked_key};
use crate::visit::{Visit, now_ms};
use crate::{Edge, RANDOM};

/// How long a request waits for quota, and how often one looks that waits for another one's question.
const PATIENCE_MS: u64 = 4_000;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a request has reserved. Dropped, it gives everything back: what was refused or broke costs nothing.
pub(crate) struct Charge(Option<Drawn>);

struct Drawn {
    holding: Rc<Holding>,
    who: Who,
    ticket: Ticket,
    tokens_max: u64,
}

impl Charge {
    /// Says in the response where the caller stands, as long as this is not settled with it reserved.
    pub(crate) fn tell(&self, visit: &Visit) {
        if let Some(Drawn { holding, who, .. }) = &self.0 {
            tell_standing(visit, holding, who, None);
        }
    }

    /// It was answered here.
    pub(crate) fn hit(mut self) {
        self.settle(Outcome::Hit);
    }

    /// It was answered from cache; says in the response where the caller stands afterwards.
    pub(crate) fn hit_and_tell(mut self, visit: &Visit) {
        if let Some((holding, who)) = self.settle(Outcome::Hit) {
            tell_standing(visit, &holding, &who, None);
        }
    }

    /// It was answered by an origin and took so many tokens.
    pub(crate) fn miss(mut self, tokens: u64) {
        self.settle(Outcome::Miss { tokens });
    }

    /// It ran, and nobody can say how many tokens it took: all that were reserved count as used.
    pub(crate) fn reserved(mut self) {
        let tokens = self.0.as_ref().map_or(0, |drawn| drawn.tokens_max);
        self.settle(Outcome::Miss { tokens });
    }

    fn settle(&mut self, outcome: Outcome) -> Option<(Rc<Holding>, Who)> {
        let Drawn { holding, who, ticket, tokens_max: _ } = self.0.take()?;
        {
            let mut purse = holding.purse.borrow_mut();
            let actual = purse.limits().actual(outcome);
            purse.settle(now_ms(), ticket, actual);
        }
        Some((holding, who))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.settle(Outcome::Nothing);
    }
}

/// What this isolate holds of the quota of a key's tenant.
pub(crate) fn holding_of(edge: &Edge, admitted: &Admitted) -> Rc<Holding> {
    let random = RANDOM.with(Rc::clone);
    let tenant = &admitted.caller.tenant;
    edge.holdings.borrow_mut().of(tenant, admitted.tier.as_ref(), &edge.config, &random)
}

/// Reserves what a request may cost at most.
///
/// # Errors
/// 401 revoked key; 400 more tokens than the limit ever allows; 402 budget; 429 limit; 503 limits can't be checked.
pub(crate) async fn charge(
    edge: &Rc<Edge>,
    visit: &Visit,
    admitted: &Admitted,
    tokens_max: u64,
) -> Result<Charge, Problem> {
    if !edge.config.quotas {
        return Ok(Charge(None));
    }
    let holding = holding_of(edge, admitted);
    let who = Who { key: admitted.subject, user: admitted.user, network: visit.network(&edge.config)? };
    let give_up_ms = now_ms() + PATIENCE_MS;
    let mut waited = false;
    loop {
        let now_ms = now_ms();
        let draw = {
            let mut purse = holding.purse.borrow_mut();
            let cost = purse.limits().cost(tokens_max);
            if waited { purse.draw_again(now_ms, &who, cost) } else { purse.draw(now_ms, &who, cost) }
        };
        match draw {
            Draw::Admitted(ticket) => {
                let by_allowance = ticket.by_allowance;
                let charge = Charge(Some(Drawn { holding: Rc::clone(&holding), who, ticket, tokens_max }));
                if holding.is_revoked(&admitted.hash) {
                    return Err(revoked_key());
                }
                keep_up(edge, visit, &holding, now_ms);
                if by_allowance && !visit.has_told(QUOTA) {
                    visit.will_tell(QUOTA, "allowance; ledger=unreachable");
                }
                return Ok(charge);
            }
            Draw::Refused(refusal) => {
                keep_up(edge, visit, &holding, now_ms);
                return Err(refused(visit, &holding, &who, refusal));
            }
            Draw::Wait if now_ms >= give_up_ms => {
                let refusal = Refusal { reason: Reason::Unreachable, retry_after_ms: Some(1_000) };
                return Err(refused(visit, &holding, &who, refusal));
            }
            Draw::Wait => {
                waited = true;
                wait(edge, visit, &holding, now_ms).await?;
            }
        }
    }
}

/// Asks the ledger; or, where another request does that already, waits a moment. Nobody may wait for what another request
/// waits for: on this platform each has its own input and output.
async fn wait(edge: &Rc<Edge>, visit: &Visit, holding: &Rc<Holding>, now_ms: u64) -> Result<(), Problem> {
    let Some(ask) = holding.next_ask(now_ms) else {
        Delay::from(LOOK_EVERY).await;
        return Ok(());
    };
    let (edge, holding, env) = (Rc::clone(edge), Rc::clone(holding), visit.env.clone());
    // To its end: others wait for it, even if this client leaves.
    visit
        .to_its_end(async move {
            holding.send(&env, &edge.config, ask).await;
            Ok(())
        })
        .await
}

fn refused(visit: &Visit, holding: &Holding, who: &Who, refusal: Refusal) -> Problem {
    let kind = match (refusal.reason, refusal.retry_after_ms) {
        (Reason::Limit(..), None) => ProblemKind::InvalidRequest,
        (Reason::Limit(_, Measure::Spend), Some(_)) => ProblemKind::BudgetSpent,
        (Reason::Limit(..) | Reason::CoolingOff, _) => ProblemKind::RateLimited,
        (Reason::Unreachable, _) => {
            visit.will_tell(QUOTA, "closed; ledger=unreachable");
            ProblemKind::QuotaUnknown
        }
    };
    tell_standing(visit, holding, who, Some(&refusal));
    Problem::new(kind, refusal.to_string())
}

/// What every response to this request says about its caller's limits.
fn tell_standing(visit: &Visit, holding: &Holding, who: &Who, refusal: Option<&Refusal>) {
    for Field { name, value } in fields(&[], refusal) {
        visit.will_tell(name, value);
    }
    visit.will_tell_limits(holding.standing(now_ms(), who));
}
