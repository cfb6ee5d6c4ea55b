//! `cargo xtask key`: makes the secrets and a first key for compose.yaml. Everywhere else, and for every other key,
//! there is `perigee keys`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use perigee_shared::caller::{CorpusScope, Scope};
use perigee_shared::id::{Label, TenantId};
use perigee_shared::key::KeyRecord;
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
    /// What it may do: ask, search, read, write, admin; repeat for more [default: ask and search]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

/// Prints an environment file for compose with new secrets for both halves, and shows the key, once.
///
/// # Errors
/// When a name is not one, or the system gives no randomness.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let record = record(options)?;
    print_env(&Credentials::random()?, &record);
    Ok(ExitCode::SUCCESS)
}

fn record(options: &Options) -> Result<KeyRecord> {
    let corpora = if options.corpora.is_empty() { vec!["*".to_owned()] } else { options.corpora.clone() };
    let scopes = if options.scopes.is_empty() { vec![Scope::Ask, Scope::Search] } else { scopes(options)? };
    let labels = options.labels.iter().cloned().map(Label::new).collect::<Result<_, _>>();
    Ok(KeyRecord {
        id: None,
        tier: None,
        expires_at_s: None,
        web_origins: BTreeSet::new(),
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
            .with_context(|| format!("--scope {name}: there are ask, search, read, write and admin"))
    };
    options.scopes.iter().map(parse).collect()
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_env(credentials: &Credentials, record: &KeyRecord) {
    let key = credentials.key();
    println!("ORIGIN_SECRET={}", credentials.edge_secret());
    println!("PERIGEE_OPERATOR_TOKEN={}", credentials.operator_token());
    println!("KEY_SECRET={}", credentials.key_secret());
    println!("ADMIN_SECRET={}", credentials.admin_secret());
    println!("KEYS_SEED='{}'", json!({ credentials.record_name(): json!(record).to_string() }));
    eprintln!("The key, shown once; only its hash is stored:\n{}", key.reveal());
}
