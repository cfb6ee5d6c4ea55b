//! No served answer's evidence differs from what retrieval returns, whatever happens to the documents in between.
//!
//! Random documents and questions in several wordings; random inserts, edits, deletions and changes of audience between
//! asks; several edges, real ones but for their network, whose answer indexes lag behind. After each change every question
//! is retrieved again, and everything that is said to stand, or is served, is held against it. Among the random changes
//! are scenes, one for each rule by which answers are known to stand: what it alone can see. Left out, each rule
//! makes the same run fail.
//!
//! `PERIGEE_ORACLE_SEED` repeats a run, `PERIGEE_ORACLE_STEPS` lengthens it.

mod dice;
mod edge;
mod scene;
mod world;

use std::collections::{BTreeMap, HashMap};

use perigee_shared::cache_key::ContextKey;
use perigee_shared::header::is_of_other_words;
use proptest::prelude::*;
use tokio::sync::Mutex;

use self::dice::Dice;
use self::edge::LaggingEdge;
use self::scene::{Deed, Scene};
use self::world::{Place, World};
use super::*;
use crate::answer::scripted::Script;
use crate::answered::Registry;
use crate::retrieve::{Rule, Rules};

const STEPS: usize = 40;
const EDGES: usize = 3;

/// Runs at most until the lack of a rule shows. The first does, unless another rule happens to see the same.
const SEEDS_MAX: u64 = 12;

/// Until when an edge may trust what it saw, and from when on it asks again.
const STALENESS_MS: u64 = 10_000;
const REFRESH_MS: u64 = 1_000;

/// What went wrong, with the time at which it did.
type Wrong = String;

struct Run {
    world: World,
    answers: Answers,
    edges: Vec<LaggingEdge>,
    dice: Dice,
    now_ms: u64,
    /// From when on an epoch was our latest.
    latest: BTreeMap<u64, Epoch>,
    /// Whose question an answer was made for, by its id.
    owners: HashMap<String, Question>,
    scenes: usize,
    served: Served,
    _server: Scripted,
}

/// How often which path was taken: a run that takes none proves nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Served {
    at_edges: usize,
    /// By an index that says that it stands later than when it was made.
    later_than_the_body: usize,
    to_other_words_at_edges: usize,
    to_other_words_at_the_origin: usize,
    exact_at_the_origin: usize,
    changes: usize,
    scenes: usize,
}

/// Somebody who asks.
struct Ask {
    question: Question,
    edge: usize,
    control: CacheControl,
    min_epoch: Option<Epoch>,
}

impl Run {
    async fn new(seed: u64, rules: Rules) -> Self {
        let server = Scripted::start([Script::says(&["So it is. [1]"])]).await;
        let upstream = Upstream::new(&UpstreamOptions::new(&server.base_url, "m")).unwrap();
        let options = AnswerOptions::default();
        let answers = Answers::with(Registry::with(rules), &options, Some(upstream), world::embedder());
        let mut dice = Dice::new(seed);
        let mut run = Self {
            world: World::new(&mut dice).await,
            answers,
            edges: (0..EDGES).map(|_| LaggingEdge::new()).collect(),
            dice,
            now_ms: 1_000_000,
            latest: BTreeMap::new(),
            owners: HashMap::new(),
            scenes: 0,
            served: Served::default(),
            _server: server,
        };
        for place in Place::ALL {
            run.answers.standing(run.world.corpus(place));
        }
        run.look().await;
        run
    }

    /// One step: a change or a scene, or a question at some edge.
    async fn step(&mut self) -> Result<(), Wrong> {
        self.now_ms += 200 + self.dice.below(1_500) as u64;
        match self.dice.below(6) {
            0 => self.change().await?,
            1 => {
                let rule = Rule::ALL[self.dice.below(Rule::ALL.len())];
                self.play(rule).await?;
            }
            _ => {
                let ask = self.any_ask();
                self.ask(ask).await?;
            }
        }
        for number in 0..EDGES {
            if self.dice.one_in(4) {
                let (lag_ms, differences) = (self.dice.below(4_000) as u64, self.dice.one_in(2));
                self.refresh(number, lag_ms, differences).await;
            }
            self.edges[number].receive(self.world.corpus(Place::Ours), self.now_ms);
        }
        Ok(())
    }

    async fn refresh(&mut self, number: usize, lag_ms: u64, differences: bool) {
        let corpus = self.world.corpus(Place::Ours);
        self.edges[number].refresh(&self.answers, corpus, self.now_ms, lag_ms, differences).await;
    }

