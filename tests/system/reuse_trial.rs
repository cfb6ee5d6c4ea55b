//! What reuse across wordings is worth to whoever asks: questions, other wordings of them and near misses through a real edge
//! and a real origin, both as they are set up when nobody sets anything.
//!
//! Half of the questions taught the calibration (`perigee calibrate`); only those about the other documents are asked.
#![expect(clippy::print_stdout, reason = "a trial shows what it found")]

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use perigee_shared::id::{ContentHash, DocumentId};
use perigee_tests::client::{Client, Reply};
use perigee_tests::stage::Stage;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use xtask::workspace::Workspace;

/// One question, other wordings of it from the lightest to the heaviest, and questions that look like it and are others.
#[derive(Deserialize)]
struct Group {
    corpus: String,
    doc: String,
    question: String,
    paraphrases: Vec<String>,
    near_misses: Vec<NearMiss>,
}

#[derive(Deserialize)]
struct NearMiss {
    q: String,
}

impl Group {
    /// Whether the calibration has seen none of this document's questions: the rule by which it takes its half.
    fn is_reported(&self) -> bool {
        let name = format!("{}/{}", self.corpus, self.doc);
        ContentHash::of(name.as_bytes()).as_bytes()[0] % 2 == 1
    }
}

/// What a question is to the ones that were answered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// 0 is the lightest.
    Wording(usize),
    NearMiss,
    /// A question of a group of its own.
    Stranger,
}

/// What became of the questions of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    asked: u32,
    edge: Hits,
    origin: Hits,
}

/// Answers of another question that were served.
#[derive(Debug, Clone, Copy, Default)]
struct Hits {
    right: u32,
    wrong: u32,
}

impl Count {
    fn take(&mut self, reply: &Reply, right: bool) {
        self.asked += 1;
        let Some(hits) = self.served_by(reply.header("cache-status")) else { return };
        if right {
            hits.right += 1;
        } else {
            hits.wrong += 1;
        }
    }

    /// Where another question's answer came from, if one was given.
    fn served_by(&mut self, cache_status: &str) -> Option<&mut Hits> {
        if cache_status.contains("perigee-edge; hit; detail=paraphrase") {
            Some(&mut self.edge)
        } else if cache_status.contains("perigee-origin; hit; detail=paraphrase") {
            Some(&mut self.origin)
        } else {
            None
        }
    }

    fn share(self, hits: u32) -> f64 {
        f64::from(hits) / f64::from(self.asked.max(1))
    }

    fn right(self) -> f64 {
        self.share(self.edge.right + self.origin.right)
    }

    fn wrong(self) -> f64 {
        self.share(self.edge.wrong + self.origin.wrong)
    }
}

#[derive(Default)]
struct Tally(BTreeMap<Kind, Count>);

