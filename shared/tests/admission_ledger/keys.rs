//! Keys with a tier of their own.

use perigee_shared::admission::{
    CounterId, Dimension, Draw, IsolateId, KeyLimits, Ledger, Measure, Outcome, Purse, Reason, Subject, Tier,
};

use crate::stage::{Pair, limits, who};

const TENANT: &str =
    r#"{"key": {"requests": "100/d"}, "tenant": {"requests": "1000/d"}, "unreachable": "closed"}"#;

fn own(key: &str) -> KeyLimits {
    let tier: Tier = serde_json::from_str(&format!(r#"{{"key": {key}, "unreachable": "closed"}}"#)).unwrap();
    tier.key_limits().unwrap()
}

/// Asks with a key until it is refused for good: how often it was admitted, and what refused it.
fn admitted(pair: &mut Pair, key: u8, own: Option<KeyLimits>) -> (u32, Reason) {
    let (mut admitted, mut refused) = (0, 0);
    loop {
        if let Some(own) = own {
            pair.purse.set_key_limits(Subject::key(&[key; 32]), own);
        }
        match pair.draw(&who(key), 0) {
            Ok(ticket) => {
                admitted += 1;
                pair.settle(ticket, Outcome::Miss { tokens: 0 });
            }
            // The last of a limit is lent after a pause.
            Err(_) if refused < 2 => {
                refused += 1;
                pair.now_ms += 2_000;
            }
            Err(reason) => return (admitted, reason),
        }
    }
}

#[test]
fn a_key_s_own_tier_governs_the_key_and_its_tenant_s_tier_everything_else() {
    let mut pair = Pair::new(TENANT);
    let limited = Reason::Limit(Dimension::Key, Measure::Requests);
    assert_eq!(admitted(&mut pair, 1, Some(own(r#"{"requests": "5/d"}"#))), (5, limited));
    assert_eq!(admitted(&mut pair, 2, None), (100, limited));
    // Without a limit of its own it is the tenant's that ends it, of which 105 are gone.
    let (rest, reason) = admitted(&mut pair, 3, Some(own("{}")));
    assert_eq!(reason, Reason::Limit(Dimension::Tenant, Measure::Requests));
    assert!((850..=895).contains(&rest), "{rest}");
}

#[test]
fn a_ledger_knows_a_key_s_own_limit_also_after_a_restart_and_when_a_lease_lapses() {
    let mut pair = Pair::new(TENANT);
    let own = own(r#"{"requests": "5/d", "tokens": "1000/d"}"#);
    for _ in 0..3 {
        pair.purse.set_key_limits(Subject::key(&[1; 32]), own);
        let ticket = pair.draw(&who(1), 9).unwrap();
        pair.settle(ticket, Outcome::Miss { tokens: 9 });
    }
    // It gives back what it holds.
    while let Some(wake_ms) = pair.purse.wake_ms() {
        pair.now_ms = wake_ms;
        pair.exchange();
    }
    let rows = pair.ledger.take_changes();
    let rows = rows.iter().filter_map(|row| Some((row.name.as_str(), row.text.as_deref()?)));
    let (mut ledger, _) = Ledger::restore(limits(TENANT), rows);
    ledger.lapse(pair.now_ms + 60_000);
    let requests =
        CounterId { dimension: Dimension::Key, subject: Subject::key(&[1; 32]), measure: Measure::Requests };
    let usage = ledger.usage_of(pair.now_ms + 60_000, requests).unwrap();
    assert_eq!((usage.limit.most(), usage.free, usage.on_lease), (500, 200, 0));
    // Tokens of a key are limited by its own tier alone.
    let tokens = CounterId { measure: Measure::Tokens, ..requests };
    assert_eq!(ledger.usage_of(pair.now_ms, tokens).map(|usage| usage.limit.most()), Some(1_000));
    // Another isolate gets what is left of it.
    pair.ledger = ledger;
    pair.purse = Purse::new(IsolateId::from_random(9), limits(TENANT));
    pair.now_ms += 60_000;
    assert_eq!(admitted(&mut pair, 1, Some(own)).0, 2);
}

#[test]
fn before_the_ledger_has_said_what_the_limits_are_nothing_is_refused_for_good() {
    let real = limits(r#"{"tenant": {"tokens": "9000/d"}, "unreachable": "closed"}"#);
    let mut ledger = Ledger::new(real.clone());
    let mut purse = Purse::new(
        IsolateId::from_random(1),
        limits(r#"{"tenant": {"tokens": "10/d"}, "unreachable": "closed"}"#),
    );
    let mut draw = |tokens: u64| {
        let mut draw = purse.draw(1_000, &who(1), purse.limits().cost(tokens));
        let mut asks = 0;
        while matches!(draw, Draw::Wait) {
            asks += 1;
            let grant = ledger.answer(1_000, &purse.ask(1_000).unwrap());
            purse.set_limits(real.clone());
            purse.receive(1_000, &grant);
            draw = purse.draw_again(1_000, &who(1), purse.limits().cost(tokens));
        }
        (draw, asks)
    };
    assert!(matches!(draw(5_000), (Draw::Admitted(_), 1..=2)));
    let (Draw::Refused(refusal), _) = draw(10_000) else { panic!("more than the limit was admitted") };
    assert_eq!(
        (refusal.reason, refusal.retry_after_ms),
        (Reason::Limit(Dimension::Tenant, Measure::Tokens), None)
    );
    // And nothing was lent for it.
    let tokens =
        CounterId { dimension: Dimension::Tenant, subject: Subject::TENANT, measure: Measure::Tokens };
    assert!(ledger.usage_of(1_000, tokens).unwrap().free >= 3_000);
}
