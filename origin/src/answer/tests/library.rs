//! A small corpus in memory for measuring: split, embedded and searched the way the origin does it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use perigee_shared::id::{ContentHash, DocumentId, Epoch, Similarity};
use perigee_shared::search::{LexicalRank, VectorRank};
use serde_json::Value;

use crate::answer::words::{content_stems, is_content, words};
use crate::embed::Embedder;
use crate::extract::{Extracted, Markup};
use crate::retrieve::{Hit, Retrieved};
use crate::split::{Splitter, embedding_text};

/// Weight of the vectors when scores are fused (DESIGN §10).
const VECTOR_WEIGHT: f32 = 0.55;

/// Results of each ranking that are fused.
const FUSED: usize = 100;

pub(super) struct Library {
    hits: Vec<Hit>,
    vectors: Vec<Vec<f32>>,
    counts: Vec<HashMap<String, f32>>,
    documents_with: HashMap<String, f32>,
    mean_length: f32,
}

impl Library {
    pub(super) async fn of(documents: Vec<(String, Extracted)>, embedder: &Embedder) -> Self {
        let splitter = Splitter::new(embedder.tokenizer());
        let mut hits = Vec::new();
        let mut texts = Vec::new();
        for (id, document) in documents {
            let title = document.title.clone().unwrap_or_else(|| id.clone());
            for piece in splitter.split(&document).unwrap() {
                texts.push(embedding_text(&title, &piece.headings, &piece.text));
                hits.push(Hit {
                    passage: hits.len() as u64,
                    document: DocumentId::from_path(&id).unwrap(),
                    title: title.clone(),
                    url: None,
                    headings: piece.headings,
                    hash: ContentHash::of(piece.text.as_bytes()),
                    text: piece.text,
                    start: piece.start,
                    end: piece.end,
                    score: 0.0,
                    vector: None,
                    lexical: None,
                });
            }
        }
        let mut counts = Vec::new();
        let mut documents_with: HashMap<String, f32> = HashMap::new();
        for text in &texts {
            let mut own: HashMap<String, f32> = HashMap::new();
            for word in words(text).filter(|word| is_content(word)) {
                for stem in content_stems(&word) {
                    *own.entry(stem).or_default() += 1.0;
                }
            }
            own.keys().for_each(|stem| *documents_with.entry(stem.clone()).or_default() += 1.0);
            counts.push(own);
        }
        let words = counts.iter().map(|own| own.values().sum::<f32>());
        let mean_length = words.sum::<f32>() / counts.len() as f32;
        let vectors = embedder.passages(texts).await.unwrap();
        Self { hits, vectors, counts, documents_with, mean_length }
    }

    pub(super) async fn search(&self, query: &str, k: usize, embedder: &Embedder) -> Retrieved {
        let query_vector = embedder.query(query).await.unwrap();
        let cosine = |row: &Vec<f32>| row.iter().zip(query_vector.iter()).map(|(a, b)| a * b).sum::<f32>();
        let near = top(self.vectors.iter().map(cosine));
        let stems = content_stems(query);
        let lexical = top(self.counts.iter().map(|own| self.bm25(&stems, own)));
        let mut fused: HashMap<usize, (f32, Option<VectorRank>, Option<LexicalRank>)> = HashMap::new();
        for (place, (index, score, part)) in near.into_iter().enumerate() {
            let entry = fused.entry(index).or_default();
            entry.0 += VECTOR_WEIGHT * part;
            entry.1 = Some(VectorRank { rank: place + 1, similarity: Similarity::new(score) });
        }
        for (place, (index, score, part)) in lexical.into_iter().filter(|hit| hit.1 > 0.0).enumerate() {
            let entry = fused.entry(index).or_default();
            entry.0 += (1.0 - VECTOR_WEIGHT) * part;
            entry.2 = Some(LexicalRank { rank: place + 1, score });
        }
        let mut hits: Vec<Hit> = fused
            .into_iter()
            .map(|(index, (score, vector, lexical))| Hit {
                score,
                vector,
                lexical,
                ..self.hits[index].clone()
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.cmp(&b.passage)));
        hits.truncate(k);
        Retrieved { epoch: Epoch::new(1), hits }
    }

    /// k1 = 0.9, b = 0.4, as the product's.
    fn bm25(&self, stems: &[String], own: &HashMap<String, f32>) -> f32 {
        let all = self.counts.len() as f32;
        let length = own.values().sum::<f32>();
        let weigh = |stem: &String| {
            let count = own.get(stem)?;
            let with = self.documents_with.get(stem)?;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            Some(rarity * count * 1.9 / (count + 0.9 * (0.6 + 0.4 * length / self.mean_length)))
        };
        stems.iter().filter_map(weigh).sum()
    }
}

/// The best, each with its score and its place between the worst and the best of them.
fn top(scores: impl Iterator<Item = f32>) -> Vec<(usize, f32, f32)> {
    let mut ranked: Vec<(usize, f32)> = scores.enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(FUSED);
    let (high, low) = (ranked[0].1, ranked[ranked.len() - 1].1);
    let part = |score: f32| if high > low { (score - low) / (high - low) } else { 1.0 };
    ranked.into_iter().map(|(index, score)| (index, score, part(score))).collect()
}

/// Development data beside the checkout; `None`, said aloud, where it is absent.
pub(super) fn data(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: ../shared/data/{path} is not there");
    None
}

/// The lines of a JSON Lines file.
pub(super) fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(super) fn texts(file: &Path) -> Vec<(String, Extracted)> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let document = |line: Value| {
        let title = Some(text(&line, "title")).filter(|title| !title.is_empty());
        (text(&line, "_id"), Extracted { title, text: text(&line, "text"), markup: Markup::Plain })
    };
    lines(file).into_iter().map(document).collect()
}
