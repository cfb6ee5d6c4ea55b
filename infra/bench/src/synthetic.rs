//! Corpora of any size: texts and vectors out of a seeded generator, the same in every run.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use perigee_origin::corpus::{Corpus, EmbeddedDocument};
use perigee_origin::embed::DIMENSIONS;
use perigee_shared::id::{CorpusName, DocumentId, TenantId};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::task::JoinSet;
use xtask::workspace::Workspace;

use crate::origin;

const PASSAGES_PER_DOCUMENT: usize = 20;
const WORDS_PER_PASSAGE: usize = 120;
const VOCABULARY: usize = 30_000;
const CENTRES: usize = 1_000;

/// How far a vector lies from its centre, as the share of its length that is noise.
const NOISE: f32 = 0.6;

/// Documents put at a time, so that commits are shared as under load.
const AT_A_TIME: usize = 64;

/// `part` of a document's metadata is its number modulo this: one value is one passage in a hundred.
pub(crate) const PARTS: usize = 100;

/// A data directory with one corpus of so many passages.
pub(crate) struct Filled {
    data: TempDir,
    pub(crate) passages: usize,
}

impl Filled {
    pub(crate) async fn new(workspace: &Workspace, passages: usize) -> Result<Self> {
        let data = origin::folder(workspace)?;
        let filled = Self { data, passages };
        let corpora = origin::open(&filled.data_dir(), origin::embedder(workspace)?).await?;
        let (tenant, name) = (TenantId::new(origin::TENANT)?, CorpusName::new(origin::CORPUS)?);
        corpora.create(&tenant, &name).await?;
        fill(&corpora.get(&tenant, &name)?, passages).await?;
        corpora.close().await;
        Ok(filled)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.path().join("origin")
    }
}

/// Questions of a few words each.
pub(crate) fn questions(count: usize) -> Vec<String> {
    let mut words = Words::new();
    (0..count).map(|_| words.text(8)).collect()
}

/// Passages and documents that are in no corpus yet, out of the same words and clusters.
pub(crate) struct Documents {
    words: Words,
    vectors: Vectors,
}

impl Documents {
    pub(crate) fn later() -> Self {
        let (mut words, mut vectors) = (Words::new(), Vectors::new());
        words.random = Random(4);
        vectors.random = Random(5);
        Self { words, vectors }
    }

    /// A text of so many words, and a vector.
    pub(crate) fn passage(&mut self, words: usize) -> (String, Vec<f32>) {
        (self.words.text(words), self.vectors.vector())
    }

    /// Another version of a document that [`Filled`] has.
    pub(crate) fn document(&mut self, number: usize) -> Result<EmbeddedDocument> {
        Ok(EmbeddedDocument {
            id: DocumentId::new(format!("d{number}"))?,
            title: self.words.text(4),
            metadata: Map::from_iter([("part".to_owned(), Value::from(number % PARTS))]),
            audience: Vec::new(),
            passages: (0..PASSAGES_PER_DOCUMENT).map(|_| self.passage(WORDS_PER_PASSAGE)).collect(),
        })
    }
}

async fn fill(corpus: &Arc<Corpus>, passages: usize) -> Result<()> {
    let (mut words, mut vectors) = (Words::new(), Vectors::new());
    let mut tasks = JoinSet::new();
    for number in 0..passages / PASSAGES_PER_DOCUMENT {
        let made = (0..PASSAGES_PER_DOCUMENT).map(|_| (words.text(WORDS_PER_PASSAGE), vectors.vector()));
        let passages = made.collect();
        let document = EmbeddedDocument {
            id: DocumentId::new(format!("d{number}"))?,
            title: words.text(4),
            metadata: Map::from_iter([("part".to_owned(), Value::from(number % PARTS))]),
            audience: Vec::new(),
            passages,
        };
        if tasks.len() == AT_A_TIME
            && let Some(put) = tasks.join_next().await
        {
            put??;
        }
        let corpus = Arc::clone(corpus);
        tasks.spawn(async move { corpus.put_embedded(document).await.map(drop) });
    }
    while let Some(put) = tasks.join_next().await {
        put??;
    }
    Ok(())
}

/// Words as often as in a language: the word of rank r comes up in proportion to 1/r.
struct Words {
    random: Random,
    vocabulary: Vec<String>,
}

impl Words {
    fn new() -> Self {
        const ONSETS: [&str; 12] = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "st", "tr"];
        const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
        let mut random = Random(1);
        let mut word = |rank: usize| {
            // Common words are short.
            let syllables = 1 + rank.ilog10() as usize / 2 + random.below(3);
            (0..syllables).map(|_| [ONSETS[random.below(12)], VOWELS[random.below(5)]].concat()).collect()
        };
        let vocabulary = (1..=VOCABULARY).map(&mut word).collect();
        Self { random: Random(2), vocabulary }
    }

    fn text(&mut self, words: usize) -> String {
        let mut text = String::new();
        for at in 0..words {
            if at > 0 {
                text.push_str(if at % 15 == 0 { ". " } else { " " });
            }
            let rank = (VOCABULARY as f32).powf(self.random.unit()) as usize;
            text.push_str(&self.vocabulary[rank.min(VOCABULARY) - 1]);
        }
        text
    }
}

/// Vectors in clusters, as texts about the same things have.
struct Vectors {
    random: Random,
    centres: Vec<Vec<f32>>,
}

impl Vectors {
    fn new() -> Self {
        let mut random = Random(3);
        let centres = (0..CENTRES).map(|_| direction(&mut random)).collect();
        Self { random, centres }
    }

    fn vector(&mut self) -> Vec<f32> {
        let noise = direction(&mut self.random);
        let centre = &self.centres[self.random.below(CENTRES)];
        let share = (1.0 - NOISE * NOISE).sqrt();
        centre.iter().zip(noise).map(|(centre, noise)| share * centre + NOISE * noise).collect()
    }
}

/// A vector of length 1 in any direction.
fn direction(random: &mut Random) -> Vec<f32> {
    // The sum of four even numbers is near enough to a normal one.
    let mut normal = || (0..4).map(|_| random.unit() - 0.5).sum::<f32>();
    let vector: Vec<f32> = (0..DIMENSIONS).map(|_| normal()).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / length).collect()
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
