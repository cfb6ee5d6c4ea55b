//! `perigee corpora`.

use clap::{Args, Subcommand};
use perigee_shared::document::{ChangeCorpus, CorpusSummary, CreateCorpus};
use perigee_shared::id::CorpusName;
use perigee_shared::tolerance::{InvalidTolerance, Tolerance};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::End;
use super::client::{Server, ServerArguments, confirm};
use super::output::{line, say};
use crate::config::Config;

/// Lists, creates, changes and deletes corpora
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perigee corpora list
  perigee corpora create docs --tenant acme
  perigee corpora set docs --reuse-tolerance 0.002
  perigee corpora delete docs --yes")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the tenant's corpora
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Creates a corpus
    Create {
        name: CorpusName,
        /// The share of requests that reuse across wordings may answer wrongly; 0: no reuse
        #[arg(long, value_name = "SHARE")]
        reuse_tolerance: Option<Tolerance>,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Changes a corpus
    Set {
        name: CorpusName,
        /// The share of requests that reuse across wordings may answer wrongly; 0: no reuse; default: the server's own
        #[arg(long, value_name = "SHARE", value_parser = tolerance_or_default)]
        reuse_tolerance: SetTolerance,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Deletes a corpus with all its documents
    Delete {
        name: CorpusName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
}

/// `None`: the server's own.
#[derive(Debug, Clone, Copy)]
struct SetTolerance(Option<Tolerance>);

fn tolerance_or_default(text: &str) -> Result<SetTolerance, InvalidTolerance> {
    if text == "default" {
        return Ok(SetTolerance(None));
    }
    text.parse().map(Some).map(SetTolerance)
}

#[derive(Serialize, Deserialize)]
struct List {
    data: Vec<CorpusSummary>,
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    match arguments.action {
        Action::List { json, server } => {
            let server = Server::new(&config, server)?;
            let list: List = server.json(server.request(Method::GET, "/v1/corpora")).await?;
            print(&list, json)?;
        }
        Action::Create { name, reuse_tolerance, server } => {
            let server = Server::new(&config, server)?;
            create(&server, &name, reuse_tolerance).await?;
            say(&format!("created {name}"));
        }
        Action::Set { name, reuse_tolerance: SetTolerance(reuse_tolerance), server } => {
            let server = Server::new(&config, server)?;
            let request = server.request(Method::PATCH, &format!("/v1/corpora/{name}"));
            server.send(request.json(&ChangeCorpus { reuse_tolerance })).await?;
            say(&format!("changed {name}"));
        }
        Action::Delete { name, yes, server } => {
            let server = Server::new(&config, server)?;
            confirm(&format!("deleting {name} with all its documents"), yes)?;
            server.send(server.request(Method::DELETE, &format!("/v1/corpora/{name}"))).await?;
            say(&format!("deleted {name}"));
        }
    }
    Ok(End::Done)
}

/// # Errors
/// It exists, or the server refuses for another reason.
pub(super) async fn create(
    server: &Server,
    name: &CorpusName,
    reuse_tolerance: Option<Tolerance>,
) -> Result<(), super::client::CallError> {
    let body = CreateCorpus { name: name.clone(), reuse_tolerance };
    server.send(server.request(Method::POST, "/v1/corpora").json(&body)).await?;
    Ok(())
}

fn print(list: &List, json: bool) -> anyhow::Result<()> {
    if json {
        line(&serde_json::to_string(list)?)?;
        return Ok(());
    }
    let header = ["corpus", "documents", "passages", "epoch", "tolerance"];
    let [corpus, documents, passages, epoch, tolerance] = header;
    line(&format!("{corpus:<24} {documents:>10} {passages:>10} {epoch:>8} {tolerance:>9}  created"))?;
    for CorpusSummary { name, epoch, documents, passages, created_at, reuse_tolerance } in &list.data {
        // `Display` of the ids does not pad; text does.
        let (name, epoch) = (name.to_string(), epoch.to_string());
        let tolerance = reuse_tolerance.map_or_else(|| "default".to_owned(), |own| own.to_string());
        line(&format!("{name:<24} {documents:>10} {passages:>10} {epoch:>8} {tolerance:>9}  {created_at}"))?;
    }
    Ok(())
}
