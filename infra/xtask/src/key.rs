//! `cargo xtask key`: makes an API key, for the key-value store on Cloudflare or for compose.yaml.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use perigee_shared::caller::{CorpusScope, Scope};
use perigee_shared::id::{Label, TenantId};
use perigee_shared::key::{Key, KeyRecord};
use serde_json::json;
use xtask::credentials::Credentials;

/// Options of `cargo xtask key`.
#[derive(Args)]
pub(crate) struct Options {
    /// Whose key it is
    #[arg(long, default_value = "default")]
    tenant: String,
    /// A corpus that it may ask; repeat for more [default: all of the tenant's]
    #[arg(long = "corpus", value_name = "NAME")]
    corpora: Vec<String>,
    /// An access label that it holds; repeat for more
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// What it may do: ask, search, read, write; repeat for more [default: ask and search]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Print an environment file for infra/compose.yaml instead, with new secrets for both halves
    #[arg(long)]
    env: bool,
}

/// Makes the key and prints it, once.
///
/// # Errors
/// When a name is not one, or the system gives no randomness.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let record = record(options)?;
    let credentials = Credentials::random()?;
    let key = credentials.key();
    if options.env {
        print_env(&credentials, &record);
    } else {
        print_for_wrangler(key, &record);
    }
    Ok(ExitCode::SUCCESS)
}

fn record(options: &Options) -> Result<KeyRecord> {
    let corpora = if options.corpora.is_empty() { vec!["*".to_owned()] } else { options.corpora.clone() };
    let scopes = if options.scopes.is_empty() { vec![Scope::Ask, Scope::Search] } else { scopes(options)? };
    let labels = options.labels.iter().cloned().map(Label::new).collect::<Result<_, _>>();
    Ok(KeyRecord {
        tenant: TenantId::new(options.tenant.clone()).context("--tenant")?,
        corpora: CorpusScope::try_from(corpora).context("--corpus")?,
        audience: labels.context("--label")?,
        scopes: scopes.into_iter().collect(),
    })
}

fn scopes(options: &Options) -> Result<Vec<Scope>> {
    let parse = |name: &String| {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.name() == name)
            .with_context(|| format!("--scope {name}: there are ask, search, read and write"))
    };
    options.scopes.iter().map(parse).collect()
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_for_wrangler(key: &Key, record: &KeyRecord) {
    eprintln!("The key, shown once; only its hash is stored:");
    println!("{}", key.reveal());
    eprintln!("Store it with:");
    eprintln!(
        "  npx wrangler kv key put --remote --binding KEYS '{}' '{}'",
        key.record_name(),
        json!(record)
    );
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_env(credentials: &Credentials, record: &KeyRecord) {
    let key = credentials.key();
    println!("ORIGIN_SECRET={}", credentials.edge_secret());
    println!("PERIGEE_OPERATOR_TOKEN={}", credentials.operator_token());
    println!("KEYS_SEED='{}'", json!({ key.record_name(): json!(record).to_string() }));
    eprintln!("The key, shown once; only its hash is stored:\n{}", key.reveal());
}
