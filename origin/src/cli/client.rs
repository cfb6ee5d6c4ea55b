//! The commands' HTTP client: where the server is, who asks, and what a refusal says.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use perigee_shared::header::TENANT;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::problem::Problem;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Config, Secret};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Tries of a request that a busy server refused, and the longest pause between two.
const TRIES: u32 = 8;
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Which server, and as whom.
#[derive(Debug, Args)]
pub(super) struct ServerArguments {
    /// The server, an origin or an edge [default: this machine; environment: PERIGEE_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A caller's key, to go through an edge [environment: PERIGEE_KEY; without one, or without --url, PERIGEE_OPERATOR_TOKEN]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The operator's tenant; a key has its own
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: TenantId,
}

/// Which corpus of which server, and how to print what it says.
#[derive(Debug, Args)]
pub(super) struct CorpusArguments {
    /// The corpus
    #[arg(long, value_name = "NAME")]
    pub(super) corpus: CorpusName,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) server: ServerArguments,
}

/// A server to talk to.
#[derive(Debug, Clone)]
pub(super) struct Server {
    http: Client,
    base: Url,
    token: Secret,
    tenant: Option<TenantId>,
}

impl Server {
    /// # Errors
    /// The URL is none, or there is nothing to authenticate with.
    pub(super) fn new(config: &Config, arguments: ServerArguments) -> anyhow::Result<Self> {
        let ServerArguments { url, key, tenant } = arguments;
        let url = url.or_else(|| config.client.url.clone());
        let operator = config.operator_token.clone().map(|token| (token, Some(tenant)));
        let configured = config.client.key.clone().map(|key| (key, None));
        let given = key.map(|key| (Secret::new(&key), None));
        // This machine's origin knows no keys. What stands elsewhere may be an edge: where a key will do, it never sees
        // the token that may do everything.
        let (first, second) = if url.is_none() { (operator, configured) } else { (configured, operator) };
        let url = url.unwrap_or_else(|| format!("http://127.0.0.1:{}", config.listen.port()));
        let (token, tenant) = given.or(first).or(second).context(
            "there is nothing to say who you are: set PERIGEE_OPERATOR_TOKEN for an origin, or --key for an edge",
        )?;
        Self::at(&url, token, tenant)
    }

    /// An edge, as the caller whom this key names.
    ///
    /// # Errors
    /// The URL is none.
    pub(super) fn with_key(url: &str, key: &str) -> anyhow::Result<Self> {
        Self::at(url, Secret::new(key), None)
    }

    /// An edge, to manage what is there.
    ///
    /// # Errors
    /// The URL is none, or there is nothing to authenticate with.
    pub(super) fn managed(config: &Config, url: Option<String>, key: Option<String>) -> anyhow::Result<Self> {
        let url =
            url.or_else(|| config.client.url.clone()).context("which edge? Set --url or PERIGEE_URL")?;
        let given = key.map(|key| Secret::new(&key));
        let configured = || config.client.admin_secret.clone().or_else(|| config.client.key.clone());
        let token = given.or_else(configured).context(
            "there is nothing to say who you are: set PERIGEE_ADMIN_SECRET, or --key with the scope admin",
        )?;
        Self::at(&url, token, None)
    }

    fn at(url: &str, token: Secret, tenant: Option<TenantId>) -> anyhow::Result<Self> {
        let base =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base =
            base.with_context(|| format!("a URL must be such as https://edge.example.com, not {url}"))?;
        let mut http = Client::builder().connect_timeout(CONNECT_TIMEOUT);
        if base.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]")) {
            http = http.no_proxy();
        }
        Ok(Self { http: http.build()?, base, token, tenant })
    }

    /// A request of a path that begins with a slash and needs no escaping.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let request = self.http.request(method, url).bearer_auth(self.token.expose());
        match &self.tenant {
            Some(tenant) => request.header(TENANT, tenant.as_str()),
            None => request,
        }
    }

    /// Sends a request; a refusal is an error that says what the server said.
    ///
    /// # Errors
    /// There is no answer, or it is a refusal.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|error| CallError::Unreachable(error.without_url()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = response.text().await.unwrap_or_default();
        Err(CallError::Refused { status, reason: reason(status, &body), retry_after })
    }

    /// Sends what `request` makes, again while the server is busy.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn send_patiently<F>(&self, mut request: F) -> Result<Response, CallError>
    where
        F: FnMut() -> RequestBuilder,
    {
        let mut tries = 1;
        loop {
            let error = match self.send(request()).await {
                Err(error) if tries < TRIES => error,
                done => return done,
            };
            let Some(pause) = error.pause() else { return Err(error) };
            // Longer each time, in case the server asks for less than it needs.
            tokio::time::sleep((pause * tries).min(PAUSE_MAX)).await;
            tries += 1;
        }
    }

    /// Sends a request and reads a JSON answer.
    ///
    /// # Errors
    /// As [`Self::send`], or the answer is not what it should be.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = self.send(request).await?;
        response
            .json()
            .await
            .map_err(|error| anyhow!(error.without_url()))
            .context("the server's answer cannot be read")
    }

    /// The server's address, to say what could not be reached.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the server cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("{reason}")]
    Refused { status: StatusCode, reason: String, retry_after: Option<Duration> },
}

impl CallError {
    /// How long to wait before another try, where one makes sense.
    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Unreachable(_) => None,
            Self::Refused { status, retry_after, .. } => {
                let busy = matches!(*status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
                busy.then(|| retry_after.unwrap_or(Duration::from_secs(1)))
            }
        }
    }

    pub(super) fn is_status(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a refusal's body says, in either shape.
fn reason(status: StatusCode, body: &str) -> String {
    #[derive(Deserialize)]
    struct OpenAi {
        error: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    if let Ok(problem) = serde_json::from_str::<Problem>(body) {
        return format!("{}: {}", problem.kind.title(), problem.detail);
    }
    match serde_json::from_str::<OpenAi>(body) {
        Ok(refusal) => refusal.error.message,
        Err(_) => format!("the server answered {status}"),
    }
}

/// Fails with what was said unless the answer is one of a person's `y`.
///
/// # Errors
/// Not confirmed.
pub(super) fn confirm(what: &str, yes: bool) -> anyhow::Result<()> {
    use std::io::{IsTerminal, stdin};
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        bail!("{what} needs --yes");
    }
    super::output::say(&format!("{what}? [y/N]"));
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: Option<&str>, key: Option<&str>, configured: Option<&str>) -> (String, bool) {
        // As the command line does before everything else. The first one wins, and all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config { operator_token: Some(Secret::new("operator")), ..Config::default() };
        config.client.key = configured.map(Secret::new);
        let tenant = TenantId::new("default").unwrap();
        let arguments = ServerArguments { url: url.map(str::to_owned), key: key.map(str::to_owned), tenant };
        let server = Server::new(&config, arguments).unwrap();
        (server.token.expose().to_owned(), server.tenant.is_some())
    }

    #[test]
    fn where_a_key_will_do_the_operator_token_is_not_sent() {
        let edge = Some("https://edge.example.com");
        for (url, key, configured, expected) in [
            (edge, None, Some("pgk_1"), "pgk_1"),
            (edge, Some("pgk_2"), Some("pgk_1"), "pgk_2"),
            (None, Some("pgk_2"), None, "pgk_2"),
            // An origin knows no keys, and this machine's is asked where no other server is named.
            (None, None, Some("pgk_1"), "operator"),
            (edge, None, None, "operator"),
        ] {
            assert_eq!(told(url, key, configured), (expected.to_owned(), expected == "operator"), "{url:?}");
        }
    }
}
