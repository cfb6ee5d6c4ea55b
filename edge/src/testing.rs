//! An isolate without a worker around it, for tests: it decides as the worker does, by what a test tells it. It has no
//! network, no data centre and no clock. Only with the feature `testing`, which no worker is built with.

use std::collections::VecDeque;
use std::rc::Rc;

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::{InvalidIndex, Snapshot};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::id::{CorpusName, Epoch, TenantId};
use perigee_shared::question::Question;

use crate::answer_index::{Index, Indexes};
use crate::choose::{Found, Hit, Wish};
use crate::config::Bounds;
use crate::data_centre::held;
use crate::freshness::{Epochs, Place, PlaceRef, Sighting, WriteBegun, Wrote};
use crate::memory::{AnswerMemory, Kept};

/// What one isolate knows of answers.
pub struct Isolate {
    answers: AnswerMemory,
    epochs: Epochs,
    indexes: Indexes,
    bounds: Bounds,
    /// Those that are under way, the first one first.
    writes: VecDeque<WriteBegun>,
}

/// An answer that the isolate serves by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    pub answer: Answer,
    /// Its evidence is said to stand at this epoch.
    pub epoch: Epoch,
    /// Whether it was given to other words.
    pub is_paraphrase: bool,
}

/// What an origin answered to the question for an index.
#[derive(Debug, Clone)]
pub enum IndexReply {
    /// The one that is held still is the one.
    Same,
    Whole(Vec<u8>),
    Change(Vec<u8>),
}

fn place(question: &Question) -> PlaceRef<'_> {
    PlaceRef { tenant: &question.tenant, corpus: &question.corpus }
}

impl Isolate {
    /// Milliseconds from which on what is known of an epoch counts for nothing, and from which on it is asked for again.
    #[must_use]
    pub fn new(staleness_ms: u64, refresh_ms: u64) -> Self {
        Self {
            answers: AnswerMemory::new(),
            epochs: Epochs::new(),
            indexes: Indexes::new(),
            bounds: Bounds { staleness_ms, refresh_ms },
            writes: VecDeque::new(),
        }
    }

    /// What it serves to a question by itself; `None`: it asks an origin.
    #[must_use]
    pub fn ask(
        &self,
        question: &Question,
        control: CacheControl,
        min_epoch: Option<Epoch>,
        now_ms: u64,
    ) -> Option<Served> {
        let wish = Wish { question, control, min_epoch, bounds: self.bounds, now_ms };
        let (key, knowledge) = (CacheKey::of(question), self.epochs.of(place(question), now_ms));
        let index = || self.indexes.of(place(question));
        let served = |Hit { kept, age_s: _, epoch }: Hit, is_paraphrase| {
            Some(Served { answer: kept.answer.clone(), epoch, is_paraphrase })
        };
        if let Found::Hit(hit) = wish.judge(&key, self.answers.get(&key).as_ref(), knowledge, index) {
            let is_paraphrase = hit.kept.of_other_words;
            return served(hit, is_paraphrase);
        }
        let index = index()?;
        let other = |key: CacheKey| wish.judge_other_words(&key, &self.answers.get(&key)?, knowledge, &index);
        served(wish.other_words(&key, &index, knowledge).into_iter().find_map(other)?, true)
    }

    /// Keeps the answer that an origin, asked at `sent_ms`, gave to a question; `of_other_words` if it was made for others.
    pub fn keep(&mut self, question: &Question, answer: Answer, of_other_words: bool, sent_ms: u64) {
        if answer.may_be_stored() {
            let held = held(&answer, sent_ms, sent_ms);
            let bytes = serde_json::to_vec(&answer).map_or(0, |canonical| canonical.len());
            let kept = Kept::new(answer, ContextKey::of(question), held, of_other_words, bytes);
            self.answers.put(CacheKey::of(question), Rc::new(kept));
        }
    }

    /// Takes note of the epoch that an origin, asked at `sent_ms`, named.
    pub fn learn(&mut self, tenant: &TenantId, corpus: &CorpusName, epoch: Epoch, sent_ms: u64) {
        self.epochs.learn(PlaceRef { tenant, corpus }, Sighting { epoch, seen_ms: sent_ms });
    }

    /// A write through this isolate is sent on.
    pub fn write_begins(&mut self, tenant: &TenantId, corpus: &CorpusName, now_ms: u64) {
        self.writes.push_back(self.epochs.write_begins(PlaceRef { tenant, corpus }, now_ms));
    }

    /// The first of those under way is back, and told its epoch or not.
    pub fn write_ends(&mut self, tenant: &TenantId, corpus: &CorpusName, epoch: Option<Epoch>, now_ms: u64) {
        if let Some(write) = self.writes.pop_front() {
            let wrote = epoch.map_or(Wrote::Unknown, Wrote::Epoch);
            self.epochs.write_ends(PlaceRef { tenant, corpus }, write, wrote, now_ms);
        }
    }

    /// The name of the index that is held.
    #[must_use]
    pub fn index_etag(&self, tenant: &TenantId, corpus: &CorpusName) -> Option<String> {
        self.indexes.of(PlaceRef { tenant, corpus }).map(|index| index.snapshot.etag())
    }

    /// Takes in an index whose epoch was the latest at `seen_ms`. Whether one is held afterwards.
    pub fn take_index(
        &mut self,
        tenant: &TenantId,
        corpus: &CorpusName,
        reply: IndexReply,
        seen_ms: u64,
    ) -> bool {
        let place = Place { tenant: tenant.clone(), corpus: corpus.clone() };
        let (place, held) = (place.borrowed(), self.indexes.of(PlaceRef { tenant, corpus }));
        let read = match (reply, held) {
            (IndexReply::Same, held) => {
                if let Some(Index { snapshot, .. }) = held {
                    self.indexes.put(place, Index { snapshot, seen_ms });
                }
                return self.indexes.of(place).is_some();
            }
            (IndexReply::Whole(bytes), _) => Snapshot::parse(bytes),
            (IndexReply::Change(bytes), Some(held)) => held.snapshot.apply(&bytes),
            (IndexReply::Change(_), None) => Err(InvalidIndex::OtherBase),
        };
        self.indexes.receive(place, read, seen_ms).snapshot.is_some()
    }
}
