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

use super::dice::Dice;
use super::scene::Deed;
use crate::answer::evidence::{Grounds, search};
use crate::answer::{follow_up, testing};
use crate::corpus::{Corpora, Corpus, EmbeddedDocument, OpenOptions, Progress};
use crate::embed::Embedder;
use crate::extract::Reader;
use crate::retrieve::{QueryVector, Retrieved};

/// Documents at the beginning: enough passages that a new one does not enter every list.
const DOCUMENTS: usize = 70;
const QUESTIONS: usize = 6;

/// One embedder for all runs: loading the model takes longer than a run.
pub(super) fn embedder() -> Embedder {
    static EMBEDDER: OnceLock<Embedder> = OnceLock::new();
    EMBEDDER.get_or_init(testing::embedder).clone()
}

/// Two tenants whose corpora have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Ours,
    Theirs,
}

impl Place {
    pub(super) const ALL: [Self; 2] = [Self::Ours, Self::Theirs];

    pub(super) fn of(question: &Question) -> Self {
        if question.tenant.as_str() == Self::Ours.tenant() { Self::Ours } else { Self::Theirs }
    }

    const fn tenant(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }
}

/// One thing to ask, in several wordings that mean the same, with the model's vector of each.
pub(super) struct Asking {
    about: String,
    wordings: Vec<(String, Vec<f32>)>,
}

impl Asking {
    pub(super) async fn new(about: &str, embedder: &Embedder) -> Self {
        let mut wordings = Vec::new();
        for text in [format!("How do I find the {about}?"), format!("How can I find the {about}?")] {
            let vector = embedder.query(&text).await.unwrap().to_vec();
            wordings.push((text, vector));
        }
        Self { about: about.to_owned(), wordings }
    }

    /// Of the first wording.
    pub(super) fn vector(&self) -> &[f32] {
        &self.wordings[0].1
    }

    /// The first wording, asked of us by one who reads everything or by one who holds no label.
    pub(super) fn question(&self, staff: bool) -> Question {
        asked_of(Place::Ours, &self.wordings[0].0, staff)
    }
}

fn asked_of(place: Place, text: &str, staff: bool) -> Question {
    let audience =
        if staff { Audience::Labels([Label::new("staff").unwrap()].into()) } else { Audience::public() };
    Question { tenant: TenantId::new(place.tenant()).unwrap(), audience, ..testing::question(text) }
}

