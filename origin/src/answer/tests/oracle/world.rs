//! Random documents that change, random questions, and what retrieval returns for each of them at each epoch.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use perigee_shared::cache_key::CacheKey;
use perigee_shared::caller::Audience;
use perigee_shared::evidence::Evidence;
use perigee_shared::id::{CorpusName, DocumentId, Epoch, Label, TenantId};
use perigee_shared::question::Question;
use perigee_shared::search::Search;
use serde_json::Map;

use crate::answer::evidence::Grounds;
use crate::answer::{follow_up, search, testing};
use crate::corpus::{Corpora, Corpus, EmbeddedDocument, OpenOptions, Progress};
use crate::embed::{DIMENSIONS, Embedder};
use crate::extract::Reader;
use crate::retrieve::{QueryVector, Retrieved};

/// Documents at the beginning: enough passages that a new one does not enter every list.
const DOCUMENTS: usize = 70;
const QUESTIONS: usize = 10;
/// Words from which documents and questions are made, from common to rare.
const WORDS: usize = 40;
/// Directions in which vectors differ.
const DIRECTIONS: usize = 6;

/// One embedder for all runs: loading the model takes longer than a run.
pub(super) fn embedder() -> Embedder {
    static EMBEDDER: OnceLock<Embedder> = OnceLock::new();
    EMBEDDER.get_or_init(testing::embedder).clone()
}

/// Numbers that a seed decides.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize) % end
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn fraction(&mut self) -> f32 {
        self.below(1_000) as f32 / 1_000.0
    }

    /// Common words come more often.
    fn word(&mut self) -> String {
        let word = self.below(WORDS).min(self.below(WORDS));
        format!("w{word}x")
    }

    fn words(&mut self, count: usize) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// At least `least` words, and fewer than `more` beyond.
    fn some_words(&mut self, least: usize, more: usize) -> String {
        let count = least + self.below(more);
        self.words(count)
    }

    /// A direction that is not too far from any other.
    fn vector(&mut self) -> Vec<f32> {
        let mut vector = vec![0.0; DIMENSIONS];
        for number in &mut vector[..DIRECTIONS] {
            *number = 0.2 + self.fraction();
        }
        vector
    }
}

/// A direction that no question has.
fn far_away(dice: &mut Dice) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for number in &mut vector[DIRECTIONS..2 * DIRECTIONS] {
        *number = 0.2 + dice.fraction();
    }
    vector
}

/// Two tenants whose corpora have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Ours,
    Theirs,
}

impl Place {
    pub(super) const ALL: [Self; 2] = [Self::Ours, Self::Theirs];

    const fn tenant(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }
}

