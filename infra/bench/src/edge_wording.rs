//! What it costs at the edge to answer a question with the answer to other words: embedding it, scanning 10,000 answered
//! questions and asking the gate, beside an exact hit.

use std::time::Duration;

use anyhow::{Result, ensure};
use perigee_shared::answer_index::Snapshot;
use perigee_shared::header::{CACHE_STATUS, TENANT};
use xtask::edge::Edge;
use xtask::workspace::Workspace;

use crate::documents::Documents;
use crate::edges::{Client, Quotas, start_edge};
use crate::origin::{self, CHAT, CORPUS, Served, question};
use crate::statistics::median;
use crate::table::Row;
use crate::{load, processor};

/// As many as an index lists.
const ANSWERED: usize = 10_000;
/// An index with fewer would flatter.
const LISTED_MIN: usize = ANSWERED * 9 / 10;

const QUESTION: &str = "How do I keep an answer in a cache?";
const OTHER_WORDS: &str = "How can I keep an answer in a cache?";

const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// How often, and for how long, the edge is asked whether it has the index.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const ASKS_MAX: usize = 120;

/// One kind of request at the edge, and what its rounds measured.
struct Side {
    request: Vec<u8>,
    requests_per_s: Vec<f64>,
    /// Milliseconds of processor time a request, all threads of workerd together.
    processor_ms: Vec<f64>,
}

pub(crate) async fn measure(
    workspace: &Workspace,
    served: &Served,
    documents: &Documents,
) -> Result<Vec<Row>> {
    let mut edge = start_edge(workspace, served, Quotas::On)?;
    fill(&edge, documents).await?;
    let listed = listed(served).await?;
    ensure!(listed >= LISTED_MIN, "the answer index lists only {listed} answers");
    let mut exact = Side::asking(&edge, QUESTION);
    let mut other = Side::asking(&edge, OTHER_WORDS);
    wait_for_index(&edge, &other).await?;
    for _ in 0..ROUNDS {
        exact.round(&mut edge).await?;
        other.round(&mut edge).await?;
    }
    let exact_alone = load::run(edge.address(), &exact.request, 1, ROUND).await?;
    let other_alone = load::run(edge.address(), &other.request, 1, ROUND).await?;
    let added_ms = |share| other_alone.percentile_ms(share) - exact_alone.percentile_ms(share);
    let decision_ms = median(&other.processor_ms) - median(&exact.processor_ms);
    let ratio = median(&other.requests_per_s) / median(&exact.requests_per_s);
    let among = format!("among {listed} answered questions");
    let row = |what: &str, value, unit| Row::new(format!("{what} {among}"), value, unit);
    Ok(vec![
        row("edge, other words: processor time a decision", decision_ms, "ms").at_most(0.3),
        row("edge, other words ÷ exact hit, requests/s,", ratio, "×"),
        row("edge, other words: time added to an exact hit, p50,", added_ms(0.5), "ms"),
        row("edge, other words: time added to an exact hit, p99,", added_ms(0.99), "ms"),
    ])
}

impl Side {
    /// Nothing of it is stored, so that other words stay other words.
    fn asking(edge: &Edge, text: &str) -> Self {
        Self {
            request: request(edge, text, "no-store"),
            requests_per_s: Vec::new(),
            processor_ms: Vec::new(),
        }
    }

    async fn round(&mut self, edge: &mut Edge) -> Result<()> {
        let before_ms = processor::spent_ms(edge.service().id())?;
        let outcome = load::run(edge.address(), &self.request, CONNECTIONS, ROUND).await?;
        let spent_ms = processor::spent_ms(edge.service().id())? - before_ms;
        self.requests_per_s.push(outcome.requests_per_s);
        self.processor_ms.push(spent_ms / outcome.requests() as f64);
        Ok(())
    }
}

fn request(edge: &Edge, text: &str, cache_control: &str) -> Vec<u8> {
    let client = Client::new();
    let [authorization, address] = client.headers();
    let headers = [authorization, address, ("Cache-Control", cache_control)];
    load::post(edge.address(), CHAT, &headers, &question(text))
}

/// Asks as many different questions, and the one that will be asked in other words often enough to be listed.
async fn fill(edge: &Edge, documents: &Documents) -> Result<()> {
    let questions = documents.questions(ANSWERED);
    let mut requests: Vec<_> = questions
        .iter()
        .map(|words| request(edge, &format!("Where does it say that {words}?"), "max-age=3600"))
        .collect();
    // The least used are left out of an index: these are asked at the origin each time.
    requests.extend((0..5).map(|_| request(edge, QUESTION, "no-cache")));
    load::each(edge.address(), &requests).await?;
    Ok(())
}

/// How many answers the origin publishes.
async fn listed(served: &Served) -> Result<usize> {
    let authorization = format!("Bearer {}", origin::OPERATOR_TOKEN);
    let headers = [("Authorization", authorization.as_str()), (TENANT, origin::TENANT)];
    let path = format!("/v1/corpora/{CORPUS}/answer-index");
    let snapshot = load::get(served.origin.address(), &path, &headers).await?;
    Ok(Snapshot::parse(snapshot)?.len())
}

/// The edge fetches an index in the background of what is asked.
async fn wait_for_index(edge: &Edge, other: &Side) -> Result<()> {
    let mut last = String::new();
    for _ in 0..ASKS_MAX {
        let replies = load::each(edge.address(), std::slice::from_ref(&other.request)).await?;
        last = replies.into_iter().next().map(|reply| reply.cache_status).unwrap_or_default();
        if last.starts_with("perigee-edge; hit") && last.contains("detail=paraphrase") {
            return Ok(());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    anyhow::bail!("the edge does not answer other words by itself; its last {CACHE_STATUS}: {last}")
}
