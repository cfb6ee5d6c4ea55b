//! What `cargo xtask bench` measures: Perigee beside its parts called bare, in turn, in one run.
//!
//! Nothing here fails for being slow: the table says what met its aim and what missed it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line: the table is its result")]

mod answer;
mod bare;
mod capacity;
mod change;
mod documents;
mod edge_hit;
mod edge_wording;
mod edges;
mod growth;
mod ingest;
mod load;
mod origin;
mod processor;
mod search;
mod statistics;
mod synthetic;
mod table;
mod verification;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use xtask::part::Part;
use xtask::process;
use xtask::steps::Steps;
use xtask::workspace::Workspace;

use self::documents::Documents;
use self::origin::Built;
use self::synthetic::Filled;
use self::table::Row;

/// Passages of the corpus whose memory and start are measured.
const CAPACITY: usize = 100_000;
const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;

#[derive(Parser)]
struct Cli {
    /// Measure only this
    #[arg(long)]
    only: Option<Part>,
    /// Measure the growth up to 1,000,000 passages
    #[arg(long)]
    large: bool,
    /// Serve the bare side of a measurement over the standard streams
    #[arg(long, hide = true)]
    bare: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let workspace = Workspace::find()?;
    if cli.bare {
        return bare::serve(&xtask::origin::model_dir(&workspace));
    }
    process::end_children_when_interrupted(|| 130)?;
    let folder = workspace.target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = runtime.block_on(measure(&cli, &workspace))?;
    println!("{}", table::markdown(&rows));
    write_json(&folder.join("results.json"), &rows)
}

async fn measure(cli: &Cli, workspace: &Workspace) -> Result<Vec<Row>> {
    let steps = Steps::default();
    let wanted = |part: Part| cli.only.is_none_or(|only| only == part);
    let mut rows = Vec::new();
    if [Part::Edge, Part::Wording, Part::Search, Part::Ingest, Part::Answer].into_iter().any(wanted) {
        let documents = Documents::read(workspace)?;
        steps.say(&format!("documents: {documents}"));
        if wanted(Part::Edge) {
            steps.say("an exact hit at the edge, and a bare worker");
            let origin = Built::of(workspace).serve_documents(&documents)?;
            rows.extend(edge_hit::measure(workspace, &origin).await?);
            rows.extend(edge_hit::size(workspace)?);
        }
        if wanted(Part::Wording) {
            steps.say("answers to other words, at the edge and at the origin");
            let origin = Built::of(workspace).serve_documents(&documents)?;
            rows.extend(edge_wording::measure(workspace, &origin, &documents).await?);
            rows.extend(verification::measure(&origin, &documents).await?);
        }
        if wanted(Part::Search) {
            steps.say("searches at the origin, and its parts called bare");
            rows.extend(search::measure(workspace, &documents).await?);
        }
        if wanted(Part::Ingest) {
            steps.say("ingestion, and fastembed called bare");
            rows.extend(ingest::measure(workspace, &documents).await?);
        }
        if wanted(Part::Answer) {
            steps.say("a cached answer at the origin");
            let origin = Built::of(workspace).serve_documents(&documents)?;
            rows.extend(answer::measure(&origin).await?);
        }
    }
    if wanted(Part::Change) {
        steps.say("changes to 10,000 passages with 10,000 answered questions");
        rows.extend(change::measure(workspace, &Filled::new(workspace, SMALL).await?).await?);
    }
    if [Part::Capacity, Part::Growth].into_iter().any(wanted) {
        steps.say("filling a corpus with 100,000 synthetic passages");
        let filled = Filled::new(workspace, CAPACITY).await?;
        if wanted(Part::Growth) {
            rows.extend(grow(cli, workspace, &steps, &filled).await?);
        }
        if wanted(Part::Capacity) {
            steps.say("memory and start with 100,000 passages");
            rows.extend(capacity::measure(workspace, &filled).await?);
        }
    }
    Ok(rows)
}

async fn grow(cli: &Cli, workspace: &Workspace, steps: &Steps, filled: &Filled) -> Result<Vec<Row>> {
    steps.say("searches among 10,000 passages");
    let mut rows = growth::measure(workspace, &Filled::new(workspace, SMALL).await?).await?;
    steps.say("searches among 100,000 passages");
    rows.extend(growth::measure(workspace, filled).await?);
    if cli.large {
        steps.say("filling a corpus with 1,000,000 synthetic passages, and searching it");
        rows.extend(growth::measure(workspace, &Filled::new(workspace, LARGE).await?).await?);
    }
    Ok(rows)
}

fn write_json(path: &Path, rows: &[Row]) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let report = json!({"threads": threads, "rows": rows});
    let text = serde_json::to_string_pretty(&report)?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}
