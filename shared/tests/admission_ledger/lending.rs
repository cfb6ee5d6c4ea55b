//! What is lent to whom, and what comes back.

use perigee_shared::admission::{Draw, Outcome};

use crate::stage::{Pair, TENANT_REQUESTS, who};

#[test]
fn a_thousand_at_once_do_not_slip_through_a_cold_isolate() {
    let mut pair = Pair::new(r#"{"tenant": {"requests": "60/min"}, "unreachable": "closed"}"#);
    let cost = pair.purse.limits().cost(0);
    let mut waiting = 1_000;
    for _ in 0..waiting {
        assert!(matches!(pair.purse.draw(pair.now_ms, &who(0), cost), Draw::Wait));
    }
    let (mut admitted, mut refused) = (0, 0);
    while waiting > 0 {
        // However often they come to see before the answer is there, they are a thousand and not more.
        for _ in 0..waiting * 5 {
            assert!(matches!(pair.purse.draw_again(pair.now_ms, &who(0), cost), Draw::Wait));
        }
        pair.exchange();
        for _ in 0..waiting {
            match pair.purse.draw_again(pair.now_ms, &who(0), cost) {
                Draw::Admitted(_) => admitted += 1,
                Draw::Refused(_) => refused += 1,
                Draw::Wait => {}
            }
        }
        waiting = 1_000 - admitted - refused;
    }
    assert_eq!((admitted, refused, pair.calls), (60, 940, 1));
}

#[test]
fn who_comes_to_see_again_and_again_is_lent_no_more_for_it() {
    let mut pair = Pair::new(r#"{"tenant": {"requests": "6000/d"}, "unreachable": "closed"}"#);
    let cost = pair.purse.limits().cost(0);
    assert!(matches!(pair.purse.draw(pair.now_ms, &who(0), cost), Draw::Wait));
    let ask = pair.purse.ask(pair.now_ms).unwrap();
    for _ in 0..50 {
        pair.now_ms += 5;
        assert!(matches!(pair.purse.draw_again(pair.now_ms, &who(0), cost), Draw::Wait));
    }
    let grant = pair.ledger.answer(pair.now_ms, &ask);
    pair.purse.receive(pair.now_ms, &grant);
    assert!(matches!(pair.purse.draw_again(pair.now_ms, &who(0), cost), Draw::Admitted(_)));
    let next = pair.purse.ask(pair.now_ms).unwrap();
    assert!(next.lines.iter().all(|line| line.need == 0), "{next:?}");
}

#[test]
fn what_lies_idle_goes_back_and_a_silent_isolate_costs_at_most_its_lease() {
    let mut pair = Pair::new(r#"{"tenant": {"requests": "10/d burst 1000"}, "unreachable": "closed"}"#);
    for _ in 0..30 {
        pair.now_ms += 100;
        let ticket = pair.draw(&who(0), 0).unwrap();
        pair.settle(ticket, Outcome::Miss { tokens: 0 });
        pair.exchange();
    }
    let held = pair.ledger.usage_of(pair.now_ms, TENANT_REQUESTS).unwrap().on_lease;
    assert!(held > 0);
    let mut silent = pair.ledger.clone();
    pair.now_ms = pair.purse.wake_ms().unwrap();
    pair.exchange();
    let usage = pair.ledger.usage_of(pair.now_ms, TENANT_REQUESTS).unwrap();
    assert_eq!((usage.on_lease, usage.spent), (0, 3_000));
    // Had it died instead, what it held would have counted as spent, no more.
    let until_ms = silent.lapse(pair.now_ms).unwrap();
    silent.lapse(until_ms);
    let usage = silent.usage_of(until_ms, TENANT_REQUESTS).unwrap();
    assert!(usage.on_lease == 0 && usage.spent <= 3_000 + held, "{usage:?} {held}");
}