impl Tally {
    fn of(&self, kind: Kind) -> Count {
        self.0.get(&kind).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| asked | questions | right, by the edge | right, by the origin | wrong, by the edge | wrong, by the origin |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for (kind, count) in &self.0 {
            let name = match kind {
                Kind::Wording(place) => format!("paraphrases {}", place + 1),
                Kind::NearMiss => "near misses".to_owned(),
                Kind::Stranger => "other questions".to_owned(),
            };
            let Count { asked, edge, origin } = count;
            write!(f, "| {name} | {asked} |")?;
            for hits in [edge.right, origin.right, edge.wrong, origin.wrong] {
                write!(f, " {hits} ({:.1} %) |", 100.0 * count.share(hits))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reuse_is_measured_through_the_edge_on_questions_that_taught_nothing() -> Result<()> {
    let data = Workspace::find()?.root().join("../shared/data");
    let file = data.join("paraphrases.jsonl");
    if !file.exists() {
        println!("skipped: {} is not there", file.display());
        return Ok(());
    }
    let groups = reported(&file)?;
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    let mut tally = Tally::default();
    for (corpus, groups) in &groups {
        ingest(&stage, corpus, &data.join("docs").join(corpus)).await?;
        ask(&client, corpus, groups, &mut tally).await?;
    }
    println!("{tally}");
    let (light, near) = (tally.of(Kind::Wording(0)), tally.of(Kind::NearMiss));
    ensure!(light.asked >= 50 && near.asked == 3 * light.asked, "{} and {}", light.asked, near.asked);
    ensure!(light.right() >= 0.5, "too few light paraphrases got their answer: {light:?}");
    ensure!(near.wrong() <= 0.02, "too many near misses got an answer: {near:?}");
    ensure!(light.share(light.edge.right) >= 0.3, "too few light paraphrases at the edge: {light:?}");
    ensure!(near.share(near.edge.wrong) <= 0.01, "too many near misses at the edge: {near:?}");
    let strangers = tally.of(Kind::Stranger);
    ensure!(strangers.wrong() <= 0.01, "questions got the answers of others: {strangers:?}");
    Ok(())
}

/// The groups that taught nothing, by corpus.
fn reported(file: &Path) -> Result<BTreeMap<String, Vec<Group>>> {
    let text = std::fs::read_to_string(file)?;
    let mut groups = BTreeMap::<String, Vec<Group>>::new();
    for line in text.lines() {
        let group: Group = serde_json::from_str(line).with_context(|| format!("not a group: {line}"))?;
        if group.is_reported() {
            groups.entry(group.corpus.clone()).or_default().push(group);
        }
    }
    Ok(groups)
}

/// Makes the corpus, with every document of the folder.
async fn ingest(stage: &Stage, corpus: &str, folder: &Path) -> Result<()> {
    let operator = stage.operator(0, "acme")?;
    operator.post("/v1/corpora", &json!({"name": corpus})).await?.expect(201)?;
    let mut lines = String::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(within) = folders.pop() {
        for entry in std::fs::read_dir(&within).with_context(|| format!("reading {}", within.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let id = DocumentId::from_path(&path.strip_prefix(folder)?.to_string_lossy())?;
            lines += &json!({"id": id, "content": std::fs::read_to_string(&path)?}).to_string();
            lines.push('\n');
        }
    }
    let written = lines.lines().count();
    let batch = operator.request(Method::POST, &format!("/v1/corpora/{corpus}/documents:batch"));
    let results =
        batch.header("content-type", "application/x-ndjson").body(lines).send().await?.text().await?;
    let refused: Vec<&str> = results.lines().filter(|line| line.contains("\"error\"")).collect();
    // Files of nothing but their heading data hold nothing to find.
    let others: Vec<_> = refused.iter().filter(|line| !line.contains("unreadable_document")).collect();
    ensure!(results.lines().count() == written && others.is_empty(), "refused: {others:#?}");
    println!("{corpus}: {written} documents, {} of them empty", refused.len());
    Ok(())
}

/// Asks every question; then, once the edge's index lists them, all that is put in other words.
async fn ask(client: &Client, corpus: &str, groups: &[Group], tally: &mut Tally) -> Result<()> {
    // By the id that every rendering of one answer carries.
    let mut answers = HashMap::<String, usize>::new();
    let mut last_kept = None;
    for (own, group) in groups.iter().enumerate() {
        let reply = client.ask(corpus, &group.question).await?.expect(200)?;
        let of_another = reply.header("cache-status").contains("detail=paraphrase");
        tally.0.entry(Kind::Stranger).or_default().take(&reply, !of_another);
        if !of_another {
            answers.insert(id_of(&reply)?, own);
            let cites = !reply.citations()?.is_empty();
            last_kept = cites.then_some(&group.question).or(last_kept);
        }
    }
    index_lists(client, corpus, last_kept.context("no question was answered")?).await?;
    let client = client.clone().with("cache-control", "no-store");
    for (own, group) in groups.iter().enumerate() {
        let wordings = group.paraphrases.iter().enumerate().map(|(place, text)| (Kind::Wording(place), text));
        let near_misses = group.near_misses.iter().map(|near| (Kind::NearMiss, &near.q));
        for (kind, text) in wordings.chain(near_misses) {
            let reply = client.ask(corpus, text).await?.expect(200)?;
            let right = kind != Kind::NearMiss && answers.get(&id_of(&reply)?) == Some(&own);
            let count = tally.0.entry(kind).or_default();
            count.take(&reply, right);
            if !right && count.served_by(reply.header("cache-status")).is_some() {
                println!("wrong: {text:?} for {:?} ({})", group.question, reply.header("cache-status"));
            }
        }
    }
    Ok(())
}

fn id_of(reply: &Reply) -> Result<String> {
    let id = reply.json()?["id"].as_str().map(str::to_owned);
    id.with_context(|| format!("a completion without an id: {}", reply.body))
}

/// Waits until the edge answers `question` without its question mark out of its index alone. An index lists all that was
/// answered before it was made.
async fn index_lists(client: &Client, corpus: &str, question: &str) -> Result<()> {
    let only_cached = client.clone().with("cache-control", "only-if-cached");
    let reworded = question.trim_end_matches('?');
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        let reply = only_cached.ask(corpus, reworded).await?;
        if reply.status == 200 {
            return Ok(());
        }
        let code: Value = reply.json()?["error"]["code"].clone();
        ensure!(code == "not_cached", "{reply:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the edge never answered {reworded:?} alone")
}
