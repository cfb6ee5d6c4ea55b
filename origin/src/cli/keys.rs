//! `perigee keys`: the keys of an edge's tenants. All of it are the edge's own admin routes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{Args, Subcommand};
use perigee_shared::admin::{AuditPage, CreateKey, KeyList, KeySummary, RotateKey, ShownKey};
use perigee_shared::caller::{CorpusScope, Scope};
use perigee_shared::id::{KeyId, Label, TenantId, TierName};
use perigee_shared::key::KeyKind;
use perigee_shared::web_origin::WebOrigin;
use reqwest::Method;

use super::End;
use super::client::{Server, confirm};
use super::output::{line, safe, say};
use crate::config::Config;

/// Makes, lists, rotates and revokes an edge's keys
#[derive(Debug, Args)]
#[command(after_long_help = "\
The edge's admin secret is read from PERIGEE_ADMIN_SECRET; a key with the scope admin (--key) manages its own tenant.

Examples:
  perigee keys create --tenant acme --name website --scope ask --scope search --url https://edge.example.com
  perigee keys create --tenant acme --publishable --web-origin https://app.example.com
  perigee keys list --tenant acme
  perigee keys rotate key_0123456789abcdef --tenant acme --overlap 1h
  perigee keys revoke key_0123456789abcdef --tenant acme --yes")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Edge {
    /// The edge [environment: PERIGEE_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A key with the scope admin [default: the admin secret in PERIGEE_ADMIN_SECRET, then PERIGEE_KEY]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Whose keys
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: TenantId,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key and prints it, once
    Create {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        edge: Edge,
    },
    /// Lists the tenant's keys
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        edge: Edge,
    },
    /// Shows one key, as JSON
    Show {
        id: KeyId,
        #[command(flatten)]
        edge: Edge,
    },
    /// Gives a key new digits and prints it, once; the old ones go on for a while
    Rotate {
        id: KeyId,
        /// How long the old key stays valid, such as 1h; 0s: it ends at once
        #[arg(long, value_name = "TIME", default_value = "1day", value_parser = humantime::parse_duration)]
        overlap: Duration,
        #[command(flatten)]
        edge: Edge,
    },
    /// Ends a key; within 30 seconds it is refused everywhere
    Revoke {
        id: KeyId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        edge: Edge,
    },
    /// Prints the audit trail, one JSON object on each line
    Audit {
        #[command(flatten)]
        edge: Edge,
    },
}

#[derive(Debug, Args)]
struct Wanted {
    /// What people call it
    #[arg(long, default_value = "")]
    name: String,
    /// A key for web pages, that only asks and searches
    #[arg(long, requires = "web_origins")]
    publishable: bool,
    /// The tier whose limits of a key it has [default: its tenant's]
    #[arg(long, value_name = "TIER")]
    tier: Option<TierName>,
    /// A corpus that it may name; repeat for more [default: all of the tenant's]
    #[arg(long = "corpus", value_name = "NAME")]
    corpora: Vec<String>,
    /// An access label that it holds; repeat for more
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<Label>,
    /// What it may do: ask, search, read, write, admin; repeat for more [default: ask and search]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// Until when it is valid, from now on, such as 90days [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// A site that may use a publishable key, such as https://app.example.com; repeat for more
    #[arg(long = "web-origin", value_name = "ORIGIN")]
    web_origins: Vec<WebOrigin>,
}

fn scope(name: &str) -> Result<Scope, String> {
    let found = Scope::ALL.into_iter().find(|scope| scope.name() == name);
    found.ok_or_else(|| "there are ask, search, read, write and admin".to_owned())
}

impl Wanted {
    fn into_request(self) -> anyhow::Result<CreateKey> {
        let Self { name, publishable, tier, corpora, labels, scopes, expires_in, web_origins } = self;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let corpora = if corpora.is_empty() { vec!["*".to_owned()] } else { corpora };
        let asking = BTreeSet::from([Scope::Ask, Scope::Search]);
        Ok(CreateKey {
            name,
            kind: if publishable { KeyKind::Publishable } else { KeyKind::Secret },
            tier,
            corpora: CorpusScope::try_from(corpora)?,
            audience: labels.into_iter().collect(),
            scopes: if scopes.is_empty() { asking } else { scopes.into_iter().collect() },
            expires_at_s: expires_in.map(|time| (now + time).as_secs()),
            web_origins: web_origins.into_iter().collect(),
        })
    }
}

