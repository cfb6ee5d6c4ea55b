//! Looks after a lease while no request does: renews it for those that run long, and gives back what lies idle.

use std::rc::Rc;
use std::time::Duration;

use worker::Delay;

use super::holding::Holding;
use crate::Edge;
use crate::visit::{Visit, now_ms};

/// The platform ends what a request left behind after half a minute; the next request begins anew.
const SHIFT_MS: u64 = 25_000;

/// How often a keeper looks whether a call of somebody else has ended.
const LOOK_MS: u64 = 500;

/// Asks the ledger in the background if something is due, and sees to it that somebody does later.
pub(super) fn keep_up(edge: &Rc<Edge>, visit: &Visit, holding: &Rc<Holding>, now_ms: u64) {
    if let Some(ask) = holding.next_ask(now_ms) {
        let (edge, holding, env) = (Rc::clone(edge), Rc::clone(holding), visit.env.clone());
        visit.context.wait_until(async move { holding.send(&env, &edge.config, ask).await });
    }
    let is_kept = holding.kept_since_ms.get().is_some_and(|since_ms| now_ms.abs_diff(since_ms) < SHIFT_MS);
    if !is_kept {
        holding.kept_since_ms.set(Some(now_ms));
        let (edge, holding, env) = (Rc::clone(edge), Rc::clone(holding), visit.env.clone());
        visit.context.wait_until(async move {
            keep(&edge, &env, &holding, now_ms + SHIFT_MS).await;
            // Unless another one has taken over.
            if holding.kept_since_ms.get() == Some(now_ms) {
                holding.kept_since_ms.set(None);
            }
        });
    }
}

async fn keep(edge: &Edge, env: &worker::Env, holding: &Holding, until_ms: u64) {
    loop {
        let now_ms = now_ms();
        let wake_ms = match holding.purse.borrow().wake_ms() {
            Some(wake_ms) => wake_ms,
            None if holding.is_calling() => now_ms + LOOK_MS,
            None => return,
        };
        if wake_ms >= until_ms {
            return;
        }
        Delay::from(Duration::from_millis(wake_ms.saturating_sub(now_ms).max(1))).await;
        if let Some(ask) = holding.next_ask(crate::visit::now_ms()) {
            holding.send(env, &edge.config, ask).await;
        }
    }
}
