//! Every question of a trial against every answered question that it could be taken for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use perigee_shared::answer::Answer;
use perigee_shared::document::Format;
use perigee_shared::evidence::PassageRef;
use perigee_shared::gate::{Reading, Signature, Verdict};
use perigee_shared::id::{CorpusName, DocumentId, Similarity, TenantId};
use perigee_shared::static_model::{StaticModel, StaticVector};
use serde::Serialize;

use super::super::asking::question;
use super::super::compare::cited;
use super::super::{CANDIDATES_MAX, Calibration, Features, Pair, Support, judge};
use super::data::{Group, Half, Intended, documents, half_of};
use crate::answer::{rehearse, search_of};
use crate::corpus::{Corpora, Corpus, CorpusError, NewDocument, OpenOptions};
use crate::embed::Embedder;
use crate::extract::Reader;

/// Documents or questions being worked on at one time.
const TOGETHER: usize = 16;

/// What a question is in its trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Another wording; 0 is the lightest.
    Paraphrase(usize),
    NearMiss,
    /// An answered question itself, with its own answer taken away: no other will do.
    Stranger,
    /// One whose intent is known; an answer to another intent is wrong.
    Intent,
}

/// A question that was asked, with the answered questions nearest to it.
#[derive(Debug, Serialize)]
pub(super) struct Ask {
    pub(super) text: String,
    /// The group that it is of, or its intent.
    pub(super) of: String,
    /// What a near miss differs in.
    pub(super) why: Option<String>,
    pub(super) kind: Kind,
    #[serde(skip)]
    pub(super) half: Half,
    pub(super) candidates: Vec<Candidate>,
}

/// An answered question beside the one asked.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Candidate {
    pub(super) text: String,
    /// Whether its answer answers the question asked.
    pub(super) right: bool,
    #[serde(serialize_with = "shown")]
    pub(super) verdict: Verdict,
    /// What the edge would say, which has the signatures only.
    #[serde(serialize_with = "shown")]
    pub(super) edge_verdict: Verdict,
    pub(super) cosine: f32,
    pub(super) static_cosine: f32,
    pub(super) evidence: Support,
    pub(super) features: Features,
}

fn shown<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(verdict)
}

/// A question, read once.
struct Known {
    text: String,
    reading: Reading,
    signature: Signature,
    vector: Arc<[f32]>,
    /// Absent where the table knows no word.
    static_vector: Option<StaticVector>,
    grounds: Option<Grounds>,
}

impl Grounds {
    fn of(answer: &Answer) -> Self {
        Self {
            evidence: answer.evidence.passages().iter().cloned().collect(),
            cited: cited(answer).into_iter().cloned().collect(),
        }
    }
}

impl Known {
    fn new(text: String, vector: Arc<[f32]>, grounds: Option<Grounds>) -> Self {
        let reading = Reading::of(&text);
        let static_vector = StaticModel::bundled().embed(&text);
        Self { signature: reading.signature(), reading, vector, static_vector, grounds, text }
    }

    fn static_similarity(&self, other: &Self) -> f32 {
        self.static_vector.zip(other.static_vector).map_or(-1.0, |(a, b)| a.similarity(&b).get())
    }
}

/// What its answer rests on and cites; absent where it got none.
struct Grounds {
    evidence: HashSet<PassageRef>,
    cited: HashSet<PassageRef>,
}

/// Asks every question of the groups of one corpus, over its documents.
pub(super) async fn of_groups(
    name: &str,
    folder: &std::path::Path,
    groups: &[Group],
    embedder: &Embedder,
) -> Result<Vec<Ask>> {
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let open = OpenOptions {
        data_dir: dir.path().to_path_buf(),
        embedder: embedder.clone(),
        reader: Reader::here(),
        on_progress: Arc::new(|_| ()),
    };
    let corpora = Corpora::open(open).await?;
    let (tenant, corpus) = (TenantId::new("trial")?, CorpusName::new(name)?);
    corpora.create(&tenant, &corpus).await?;
    let corpus = corpora.get(&tenant, &corpus)?;
    ingest(&corpus, folder).await?;
    let asks = ask_all(&corpus, groups, embedder).await;
    corpora.close().await;
    asks
}

async fn ingest(corpus: &Arc<Corpus>, folder: &std::path::Path) -> Result<()> {
    let put = |(index, (name, content)): (usize, (String, Vec<u8>))| async move {
        let format = if name.ends_with(".md") { Format::Markdown } else { Format::Text };
        let id = DocumentId::new(format!("d{index}"))?;
        let document = NewDocument { format, content: Bytes::from(content), ..NewDocument::default() };
        match corpus.put(id, document).await {
            // A file of nothing but its heading data: there is nothing to find in it.
            Ok(_) | Err(CorpusError::Unreadable(_)) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("writing {name}")),
        }
    };
    let puts = futures::stream::iter(documents(folder)?.into_iter().enumerate()).map(put);
    puts.buffer_unordered(TOGETHER).try_collect().await
}

