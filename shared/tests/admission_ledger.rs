//! A ledger and its isolates under whatever can happen: messages lost, late or out of order, isolates that die, a
//! ledger that restarts from its rows. The books balance, and no limit is overshot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test stands on must be there")]

use std::collections::BTreeMap;

use perigee_shared::admission::{
    Ask, CounterId, Dimension, Draw, Gcra, Grant, IsolateId, Ledger, Limit, Limits, Measure, Outcome,
    Overrides, Purse, Reason, Subject, Ticket, Tier, Who,
};
use proptest::prelude::*;

fn limits(tier: &str) -> Limits {
    let tier: Tier = serde_json::from_str(tier).unwrap();
    Limits::resolve(&tier, &Overrides::default()).unwrap()
}

const TIGHT: &str = r#"{
    "key": {"requests": "120/min burst 30"},
    "tenant": {"requests": "180/min burst 40", "tokens": "60000/min burst 20000", "spend": 3000},
    "hit_percent": 10, "price": {"hit": 1, "miss": 10, "thousand_tokens": 5}, "unreachable": "closed"
}"#;

const TENANT_REQUESTS: CounterId =
    CounterId { dimension: Dimension::Tenant, subject: Subject::TENANT, measure: Measure::Requests };

fn who(key: u8) -> Who {
    Who { key: Subject::key(&[key; 32]), user: None, network: None }
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Draw {
        isolate: usize,
        key: u8,
        tokens: u64,
        hit: bool,
    },
    Settle {
        which: usize,
    },
    Ask {
        isolate: usize,
        fate: Fate,
    },
    /// A late answer arrives.
    Deliver,
    Fail {
        isolate: usize,
    },
    Kill {
        isolate: usize,
    },
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    AskLost,
    GrantLost,
    GrantLate,
    /// The ask reaches the ledger twice; the second answer is lost.
    Doubled,
}

fn step() -> impl Strategy<Value = Step> {
    let isolate = 0..4_usize;
    let fate = prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::AskLost),
        1 => Just(Fate::GrantLost),
        1 => Just(Fate::GrantLate),
        1 => Just(Fate::Doubled),
    ];
    prop_oneof![
        4 => prop_oneof![4 => 0..500_u64, 2 => 500..5_000_u64, 1 => 5_000..30_000_u64].prop_map(Step::Advance),
        12 => (isolate.clone(), 0..2_u8, 0..3_000_u64, any::<bool>())
            .prop_map(|(isolate, key, tokens, hit)| Step::Draw { isolate, key, tokens, hit }),
        8 => any::<usize>().prop_map(|which| Step::Settle { which }),
        8 => (isolate.clone(), fate).prop_map(|(isolate, fate)| Step::Ask { isolate, fate }),
        2 => Just(Step::Deliver),
        1 => isolate.clone().prop_map(|isolate| Step::Fail { isolate }),
        1 => isolate.prop_map(|isolate| Step::Kill { isolate }),
        1 => Just(Step::Restart),
    ]
}

/// What was admitted in truth, counted the moment it was.
#[derive(Default)]
struct Truth {
    rates: BTreeMap<CounterId, Gcra>,
    spent: u64,
}

struct World {
    now_ms: u64,
    limits: Limits,
    ledger: Ledger,
    rows: BTreeMap<String, String>,
    purses: Vec<Purse>,
    born: u64,
    running: Vec<(usize, u64, Ticket, Outcome)>,
    late: Vec<(usize, u64, Grant)>,
    ids: Vec<u64>,
    truth: Truth,
}

