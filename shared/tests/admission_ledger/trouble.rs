//! Ledgers that can't be reached, and clocks that step.

use perigee_shared::admission::{Draw, Ledger, Outcome, Reason};

use crate::stage::{Pair, TENANT_REQUESTS, who};

#[test]
fn without_its_ledger_an_isolate_admits_what_it_holds_and_then_what_the_tier_says() {
    for (unreachable, extra) in [(r#""closed""#, 0), (r#"{"allow": "5/min"}"#, 5)] {
        let mut pair =
            Pair::new(&format!(r#"{{"tenant": {{"requests": "600/min"}}, "unreachable": {unreachable}}}"#));
        for _ in 0..30 {
            pair.now_ms += 100;
            let ticket = pair.draw(&who(0), 0).unwrap();
            pair.settle(ticket, Outcome::Miss { tokens: 0 });
            pair.exchange();
        }
        let held = pair.ledger.usage_of(pair.now_ms, TENANT_REQUESTS).unwrap().on_lease / 100;
        let cost = pair.purse.limits().cost(0);
        let (mut admitted, mut by_allowance, mut last) = (0, 0, None);
        for _ in 0..1_000 {
            match pair.purse.draw(pair.now_ms, &who(0), cost) {
                Draw::Admitted(ticket) if ticket.by_allowance => by_allowance += 1,
                Draw::Admitted(_) => admitted += 1,
                Draw::Refused(refusal) => last = Some(refusal.reason),
                Draw::Wait => {
                    assert!(pair.purse.ask(pair.now_ms).is_some());
                    pair.purse.failed(pair.now_ms);
                }
            }
        }
        assert_eq!((by_allowance, last), (extra, Some(Reason::Unreachable)));
        assert!(admitted > 0 && admitted <= held, "{admitted} of {held}");
        // When it is back, it learns of every one of them.
        pair.now_ms = pair.purse.wake_ms().unwrap();
        pair.exchange();
        let usage = pair.ledger.usage_of(pair.now_ms, TENANT_REQUESTS).unwrap();
        assert!(usage.spent + usage.on_lease >= (admitted + extra) * 100, "{usage:?}");
    }
}

#[test]
fn an_isolate_whose_clock_steps_back_goes_on_under_a_new_lease() {
    let mut pair = Pair::new(r#"{"tenant": {"requests": "60/min"}, "unreachable": "closed"}"#);
    let _first = pair.draw(&who(0), 0).unwrap();
    pair.now_ms -= 3_600_000;
    let mut admitted = 1;
    for _ in 0..100 {
        admitted += u32::from(pair.draw(&who(0), 0).is_ok());
    }
    assert!((59..=60).contains(&admitted), "{admitted}: the step must neither bring quota nor take any");
    pair.now_ms += 5_000;
    assert!(pair.draw(&who(0), 0).is_ok(), "nor stop the clock");
}

#[test]
fn a_ledger_goes_on_without_the_rows_that_it_cannot_read_and_counts_lost_leases_as_spent() {
    let mut pair = Pair::new(r#"{"tenant": {"requests": "50/d"}, "unreachable": "closed"}"#);
    let _running = pair.draw(&who(0), 0).unwrap();
    let held = pair.ledger.usage_of(pair.now_ms, TENANT_REQUESTS).unwrap().on_lease;
    assert!(held >= 100, "{held}");
    let rows: Vec<(String, String)> = pair
        .ledger
        .take_changes()
        .into_iter()
        .filter_map(|row| Some((row.name, row.text?)))
        .map(|(name, text)| if name.starts_with("lease/") { (name, "{}".to_owned()) } else { (name, text) })
        .chain([("something/else".to_owned(), "{}".to_owned())])
        .collect();
    let limits = pair.purse.limits().clone();
    let rows = rows.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let (mut ledger, unreadable) = Ledger::restore(limits, rows);
    assert_eq!(unreadable, ["lease/7", "something/else"]);
    ledger.lapse(pair.now_ms);
    let usage = ledger.usage_of(pair.now_ms, TENANT_REQUESTS).unwrap();
    assert_eq!((usage.spent, usage.on_lease), (held, 0));
}
