//! What the tests stand on: one isolate and a ledger that answers at once.

use perigee_shared::admission::{
    CounterId, Dimension, Draw, IsolateId, Ledger, Limits, Measure, Outcome, Overrides, Purse, Reason,
    Subject, Ticket, Tier, Who,
};

pub(crate) fn limits(tier: &str) -> Limits {
    let tier: Tier = serde_json::from_str(tier).unwrap();
    Limits::resolve(&tier, &Overrides::default()).unwrap()
}

pub(crate) const TENANT_REQUESTS: CounterId =
    CounterId { dimension: Dimension::Tenant, subject: Subject::TENANT, measure: Measure::Requests };

pub(crate) fn who(key: u8) -> Who {
    Who { key: Subject::key(&[key; 32]), user: None, network: None }
}

/// One isolate and a ledger that answers at once.
pub(crate) struct Pair {
    pub(crate) now_ms: u64,
    pub(crate) ledger: Ledger,
    pub(crate) purse: Purse,
    pub(crate) calls: u32,
}

impl Pair {
    pub(crate) fn new(tier: &str) -> Self {
        let limits = limits(tier);
        let purse = Purse::new(IsolateId::from_random(7), limits.clone());
        Self { now_ms: 1_800_000_000_000, ledger: Ledger::new(limits), purse, calls: 0 }
    }

    pub(crate) fn exchange(&mut self) {
        if let Some(ask) = self.purse.ask(self.now_ms) {
            self.calls += 1;
            let grant = self.ledger.answer(self.now_ms, &ask);
            self.purse.receive(self.now_ms, &grant);
        }
    }

    pub(crate) fn draw(&mut self, who: &Who, tokens: u64) -> Result<Ticket, Reason> {
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

    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        let actual = self.purse.limits().actual(outcome);
        self.purse.settle(self.now_ms, ticket, actual);
    }
}

pub(crate) fn user(name: &str) -> Who {
    Who { user: Some(Subject::user(name)), ..who(0) }
}
