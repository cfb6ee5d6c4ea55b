//! Isolates, ledgers, and what is on its way between them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use perigee_shared::admission::{
    Ask, Cost, Dimension, Draw, Gcra, Grant, IsolateId, Ledger, Limit, Limits, Measure, NetworkPrefix,
    Outcome, Overrides, Purse, Rate, Subject, Ticket, Tiers, Who,
};

use crate::random::Random;
use crate::traffic::{TRAFFIC, Traffic, pace};

const DATA_CENTRES: usize = 12;
const ISOLATES: usize = 200;
const END_MS: u64 = 60_000;
/// Blocks have found their size by then.
const STEADY_MS: u64 = 15_000;
/// Of a thousand answers so many are late, by up to four seconds: some beyond the purse's patience.
const LATE_PER_MILLE: u64 = 5;
/// An isolate dies so often, and loses all it holds.
const DEATH_EVERY_MS: f64 = 2_000.0;
/// Draws of one request before it gives up. (The edge bounds them by time, four seconds, and so gives up later.)
const TRIES: u32 = 3;

/// What should have been, and what was.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) offered: u64,
    pub(crate) admitted: u64,
    pub(crate) ideal: u64,
    pub(crate) wrongly_refused: u64,
    pub(crate) calls: u64,
    pub(crate) steady_offered: u64,
    pub(crate) steady_calls: u64,
    /// The most by which each limit on requests was overshot at any moment, in hundredths of a request.
    pub(crate) excess: BTreeMap<Dimension, u64>,
    pub(crate) waited: u64,
}

pub(crate) struct Tenant {
    pub(crate) traffic: &'static Traffic,
    pub(crate) limits: Limits,
    pub(crate) ledger: Ledger,
    /// One counter for the whole world that knows everything at once, and what would be admitted by it.
    pub(crate) ideal: BTreeMap<(Dimension, Subject), Gcra>,
    /// What was admitted in truth.
    pub(crate) truth: BTreeMap<(Dimension, Subject), Gcra>,
    pub(crate) isolates: Vec<usize>,
    pub(crate) count: Count,
}

struct Isolate {
    id: IsolateId,
    purse: Purse,
    waiting: Vec<(Request, u32)>,
    wake_ms: Option<u64>,
}

#[derive(Clone, Copy)]
struct Request {
    who: Who,
    tokens: u64,
    hit: bool,
    ideal: bool,
}

enum What {
    Arrival,
    Asked(IsolateId, Ask),
    Granted(IsolateId, Grant),
    Ended(IsolateId, Ticket, Cost),
    Wake(IsolateId),
    Death,
}

struct Event {
    at_ms: u64,
    seq: u64,
    tenant: usize,
    isolate: usize,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ms, other.seq).cmp(&(self.at_ms, self.seq))
    }
}

pub(crate) struct World {
    random: Random,
    now_ms: u64,
    seq: u64,
    events: BinaryHeap<Event>,
    pub(crate) tenants: Vec<Tenant>,
    isolates: Vec<BTreeMap<usize, Isolate>>,
}