pub(super) struct World {
    corpora: Corpora,
    ours: Arc<Corpus>,
    theirs: Arc<Corpus>,
    asked: Vec<(String, Vec<f32>)>,
    /// Our documents: passages and labels of each.
    documents: Vec<Option<EmbeddedDocument>>,
    /// Who could read a document of this name at any time: its labels, of every version.
    readers: HashMap<(DocumentId, Epoch), Vec<Label>>,
    found: HashMap<(CacheKey, Epoch), Evidence>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) async fn new(embedder: Embedder, dice: &mut Dice) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let on_progress = Arc::new(|_: Progress<'_>| ());
        let options =
            OpenOptions { data_dir: dir.path().to_path_buf(), embedder, reader: Reader::here(), on_progress };
        let corpora = Corpora::open(options).await.unwrap();
        let name = CorpusName::new("docs").unwrap();
        let mut opened = Vec::new();
        for place in Place::ALL {
            let tenant = TenantId::new(place.tenant()).unwrap();
            corpora.create(&tenant, &name).await.unwrap();
            opened.push(corpora.get(&tenant, &name).unwrap());
        }
        let (theirs, ours) = (opened.pop().unwrap(), opened.pop().unwrap());
        let asked = (0..QUESTIONS).map(|_| (dice.some_words(2, 3), dice.vector())).collect();
        let mut world = Self {
            corpora,
            ours,
            theirs,
            asked,
            documents: Vec::new(),
            readers: HashMap::new(),
            found: HashMap::new(),
            _dir: dir,
        };
        for number in 0..DOCUMENTS {
            let document = world.document(number, dice);
            world.documents.push(Some(document));
        }
        let all = world.documents.iter().flatten().cloned();
        for written in futures::future::join_all(all.map(|document| world.ours.put_embedded(document))).await
        {
            written.unwrap();
        }
        for number in 0..3 {
            let mut document = world.document(number, dice);
            document.id = DocumentId::new(format!("theirs-{number}")).unwrap();
            world.theirs.put_embedded(document).await.unwrap();
        }
        world
    }

    pub(super) const fn corpus(&self, place: Place) -> &Arc<Corpus> {
        match place {
            Place::Ours => &self.ours,
            Place::Theirs => &self.theirs,
        }
    }

    pub(super) async fn close(&self) {
        self.corpora.close().await;
    }

    fn document(&self, number: usize, dice: &mut Dice) -> EmbeddedDocument {
        let audience = if dice.one_in(4) { vec![Label::new("staff").unwrap()] } else { Vec::new() };
        // Long documents move the mean length.
        let longest = if dice.one_in(5) { 60 } else { 12 };
        let mut passage = || (dice.some_words(3, longest), dice.vector());
        let passages = (0..1 + number % 7).map(|_| passage()).collect();
        let id = DocumentId::new(format!("d{number}")).unwrap();
        EmbeddedDocument { id, title: dice.words(2), metadata: Map::new(), audience, passages }
    }

    /// One change to our corpus, of whatever kind.
    pub(super) async fn change(&mut self, dice: &mut Dice) {
        let number = dice.below(self.documents.len());
        match dice.below(15) {
            0..4 => self.put(self.documents.len(), dice).await,
            4..7 => self.edit(number, dice).await,
            7..10 => self.delete(number).await,
            // So much at once that it is not looked at passage by passage, and gone again.
            10 => {
                let flood = self.documents.len();
                let mut document = self.document(flood, dice);
                document.passages = (0..70).map(|_| (dice.words(9), dice.vector())).collect();
                self.write(flood, document).await;
            }
            // What one rule alone can see: the words of a question, one of its words here and there, other words.
            11 => self.craft(dice, 1, |asked, dice| format!("{asked} {asked} {}", dice.words(2))).await,
            12 => {
                let long = |asked: &str, dice: &mut Dice| {
                    let word = asked.split(' ').next().unwrap_or_default();
                    format!("{word} {}", "filler ".repeat(80 + dice.below(20)))
                };
                self.craft(dice, 9, long).await;
            }
            13 => self.craft(dice, 40, |_, dice| "foreign ".repeat(1 + dice.below(60))).await,
            // Several in one commit.
            _ => {
                let (one, other) = (self.document(number, dice), self.document(self.documents.len(), dice));
                let (a, b) =
                    tokio::join!(self.ours.put_embedded(one.clone()), self.ours.put_embedded(other.clone()));
                a.and(b).unwrap();
                self.documents[number] = Some(one);
                self.documents.push(Some(other));
            }
        }
    }

    /// A new document whose vectors are near no question: its passages can only matter by their words.
    async fn craft(&mut self, dice: &mut Dice, passages: usize, text: impl Fn(&str, &mut Dice) -> String) {
        let number = self.documents.len();
        let mut document = self.document(number, dice);
        let asked = self.asked[dice.below(QUESTIONS)].0.clone();
        document.audience = Vec::new();
        document.passages = (0..passages).map(|_| (text(&asked, dice), far_away(dice))).collect();
        self.write(number, document).await;
    }

    async fn put(&mut self, number: usize, dice: &mut Dice) {
        let document = self.document(number, dice);
        self.write(number, document).await;
    }

    /// Another passage, other readers, or other words throughout.
    async fn edit(&mut self, number: usize, dice: &mut Dice) {
        let Some(mut document) = self.documents[number].clone() else {
            return self.put(number, dice).await;
        };
        match dice.below(3) {
            0 => {
                let at = dice.below(document.passages.len());
                document.passages[at] = (dice.words(9), dice.vector());
            }
            1 if document.audience.is_empty() => document.audience = vec![Label::new("staff").unwrap()],
            1 => document.audience = Vec::new(),
            _ => document = self.document(number, dice),
        }
        self.write(number, document).await;
    }

    async fn write(&mut self, number: usize, document: EmbeddedDocument) {
        self.ours.put_embedded(document.clone()).await.unwrap();
        if number == self.documents.len() {
            self.documents.push(None);
        }
        self.documents[number] = Some(document);
    }

    async fn delete(&mut self, number: usize) {
        if let Some(document) = self.documents[number].take() {
            self.ours.delete_document(&document.id).await.unwrap();
        }
    }

    /// Every question of a place, for every audience.
    pub(super) fn questions(&self, place: Place) -> Vec<Question> {
        let staff = Audience::Labels([Label::new("staff").unwrap()].into());
        let audiences = [Audience::public(), staff];
        let of = |(text, _): &(String, Vec<f32>)| {
            let tenant = TenantId::new(place.tenant()).unwrap();
            audiences.clone().map(|audience| Question {
                tenant: tenant.clone(),
                audience,
                ..testing::question(text)
            })
        };
        self.asked.iter().flat_map(of).collect()
    }

    pub(super) fn any_question(&self, dice: &mut Dice) -> Question {
        let place = if dice.one_in(8) { Place::Theirs } else { Place::Ours };
        let questions = self.questions(place);
        let number = dice.below(questions.len()).min(dice.below(questions.len()));
        questions[number].clone()
    }

    pub(super) fn place_of(&self, question: &Question) -> Place {
        if question.tenant.as_str() == Place::Ours.tenant() { Place::Ours } else { Place::Theirs }
    }

    /// With the question's own vector, and no cache.
    pub(super) async fn retrieve(&self, question: &Question, search: Search) -> Retrieved {
        // For the question itself, or for an answered one that may ask the same.
        let (_, vector) = self.asked.iter().find(|(text, _)| *text == search.query).unwrap();
        let corpus = self.corpus(self.place_of(question));
        corpus.search_with(&search, QueryVector::new(vector), &question.audience).await.unwrap()
    }

    /// Retrieves every question at the present epoch, and notes who may read what.
    pub(super) async fn look(&mut self, step: usize) {
        for place in Place::ALL {
            let epoch = self.corpus(place).epoch();
            for question in self.questions(place) {
                let key = (CacheKey::of(&question), epoch);
                if self.found.contains_key(&key) {
                    continue;
                }
                let query = follow_up::query(&question.turns);
                let found = self.retrieve(&question, search(&query)).await;
                assert_eq!(found.epoch, epoch, "step {step}");
                self.found.insert(key, Grounds::choose(&query, found).evidence());
            }
        }
        let epoch = self.ours.epoch();
        for document in self.documents.iter().flatten() {
            self.readers.insert((document.id.clone(), epoch), document.audience.clone());
        }
    }

    /// What retrieval returned at an epoch; nothing for one that nobody looked at.
    pub(super) fn evidence(&self, question: &Question, epoch: Epoch) -> Evidence {
        self.found.get(&(CacheKey::of(question), epoch)).cloned().unwrap_or_default()
    }

    /// All that retrieval ever returned.
    pub(super) fn evidences(&self, question: &Question) -> impl Iterator<Item = (Epoch, &Evidence)> {
        let key = CacheKey::of(question);
        self.found
            .iter()
            .filter(move |((of, _), _)| *of == key)
            .map(|((_, epoch), evidence)| (*epoch, evidence))
    }

    /// Evidence is only ever of the tenant, and of documents that the audience could read at some epoch.
    pub(super) fn check_readers(&self, question: &Question, evidence: &Evidence) -> Result<(), String> {
        for passage in evidence.passages() {
            let theirs = passage.document.as_str().starts_with("theirs");
            if theirs != (self.place_of(question) == Place::Theirs) {
                return Err(format!("{} crossed a tenant", passage.document));
            }
            let versions = self.readers.iter().filter(|((id, _), _)| *id == passage.document);
            let mut readable = versions.map(|(_, labels)| question.audience.may_read(labels));
            if !theirs && !readable.any(|may| may) {
                return Err(format!("{} crossed an audience", passage.document));
            }
        }
        Ok(())
    }
}
