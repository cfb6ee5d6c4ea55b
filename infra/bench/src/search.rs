//! A search at the origin against embedding, usearch and tantivy called bare on the same passages, in turn.

use std::time::Instant;

use anyhow::Result;
use perigee_origin::corpus::Corpus;
use perigee_origin::split::Splitter;
use perigee_shared::caller::Audience;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::search::{Search, SearchMode};
use xtask::workspace::Workspace;

use crate::bare::Bare;
use crate::documents::Documents;
use crate::statistics::percentile;
use crate::table::Row;
use crate::{ingest, origin};

/// Searches in a turn of one side, and turns of each.
const TURN: usize = 50;
const TURNS: usize = 12;

/// Milliseconds of both sides over the same questions, none of which was asked before.
pub(crate) async fn measure(workspace: &Workspace, documents: &Documents) -> Result<Vec<Row>> {
    let data = origin::folder(workspace)?;
    let embedder = origin::embedder(workspace)?;
    let splitter = Splitter::new(embedder.tokenizer());
    let corpora = origin::open(data.path(), embedder).await?;
    let corpus = corpora.create(&TenantId::new(origin::TENANT)?, &CorpusName::new(origin::CORPUS)?).await?;
    let corpus = corpora.get(&TenantId::new(origin::TENANT)?, &corpus.name)?;
    ingest::put_all(&corpus, documents).await?;
    let mut bare = Bare::start()?;
    bare.index(&documents.passages(&splitter)?)?;

    let questions = documents.questions((TURNS + 1) * TURN);
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for (turn, questions) in questions.chunks(TURN).enumerate() {
        let our_turn = search_each(&corpus, questions).await?;
        let bare_turn = bare.search(questions)?;
        // The first warms both up.
        if turn > 0 {
            ours.extend(our_turn);
            bares.extend(bare_turn);
        }
    }
    corpora.close().await;
    let ratio = |share| percentile(&ours, share) / percentile(&bares, share);
    let name = "search at the origin ÷ embedding + usearch + tantivy called bare";
    Ok(vec![
        Row::new(format!("{name}, p50"), ratio(0.5), "×").at_most(1.3),
        Row::new(format!("{name}, p99"), ratio(0.99), "×").at_most(1.3),
        Row::new("search at the origin, p50", percentile(&ours, 0.5), "ms"),
        Row::new("search at the origin, p99", percentile(&ours, 0.99), "ms"),
        Row::new("embedding + usearch + tantivy called bare, p50", percentile(&bares, 0.5), "ms"),
        Row::new("embedding + usearch + tantivy called bare, p99", percentile(&bares, 0.99), "ms"),
    ])
}

/// Milliseconds of each search, one after the other.
pub(crate) async fn search_each(corpus: &Corpus, questions: &[String]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for query in questions {
        let search = Search { query: query.clone(), k: 10, filter: None, mode: SearchMode::Hybrid };
        let began = Instant::now();
        std::hint::black_box(corpus.search(&search, &Audience::Everything).await?);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
