//! `perigee corpora`.

use clap::{Args, Subcommand};
use perigee_shared::document::CorpusSummary;
use perigee_shared::id::CorpusName;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::End;
use super::client::{Server, ServerArguments, confirm};
use super::output::{line, say};
use crate::config::Config;
use crate::paraphrase::Tolerance;

/// Lists, creates and deletes corpora
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  perigee corpora list
  perigee corpora create docs --tenant acme
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
    let body = match reuse_tolerance {
        Some(tolerance) => json!({"name": name, "reuse_tolerance": tolerance}),
        None => json!({"name": name}),
    };
    server.send(server.request(Method::POST, "/v1/corpora").json(&body)).await?;
    Ok(())
}

fn print(list: &List, json: bool) -> anyhow::Result<()> {
    if json {
        line(&serde_json::to_string(list)?)?;
        return Ok(());
    }
    line(&format!("{:<24} {:>10} {:>10} {:>8}  created", "corpus", "documents", "passages", "epoch"))?;
    for CorpusSummary { name, epoch, documents, passages, created_at } in &list.data {
        // `Display` of the ids does not pad; text does.
        let (name, epoch) = (name.to_string(), epoch.to_string());
        line(&format!("{name:<24} {documents:>10} {passages:>10} {epoch:>8}  {created_at}"))?;
    }
    Ok(())
}
