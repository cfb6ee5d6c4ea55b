//! The parts called bare: fastembed, usearch and tantivy with nothing between them and the caller.
//!
//! They run in a process of their own, because ONNX Runtime allows one environment per process and each side is to
//! have its own. One JSON object a line goes in, one comes out; times are taken inside, so the pipe is not counted.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fastembed::{
    InitOptionsUserDefined, Pooling, QuantizationMode, TextEmbedding, TokenizerFiles,
    UserDefinedEmbeddingModel,
};
use perigee_origin::embed::{DIMENSIONS, TOKENS_MAX};
use serde::{Deserialize, Serialize};
use tantivy::collector::TopDocs;
use tantivy::query::QueryParser;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index, IndexReader, doc};
use usearch::ffi::{IndexOptions, MetricKind, ScalarKind};

/// How deep Perigee ranks before it fuses.
const DEPTH: usize = 100;

#[derive(Serialize, Deserialize)]
enum Call {
    /// Embeds the texts, so many per model call.
    Embed { texts: Vec<String>, per_call: usize },
    /// Embeds and indexes them, to be searched.
    Index { texts: Vec<String> },
    /// Searches for each, one after the other.
    Search { queries: Vec<String> },
}

/// Milliseconds of each thing done.
#[derive(Serialize, Deserialize)]
struct Took {
    ms: Vec<f64>,
}

/// The process, seen from the one that measures. It ends when its input does.
pub(crate) struct Bare {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Bare {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("--bare").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("the bare process's output")?);
        Ok(Self { child, to, from })
    }

    /// Seconds that embedding all the texts took.
    pub(crate) fn embed(&mut self, texts: &[String], per_call: usize) -> Result<f64> {
        let took = self.call(&Call::Embed { texts: texts.to_vec(), per_call })?;
        Ok(took.ms.iter().sum::<f64>() / 1e3)
    }

    pub(crate) fn index(&mut self, texts: &[String]) -> Result<()> {
        self.call(&Call::Index { texts: texts.to_vec() }).map(drop)
    }

    /// Milliseconds of each search.
    pub(crate) fn search(&mut self, queries: &[String]) -> Result<Vec<f64>> {
        Ok(self.call(&Call::Search { queries: queries.to_vec() })?.ms)
    }

    fn call(&mut self, call: &Call) -> Result<Took> {
        let to = self.to.as_mut().context("the bare process's input")?;
        serde_json::to_writer(&mut *to, call)?;
        to.write_all(b"\n")?;
        to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the bare process ended");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.to = None;
        // It has nothing to lose, and there is nobody left to tell.
        let _ = self.child.wait();
    }
}

/// Serves calls until the input ends.
pub(crate) fn serve(model_dir: &Path) -> Result<()> {
    let mut model = model(model_dir)?;
    let mut indexes = None;
    for line in std::io::stdin().lock().lines() {
        let ms = match serde_json::from_str(&line?)? {
            Call::Embed { texts, per_call } => {
                let calls = texts.chunks(per_call);
                calls.map(|texts| timed(|| Ok(model.embed(texts, None)?))).collect::<Result<_>>()?
            }
            Call::Index { texts } => {
                indexes = Some(Indexes::new(&mut model, &texts)?);
                Vec::new()
            }
            Call::Search { queries } => {
                let indexes = indexes.as_ref().context("nothing is indexed")?;
                let searches = queries.iter();
                searches.map(|query| timed(|| indexes.search(&mut model, query))).collect::<Result<_>>()?
            }
        };
        println!("{}", serde_json::to_string(&Took { ms })?);
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let began = Instant::now();
    std::hint::black_box(work()?);
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// The bundled model, as Perigee loads it.
fn model(dir: &Path) -> Result<TextEmbedding> {
    let read = |name: &str| {
        let path = dir.join(name);
        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let files = TokenizerFiles {
        tokenizer_file: read("tokenizer.json")?,
        config_file: read("config.json")?,
        special_tokens_map_file: read("special_tokens_map.json")?,
        tokenizer_config_file: read("tokenizer_config.json")?,
    };
    let model = UserDefinedEmbeddingModel::new(read("model.onnx")?, files)
        .with_pooling(Pooling::Mean)
        .with_quantization(QuantizationMode::Dynamic);
    let options = InitOptionsUserDefined::new().with_max_length(TOKENS_MAX);
    Ok(TextEmbedding::try_new_from_user_defined(model, options)?)
}

struct Indexes {
    vectors: usearch::Index,
    reader: IndexReader,
    parser: QueryParser,
}

impl Indexes {
    fn new(model: &mut TextEmbedding, texts: &[String]) -> Result<Self> {
        let vectors = usearch::Index::new(&IndexOptions {
            dimensions: DIMENSIONS,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 64,
            multi: false,
        })?;
        vectors.reserve(texts.len())?;
        let (schema, body) = schema();
        let index = Index::create_in_ram(schema);
        let mut writer = index.writer_with_num_threads::<tantivy::TantivyDocument>(1, 32 << 20)?;
        for (text, number) in texts.iter().zip(0_u64..) {
            let rows = model.embed([text], None)?;
            vectors.add(number, rows.first().context("no vector")?)?;
            writer.add_document(doc!(body => text.as_str()))?;
        }
        writer.commit()?;
        Ok(Self { vectors, reader: index.reader()?, parser: QueryParser::for_index(&index, vec![body]) })
    }

    /// The numbers that both rankings give; nothing is fused, and no text is read.
    fn search(&self, model: &mut TextEmbedding, query: &str) -> Result<(Vec<u64>, usize)> {
        let rows = model.embed([query], None)?;
        let near = self.vectors.search(rows.first().context("no vector")?, DEPTH)?;
        let (words, _) = self.parser.parse_query_lenient(query);
        let best = self.reader.searcher().search(&words, &TopDocs::with_limit(DEPTH).order_by_score())?;
        Ok((near.keys, best.len()))
    }
}

fn schema() -> (Schema, Field) {
    let indexing =
        TextFieldIndexing::default().set_tokenizer("en_stem").set_index_option(IndexRecordOption::WithFreqs);
    let mut schema = Schema::builder();
    let body = schema.add_text_field("body", TextOptions::default().set_indexing_options(indexing));
    (schema.build(), body)
}
