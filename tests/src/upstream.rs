//! A scripted upstream: an OpenAI-compatible model server that does what a test tells it to.
//!
//! It listens on a port of its own, counts its calls, and can stream, stall, fail and hang up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What the upstream does with its next calls, until told otherwise.
#[derive(Debug, Clone)]
pub enum Script {
    /// Streams these pieces of text, then ends as OpenAI does.
    Say(Vec<String>),
    /// Streams the pieces one by one, each only after [`Upstream::release`] was called once more.
    SayWhenReleased(Vec<String>),
    /// Streams the pieces and then closes the connection without an ending.
    HangUpAfter(Vec<String>),
    /// Streams the pieces, then sends nothing more and keeps the connection open.
    StallAfter(Vec<String>),
    /// Answers with this status and OpenAI's error shape.
    Fail(u16),
}

/// A running upstream. It stops when dropped.
pub struct Upstream {
    pub base_url: String,
    state: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    script: Mutex<Script>,
    calls: AtomicUsize,
    requests: Mutex<Vec<Value>>,
    release: Notify,
}

impl Upstream {
    /// # Errors
    /// No port can be had.
    pub async fn start(script: Script) -> anyhow::Result<Self> {
        let state = Arc::new(Shared {
            script: Mutex::new(script),
            calls: AtomicUsize::new(0),
            requests: Mutex::default(),
            release: Notify::new(),
        });
        let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let server = tokio::spawn(async move {
            // The test ends it by dropping the handle; there is nobody to tell of a failure but the test's client.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { base_url, state, server })
    }

    pub fn play(&self, script: Script) {
        *lock(&self.state.script) = script;
    }

    /// Calls received so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// The bodies received so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        lock(&self.state.requests).clone()
    }

    /// Lets one more piece go.
    pub fn release(&self) {
        self.state.release.notify_one();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn complete(State(state): State<Arc<Shared>>, body: Bytes) -> Response {
    state.calls.fetch_add(1, Ordering::SeqCst);
    let request: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    lock(&state.requests).push(request);
    let script = lock(&state.script).clone();
    let (pieces, ending, wait) = match script {
        Script::Say(pieces) => (pieces, Ending::Proper, false),
        Script::SayWhenReleased(pieces) => (pieces, Ending::Proper, true),
        Script::HangUpAfter(pieces) => (pieces, Ending::Cut, false),
        Script::StallAfter(pieces) => (pieces, Ending::Never, false),
        Script::Fail(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({"error": {"message": "scripted failure: secret-upstream-detail", "type": "server_error"}});
            return (status, body.to_string()).into_response();
        }
    };
    stream(&state, pieces, ending, wait)
}

#[derive(Clone, Copy)]
enum Ending {
    Proper,
    Cut,
    Never,
}

fn stream(state: &Arc<Shared>, pieces: Vec<String>, ending: Ending, wait: bool) -> Response {
    let (mut out, events) = mpsc::channel::<Result<String, std::io::Error>>(1);
    let state = Arc::clone(state);
    tokio::spawn(async move {
        for piece in pieces {
            if wait {
                state.release.notified().await;
            }
            if out.send(Ok(event(&json!({"content": piece}), None))).await.is_err() {
                return;
            }
        }
        let last = match ending {
            Ending::Proper => Ok(event(&json!({}), Some("stop")) + "data: [DONE]\n\n"),
            Ending::Cut => {
                // What was said must have left: a connection that is cut takes with it what it has not sent.
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::Error::other("scripted hang-up"))
            }
            Ending::Never => return futures::future::pending().await,
        };
        let _ = out.send(last).await;
    });
    let body = Body::from_stream(events.map(|event| event.map(Bytes::from)));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn event(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"id": "up", "object": "chat.completion.chunk", "choices": [choice]}))
}
