//! Ingestion of real documents against fastembed called bare on the same passages, in turn.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use perigee_origin::corpus::Corpus;
use perigee_origin::split::Splitter;
use perigee_shared::id::{CorpusName, TenantId};
use tokio::task::JoinSet;
use xtask::workspace::Workspace;

use crate::bare::Bare;
use crate::documents::Documents;
use crate::origin;
use crate::statistics::median;
use crate::table::Row;

const ROUNDS: usize = 3;

/// Documents put at a time, as `perigee ingest` and a batch do.
const AT_A_TIME: usize = 8;

/// Texts per call of the bare side. The model gives the same vector for the same text only when it is alone in its
/// call; the larger calls are there so that the faster way counts.
const PER_CALL: [usize; 2] = [1, 16];

/// Passages per second of both sides; the ratio is of the medians, against the faster bare way.
pub(crate) async fn measure(workspace: &Workspace, documents: &Documents) -> Result<Vec<Row>> {
    let data = origin::folder(workspace)?;
    let embedder = origin::embedder(workspace)?;
    let passages = documents.passages(&Splitter::new(embedder.tokenizer()))?;
    let corpora = origin::open(data.path(), embedder).await?;
    let mut bare = Bare::start()?;
    bare.embed(&passages[..passages.len().min(50)], 1)?;

    let tenant = TenantId::new(origin::TENANT)?;
    let (mut ours, mut bares) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..ROUNDS {
        // A corpus of its own: passages that a corpus has already are not embedded again.
        let name = CorpusName::new(format!("round-{round}"))?;
        corpora.create(&tenant, &name).await?;
        let corpus = corpora.get(&tenant, &name)?;
        let began = Instant::now();
        let put = put_all(&corpus, documents).await?;
        ours.push(put as f64 / began.elapsed().as_secs_f64());
        for (rates, per_call) in bares.iter_mut().zip(PER_CALL) {
            rates.push(passages.len() as f64 / bare.embed(&passages, per_call)?);
        }
    }
    corpora.close().await;
    let [alone, together] = bares.map(|rates| median(&rates));
    let ours = median(&ours);
    Ok(vec![
        Row::new("ingestion ÷ fastembed called bare, passages/s", ours / alone.max(together), "×")
            .at_least(0.85),
        Row::new("ingestion", ours, "passages/s"),
        Row::new("fastembed called bare, one text per call", alone, "passages/s"),
        Row::new("fastembed called bare, 16 texts per call", together, "passages/s"),
    ])
}

/// Puts every document; answers how many passages they became.
pub(crate) async fn put_all(corpus: &Arc<Corpus>, documents: &Documents) -> Result<usize> {
    let (mut tasks, mut passages) = (JoinSet::new(), 0);
    for (id, document) in documents.new_documents() {
        if tasks.len() == AT_A_TIME
            && let Some(put) = tasks.join_next().await
        {
            passages += put??;
        }
        let corpus = Arc::clone(corpus);
        tasks.spawn(async move { corpus.put(id, document).await.map(|written| written.passages) });
    }
    while let Some(put) = tasks.join_next().await {
        passages += put??;
    }
    Ok(passages)
}
