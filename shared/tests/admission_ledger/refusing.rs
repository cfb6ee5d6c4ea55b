//! Who is refused, by which limit, and for how long.

use perigee_shared::admission::{Dimension, Draw, IsolateId, Measure, Outcome, Purse, Reason, Subject, Who};

use crate::stage::{Pair, user, who};

#[test]
fn a_refused_request_costs_nothing_and_names_the_limit_that_refused_it() {
    let mut pair = Pair::new(
        r#"{"user": {"requests": "2/d"}, "tenant": {"requests": "60/d"}, "unreachable": "closed"}"#,
    );
    let mut tickets = vec![pair.draw(&user("ada"), 0).unwrap(), pair.draw(&user("ada"), 0).unwrap()];
    for _ in 0..100 {
        assert_eq!(
            pair.draw(&user("ada"), 0).unwrap_err(),
            Reason::Limit(Dimension::User, Measure::Requests)
        );
    }
    for user_number in 0..100 {
        pair.now_ms += 2_000;
        pair.exchange();
        match pair.draw(&user(&format!("user {user_number}")), 0) {
            Ok(ticket) => tickets.push(ticket),
            Err(reason) => assert_eq!(reason, Reason::Limit(Dimension::Tenant, Measure::Requests)),
        }
    }
    assert_eq!(tickets.len(), 60);
}

#[test]
fn a_network_that_keeps_knocking_is_kept_out_for_a_while_at_every_isolate() {
    let mut pair = Pair::new(
        r#"{"network": {"requests": "10/min"}, "unreachable": "closed",
            "cool_off": {"refusals": "20/min", "block_s": 60}}"#,
    );
    let knocker = Who { network: Some(Subject::network("2001:db8::1".parse().unwrap())), ..who(0) };
    let mut other = Purse::new(IsolateId::from_random(8), pair.purse.limits().clone());
    let mut reasons = Vec::new();
    for _ in 0..40 {
        pair.now_ms += 250;
        match pair.draw(&knocker, 0) {
            Ok(ticket) => pair.settle(ticket, Outcome::Miss { tokens: 0 }),
            Err(reason) => reasons.push(reason),
        }
        pair.exchange();
    }
    assert_eq!(reasons.first(), Some(&Reason::Limit(Dimension::Network, Measure::Requests)));
    pair.now_ms += 3_000;
    pair.exchange();
    let neighbour = Who { network: Some(Subject::network("2001:db8:1::1".parse().unwrap())), ..who(0) };
    let _ticket = pair.draw(&neighbour, 0).unwrap();
    assert_eq!(pair.draw(&knocker, 0).unwrap_err(), Reason::CoolingOff);
    // Another isolate hears of it with its next grant.
    let cost = other.limits().cost(0);
    assert!(matches!(other.draw(pair.now_ms, &neighbour, cost), Draw::Wait));
    let grant = pair.ledger.answer(pair.now_ms, &other.ask(pair.now_ms).unwrap());
    other.receive(pair.now_ms, &grant);
    let Draw::Refused(refusal) = other.draw(pair.now_ms, &knocker, cost) else { panic!("admitted") };
    assert!(refusal.reason == Reason::CoolingOff && refusal.retry_after_ms.unwrap() <= 60_000);
    pair.now_ms += 60_000;
    let _ticket = pair.draw(&knocker, 0).unwrap();
}
