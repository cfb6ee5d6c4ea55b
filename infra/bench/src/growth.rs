//! How search time grows with the corpus, and what a narrow filter finds in it.

use std::time::Instant;

use anyhow::Result;
use perigee_shared::caller::Audience;
use perigee_shared::filter::Filter;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::search::{Search, SearchMode};
use serde_json::json;
use xtask::workspace::Workspace;

use crate::origin;
use crate::search::search_each;
use crate::statistics::percentile;
use crate::synthetic::{self, Filled};
use crate::table::Row;

const SEARCHES: usize = 300;
const WARM_UP: usize = 30;
const K: usize = 10;

pub(crate) async fn measure(workspace: &Workspace, filled: &Filled) -> Result<Vec<Row>> {
    let corpora = origin::open(&filled.data_dir(), origin::embedder(workspace)?).await?;
    let corpus = corpora.get(&TenantId::new(origin::TENANT)?, &CorpusName::new(origin::CORPUS)?)?;
    let questions = synthetic::questions(WARM_UP + 2 * SEARCHES);
    let (warm_up, questions) = questions.split_at(WARM_UP);
    let (open, filtered) = questions.split_at(SEARCHES);
    search_each(&corpus, warm_up).await?;
    let times = search_each(&corpus, open).await?;

    let (mut narrow_times, mut fewest) = (Vec::new(), usize::MAX);
    for (number, query) in filtered.iter().enumerate() {
        let part = json!({"eq": {"field": "part", "value": number % synthetic::PARTS}});
        let filter = Some(Filter::parse(&part)?);
        let search = Search { query: query.clone(), k: K, filter, mode: SearchMode::Hybrid };
        let began = Instant::now();
        let found = corpus.search(&search, &Audience::Everything).await?;
        narrow_times.push(began.elapsed().as_secs_f64() * 1e3);
        fewest = fewest.min(found.hits.len());
    }
    drop(corpus);
    corpora.close().await;

    let among = format!("among {} passages", filled.passages);
    let row = |what: &str, value, unit| Row::new(format!("{what} {among}"), value, unit);
    Ok(vec![
        row("search, p50,", percentile(&times, 0.5), "ms"),
        row("search, p99,", percentile(&times, 0.99), "ms"),
        row("search with a filter of 1 %, p50,", percentile(&narrow_times, 0.5), "ms"),
        row("search with a filter of 1 %, p99,", percentile(&narrow_times, 0.99), "ms"),
        row("fewest results with a filter of 1 %, k = 10,", fewest as f64, "results").at_least(K as f64),
    ])
}
