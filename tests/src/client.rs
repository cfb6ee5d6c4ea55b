//! A plain HTTP client with the few requests that nearly every test makes.

use anyhow::{Context, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Speaks to an edge or an origin.
#[derive(Debug, Clone)]
pub struct Client {
    base_url: String,
    http: reqwest::Client,
    token: Option<String>,
    headers: HeaderMap,
}

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Client {
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(base_url: &str, token: Option<&str>) -> Result<Self> {
        // The first one wins, and all of them are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            base_url: base_url.to_owned(),
            http: reqwest::Client::builder().no_proxy().build()?,
            token: token.map(str::to_owned),
            headers: HeaderMap::new(),
        })
    }

    /// The same client without its key.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.token = None;
        self
    }

    /// The same client at another edge.
    #[must_use]
    pub fn at(mut self, base_url: &str) -> Self {
        base_url.clone_into(&mut self.base_url);
        self
    }

    #[must_use]
    pub fn tenant(self, tenant: &str) -> Self {
        self.with("perigee-tenant", tenant)
    }

    /// The same client, sending one more header with each request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request =
            self.http.request(method, format!("{}{path}", self.base_url)).headers(self.headers.clone());
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// # Errors
    /// The connection fails.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        Reply::read(self.request(Method::GET, path)).await
    }

    /// # Errors
    /// The connection fails.
    pub async fn delete(&self, path: &str) -> Result<Reply> {
        Reply::read(self.request(Method::DELETE, path)).await
    }

    /// # Errors
    /// The connection fails.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        Reply::read(self.request(Method::POST, path).json(body)).await
    }

    /// # Errors
    /// The connection fails.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        Reply::read(self.request(Method::PUT, path).json(body)).await
    }

    /// # Errors
    /// The connection fails.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Reply> {
        Reply::read(self.request(Method::PATCH, path).json(body)).await
    }

    /// Asks one question of a corpus, answered as JSON.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn ask(&self, corpus: &str, question: &str) -> Result<Reply> {
        self.post("/v1/chat/completions", &chat(corpus, question)).await
    }

    /// Asks one question of a corpus, answered as an event stream and read to its end.
    ///
    /// # Errors
    /// The connection fails.
    pub async fn ask_streamed(&self, corpus: &str, question: &str) -> Result<Reply> {
        let mut body = chat(corpus, question);
        body["stream"] = json!(true);
        self.post("/v1/chat/completions", &body).await
    }

    /// Creates a corpus with these documents: id and Markdown.
    ///
    /// # Errors
    /// A write is refused.
    pub async fn fill(&self, corpus: &str, documents: &[(&str, &str)]) -> Result<()> {
        self.post("/v1/corpora", &json!({"name": corpus})).await?.expect(201)?;
        for (id, content) in documents {
            self.write(corpus, id, content).await?;
        }
        Ok(())
    }

    /// Writes one Markdown document; returns the epoch.
    ///
    /// # Errors
    /// The write is refused.
    pub async fn write(&self, corpus: &str, id: &str, content: &str) -> Result<u64> {
        let path = format!("/v1/corpora/{corpus}/documents/{id}");
        let reply = self.put(&path, &json!({"content": content})).await?;
        anyhow::ensure!(matches!(reply.status, 200 | 201), "PUT {path}: {reply:?}");
        reply.json()?["epoch"].as_u64().context("a write answers with its epoch")
    }
}

/// The body of a chat request with one question.
#[must_use]
pub fn chat(corpus: &str, question: &str) -> Value {
    json!({"model": corpus, "messages": [{"role": "user", "content": question}]})
}

impl Reply {
    async fn read(request: RequestBuilder) -> Result<Self> {
        let response = request.send().await?;
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }

    /// # Errors
    /// The status is another one; the message shows the whole response.
    pub fn expect(self, status: u16) -> Result<Self> {
        anyhow::ensure!(self.status == status, "wanted {status}: {self:#?}");
        Ok(self)
    }

    /// # Errors
    /// The body is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }

    /// A header's value, or nothing at all.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The answer's text, from JSON or from a stream's pieces.
    ///
    /// # Errors
    /// There is none.
    pub fn text(&self) -> Result<String> {
        if self.header("content-type").starts_with("text/event-stream") {
            let pieces = self.events()?;
            Ok(pieces.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect())
        } else {
            let text = self.json()?["choices"][0]["message"]["content"].as_str().map(str::to_owned);
            text.with_context(|| format!("no answer: {}", self.body))
        }
    }

    /// A stream's events without `[DONE]`.
    ///
    /// # Errors
    /// The stream has no proper end, or an event is not JSON.
    pub fn events(&self) -> Result<Vec<Value>> {
        let data: Vec<&str> = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (last, events) = data.split_last().context("an empty stream")?;
        anyhow::ensure!(*last == "[DONE]", "the stream ends with {last}");
        events.iter().map(|e| serde_json::from_str(e).with_context(|| format!("not JSON: {e}"))).collect()
    }

    /// The citations, from JSON or from a stream's last chunk.
    ///
    /// # Errors
    /// There is no answer.
    pub fn citations(&self) -> Result<Vec<Value>> {
        let list = if self.header("content-type").starts_with("text/event-stream") {
            let events = self.events()?;
            events.iter().find_map(|e| e["choices"][0]["delta"]["annotations"].as_array().cloned())
        } else {
            self.json()?["choices"][0]["message"]["annotations"].as_array().cloned()
        };
        list.with_context(|| format!("no annotations: {}", self.body))
    }
}