    /// A change, through an edge or past all of them. Every question is asked before, so that there is an answer to each.
    async fn change(&mut self) -> Result<(), Wrong> {
        self.served.changes += 1;
        for question in self.world.questions(Place::Ours) {
            let edge = self.dice.below(EDGES);
            self.ask(Ask { question, edge, control: CacheControl::default(), min_epoch: None }).await?;
        }
        let through = self.dice.below(2 * EDGES);
        let corpus = Arc::clone(self.world.corpus(Place::Ours));
        if let Some(edge) = self.edges.get_mut(through) {
            edge.isolate.write_begins(corpus.tenant(), corpus.name(), self.now_ms);
        }
        let sent_ms = self.now_ms;
        self.world.change(&mut self.dice).await;
        self.look().await;
        if let Some(edge) = self.edges.get_mut(through) {
            edge.isolate.learn(corpus.tenant(), corpus.name(), corpus.epoch(), sent_ms);
            edge.isolate.write_ends(corpus.tenant(), corpus.name(), Some(corpus.epoch()), self.now_ms);
            edge.written = corpus.epoch();
        }
        self.all_that_is_said_to_stand_does()
    }

    /// Sets a rule's scene up, has its question answered, lets happen what the rule is for, and asks again.
    async fn play(&mut self, rule: Rule) -> Result<(), Wrong> {
        self.served.scenes += 1;
        self.scenes += 1;
        let scene = Scene::of(rule, self.scenes, &self.world, &mut self.dice).await;
        let Scene { asking, staff, before, change, .. } = scene;
        let question = asking.question(staff);
        let mut left: Vec<_> = before.iter().map(|document| document.id.clone()).collect();
        for deed in &change {
            match deed {
                Deed::Put(document) => left.push(document.id.clone()),
                Deed::Delete(gone) => left.retain(|id| id != gone),
            }
        }
        self.world.begin_scene(asking);
        for document in before {
            self.world.perform(&Deed::Put(document)).await;
        }
        self.look().await;
        let ask = |question: &Question| Ask {
            question: question.clone(),
            edge: 0,
            control: CacheControl::default(),
            min_epoch: None,
        };
        let corpus = Arc::clone(self.world.corpus(Place::Ours));
        if rule == Rule::Method {
            corpus.search_exactly_up_to(corpus.summary().passages);
        }
        if rule == Rule::Late {
            self.ask_while(&ask(&question), &change).await?;
        } else {
            self.ask(ask(&question)).await?;
            self.take_index(0).await;
            for deed in &change {
                self.world.perform(deed).await;
            }
            self.look().await;
        }
        // First by the index that says that it stands, then by the origin.
        self.take_index(0).await;
        self.ask(ask(&question)).await?;
        self.ask_origin(&ask(&question)).await?;
        self.all_that_is_said_to_stand_does()?;
        corpus.search_exactly_up_to(10_000);
        for id in left {
            self.world.perform(&Deed::Delete(id)).await;
        }
        self.look().await;
        let outcome = self.all_that_is_said_to_stand_does();
        self.world.end_scene();
        outcome
    }

    /// An edge gets the index as it is now, so late that it may trust nothing that it saw before.
    async fn take_index(&mut self, number: usize) {
        self.now_ms += STALENESS_MS;
        self.edges[number].receive(self.world.corpus(Place::Ours), self.now_ms);
        self.refresh(number, 0, true).await;
        self.edges[number].receive(self.world.corpus(Place::Ours), self.now_ms);
    }

    /// Follows a change through, and retrieves every question again.
    async fn look(&mut self) {
        self.now_ms += 1;
        let corpus = self.world.corpus(Place::Ours);
        let epoch = corpus.epoch();
        self.latest.insert(self.now_ms, epoch);
        let standing = self.answers.standing(corpus);
        standing.settled(epoch, PATIENCE).await;
        let tally = standing.tally();
        assert_eq!((tally.certified, tally.in_doubt), (epoch, 0), "not followed through");
        self.world.look().await;
        self.now_ms += 1;
    }

    /// Whatever is said to stand now must be what retrieval returns now.
    fn all_that_is_said_to_stand_does(&self) -> Result<(), Wrong> {
        let corpus = self.world.corpus(Place::Ours);
        let (standing, epoch) = (self.answers.standing(corpus), corpus.epoch());
        for question in self.world.questions(Place::Ours) {
            let now = self.world.evidence(&question, epoch);
            let key = CacheKey::of(&question);
            for (at, other) in self.world.evidences(&question).filter(|(_, evidence)| **evidence != now) {
                if standing.stands(&key, other, epoch).is_some() {
                    let asked = question.asked();
                    return Err(format!("evidence of epoch {at} is said to stand at {epoch} for `{asked}`"));
                }
            }
        }
        Ok(())
    }