pub(super) struct World {
    corpora: Corpora,
    ours: Arc<Corpus>,
    theirs: Arc<Corpus>,
    embedder: Embedder,
    asked: Vec<Asking>,
    /// Of every text that was ever asked.
    vectors: HashMap<String, Vec<f32>>,
    /// Where the random questions point.
    directions: Vec<Vec<f32>>,
    /// Our documents: passages and labels of each.
    documents: Vec<Option<EmbeddedDocument>>,
    /// Who could read a document at an epoch.
    readers: HashMap<(DocumentId, Epoch), Vec<Label>>,
    found: HashMap<(CacheKey, Epoch), Evidence>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) async fn new(dice: &mut Dice) -> Self {
        let (dir, embedder) = (tempfile::tempdir().unwrap(), embedder());
        let on_progress = Arc::new(|_: Progress<'_>| ());
        let options = OpenOptions {
            data_dir: dir.path().to_path_buf(),
            embedder: embedder.clone(),
            reader: Reader::here(),
            on_progress,
        };
        let corpora = Corpora::open(options).await.unwrap();
        let name = CorpusName::new("docs").unwrap();
        let mut opened = Vec::new();
        for place in Place::ALL {
            let tenant = TenantId::new(place.tenant()).unwrap();
            corpora.create(&tenant, &name).await.unwrap();
            opened.push(corpora.get(&tenant, &name).unwrap());
        }
        let (theirs, ours) = (opened.pop().unwrap(), opened.pop().unwrap());
        let mut asked: Vec<Asking> = Vec::new();
        for _ in 0..QUESTIONS {
            asked.push(Asking::new(&dice.words(2), &embedder).await);
        }
        let vectors = asked.iter().flat_map(|asking| asking.wordings.iter().cloned()).collect();
        let directions = asked.iter().map(|asking| asking.vector().to_vec()).collect();
        let mut world = Self {
            corpora,
            ours,
            theirs,
            embedder,
            asked,
            vectors,
            directions,
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

    pub(super) const fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// From now on this is asked as well, until [`Self::end_scene`].
    pub(super) fn begin_scene(&mut self, asking: Asking) {
        self.vectors.extend(asking.wordings.iter().cloned());
        self.asked.push(asking);
    }

    pub(super) fn end_scene(&mut self) {
        self.asked.truncate(QUESTIONS);
    }

    pub(super) async fn close(&self) {
        self.corpora.close().await;
    }

    fn document(&self, number: usize, dice: &mut Dice) -> EmbeddedDocument {
        let audience = if dice.one_in(4) { vec![Label::new("staff").unwrap()] } else { Vec::new() };
        // Long documents move the mean length.
        let longest = if dice.one_in(5) { 60 } else { 12 };
        let mut passage = || (dice.some_words(3, longest), dice.near_one_of(&self.directions));
        let passages = (0..1 + number % 7).map(|_| passage()).collect();
        let id = DocumentId::new(format!("d{number}")).unwrap();
        EmbeddedDocument { id, title: dice.words(2), metadata: Map::new(), audience, passages }
    }

    /// One change to our corpus, of whatever kind.
    pub(super) async fn change(&mut self, dice: &mut Dice) {
        let number = dice.below(self.documents.len());
        match dice.below(14) {
            0..4 => self.put(self.documents.len(), dice).await,
            4..7 => self.edit(number, dice).await,
            7..10 => self.delete(number).await,
            // The words of a question, one of its words here and there, other words.
            10 => self.craft(dice, 1, |about, dice| format!("{about} {about} {}", dice.words(2))).await,
            11 => {
                let long = |about: &str, dice: &mut Dice| {
                    let word = about.split(' ').next().unwrap_or_default();
                    format!("{word} {}", "filler ".repeat(80 + dice.below(20)))
                };
                self.craft(dice, 9, long).await;
            }
            12 => self.craft(dice, 40, |_, dice| "foreign ".repeat(1 + dice.below(60))).await,
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

    /// What a scene does.
    pub(super) async fn perform(&self, deed: &Deed) {
        match deed {
            Deed::Put(document) => drop(self.ours.put_embedded(document.clone()).await.unwrap()),
            Deed::Delete(id) => drop(self.ours.delete_document(id).await.unwrap()),
        }
    }

    /// A new document whose vectors are near no question: its passages can only matter by their words.
    async fn craft(&mut self, dice: &mut Dice, passages: usize, text: impl Fn(&str, &mut Dice) -> String) {
        let number = self.documents.len();
        let mut document = self.document(number, dice);
        let about = self.asked[dice.below(QUESTIONS)].about.clone();
        document.audience = Vec::new();
        document.passages = (0..passages).map(|_| (text(&about, dice), dice.far_away())).collect();
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
                document.passages[at] = (dice.words(9), dice.near_one_of(&self.directions));
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

    /// Every question of a place, in every wording, for every audience. Scenes are only asked of us.
    pub(super) fn questions(&self, place: Place) -> Vec<Question> {
        let asked = match place {
            Place::Ours => &self.asked[..],
            Place::Theirs => &self.asked[..QUESTIONS],
        };
        let wordings = asked.iter().flat_map(|asking| &asking.wordings);
        wordings.flat_map(|(text, _)| [false, true].map(|staff| asked_of(place, text, staff))).collect()
    }

    pub(super) fn any_question(&self, dice: &mut Dice) -> Question {
        let place = if dice.one_in(8) { Place::Theirs } else { Place::Ours };
        let questions = self.questions(place);
        let number = dice.below(questions.len()).min(dice.below(questions.len()));
        questions[number].clone()
    }

    /// With the question's own vector, and no cache.
    pub(super) async fn retrieve(&self, question: &Question, search: Search) -> Retrieved {
        // For the question itself, or for an answered one that may ask the same.
        let vector = &self.vectors[&search.query];
        let corpus = self.corpus(Place::of(question));
        corpus.search_with(&search, QueryVector::new(vector), &question.audience).await.unwrap()
    }

    /// Retrieves every question at the present epoch, and notes who may read what.
    pub(super) async fn look(&mut self) {
        for place in Place::ALL {
            let epoch = self.corpus(place).epoch();
            for question in self.questions(place) {
                let key = (CacheKey::of(&question), epoch);
                if self.found.contains_key(&key) {
                    continue;
                }
                let query = follow_up::query(&question.turns);
                let found = self.retrieve(&question, search(&query)).await;
                assert_eq!(found.epoch, epoch);
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
            let document = &passage.document;
            if document.as_str().starts_with("scene") {
                continue;
            }
            let theirs = document.as_str().starts_with("theirs");
            if theirs != (Place::of(question) == Place::Theirs) {
                return Err(format!("{document} crossed a tenant"));
            }
            let versions = self.readers.iter().filter(|((id, _), _)| id == document);
            let mut readable = versions.map(|(_, labels)| question.audience.may_read(labels));
            if !theirs && !readable.any(|may| may) {
                return Err(format!("{document} crossed an audience"));
            }
        }
        Ok(())
    }
}
