//! `perigee ingest`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use futures::channel::mpsc::{self, Receiver};
use futures::{StreamExt, TryStreamExt};
use perigee_shared::document::{DocumentPage, Written};
use perigee_shared::id::{CorpusName, DocumentId};
use perigee_shared::limits::PAGE_MAX;
use reqwest::{Method, StatusCode};

use super::End;
use super::client::{Server, ServerArguments};
use super::files::{self, File, Found, Kind};
use super::output::{line, say};
use super::progress::Progress;
use super::send::send;
use super::tally::{Refusal, Step, Tally};
use crate::config::Config;

/// Files under way at one time: enough to keep the server's embedding busy while files are read.
const IN_FLIGHT: usize = 6;

/// Steps that wait to be counted.
const STEPS_WAITING: usize = 64;

/// Sends files and folders to a corpus, which is created if it is not there
///
/// Takes all files of known formats (md, txt, html, pdf, docx, csv, json, jsonl); hidden ones are left out. A
/// document's id is made from the file's path below PATH. What has not changed costs nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit status: 0 all is well; 1 something was refused, or the server failed; 2 wrong usage.

Examples:
  perigee ingest docs/ --corpus docs
  perigee ingest handbook/ faq.pdf --corpus support --tenant acme --prune
  perigee ingest corpus.jsonl --corpus papers      # {\"id\": …, \"title\": …, \"text\": …} on each line")]
pub(super) struct Arguments {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The corpus to write to
    #[arg(long, value_name = "NAME")]
    corpus: CorpusName,
    /// Afterwards delete the corpus's documents that are not below PATH
    #[arg(long)]
    prune: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { paths, corpus, prune, json, server } = arguments;
    let server = Server::new(&config, server)?;
    let Found { files, refused, passed_over } = files::find(&paths)?;
    ensure_corpus(&server, &corpus).await.with_context(|| format!("writing to {}", server.base()))?;

    let mut tally = Tally { refused, ..Tally::default() };
    ingest(&server, &corpus, &files, &mut tally, json).await?;
    if prune {
        self::prune(&server, &corpus, &files, &mut tally).await?;
    }
    for Refusal { name, reason } in &tally.refused {
        say(&format!("refused {name}: {reason}"));
    }
    if passed_over > 0 {
        say(&format!("{passed_over} files of other formats were left out"));
    }
    line(&if json { serde_json::to_string(&tally)? } else { tally.summary(corpus.as_str()) })?;
    Ok(if tally.refused.is_empty() { End::Done } else { End::Refused })
}

async fn ensure_corpus(server: &Server, corpus: &CorpusName) -> anyhow::Result<()> {
    match server.send(server.request(Method::GET, &format!("/v1/corpora/{corpus}"))).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => {}
        Err(error) => return Err(error.into()),
    }
    match super::corpora::create(server, corpus, None).await {
        Ok(()) => say(&format!("created the corpus {corpus}")),
        // Somebody was faster.
        Err(error) if error.is_status(StatusCode::CONFLICT) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn ingest(
    server: &Server,
    corpus: &CorpusName,
    files: &[File],
    tally: &mut Tally,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut progress = Progress::begin(files.len() as u64, quiet);
    let (steps, taken) = mpsc::channel(STEPS_WAITING);
    let sending = async {
        let files = futures::stream::iter(files).map(Ok);
        let sent =
            files.try_for_each_concurrent(IN_FLIGHT, |file| send(server, corpus, file, steps.clone())).await;
        drop(steps);
        sent
    };
    let counting = count(taken, tally, &mut progress);
    let (sent, ()) = futures::join!(sending, counting);
    progress.end();
    sent
}

async fn count(mut steps: Receiver<Step>, tally: &mut Tally, progress: &mut Progress) {
    while let Some(step) = steps.next().await {
        tally.take(step);
        progress.show(tally);
    }
}

/// Deletes what is in the corpus and was not sent. A refused file keeps the document that it made before.
async fn prune(
    server: &Server,
    corpus: &CorpusName,
    files: &[File],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut keep = tally.present.clone();
    for file in files {
        match &file.kind {
            Kind::One { id, .. } => drop(keep.insert(id.clone())),
            Kind::Lines if tally.refused.is_empty() => {}
            Kind::Lines => {
                say("nothing was pruned: which documents the refused lines stand for is not known");
                return Ok(());
            }
        }
    }
    for id in documents(server, corpus).await? {
        if !keep.contains(&id) {
            let path = format!("/v1/corpora/{corpus}/documents/{id}");
            let deleted: Written = server.json(server.request(Method::DELETE, &path)).await?;
            tally.take(Step::Written(deleted));
        }
    }
    Ok(())
}

/// The ids of all documents of the corpus.
async fn documents(server: &Server, corpus: &CorpusName) -> anyhow::Result<Vec<DocumentId>> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        // Ids need no escaping.
        let after = cursor.map_or_else(String::new, |cursor: String| format!("&cursor={cursor}"));
        let path = format!("/v1/corpora/{corpus}/documents?limit={PAGE_MAX}{after}");
        let page: DocumentPage = server.json(server.request(Method::GET, &path)).await?;
        ids.extend(page.data.into_iter().map(|document| document.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(ids);
        }
    }
}