    fn any_ask(&mut self) -> Ask {
        let question = self.world.any_question(&mut self.dice);
        let epoch = self.world.corpus(Place::of(&question)).epoch();
        let min_epoch = self.dice.one_in(8).then_some(epoch);
        let control = match self.dice.below(12) {
            0 => control("no-cache"),
            1 => control("no-store"),
            2 => control("max-age=5"),
            _ => CacheControl::default(),
        };
        Ask { question, edge: self.dice.below(EDGES), control, min_epoch }
    }

    /// At an edge, which asks the origin if it has nothing to serve.
    async fn ask(&mut self, ask: Ask) -> Result<(), Wrong> {
        let Ask { ref question, edge, control, min_epoch } = ask;
        let at_edge = self.edges[edge].isolate.ask(question, control, min_epoch, self.now_ms);
        let Some(served) = at_edge else {
            // Now and then a document changes while the answer is being made.
            if Place::of(question) == Place::Ours && self.dice.one_in(25) {
                self.ask_while(&Ask { control: self::control("no-cache"), ..ask }, &[]).await?;
                return self.all_that_is_said_to_stand_does();
            }
            return self.ask_origin(&ask).await;
        };
        self.served.at_edges += 1;
        self.served.later_than_the_body += usize::from(served.epoch > served.answer.epoch);
        self.served.to_other_words_at_edges += usize::from(served.is_paraphrase);
        let oldest_ms = self.now_ms - STALENESS_MS;
        self.check(&ask, &served.answer, oldest_ms).map_err(|wrong| format!("at an edge: {wrong}"))?;
        if min_epoch.is_some_and(|min| served.epoch < min) {
            return Err(format!("served from epoch {} though {min_epoch:?} was wanted", served.epoch));
        }
        Ok(())
    }

    async fn ask_origin(&mut self, ask: &Ask) -> Result<(), Wrong> {
        let place = Place::of(&ask.question);
        let seen = Seen::of(self.world.corpus(place));
        let (world, deadline) = (&self.world, Instant::now() + PATIENCE);
        let retrieve = |search: Search| async { Ok(world.retrieve(&ask.question, search).await) };
        let asked = self.answers.answer_from(seen, retrieve, ask.question.clone(), ask.control, deadline);
        let reply = asked.await.map_err(|error| error.to_string())?;
        self.take(ask, reply, self.now_ms).await
    }

    /// The same, and after its passages are found, and before it is answered, this is done; or something at random.
    async fn ask_while(&mut self, ask: &Ask, deeds: &[Deed]) -> Result<(), Wrong> {
        let (sent_ms, corpus) = (self.now_ms, Arc::clone(self.world.corpus(Place::Ours)));
        let seen = Seen::of(&corpus);
        // Whoever retrieves has the world to themselves.
        let turn = Mutex::new((&mut self.world, &mut self.dice, true));
        let (turn, answers, corpus) = (&turn, &self.answers, &corpus);
        let retrieve = |search: Search| async move {
            let mut turn = turn.lock().await;
            let (world, dice, first) = &mut *turn;
            let found = world.retrieve(&ask.question, search).await;
            if std::mem::take(first) {
                for deed in deeds {
                    world.perform(deed).await;
                }
                if deeds.is_empty() {
                    world.change(dice).await;
                }
                answers.standing(corpus).settled(corpus.epoch(), PATIENCE).await;
            }
            Ok(found)
        };
        let deadline = Instant::now() + PATIENCE;
        let asked = answers.answer_from(seen, retrieve, ask.question.clone(), ask.control, deadline);
        let reply = asked.await.map_err(|error| error.to_string())?;
        // It may still be in the making: then it is kept by the time it is whole.
        let (answer, outcome) = whole(reply).await;
        self.look().await;
        self.take(ask, Reply::Ready(answer, outcome), sent_ms).await
    }

    /// Takes what the origin, asked at `sent_ms`, replied; the edge keeps it.
    async fn take(&mut self, ask: &Ask, reply: Reply, sent_ms: u64) -> Result<(), Wrong> {
        let (answer, outcome) = whole(reply).await;
        match outcome {
            CacheOutcome::HitExact => self.served.exact_at_the_origin += 1,
            CacheOutcome::HitParaphrase => self.served.to_other_words_at_the_origin += 1,
            _ => {}
        }
        self.note_owners(&ask.question, &answer, outcome);
        let edge = &mut self.edges[ask.edge];
        let question = &ask.question;
        edge.isolate.learn(&question.tenant, &question.corpus, answer.epoch, sent_ms);
        if !ask.control.no_store {
            let of_other_words = is_of_other_words(&outcome.member("origin"));
            edge.isolate.keep(question, Answer::clone(&answer), of_other_words, sent_ms);
        }
        self.check(ask, &answer, sent_ms).map_err(|wrong| format!("{outcome:?} at the origin: {wrong}"))
    }

