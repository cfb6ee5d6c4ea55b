//! Under whatever can happen: messages lost, late or out of order, isolates that die, a ledger that restarts from its rows.

use std::collections::BTreeMap;

use perigee_shared::admission::{
    Ask, CounterId, Dimension, Draw, Gcra, Grant, IsolateId, Ledger, Limit, Limits, Measure, Outcome, Purse,
    Subject, Ticket, Who,
};
use proptest::prelude::*;

use crate::stage::{limits, who};

const TIGHT: &str = r#"{
    "user": {"requests": "60/h burst 6"}, "network": {"requests": "120/min burst 10"},
    "key": {"requests": "120/min burst 30"},
    "tenant": {"requests": "180/min burst 40", "tokens": "60000/min burst 20000", "spend": 3000},
    "hit_percent": 10, "price": {"hit": 1, "miss": 10, "thousand_tokens": 5}, "unreachable": "closed"
}"#;

/// Hundredths of a request of one user or network that each isolate admits before the ledger knows of them.
const TRUST: u64 = 200;

/// Everybody has a key, a user's name and a network of their own.
fn somebody(number: u8) -> Who {
    let network = format!("192.0.2.{number}").parse().unwrap();
    Who {
        user: Some(Subject::user(&number.to_string())),
        network: Some(Subject::network(network)),
        ..who(number)
    }
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
                let (ledger, unreadable) = Ledger::restore(self.limits.clone(), rows);
                assert!(unreadable.is_empty(), "{unreadable:?}");
                self.ledger = ledger;
            }
        }
    }

    fn draw(&mut self, isolate: usize, key: u8, tokens: u64, hit: bool) {
        let cost = self.limits.cost(tokens);
        let Draw::Admitted(ticket) = self.purses[isolate].draw(self.now_ms, &somebody(key), cost) else {
            return;
        };
        // The estimate was too high, as it should be.
        let outcome = if hit { Outcome::Hit } else { Outcome::Miss { tokens: tokens / 2 } };
        let actual = self.limits.actual(outcome);
        self.truth.spent += actual.of(Measure::Spend);
        for (dimension, subject) in somebody(key).accounts() {
            for measure in [Measure::Requests, Measure::Tokens] {
                let Some(Limit::Rate(rate)) = self.limits.get(dimension, measure) else { continue };
                let id = CounterId { dimension, subject: subject.unwrap(), measure };
                let truth = self.truth.rates.entry(id).or_default();
                match dimension {
                    Dimension::Key | Dimension::Tenant => {
                        let admitted = truth.draw(rate, self.now_ms, actual.of(measure));
                        assert!(admitted, "more {measure:?} than the {dimension:?}'s limit allows");
                    }
                    Dimension::Network | Dimension::User => {
                        truth.charge(rate, self.now_ms, actual.of(measure));
                        // What waiting until no more than the burst is owed would pay.
                        let excess =
                            truth.wait_ms(rate, self.now_ms, 0).unwrap() * rate.units() / rate.period_ms();
                        assert!(excess <= TRUST * self.born, "{excess} too many for a {dimension:?}");
                    }
                }
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
        let later_ms = world.now_ms + 6 * 3_600_000;
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
}
