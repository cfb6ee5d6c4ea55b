//! An exact hit at the edge against a bare Rust worker, under the same `workerd serve`, in turn.

use std::time::Duration;

use anyhow::Result;
use xtask::workspace::Workspace;

use crate::edges::{Client, Quotas, SOCKET, start_bare_worker, start_edge};
use crate::load;
use crate::origin::{CHAT, Served, question};
use crate::statistics::median;
use crate::table::Row;

const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const QUESTION: &str = "How is an answer kept in a cache?";

/// Requests per second of both, interleaved; the ratio is of the medians.
pub(crate) async fn measure(workspace: &Workspace, origin: &Served) -> Result<Vec<Row>> {
    let edge = start_edge(workspace, origin, Quotas::On)?;
    let uncounted = start_edge(workspace, origin, Quotas::Off)?;
    let bare = start_bare_worker(workspace)?;
    let (client, body) = (Client::new(), question(QUESTION));
    let ask = |address| load::post(address, CHAT, &client.headers(), &body);
    let (hit, uncounted_hit) = (ask(edge.address()), ask(uncounted.address()));
    let plain = ask(bare.address(SOCKET));
    // Warm up both, and fill the edge's cache.
    load::run(edge.address(), &hit, 1, ROUND / 3).await?;
    load::run(uncounted.address(), &uncounted_hit, 1, ROUND / 3).await?;
    load::run(bare.address(SOCKET), &plain, 1, ROUND / 3).await?;
    let (mut hits, mut uncounted_hits, mut bares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hits.push(load::run(edge.address(), &hit, CONNECTIONS, ROUND).await?.requests_per_s);
        let round = load::run(uncounted.address(), &uncounted_hit, CONNECTIONS, ROUND).await?;
        uncounted_hits.push(round.requests_per_s);
        bares.push(load::run(bare.address(SOCKET), &plain, CONNECTIONS, ROUND).await?.requests_per_s);
    }
    let one_by_one = load::run(edge.address(), &hit, 1, ROUND).await?;
    let (hit, uncounted_hit, bare) = (median(&hits), median(&uncounted_hits), median(&bares));
    Ok(vec![
        Row::new("edge exact hit, limits on ÷ off, requests/s", hit / uncounted_hit, "×").at_least(0.85),
        Row::new("edge exact hit ÷ bare Rust worker, requests/s", hit / bare, "×").at_least(0.6),
        Row::new("edge exact hit, 32 connections", hit, "requests/s"),
        Row::new("bare Rust worker, 32 connections", bare, "requests/s"),
        Row::new("edge exact hit, one at a time, p50", one_by_one.percentile_ms(0.5), "ms"),
        Row::new("edge exact hit, one at a time, p99", one_by_one.percentile_ms(0.99), "ms"),
    ])
}

/// What Cloudflare counts: 3 MB on the free plan. Some 2 MB of it are the table of word vectors, which hardly packs.
pub(crate) fn size(workspace: &Workspace) -> Result<Vec<Row>> {
    let size = xtask::worker::size(workspace)?;
    Ok(vec![Row::new("worker, gzip", size.gzip as f64 / 1e6, "MB").at_most(3.0)])
}