/// The keys of one tenant at an edge.
struct Keys {
    server: Server,
    tenant: TenantId,
}

impl Keys {
    fn at(config: &Config, edge: Edge) -> anyhow::Result<Self> {
        let Edge { url, key, tenant } = edge;
        Ok(Self { server: Server::managed(config, url, key)?, tenant })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.server.request(method, &format!("/v1/admin/tenants/{}{path}", self.tenant))
    }
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    match arguments.action {
        Action::Create { wanted, edge } => {
            let keys = Keys::at(&config, edge)?;
            let request = keys.request(Method::POST, "/keys").json(&wanted.into_request()?);
            show(&keys.server.json(request).await?)?;
        }
        Action::List { json, edge } => {
            let keys = Keys::at(&config, edge)?;
            print(&keys.server.json(keys.request(Method::GET, "/keys")).await?, json)?;
        }
        Action::Show { id, edge } => {
            let keys = Keys::at(&config, edge)?;
            let key: KeySummary = keys.server.json(keys.request(Method::GET, &format!("/keys/{id}"))).await?;
            line(&serde_json::to_string_pretty(&key)?)?;
        }
        Action::Rotate { id, overlap, edge } => {
            let keys = Keys::at(&config, edge)?;
            let body = RotateKey { overlap_s: overlap.as_secs() };
            let request = keys.request(Method::POST, &format!("/keys/{id}:rotate")).json(&body);
            show(&keys.server.json(request).await?)?;
        }
        Action::Revoke { id, yes, edge } => {
            let keys = Keys::at(&config, edge)?;
            confirm(&format!("revoking {id} of {}", keys.tenant), yes)?;
            keys.server.send(keys.request(Method::DELETE, &format!("/keys/{id}"))).await?;
            say(&format!("revoked {id}; within 30 seconds it is refused everywhere"));
        }
        Action::Audit { edge } => audit(&Keys::at(&config, edge)?).await?,
    }
    Ok(End::Done)
}

/// The key on stdout and everything else on stderr, so that a script can keep it.
fn show(shown: &ShownKey) -> anyhow::Result<()> {
    say(&format!("{} of the tenant; the key is shown this once and stored nowhere:", shown.summary.id));
    line(&shown.key)?;
    if let Some(previous) = &shown.summary.previous {
        say(&format!("{}… stays valid until {} (Unix time)", previous.begins, previous.valid_until_s));
    }
    Ok(())
}

fn print(list: &KeyList, json: bool) -> anyhow::Result<()> {
    if json {
        line(&serde_json::to_string(list)?)?;
        return Ok(());
    }
    line(&format!("{:<20} {:<13} {:<8} {:<28} name", "id", "begins", "state", "scopes"))?;
    for KeySummary { id, begins, made_as, revoked_at_s, .. } in &list.data {
        let state = if revoked_at_s.is_some() { "revoked" } else { "valid" };
        let scopes: Vec<&str> = made_as.scopes.iter().map(|scope| scope.name()).collect();
        let (id, scopes) = (id.to_string(), scopes.join(","));
        line(&format!("{id:<20} {begins:<13} {state:<8} {scopes:<28} {}", safe(&made_as.name)))?;
    }
    Ok(())
}

async fn audit(keys: &Keys) -> anyhow::Result<()> {
    let mut after = Some(0);
    while let Some(number) = after {
        let request = keys.request(Method::GET, &format!("/audit?after={number}"));
        let page: AuditPage = keys.server.json(request).await?;
        for entry in &page.data {
            line(&serde_json::to_string(entry)?)?;
        }
        after = page.next_after;
    }
    Ok(())
}
