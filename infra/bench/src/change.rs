//! What a change to the documents costs with many answered questions: how many are retrieved for again, how long that
//! takes, and how much edges are sent.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use perigee_origin::answer::{AnswerOptions, Answers};
use perigee_shared::caller::Audience;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::question::{Options, Question, Speaker, Turn};
use xtask::workspace::Workspace;

use crate::origin;
use crate::statistics::percentile;
use crate::synthetic::{Documents, Filled};
use crate::table::Row;

const QUESTIONS: usize = 10_000;
const CHANGES: usize = 100;
const WORDS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// Replaces documents of twenty passages, one after the other.
pub(crate) async fn measure(workspace: &Workspace, filled: &Filled) -> Result<Vec<Row>> {
    let embedder = origin::embedder(workspace)?;
    let corpora = origin::open(&filled.data_dir(), embedder.clone()).await?;
    let (tenant, name) = (TenantId::new(origin::TENANT)?, CorpusName::new(origin::CORPUS)?);
    let corpus = corpora.get(&tenant, &name)?;
    let answers = Answers::new(&AnswerOptions::default(), None, embedder);
    let mut documents = Documents::later();
    for _ in 0..QUESTIONS {
        let (text, vector) = documents.passage(WORDS);
        let question = Question {
            tenant: tenant.clone(),
            corpus: name.clone(),
            audience: Audience::public(),
            turns: vec![Turn { speaker: Speaker::User, text }],
            options: Options::default(),
        };
        answers.adopt(&corpus, question, &vector, "It is so.").await?;
    }
    let before = answers.settled(&corpus, PATIENCE).await;
    ensure!(before.answers > QUESTIONS * 9 / 10, "only {} answers were kept", before.answers);
    let began = Instant::now();
    let mut index = answers.publish(&corpus, None).await;
    let built_ms = milliseconds(began);
    let whole = index.bytes;

    let (mut written, mut followed, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for change in 0..CHANGES {
        let document = documents.document(change)?;
        let began = Instant::now();
        corpus.put_embedded(document).await?;
        written.push(milliseconds(began));
        let began = Instant::now();
        answers.settled(&corpus, PATIENCE).await;
        followed.push(milliseconds(began));
        index = answers.publish(&corpus, Some(&index.etag)).await;
        sent.push(index.bytes as f64);
    }
    let after = answers.settled(&corpus, PATIENCE).await;
    drop(corpus);
    corpora.close().await;
    let rechecked = (after.rechecked - before.rechecked) as f64 / CHANGES as f64;
    let among = format!("{QUESTIONS} answered questions, {} passages", filled.passages);
    let row = |what: &str, value, unit| Row::new(format!("{what}; {among}"), value, unit);
    Ok(vec![
        row("answer index, whole", whole as f64 / 1e6, "MB"),
        row("answer index, made", built_ms, "ms"),
        row("a document replaced, p50", percentile(&written, 0.5), "ms"),
        row("answers retrieved for again after it, mean", rechecked, "answers"),
        row("its change followed through, p50", percentile(&followed, 0.5), "ms"),
        row("its change followed through, p99", percentile(&followed, 0.99), "ms"),
        row("answer index, difference after it, p50", percentile(&sent, 0.5) / 1e3, "kB"),
    ])
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
