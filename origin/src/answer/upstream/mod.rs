//! The client of an OpenAI-compatible model server.
//!
//! It always asks for a stream. Everything that a server can do wrong ends in an error of ours: nothing of what it
//! says in an error is passed on, no redirect is followed, and every wait and every buffer is bounded.

mod options;
mod read;
mod retry;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perigee_shared::question::Question;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use secrecy::ExposeSecret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

pub use self::options::{InvalidUpstream, TokenLimit, UpstreamOptions};
pub(super) use self::read::{Piece, Reading};
use self::retry::RetryBudget;
use super::error::UpstreamError;
use super::prompt::Message;

/// Tries after the first one.
const RETRIES_MAX: u32 = 2;

/// The pause before the first retry where the server names none; doubled for the next.
const PAUSE: Duration = Duration::from_millis(200);

/// A model server.
#[derive(Debug)]
pub struct Upstream {
    client: Client,
    endpoint: Url,
    model: String,
    token_limit: TokenLimit,
    first_token_timeout: Duration,
    whole_timeout: Duration,
    turns: Arc<Semaphore>,
    retries: RetryBudget,
}

impl Upstream {
    /// # Errors
    /// The options cannot be used. No connection is made yet.
    pub fn new(options: &UpstreamOptions) -> Result<Self, InvalidUpstream> {
        install_tls();
        let endpoint = options.endpoint()?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &options.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                .map_err(|_| InvalidUpstream::ApiKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .default_headers(headers)
            .connect_timeout(options.connect_timeout)
            // A redirect could carry the key and the passages to wherever it points.
            .redirect(redirect::Policy::none())
            // The environment is read by the configuration alone.
            .no_proxy()
            .build()
            .map_err(|_| InvalidUpstream::Client)?;
        Ok(Self {
            client,
            endpoint,
            model: options.model.clone(),
            token_limit: options.token_limit,
            first_token_timeout: options.first_token_timeout,
            whole_timeout: options.whole_timeout,
            turns: Arc::new(Semaphore::new(options.concurrency.get())),
            retries: RetryBudget::new(),
        })
    }

    /// Waits for a turn; cancel-safe. `None` when the process is stopping.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Asks; the first token is read from what is returned.
    ///
    /// # Errors
    /// The server cannot be reached or refuses, and keeps doing so when tried again.
    pub(super) async fn ask(
        &self,
        question: &Question,
        messages: &[Message],
    ) -> Result<Reading, UpstreamError> {
        let started = Instant::now();
        let whole_by = started + self.whole_timeout;
        let first_token_by = (started + self.first_token_timeout).min(whole_by);
        let request = wire::Request::new(&self.model, self.token_limit, messages, &question.options);
        let body = serde_json::to_vec(&request).map_err(|_| UpstreamError::Unreadable)?;
        let response = self.open(body.into(), first_token_by).await?;
        Ok(Reading::new(response, first_token_by, whole_by))
    }

    /// Sends until there is a stream. Only what certainly generated nothing is tried again.
    async fn open(&self, body: Bytes, by: Instant) -> Result<Response, UpstreamError> {
        self.retries.deposit();
        let mut tries = 0;
        loop {
            let sent = self.client.post(self.endpoint.clone()).body(body.clone()).send();
            let (error, pause) = match timeout_at(by, sent).await {
                Err(_) => return Err(UpstreamError::FirstTokenTimeout),
                Ok(Ok(response)) if response.status() == StatusCode::OK => return Ok(response),
                Ok(Ok(response)) => {
                    let error = UpstreamError::Status(response.status().as_u16());
                    let passing = [
                        StatusCode::TOO_MANY_REQUESTS,
                        StatusCode::BAD_GATEWAY,
                        StatusCode::SERVICE_UNAVAILABLE,
                    ];
                    if !passing.contains(&response.status()) {
                        return Err(error);
                    }
                    (error, retry::after(response.headers()))
                }
                Ok(Err(error)) if error.is_connect() => (UpstreamError::Unreachable, None),
                Ok(Err(_)) => return Err(UpstreamError::HungUp),
            };
            let pause = pause.unwrap_or(PAUSE * 2_u32.pow(tries));
            tries += 1;
            // Not the other way round: a server may name a pause that no clock can add.
            let left = by.saturating_duration_since(Instant::now());
            if tries > RETRIES_MAX || pause >= left || !self.retries.withdraw() {
                return Err(error);
            }
            tracing::debug!(%error, tries, "asking the upstream again");
            sleep(pause).await;
        }
    }
}

/// Makes ring the process's TLS provider, which rustls wants to be told. Later calls change nothing.
fn install_tls() {
    // An error means that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests;