impl World {
    fn new() -> Self {
        let limits = limits(TIGHT);
        let purses = (0..4).map(|id| Purse::new(IsolateId::from_random(id), limits.clone())).collect();
        Self {
            now_ms: 1_800_000_000_000,
            ledger: Ledger::new(limits.clone()),
            limits,
            rows: BTreeMap::new(),
            purses,
            born: 4,
            running: Vec::new(),
            late: Vec::new(),
            ids: vec![0, 1, 2, 3],
            truth: Truth::default(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Advance(ms) => self.now_ms += ms,
            Step::Draw { isolate, key, tokens, hit } => self.draw(isolate, key, tokens, hit),
            Step::Settle { which } => {
                if !self.running.is_empty() {
                    let (isolate, id, ticket, outcome) = self.running.swap_remove(which % self.running.len());
                    if self.ids[isolate] == id {
                        self.purses[isolate].settle(self.now_ms, ticket, self.limits.actual(outcome));
                    }
                }
            }
            Step::Ask { isolate, fate } => {
                if let Some(ask) = self.purses[isolate].ask(self.now_ms) {
                    self.send(isolate, &ask, fate);
                }
            }
            Step::Deliver => {
                if let Some((isolate, id, grant)) = self.late.pop()
                    && self.ids[isolate] == id
                {
                    self.purses[isolate].receive(self.now_ms, &grant);
                }
            }
            Step::Fail { isolate } => self.purses[isolate].failed(self.now_ms),
            Step::Kill { isolate } => {
                self.ids[isolate] = self.born;
                self.purses[isolate] = Purse::new(IsolateId::from_random(self.born), self.limits.clone());
                self.born += 1;
            }
            Step::Restart => {
                self.write_down();
                let rows = self.rows.iter().map(|(name, text)| (name.as_str(), text.as_str()));
                self.ledger = Ledger::restore(self.limits.clone(), rows).unwrap();
            }
        }
    }

    fn draw(&mut self, isolate: usize, key: u8, tokens: u64, hit: bool) {
        let cost = self.limits.cost(tokens);
        let Draw::Admitted(ticket) = self.purses[isolate].draw(self.now_ms, &who(key), cost) else { return };
        // The estimate was too high, as it should be.
        let outcome = if hit { Outcome::Hit } else { Outcome::Miss { tokens: tokens / 2 } };
        let actual = self.limits.actual(outcome);
        self.truth.spent += actual.of(Measure::Spend);
        for (dimension, subject) in who(key).accounts() {
            for measure in [Measure::Requests, Measure::Tokens] {
                let Some(Limit::Rate(rate)) = self.limits.get(dimension, measure) else { continue };
                let id = CounterId { dimension, subject: subject.unwrap(), measure };
                let admitted =
                    self.truth.rates.entry(id).or_default().draw(rate, self.now_ms, actual.of(measure));
                assert!(admitted, "more {measure:?} than the {dimension:?}'s limit allows");
            }
        }
        self.running.push((isolate, self.ids[isolate], ticket, outcome));
    }

    fn send(&mut self, isolate: usize, ask: &Ask, fate: Fate) {
        // What is on its way to the ledger is not yet on its way back.
        let grant = match fate {
            Fate::AskLost => return,
            Fate::Answered | Fate::GrantLost | Fate::GrantLate | Fate::Doubled => {
                self.ledger.answer(self.now_ms, ask)
            }
        };
        match fate {
            Fate::Answered => self.purses[isolate].receive(self.now_ms, &grant),
            Fate::Doubled => {
                self.ledger.answer(self.now_ms, ask);
                self.purses[isolate].receive(self.now_ms, &grant);
            }
            Fate::GrantLate => self.late.push((isolate, self.ids[isolate], grant)),
            Fate::AskLost | Fate::GrantLost => {}
        }
    }

    fn write_down(&mut self) {
        for row in self.ledger.take_changes() {
            match row.text {
                Some(text) => self.rows.insert(row.name, text),
                None => self.rows.remove(&row.name),
            };
        }
    }

    /// What was spent, what is out on lease and what is free make the limit.
    fn check_books(&self) {
        for usage in self.ledger.usage(self.now_ms) {
            assert_eq!(usage.spent + usage.on_lease + usage.free, usage.limit.most(), "{usage:?}");
        }
        let budget = self.limits.get(Dimension::Tenant, Measure::Spend).unwrap().most();
        assert!(self.truth.spent <= budget, "{} of {budget}", self.truth.spent);
    }
}

proptest! {
    #[test]
    fn the_books_balance_and_no_limit_is_overshot(steps in proptest::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check_books();
        }
    }

    /// Whatever isolates did, some time after the last of them fell silent everything is free again, but for
    /// the month's budget.
    #[test]
    fn nothing_is_lost_for_good(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        let later_ms = world.now_ms + 10 * 60_000;
        world.ledger.lapse(world.now_ms + 20_001);
        prop_assert_eq!(world.ledger.lapse(later_ms), None);
        for usage in world.ledger.usage(later_ms) {
            prop_assert_eq!(usage.on_lease, 0);
            prop_assert!(usage.counter.measure == Measure::Spend || usage.spent == 0);
        }
        // And the store forgets with the ledger.
        world.write_down();
        let spend_or_none = world.rows.keys().all(|name| name.starts_with("counter/tenant/spend"));
        prop_assert!(spend_or_none, "{:?}", world.rows.keys());
    }

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

/// One isolate and a ledger that answers at once.
struct Pair {
    now_ms: u64,
    ledger: Ledger,
    purse: Purse,
    calls: u32,
}

impl Pair {
    fn new(tier: &str) -> Self {
        let limits = limits(tier);
        let purse = Purse::new(IsolateId::from_random(7), limits.clone());
        Self { now_ms: 1_800_000_000_000, ledger: Ledger::new(limits), purse, calls: 0 }
    }

    fn exchange(&mut self) {
        if let Some(ask) = self.purse.ask(self.now_ms) {
            self.calls += 1;
            let grant = self.ledger.answer(self.now_ms, &ask);
            self.purse.receive(self.now_ms, &grant);
        }
    }

    fn draw(&mut self, who: &Who, tokens: u64) -> Result<Ticket, Reason> {
        let cost = self.purse.limits().cost(tokens);
        let mut draw = self.purse.draw(self.now_ms, who, cost);
        for _ in 0..3 {
            match draw {
                Draw::Admitted(ticket) => return Ok(ticket),
                Draw::Refused(refusal) => return Err(refusal.reason),
                Draw::Wait => self.exchange(),
            }
            draw = self.purse.draw_again(self.now_ms, who, cost);
        }
        panic!("the ledger answered, and still the request waits")
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        let actual = self.purse.limits().actual(outcome);
        self.purse.settle(self.now_ms, ticket, actual);
    }
}

fn user(name: &str) -> Who {
    Who { user: Some(Subject::user(name)), ..who(0) }
}

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
