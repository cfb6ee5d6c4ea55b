//! `perigee eval`: how well retrieval finds what people marked as relevant, through the product's own splitting and
//! index. Reads BEIR's files; a document's rank is that of its best passage.
//!
//! What the constants of `retrieve` were chosen by; the table is in `docs/retrieval.md`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use perigee_shared::caller::Audience;
use perigee_shared::document::Format;
use perigee_shared::id::{CorpusName, DocumentId, TenantId};
use perigee_shared::limits::SEARCH_RESULTS_MAX;
use perigee_shared::search::{Search, SearchMode};
use serde::{Deserialize, Serialize};

use crate::corpus::{Corpora, Corpus, NewDocument, OpenOptions};
use crate::embed::Embedder;
use crate::extract::Reader;
use crate::retrieve::QueryVector;

/// Documents being read and embedded at one time.
const INGESTED_TOGETHER: usize = 16;

/// What to measure on what.
pub struct EvalOptions {
    /// Lines of `{"_id", "title", "text"}`.
    pub corpus: PathBuf,
    /// Lines of `{"_id", "text"}`.
    pub queries: PathBuf,
    /// Tab-separated query, document, grade; with or without a heading.
    pub qrels: PathBuf,
    pub embedder: Embedder,
    /// Told documents ingested and documents in all.
    pub on_progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub documents: u64,
    pub passages: u64,
    /// Queries that have at least one relevant document.
    pub queries: usize,
    pub modes: Vec<ModeReport>,
}

/// One ranking's figures: means over the queries, and the time of one search with its embedding, without caches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModeReport {
    pub mode: SearchMode,
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: f64,
    #[serde(rename = "recall@10")]
    pub recall_10: f64,
    #[serde(rename = "recall@100")]
    pub recall_100: f64,
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

/// Relevant documents and their grades, by query.
type Judgements = HashMap<String, HashMap<String, f64>>;

/// Ingests the corpus into a temporary directory, asks every query in every mode, and compares.
///
/// # Errors
/// A file cannot be read, or the corpus cannot be made.
pub async fn evaluate(options: EvalOptions) -> Result<Report> {
    let EvalOptions { corpus, queries, qrels, embedder, on_progress } = options;
    let documents: Vec<Entry> = read_lines(&corpus)?;
    let queries: Vec<Entry> = read_lines(&queries)?;
    let judgements = read_judgements(&qrels)?;
    let queries: Vec<Entry> =
        queries.into_iter().filter(|query| judgements.contains_key(&query.id)).collect();
    ensure!(!queries.is_empty(), "no query in the queries file has a relevant document in the qrels file");

    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let open = OpenOptions {
        data_dir: dir.path().to_path_buf(),
        embedder: embedder.clone(),
        reader: Reader::here(),
        on_progress: Arc::new(|_| ()),
    };
    let corpora = Corpora::open(open).await?;
    let (tenant, name) = (TenantId::new("eval")?, CorpusName::new("eval")?);
    corpora.create(&tenant, &name).await?;
    let corpus = corpora.get(&tenant, &name)?;
    let names = ingest(&corpus, documents, &on_progress).await?;

    let mut modes = Vec::new();
    for mode in [SearchMode::Lexical, SearchMode::Vector, SearchMode::Hybrid] {
        let mut scores = Scores::default();
        for query in &queries {
            let begun = Instant::now();
            let ranking = rank(&corpus, &embedder, &query.text, mode, &names).await?;
            scores.add(&ranking, judgements.get(&query.id), begun.elapsed());
        }
        modes.push(scores.report(mode));
    }
    let summary = corpus.summary();
    corpora.close().await;
    Ok(Report { documents: summary.documents, passages: summary.passages, queries: queries.len(), modes })
}

/// Puts every document; answers their names in the collection by their ids in the corpus.
async fn ingest(
    corpus: &Arc<Corpus>,
    documents: Vec<Entry>,
    on_progress: &Arc<dyn Fn(u64, u64) + Send + Sync>,
) -> Result<HashMap<DocumentId, String>> {
    let all = documents.len() as u64;
    let mut names = HashMap::with_capacity(documents.len());
    let mut puts = Vec::with_capacity(documents.len());
    for (index, Entry { id: name, title, text }) in documents.into_iter().enumerate() {
        // Nothing can be indexed of a document without text; it is never found, and counts as missed.
        if text.trim().is_empty() {
            continue;
        }
        let id = DocumentId::new(format!("d{index}"))?;
        names.insert(id.clone(), name);
        let title = (!title.trim().is_empty()).then_some(title);
        let content = Bytes::from(text.into_bytes());
        puts.push((id, NewDocument { title, content, format: Format::Text, ..NewDocument::default() }));
    }
    let mut done = 0;
    let mut writes = futures::stream::iter(puts)
        .map(|(id, document)| async move { corpus.put(id, document).await })
        .buffer_unordered(INGESTED_TOGETHER);
    while writes.try_next().await?.is_some() {
        done += 1;
        on_progress(done, all);
    }
    Ok(names)
}