async fn ask_all(corpus: &Arc<Corpus>, groups: &[Group], embedder: &Embedder) -> Result<Vec<Ask>> {
    let stored: Vec<&str> = groups.iter().map(|group| &*group.question).collect();
    let stored = know(corpus, embedder, &stored).await?;
    let mut asked = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let paraphrases = group.paraphrases.iter().enumerate();
        asked.extend(paraphrases.map(|(place, text)| (index, Kind::Paraphrase(place), &**text, None)));
        asked.extend(group.near_misses.iter().map(|near| (index, Kind::NearMiss, &*near.q, Some(&near.why))));
    }
    let texts: Vec<&str> = asked.iter().map(|(_, _, text, _)| *text).collect();
    let known = know(corpus, embedder, &texts).await?;
    // What another half's questions teach must not come from the reported half.
    let same_half = |a: usize, b: usize| groups[a].half() == groups[b].half();
    let mut asks = Vec::new();
    for ((own, kind, _, why), known) in asked.into_iter().zip(&known) {
        let near = nearest(known, &stored, |other| other == own || same_half(own, other));
        let right = |other| other == own && matches!(kind, Kind::Paraphrase(_));
        let asked = Asked { known, kind, half: groups[own].half(), of: &groups[own].id };
        asks.push(Ask { why: why.cloned(), ..ask(&asked, &stored, near, right) });
    }
    for (own, known) in stored.iter().enumerate() {
        let near = nearest(known, &stored, |other| other != own && same_half(own, other));
        let asked = Asked { known, kind: Kind::Stranger, half: groups[own].half(), of: &groups[own].id };
        asks.push(ask(&asked, &stored, near, |_| false));
    }
    Ok(asks)
}

async fn know(corpus: &Arc<Corpus>, embedder: &Embedder, texts: &[&str]) -> Result<Vec<Known>> {
    let know = |text: String| async move {
        let vector = embedder.query(&text).await?;
        let question = question(corpus.tenant(), corpus.name(), &text);
        let found = corpus.search(&search_of(&question), &question.audience).await?;
        let answer = rehearse(&question, found, embedder).await?;
        anyhow::Ok(Known::new(text, vector, answer.as_ref().map(Grounds::of)))
    };
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    futures::stream::iter(texts).map(know).buffered(TOGETHER).try_collect().await
}

/// Asks questions of known intent against each other, without documents.
pub(super) async fn of_intents(rows: Vec<Intended>, embedder: &Embedder) -> Result<Vec<Ask>> {
    let know = |row: &Intended| {
        let text = row.text.clone();
        async move {
            let vector = embedder.query(&text).await?;
            anyhow::Ok(Known::new(text, vector, None))
        }
    };
    let all: Vec<_> = rows.iter().map(know).collect();
    let known: Vec<Known> = futures::stream::iter(all).buffered(TOGETHER).try_collect().await?;
    let asks = known.iter().enumerate().map(|(own, asked)| {
        let near = nearest(asked, &known, |other| other != own);
        let right = |other: usize| rows[other].intent == rows[own].intent;
        let half = half_of(&asked.text);
        ask(&Asked { known: asked, kind: Kind::Intent, half, of: &rows[own].intent }, &known, near, right)
    });
    Ok(asks.collect())
}

/// The answered questions nearest to one: by the full model as at the origin, and by the static one as at the edge.
fn nearest(asked: &Known, stored: &[Known], may: impl Fn(usize) -> bool) -> Vec<(usize, f32, f32)> {
    let others = stored.iter().enumerate().filter(|(index, _)| may(*index));
    let mut all: Vec<(usize, f32, f32)> = others
        .map(|(index, other)| {
            let cosine: f32 = asked.vector.iter().zip(&*other.vector).map(|(a, b)| a * b).sum();
            (index, cosine, asked.static_similarity(other))
        })
        .collect();
    let mut near: BTreeMap<usize, (usize, f32, f32)> = BTreeMap::new();
    for by in [|one: &(usize, f32, f32)| one.1, |one: &(usize, f32, f32)| one.2] {
        all.sort_by(|a, b| by(b).total_cmp(&by(a)));
        near.extend(all.iter().take(CANDIDATES_MAX).map(|one| (one.0, *one)));
    }
    near.into_values().collect()
}

/// A question with its place in the trial.
struct Asked<'a> {
    known: &'a Known,
    kind: Kind,
    half: Half,
    of: &'a str,
}

fn ask(
    asked: &Asked<'_>,
    stored: &[Known],
    near: Vec<(usize, f32, f32)>,
    right: impl Fn(usize) -> bool,
) -> Ask {
    let Asked { known: asked, kind, half, of } = *asked;
    let candidates = near.into_iter().filter_map(|(index, cosine, static_cosine)| {
        let other = &stored[index];
        let evidence = match (kind, &asked.grounds, &other.grounds) {
            (Kind::Intent, _, _) => Support::WHOLE,
            (_, Some(asked), Some(other)) => support(&asked.evidence, other),
            // A refusal is never kept, and whoever is refused gets nobody's answer.
            (_, _, None) | (_, None, _) => return None,
        };
        let pair = Pair {
            asked: &asked.reading,
            answered: &other.reading,
            similarity: Similarity::new(cosine),
            evidence,
        };
        let judged = judge(pair, Calibration::bundled(), 0.0);
        Some(Candidate {
            text: other.text.clone(),
            right: right(index),
            verdict: judged.verdict,
            edge_verdict: asked.signature.compare(&other.signature),
            cosine,
            static_cosine,
            evidence,
            features: judged.features,
        })
    });
    Ask {
        text: asked.text.clone(),
        of: of.to_owned(),
        why: None,
        kind,
        half,
        candidates: candidates.collect(),
    }
}

fn support(found: &HashSet<PassageRef>, of: &Grounds) -> Support {
    let common = of.evidence.intersection(found).count();
    Support { cited: of.cited.is_subset(found), overlap: common as f64 / of.evidence.len().max(1) as f64 }
}