fn rate_of(limits: &Limits, dimension: Dimension) -> Option<Rate> {
    match limits.get(dimension, Measure::Requests) {
        Some(Limit::Rate(rate)) => Some(rate),
        _ => None,
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let tiers: Tiers = serde_json::from_str(Tiers::DEFAULT_JSON).unwrap();
        let tenants = TRAFFIC.iter().map(|traffic| {
            let overrides: Overrides = serde_json::from_str(traffic.overrides).unwrap();
            let limits = Limits::resolve(tiers.get(traffic.tier).unwrap(), &overrides).unwrap();
            Tenant {
                traffic,
                ledger: Ledger::new(limits.clone()),
                limits,
                ideal: BTreeMap::new(),
                truth: BTreeMap::new(),
                isolates: (0..ISOLATES)
                    .filter(|i| traffic.data_centres.contains(&(i % DATA_CENTRES)))
                    .collect(),
                count: Count::default(),
            }
        });
        let mut world = Self {
            random: Random(seed),
            now_ms: 0,
            seq: 0,
            events: BinaryHeap::new(),
            tenants: tenants.collect(),
            isolates: (0..ISOLATES).map(|_| BTreeMap::new()).collect(),
        };
        for tenant in 0..TRAFFIC.len() {
            world.at(0, tenant, 0, What::Arrival);
        }
        world.at(1_000, 0, 0, What::Death);
        world
    }

    fn at(&mut self, after_ms: u64, tenant: usize, isolate: usize, what: What) {
        self.seq += 1;
        self.events.push(Event { at_ms: self.now_ms + after_ms, seq: self.seq, tenant, isolate, what });
    }

    pub(crate) fn run(&mut self) {
        while let Some(Event { at_ms, tenant, isolate, what, .. }) = self.events.pop() {
            self.now_ms = at_ms;
            match what {
                What::Arrival => self.arrive(tenant),
                What::Asked(id, ask) => self.answer(tenant, isolate, id, &ask),
                What::Granted(id, grant) => self.receive(tenant, isolate, id, &grant),
                What::Ended(id, ticket, actual) => {
                    let now_ms = self.now_ms;
                    if let Some(purse) = self.alive(tenant, isolate, id) {
                        purse.purse.settle(now_ms, ticket, actual);
                        self.keep(tenant, isolate);
                    }
                }
                What::Wake(id) => {
                    if let Some(awake) = self.alive(tenant, isolate, id) {
                        awake.wake_ms = None;
                        self.retry(tenant, isolate);
                        self.keep(tenant, isolate);
                    }
                }
                What::Death => self.die(),
            }
        }
    }

    fn alive(&mut self, tenant: usize, isolate: usize, id: IsolateId) -> Option<&mut Isolate> {
        self.isolates[isolate].get_mut(&tenant).filter(|alive| alive.id == id)
    }

    fn arrive(&mut self, at: usize) {
        let traffic = self.tenants[at].traffic;
        if self.now_ms >= END_MS {
            return;
        }
        let pace = pace(traffic, self.now_ms);
        let pause_ms = if pace > 0.0 { self.random.pause_ms(1_000.0 / pace) } else { 100.0 };
        // Sub-millisecond pauses add up by chance.
        let whole_ms = pause_ms as u64 + u64::from(self.random.unit() < pause_ms.fract());
        self.at(whole_ms, at, 0, What::Arrival);
        if pace == 0.0 {
            return;
        }
        let (request, isolate) = self.request(at);
        let tenant = &mut self.tenants[at];
        tenant.count.offered += 1;
        tenant.count.steady_offered += u64::from(self.now_ms >= STEADY_MS);
        let random = self.random.next();
        let limits = tenant.limits.clone();
        self.isolates[isolate].entry(at).or_insert_with(|| {
            let id = IsolateId::from_random(random);
            Isolate { id, purse: Purse::new(id, limits), waiting: Vec::new(), wake_ms: None }
        });
        self.try_to_run(at, isolate, request, 0);
        self.keep(at, isolate);
    }

    /// A request of one of the tenant's users, at one of the isolates where that user's requests arrive.
    fn request(&mut self, at: usize) -> (Request, usize) {
        let traffic = self.tenants[at].traffic;
        let hot = self.random.unit() < traffic.hot_user;
        let user = if hot { 0 } else { self.random.below(traffic.users) };
        let isolates = &self.tenants[at].isolates;
        // Users stay in their data centre, but for one who is everywhere.
        let everywhere = traffic.users == 1;
        let centre = traffic.data_centres.start + user as usize % traffic.data_centres.len();
        let near: Vec<_> = isolates.iter().filter(|i| everywhere || *i % DATA_CENTRES == centre).collect();
        let isolate = *near[self.random.below(near.len() as u64) as usize];
        let network = NetworkPrefix::of((0x0A00_0000 + user as u32).to_be_bytes().into());
        let who = Who {
            key: Subject::key(&[1; 32]),
            user: Some(Subject::network(network)),
            network: Some(Subject::network(network)),
        };
        let hit = self.random.unit() < 0.5;
        let tokens = 300 + self.random.below(1_200);
        let mut request = Request { who, tokens, hit, ideal: true };
        request.ideal = self.is_ideally_admitted(at, request);
        (request, isolate)
    }

    fn actual(limits: &Limits, request: Request) -> Cost {
        limits.actual(if request.hit { Outcome::Hit } else { Outcome::Miss { tokens: request.tokens } })
    }

    fn is_ideally_admitted(&mut self, at: usize, request: Request) -> bool {
        let Tenant { limits, ideal, count, .. } = &mut self.tenants[at];
        let cost = Self::actual(limits, request).of(Measure::Requests);
        let now_ms = self.now_ms;
        let counters = |limits: &Limits| {
            let limits = limits.clone();
            request.who.accounts().into_iter().filter_map(move |(dimension, subject)| {
                Some((dimension, subject?, rate_of(&limits, dimension)?))
            })
        };
        // What a request costs at first decides, what it costs in the end is drawn.
        let first = Measure::Requests.scale();
        let fits = counters(limits).all(|(dimension, subject, rate)| {
            ideal.entry((dimension, subject)).or_default().free(rate, now_ms) >= first
        });
        if fits {
            for (dimension, subject, rate) in counters(limits) {
                ideal.entry((dimension, subject)).or_default().charge(rate, now_ms, cost);
            }
        }
        count.ideal += u64::from(fits);
        fits
    }

    fn try_to_run(&mut self, at: usize, isolate: usize, request: Request, tries: u32) {
        let now_ms = self.now_ms;
        let Tenant { limits, truth, count, .. } = &mut self.tenants[at];
        let Some(here) = self.isolates[isolate].get_mut(&at) else { return };
        let cost = limits.cost(2_000);
        let draw = match tries {
            0 => here.purse.draw(now_ms, &request.who, cost),
            _ => here.purse.draw_again(now_ms, &request.who, cost),
        };
        match draw {
            Draw::Admitted(ticket) => {
                count.admitted += 1;
                let actual = Self::actual(limits, request);
                let cost = actual.of(Measure::Requests);
                for (dimension, subject) in request.who.accounts() {
                    let (Some(subject), Some(rate)) = (subject, rate_of(limits, dimension)) else { continue };
                    let debt = truth.entry((dimension, subject)).or_default();
                    debt.charge(rate, now_ms, cost);
                    let excess = count.excess.entry(dimension).or_default();
                    *excess = (*excess).max(excess_units(*debt, rate, now_ms));
                }
                let id = here.id;
                let lasts_ms = if request.hit { 2 } else { 500 + self.random.below(7_000) };
                self.at(lasts_ms, at, isolate, What::Ended(id, ticket, actual));
            }
            Draw::Wait if tries < TRIES => {
                count.waited += u64::from(tries == 0);
                here.waiting.push((request, tries + 1));
            }
            Draw::Wait | Draw::Refused(_) => {
                count.wrongly_refused += u64::from(request.ideal);
            }
        }
    }

    /// Sends the ask that is due, and sets the alarm for the next.
    fn keep(&mut self, at: usize, isolate: usize) {
        let now_ms = self.now_ms;
        let Some(here) = self.isolates[isolate].get_mut(&at) else { return };
        let id = here.id;
        if let Some(ask) = here.purse.ask(now_ms) {
            // It is lost with the isolate's patience; what waits then tries again.
            let wake_ms = now_ms + 3_001;
            here.wake_ms = Some(wake_ms);
            self.at(3_001, at, isolate, What::Wake(id));
            let way_ms = self.way_ms(isolate);
            self.at(way_ms, at, isolate, What::Asked(id, ask));
            return;
        }
        if let Some(wake_ms) = here.purse.wake_ms()
            && here.wake_ms.is_none_or(|known_ms| wake_ms < known_ms)
        {
            here.wake_ms = Some(wake_ms);
            self.at(wake_ms.saturating_sub(now_ms), at, isolate, What::Wake(id));
        }
    }

    /// Milliseconds from an isolate to the ledgers, which live near the first data centre.
    fn way_ms(&mut self, isolate: usize) -> u64 {
        2 + 10 * (isolate % DATA_CENTRES) as u64 + self.random.below(5)
    }

    fn answer(&mut self, at: usize, isolate: usize, id: IsolateId, ask: &Ask) {
        let now_ms = self.now_ms;
        let Tenant { ledger, count, .. } = &mut self.tenants[at];
        count.calls += 1;
        count.steady_calls += u64::from((STEADY_MS..END_MS).contains(&now_ms));
        let grant = ledger.answer(now_ms, ask);
        let late_ms = if self.random.below(1_000) < LATE_PER_MILLE { self.random.below(4_000) } else { 0 };
        let way_ms = self.way_ms(isolate) + late_ms;
        self.at(way_ms, at, isolate, What::Granted(id, grant));
    }

    fn receive(&mut self, at: usize, isolate: usize, id: IsolateId, grant: &Grant) {
        let now_ms = self.now_ms;
        if let Some(here) = self.alive(at, isolate, id) {
            here.purse.receive(now_ms, grant);
            self.retry(at, isolate);
            self.keep(at, isolate);
        }
    }

    /// Everybody who waits draws again.
    fn retry(&mut self, at: usize, isolate: usize) {
        let Some(here) = self.isolates[isolate].get_mut(&at) else { return };
        for (request, tries) in std::mem::take(&mut here.waiting) {
            self.try_to_run(at, isolate, request, tries);
        }
    }

    /// An isolate ends, with all it holds and knows; who waits there is refused.
    fn die(&mut self) {
        if self.now_ms >= END_MS {
            return;
        }
        let after_ms = self.random.pause_ms(DEATH_EVERY_MS) as u64;
        self.at(after_ms, 0, 0, What::Death);
        let isolate = self.random.below(ISOLATES as u64) as usize;
        for (at, dead) in std::mem::take(&mut self.isolates[isolate]) {
            let count = &mut self.tenants[at].count;
            count.wrongly_refused += dead.waiting.iter().filter(|(request, _)| request.ideal).count() as u64;
        }
    }
}

/// Units by which a limit is overshot at this moment: what is owed beyond the burst.
fn excess_units(debt: Gcra, rate: Rate, now_ms: u64) -> u64 {
    (debt.wait_ms(rate, now_ms, 0).unwrap() * rate.units()).div_ceil(rate.period_ms())
}