    /// Learns which answer is whose: by what the origin keeps, and by what it has just made.
    fn note_owners(&mut self, question: &Question, answer: &Answer, outcome: CacheOutcome) {
        if !is_of_other_words(&outcome.member("origin")) {
            self.owners.entry(answer.id.clone()).or_insert_with(|| question.clone());
        }
        for question in self.world.questions(Place::of(question)) {
            let incarnation = self.world.corpus(Place::of(&question)).incarnation();
            let of = Identity { incarnation, key: CacheKey::of(&question) };
            if let Some(kept) = self.answers.shared.cache.get(&of) {
                self.owners.entry(kept.id.clone()).or_insert(question);
            }
        }
    }

    /// What is served must rest on what retrieval returned, for the question that it was made for, at an epoch that was
    /// the latest at `oldest_ms` or later; and that question must be of the same context.
    fn check(&self, ask: &Ask, answer: &Answer, oldest_ms: u64) -> Result<(), Wrong> {
        let Ask { question, min_epoch, .. } = ask;
        let Some(owner) = self.owners.get(&answer.id) else { return Err("nobody's answer".to_owned()) };
        if ContextKey::of(owner) != ContextKey::of(question) {
            return Err(format!("{owner:?}'s answer crossed to {question:?}"));
        }
        let least = match Place::of(question) {
            Place::Ours => self.edges[ask.edge].written.max(min_epoch.unwrap_or(Epoch::ZERO)),
            Place::Theirs => Epoch::ZERO,
        };
        let allowed: Vec<Epoch> = match Place::of(question) {
            Place::Theirs => vec![self.world.corpus(Place::Theirs).epoch()],
            Place::Ours => {
                let before = self.latest.range(..=oldest_ms).next_back();
                let since = self.latest.range(oldest_ms..=self.now_ms);
                before
                    .into_iter()
                    .chain(since)
                    .map(|(_, epoch)| *epoch)
                    .filter(|epoch| *epoch >= least)
                    .collect()
            }
        };
        if !allowed.iter().any(|epoch| self.world.evidence(owner, *epoch) == answer.evidence) {
            return Err(format!(
                "`{}` got an answer of epoch {} to `{}` whose evidence none of {allowed:?} has",
                question.asked(),
                answer.epoch,
                owner.asked(),
            ));
        }
        self.world.check_readers(question, &answer.evidence)
    }
}

/// Runs so many steps, or to the first that goes wrong.
async fn run(seed: u64, steps: usize, rules: Rules) -> Result<Served, Wrong> {
    let mut run = Run::new(seed, rules).await;
    for step in 0..steps {
        run.step().await.map_err(|wrong| format!("seed {seed}, step {step}: {wrong}"))?;
    }
    run.world.close().await;
    Ok(run.served)
}

/// Plays nothing but one rule's scene.
async fn scene(seed: u64, rule: Rule, rules: Rules) -> Result<(), Wrong> {
    let mut run = Run::new(seed, rules).await;
    let outcome = run.play(rule).await;
    run.world.close().await;
    outcome.map_err(|wrong| format!("seed {seed}: {wrong}"))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn steps() -> usize {
    number("PERIGEE_ORACLE_STEPS").map_or(STEPS, |steps| steps as usize)
}

#[test]
fn no_served_answer_rests_on_other_evidence_than_retrieval_returns() {
    let seed = number("PERIGEE_ORACLE_SEED").unwrap_or(7);
    let served = block_on(run(seed, 3 * steps(), Rules::default())).unwrap();
    println!("{served:?}");
    // Everything that is to be shown has happened.
    let Served { at_edges, later_than_the_body, exact_at_the_origin, changes, scenes, .. } = served;
    assert!(
        at_edges > 5 && later_than_the_body > 0 && exact_at_the_origin > 5 && changes > 10 && scenes > 10
    );
    assert!(served.to_other_words_at_edges > 0 && served.to_other_words_at_the_origin > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nor_does_one_in_any_other_order_of_events(seed: u64) {
        let outcome = block_on(run(seed, steps(), Rules::default()));
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}

#[test]
fn without_any_one_of_the_rules_a_wrong_answer_is_served() {
    // What is found either way is nearly always the same: `border.rs` looks for what is not.
    for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::Method) {
        let without = Rules { without: Some(rule) };
        let found = (1..=SEEDS_MAX).find_map(|seed| block_on(scene(seed, rule, without)).err());
        println!("without {rule:?}: {found:?}");
        let served = |wrong: &String| wrong.contains(" at an edge: ") || wrong.contains(" at the origin: ");
        assert!(found.as_ref().is_some_and(served), "{rule:?}: {found:?}");
    }
}