/// Document names, best first, each once. No cache is asked: neither for the vector nor for the result.
async fn rank(
    corpus: &Corpus,
    embedder: &Embedder,
    query: &str,
    mode: SearchMode,
    names: &HashMap<DocumentId, String>,
) -> Result<Vec<String>> {
    let search = Search { query: query.to_owned(), k: SEARCH_RESULTS_MAX, filter: None, mode };
    let vector = match mode {
        SearchMode::Lexical => None,
        SearchMode::Vector | SearchMode::Hybrid => {
            let rows = embedder.sentences(vec![query.to_owned()]).await?;
            rows.first().and_then(|row| QueryVector::new(row))
        }
    };
    let found = corpus.search_with(&search, vector, &Audience::Everything).await?;
    let mut seen = HashSet::new();
    let documents = found.hits.iter().filter(|hit| seen.insert(&hit.document));
    Ok(documents.filter_map(|hit| names.get(&hit.document).cloned()).collect())
}

#[derive(Default)]
struct Scores {
    ndcg_10: f64,
    recall_10: f64,
    recall_100: f64,
    times: Vec<Duration>,
}

impl Scores {
    fn add(&mut self, ranking: &[String], relevant: Option<&HashMap<String, f64>>, time: Duration) {
        self.times.push(time);
        let Some(relevant) = relevant else { return };
        self.ndcg_10 += ndcg(ranking, relevant, 10);
        self.recall_10 += recall(ranking, relevant, 10);
        self.recall_100 += recall(ranking, relevant, 100);
    }

    fn report(mut self, mode: SearchMode) -> ModeReport {
        self.times.sort_unstable();
        let count = self.times.len().max(1) as f64;
        ModeReport {
            mode,
            ndcg_10: self.ndcg_10 / count,
            recall_10: self.recall_10 / count,
            recall_100: self.recall_100 / count,
            latency_p50_ms: percentile_ms(&self.times, 50),
            latency_p99_ms: percentile_ms(&self.times, 99),
        }
    }
}

/// Nearest rank.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

/// Gain = grade, discount = log2(rank + 1), against the best order there is (trec_eval's `ndcg_cut`).
fn ndcg(ranking: &[String], relevant: &HashMap<String, f64>, depth: usize) -> f64 {
    let sum = |grades: &mut dyn Iterator<Item = f64>| -> f64 {
        grades.take(depth).enumerate().map(|(index, grade)| grade / ((index + 2) as f64).log2()).sum()
    };
    let mut best: Vec<f64> = relevant.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let ideal = sum(&mut best.into_iter());
    let found = sum(&mut ranking.iter().map(|name| relevant.get(name).copied().unwrap_or(0.0)));
    if ideal > 0.0 { found / ideal } else { 0.0 }
}

fn recall(ranking: &[String], relevant: &HashMap<String, f64>, depth: usize) -> f64 {
    let found = ranking.iter().take(depth).filter(|name| relevant.contains_key(*name)).count();
    found as f64 / relevant.len().max(1) as f64
}

fn read_lines(file: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", file.display(), index + 1))
        })
        .collect()
}

fn read_judgements(file: &Path) -> Result<Judgements> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut judgements = Judgements::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let &[query, document, grade] = fields.as_slice() else {
            anyhow::bail!("{}, line {}: not three fields separated by tabs", file.display(), index + 1);
        };
        match grade.parse::<f64>() {
            Ok(grade) if grade > 0.0 => {
                judgements.entry(query.to_owned()).or_default().insert(document.to_owned(), grade);
            }
            Ok(_) => {}
            // BEIR's files begin with a heading.
            Err(_) if index == 0 => {}
            Err(_) => anyhow::bail!("{}, line {}: the grade is no number", file.display(), index + 1),
        }
    }
    Ok(judgements)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { documents, passages, queries, modes } = self;
        writeln!(f, "{documents} documents, {passages} passages, {queries} queries")?;
        writeln!(f, "mode      nDCG@10  recall@10  recall@100   p50 ms   p99 ms")?;
        for mode in modes {
            let name = match mode.mode {
                SearchMode::Hybrid => "hybrid",
                SearchMode::Vector => "vector",
                SearchMode::Lexical => "lexical",
            };
            writeln!(
                f,
                "{name:<8}  {:>7.4}  {:>9.4}  {:>10.4}  {:>7.2}  {:>7.2}",
                mode.ndcg_10, mode.recall_10, mode.recall_100, mode.latency_p50_ms, mode.latency_p99_ms
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
