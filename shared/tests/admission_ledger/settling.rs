//! What requests reserve, and what they cost in the end.

use perigee_shared::admission::{
    CounterId, Dimension, Draw, IsolateId, Ledger, Measure, Outcome, Purse, Reason, Subject, TICKET_MS_MAX,
};
use proptest::prelude::*;

use crate::stage::{Pair, TENANT_REQUESTS, limits, who};

proptest! {
    /// The ticket's worth and no more comes back, however settlements and renewals fall.
    #[test]
    fn settlement_never_creates_quota(
        costs in proptest::collection::vec((0..3_000_u64, 0..6_000_u64, any::<bool>()), 1..40),
    ) {
        let limits = limits(r#"{"tenant": {"tokens": "1000/d burst 50000"}, "unreachable": "closed"}"#);
        let tokens = CounterId { measure: Measure::Tokens, ..TENANT_REQUESTS };
        let mut ledger = Ledger::new(limits.clone());
        let mut purse = Purse::new(IsolateId::from_random(1), limits.clone());
        let (mut now_ms, mut used, mut running) = (1_000, 0, Vec::new());
        for (reserved, actual, ends) in costs {
            now_ms += 600;
            for _ in 0..2 {
                match purse.draw(now_ms, &who(0), limits.cost(reserved)) {
                    Draw::Admitted(ticket) => {
                        running.push((ticket, actual));
                        break;
                    }
                    Draw::Refused(_) => break,
                    Draw::Wait => {
                        let grant = ledger.answer(now_ms, &purse.ask(now_ms).unwrap());
                        purse.receive(now_ms, &grant);
                    }
                }
            }
            if let Some(ask) = purse.ask(now_ms) {
                let grant = ledger.answer(now_ms, &ask);
                purse.receive(now_ms, &grant);
            }
            if ends && let Some((ticket, actual)) = running.pop() {
                used += actual;
                purse.settle(now_ms, ticket, limits.actual(Outcome::Miss { tokens: actual }));
            }
        }
        for (ticket, actual) in running.drain(..) {
            used += actual;
            purse.settle(now_ms, ticket, limits.actual(Outcome::Miss { tokens: actual }));
        }
        // All goes back; what the ledger then counts as spent is what was used, even beyond the reservation.
        while let Some(ask) = { now_ms += 3_000; purse.ask(now_ms) } {
            let grant = ledger.answer(now_ms, &ask);
            purse.receive(now_ms, &grant);
        }
        let usage = ledger.usage_of(now_ms, tokens).unwrap();
        prop_assert_eq!(usage.on_lease, 0);
        // A day brings 1,000 back; a minute or two of it brings one or two.
        prop_assert!(usage.spent <= used.min(50_000) && usage.spent + 3 >= used.min(50_000), "{usage:?} {used}");
    }
}

#[test]
fn concurrent_requests_are_counted_until_they_end() {
    let mut pair = Pair::new(r#"{"tenant": {"concurrent": 3}, "unreachable": "closed"}"#);
    let first = pair.draw(&who(0), 0).unwrap();
    let second = pair.draw(&who(0), 0).unwrap();
    let _third = pair.draw(&who(1), 0).unwrap();
    let reason = Reason::Limit(Dimension::Tenant, Measure::Concurrent);
    assert_eq!(pair.draw(&who(0), 0).unwrap_err(), reason);
    // A renewal in between changes nothing about what runs.
    pair.now_ms += 12_000;
    pair.exchange();
    assert_eq!(pair.draw(&who(0), 0).unwrap_err(), reason);
    pair.settle(first, Outcome::Miss { tokens: 0 });
    pair.settle(second, Outcome::Nothing);
    let _fourth = pair.draw(&who(0), 0).unwrap();
    let _fifth = pair.draw(&who(0), 0).unwrap();
    assert_eq!(pair.draw(&who(0), 0).unwrap_err(), reason);
}

#[test]
fn a_hit_counts_for_its_part_of_a_request() {
    let mut pair =
        Pair::new(r#"{"tenant": {"requests": "10/d"}, "hit_percent": 20, "unreachable": "closed"}"#);
    for _ in 0..45 {
        let ticket = pair.draw(&who(0), 0).unwrap();
        pair.settle(ticket, Outcome::Hit);
    }
    // 45 hits are 9 requests; one whole request is left.
    assert!(pair.draw(&who(0), 0).is_ok());
    assert!(pair.draw(&who(0), 0).is_err());
}

#[test]
fn a_spent_budget_says_when_the_next_month_begins() {
    let mut pair = Pair::new(r#"{"tenant": {"spend": 100}, "price": {"miss": 50}, "unreachable": "closed"}"#);
    for _ in 0..2 {
        let ticket = pair.draw(&who(0), 0).unwrap();
        pair.settle(ticket, Outcome::Miss { tokens: 0 });
    }
    let cost = pair.purse.limits().cost(0);
    pair.draw(&who(0), 0).unwrap_err();
    let Draw::Refused(refusal) = pair.purse.draw(pair.now_ms, &who(0), cost) else { panic!("admitted") };
    assert_eq!(refusal.reason, Reason::Limit(Dimension::Tenant, Measure::Spend));
    // 2027-01-15 08:00 UTC until 2027-02-01.
    assert_eq!(refusal.retry_after_ms, Some((16 * 24 + 16) * 3_600_000));
}

#[test]
fn a_request_that_was_abandoned_frees_its_slot_in_the_end_and_counts_in_full() {
    let mut pair = Pair::new(
        r#"{"tenant": {"requests": "50/d", "tokens": "9000/d", "concurrent": 1}, "unreachable": "closed"}"#,
    );
    let abandoned = pair.draw(&who(0), 1_000).unwrap();
    let began_ms = pair.now_ms;
    let slot = Reason::Limit(Dimension::Tenant, Measure::Concurrent);
    // Its lease is renewed all the while.
    while pair.now_ms < began_ms + TICKET_MS_MAX - 10_000 {
        pair.now_ms += 9_000;
        pair.exchange();
        assert_eq!(pair.draw(&who(0), 0).unwrap_err(), slot, "after {} ms", pair.now_ms - began_ms);
    }
    pair.now_ms = began_ms + TICKET_MS_MAX;
    pair.exchange();
    let next = pair.draw(&who(0), 0).unwrap();
    pair.settle(next, Outcome::Nothing);
    // Too late to say that it cost nothing.
    pair.settle(abandoned, Outcome::Nothing);
    while let Some(wake_ms) = pair.purse.wake_ms() {
        pair.now_ms = wake_ms;
        pair.exchange();
    }
    let tokens = CounterId { measure: Measure::Tokens, ..TENANT_REQUESTS };
    let spent = |counter| pair.ledger.usage_of(began_ms, counter).map(|usage| (usage.spent, usage.on_lease));
    assert_eq!((spent(TENANT_REQUESTS), spent(tokens)), (Some((100, 0)), Some((1_000, 0))));
}

#[test]
fn a_limit_that_comes_while_a_request_runs_gets_nothing_back_from_it() {
    const BEFORE: &str = r#"{"tenant": {"requests": "50/d"}, "unreachable": "closed"}"#;
    const AFTER: &str = r#"{"tenant": {"requests": "50/d", "tokens": "1000/d"}, "unreachable": "closed"}"#;
    let mut pair = Pair::new(BEFORE);
    let ticket = pair.draw(&who(0), 900).unwrap();
    pair.purse.set_limits(limits(AFTER));
    pair.ledger.set_limits(limits(AFTER));
    pair.settle(ticket, Outcome::Miss { tokens: 0 });
    let cost = pair.purse.limits().cost(100);
    assert!(
        matches!(pair.purse.draw(pair.now_ms, &who(0), cost), Draw::Wait),
        "it holds tokens that nobody lent"
    );
    let _ticket = pair.draw(&who(0), 100).unwrap();
    let tokens =
        CounterId { dimension: Dimension::Tenant, subject: Subject::TENANT, measure: Measure::Tokens };
    let usage = pair.ledger.usage_of(pair.now_ms, tokens).unwrap();
    assert_eq!(usage.on_lease + usage.free, 1_000, "{usage:?}");
}
