//! The memory of `perigee serve` with a large corpus, and how soon it is ready.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perigee_shared::header::TENANT;
use serde_json::json;
use xtask::workspace::Workspace;

use crate::load;
use crate::origin::{self, Built};
use crate::statistics::median;
use crate::synthetic::{self, Filled};
use crate::table::Row;

const STARTS: usize = 3;
const SEARCHING: Duration = Duration::from_secs(2);

pub(crate) async fn measure(workspace: &Workspace, filled: &Filled) -> Result<Vec<Row>> {
    let built = Built::of(workspace);
    let mut starts = Vec::new();
    let mut memory = (0.0, 0.0);
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut origin = built.start(&filled.data_dir())?;
        origin.wait_ready(|_| ())?;
        starts.push(began.elapsed().as_secs_f64());
        search(&origin).await?;
        memory = resident_mb(origin.service().id())?;
    }
    let (all, anonymous) = memory;
    let with = format!("with {} passages", filled.passages);
    Ok(vec![
        Row::new(format!("start to ready {with}"), median(&starts), "s").at_most(2.0),
        Row::new(format!("resident memory {with}, after searches"), all, "MB").at_most(600.0),
        Row::new(format!("of it not backed by files {with}"), anonymous, "MB"),
    ])
}

/// Searches for a while, so that what searching needs is in memory.
async fn search(origin: &xtask::origin::Origin) -> Result<()> {
    let authorization = format!("Bearer {}", origin::OPERATOR_TOKEN);
    let headers = [("Authorization", authorization.as_str()), (TENANT, origin::TENANT)];
    let path = format!("/v1/corpora/{}/search", origin::CORPUS);
    for query in synthetic::questions(20) {
        let body = json!({"query": query}).to_string();
        let request = load::post(origin.address(), &path, &headers, &body);
        load::run(origin.address(), &request, 1, SEARCHING / 20).await?;
    }
    Ok(())
}

/// Megabytes: all that is resident, and what of it is not backed by a file.
fn resident_mb(process: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path)
        .with_context(|| format!("reading {path}: memory is measured on Linux only"))?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024.0 / 1e6)
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}
