//! A server in this process, or the real program as a child, and requests to either.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use perigee_origin::answer::{AnswerOptions, Answers, Upstream, UpstreamOptions, WhenUpstreamFails};
use perigee_origin::config::{Limits, Secret};
use perigee_origin::corpus::{Corpora, OpenOptions};
use perigee_origin::embed::{EmbedOptions, Embedder};
use perigee_origin::extract::Reader;
use perigee_origin::http::admit::Credentials;
use perigee_origin::http::{App, Services, server};
use perigee_origin::telemetry;
use perigee_shared::header::{BODY_SHA256, CALLER, SIGNATURE};
use perigee_shared::signature::{Signed, sign};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) const OLD_SECRET: &str = "an-edge-secret-of-the-tests-old-0123";
pub(crate) const NEW_SECRET: &str = "an-edge-secret-of-the-tests-new-0123";
pub(crate) const TOKEN: &str = "an-operator-token-of-the-tests-0123";

pub(crate) fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2-int8")
}

pub(crate) fn client() -> Client {
    // The first one wins, and all of them are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

/// Whom the requests of a test go to, and as whom.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    http: Client,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    pub(crate) fn operator(address: SocketAddr) -> Self {
        let headers = vec![("authorization", format!("Bearer {TOKEN}"))];
        Self { address, http: client(), headers }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != "authorization");
        self
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("http://{}{path}", self.address));
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        Reply::read(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        Reply::read(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        Reply::read(self.request(Method::POST, path).body(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        Reply::read(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn ask(&self, corpus: &str, question: &str) -> Reply {
        self.post("/v1/chat/completions", chat(corpus, question).to_string()).await
    }

    /// Creates the corpus `docs` with two documents.
    pub(crate) async fn fill(&self) {
        assert_eq!(self.post("/v1/corpora", r#"{"name": "docs"}"#).await.status, 201);
        for (id, content) in [
            ("refunds", "# Refunds\n\nA refund takes five working days.\n"),
            ("shipping", "# Shipping\n\nParcels to Norway leave on Tuesdays.\n"),
        ] {
            let reply =
                self.put(&format!("/v1/corpora/docs/documents/{id}"), &json!({"content": content})).await;
            assert_eq!(reply.status, 201, "{reply:?}");
        }
    }
}

pub(crate) fn chat(corpus: &str, question: &str) -> Value {
    json!({"model": corpus, "messages": [{"role": "user", "content": question}]})
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) async fn read(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, the media type and the body, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}\n{}", self.status, self.header("content-type"), self.body)
    }
}

/// A server in this process.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    data: TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), None).await
    }

    pub(crate) async fn with(limits: Limits, upstream: Option<&str>) -> Self {
        let stage = Self::starting(limits).await;
        let embedder = Embedder::load(EmbedOptions::new(model_dir())).unwrap();
        let options = OpenOptions {
            data_dir: stage.data.path().to_path_buf(),
            reader: Reader::here(),
            embedder: embedder.clone(),
            on_progress: Arc::new(|_| ()),
        };
        let corpora = Corpora::open(options).await.unwrap();
        let upstream = upstream.map(|url| Upstream::new(&UpstreamOptions::new(url, "scripted")).unwrap());
        let answers =
            AnswerOptions { when_upstream_fails: WhenUpstreamFails::Refuse, ..AnswerOptions::default() };
        let answers = Answers::new(&answers, upstream, embedder);
        stage.app.ready(Services { corpora, answers });
        stage
    }

    /// A server whose corpora are not open yet.
    pub(crate) async fn starting(limits: Limits) -> Self {
        let credentials = Credentials {
            edge_secrets: vec![Secret::new(NEW_SECRET), Secret::new(OLD_SECRET)],
            operator_token: Some(Secret::new(TOKEN)),
        };
        let app = App::new(credentials, limits, telemetry::metrics().unwrap());
        let listener = server::listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let for_ever = std::future::pending;
        tokio::spawn(server::serve(listener, app.clone(), for_ever(), for_ever()));
        Self { address, app, data: TempDir::new().unwrap() }
    }

    pub(crate) fn operator(&self) -> Caller {
        Caller::operator(self.address)
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }
}

/// A request as an edge signs it.
pub(crate) struct Edge<'a> {
    pub(crate) secret: &'a str,
    pub(crate) caller: String,
    pub(crate) time_s: u64,
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Edge<'_> {
    /// For a key of `tenant` that may do everything with the corpus `docs`.
    pub(crate) fn of(tenant: &str) -> Self {
        let caller = json!({"tenant": tenant, "corpora": ["docs"], "audience": {"labels": []},
            "scopes": ["ask", "search", "read", "write"]});
        Self { secret: NEW_SECRET, caller: caller.to_string(), time_s: now_s() }
    }

    pub(crate) fn request(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: &str,
    ) -> RequestBuilder {
        let body_sha256: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let signed = Signed {
            method: method.as_str(),
            path_and_query: path,
            body_sha256: &body_sha256,
            caller: &self.caller,
        };
        let signature = sign(self.secret.as_bytes(), signed, self.time_s);
        let request = client().request(method, format!("http://{address}{path}"));
        request
            .header(SIGNATURE, signature)
            .header(BODY_SHA256, hex::encode(body_sha256))
            .header(CALLER, &self.caller)
            .body(body.to_owned())
    }
}

/// The real program, serving.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    log: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
    pub(crate) lines: Vec<String>,
}

pub(crate) fn perigee() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perigee"));
    command
        .env("PERIGEE_MODEL_DIR", model_dir())
        .env("PERIGEE_OPERATOR_TOKEN", TOKEN)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}

impl Program {
    pub(crate) async fn serve(data: &Path, env: &[(&str, &str)]) -> Self {
        let mut command = perigee();
        command.arg("serve").env("PERIGEE_LISTEN", "127.0.0.1:0").env("PERIGEE_DATA_DIR", data);
        command.envs(env.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut program = Self { child, address, log, lines: Vec::new() };
        let line = program.line_with("\"listen\"").await;
        let line: Value = serde_json::from_str(&line).unwrap();
        program.address = line["listen"].as_str().unwrap().parse().unwrap();
        program
    }

    /// The next log line that has `text` in it.
    pub(crate) async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.log.next_line().await.unwrap();
            let Some(line) = line else { panic!("the program ended: {:#?}", self.lines) };
            self.lines.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn terminate(&self) {
        let id = self.child.id().unwrap();
        let ended = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap();
        assert!(ended.success());
    }
}
