//! Distils the bundled model into the edge's table, shared/models/static-table.bin.
//!
//! Every word piece of the model's vocabulary is embedded by the model, as the origin embeds a text; the vectors are
//! projected onto their 64 principal components and weighted by how rare the piece is. The same model makes the same
//! table, byte for byte, on one kind of processor: `--check` distils again and compares.
#![expect(clippy::print_stderr, reason = "a command line: it tells what it does")]

mod project;
mod vocabulary;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use perigee_origin::embed::{EmbedOptions, Embedder};
use perigee_shared::static_model::{ModelHash, NewRow, StaticModel, write_table};
use xtask::steps::Steps;
use xtask::tools::onnxruntime;
use xtask::workspace::Workspace;

use self::vocabulary::WordPiece;

const TABLE: &str = "shared/models/static-table.bin";

/// Bytes that the table may have: it is part of every worker.
const TABLE_BYTES_MAX: usize = 2_200_000;

#[derive(Parser)]
struct Cli {
    /// Compare with the table that is there instead of writing one
    #[arg(long)]
    check: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let (workspace, steps) = (Workspace::find()?, Steps::default());
    let mut options = EmbedOptions::new(xtask::origin::model_dir(&workspace));
    options.runtime_library = Some(onnxruntime::library(&workspace)?);
    let embedder = Embedder::load(options)?;
    let pieces = vocabulary::word_pieces(&embedder.tokenizer());
    steps.say(&format!("embedding {} word pieces", pieces.len()));
    let vectors = embed(&embedder, &pieces)?;
    steps.say("projecting them onto their principal components");
    let table = make_table(&embedder, &pieces, &vectors)?;
    let model = StaticModel::parse(&table)?;
    steps.say(&format!("table {}: {} bytes", model.id(), table.len()));
    ensure!(table.len() <= TABLE_BYTES_MAX, "the table has more than {TABLE_BYTES_MAX} bytes");
    keep(&workspace.root().join(TABLE), &table, cli.check)
}

fn embed(embedder: &Embedder, pieces: &[WordPiece]) -> Result<Vec<Vec<f32>>> {
    let texts = pieces.iter().map(|piece| piece.text().to_owned()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(embedder.passages(texts))?)
}

fn make_table(embedder: &Embedder, pieces: &[WordPiece], vectors: &[Vec<f32>]) -> Result<Vec<u8>> {
    let mut source: ModelHash = [0; 32];
    hex::decode_to_slice(embedder.model_hash(), &mut source).context("the model's hash")?;
    let projected = project::onto_principal_components(vectors);
    let rows: Vec<NewRow> = pieces
        .iter()
        .zip(projected)
        .map(|(piece, numbers)| NewRow {
            piece: piece.piece.clone(),
            numbers: numbers.map(|number| number * piece.weight),
        })
        .collect();
    write_table(&source, &rows).context("the vocabulary can't be written as a table")
}

fn keep(path: &Path, table: &[u8], check: bool) -> Result<()> {
    if !check {
        fs::write(path, table).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("written to {}", path.display());
        return Ok(());
    }
    let there = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    if there != table {
        let differing = there.iter().zip(table).filter(|(a, b)| a != b).count();
        bail!(
            "{TABLE} is not what the model makes: {differing} bytes differ, {} there, {} made; `cargo xtask distil` \
             writes it anew",
            there.len(),
            table.len()
        );
    }
    eprintln!("{TABLE} is what the model makes");
    Ok(())
}
