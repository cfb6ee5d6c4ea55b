//! A model server for tests that does what its script says, on a port of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// One step of a reply.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A chunk with this text.
    Say(&'static str),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// Waits until the test says go.
    Wait,
    /// Never goes on.
    Stall,
    /// Breaks the connection.
    HangUp,
    /// The chunk that gives the reason for the end.
    Finish(&'static str),
    Usage(u32, u32),
    Done,
}

/// One reply: a status, headers, and the steps of its body.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) steps: Vec<Step>,
}

impl Script {
    pub(super) fn stream(steps: impl Into<Vec<Step>>) -> Self {
        Self { status: 200, headers: vec![("content-type", "text/event-stream")], steps: steps.into() }
    }

    /// Says the pieces and ends as it should.
    pub(super) fn says(pieces: &[&'static str]) -> Self {
        let mut steps: Vec<Step> = pieces.iter().map(|piece| Step::Say(piece)).collect();
        steps.extend([Step::Finish("stop"), Step::Done]);
        Self::stream(steps)
    }

    pub(super) fn status(status: u16, headers: &[(&'static str, &'static str)]) -> Self {
        let secret = Step::Raw(b"secret-of-the-upstream".to_vec());
        Self { status, headers: headers.to_vec(), steps: vec![secret] }
    }
}

#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) base_url: String,
    stage: Arc<Stage>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Stage {
    scripts: Mutex<VecDeque<Script>>,
    requests: Mutex<Vec<(HeaderMap, Value)>>,
    asked: Notify,
    go: Notify,
}

impl Scripted {
    /// Plays one script per request; the last one again and again.
    pub(super) async fn start(scripts: impl Into<VecDeque<Script>>) -> Self {
        let stage = Arc::new(Stage {
            scripts: Mutex::new(scripts.into()),
            requests: Mutex::default(),
            asked: Notify::new(),
            go: Notify::new(),
        });
        let router = Router::new().route("/v1/chat/completions", post(reply)).with_state(Arc::clone(&stage));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, stage, server }
    }

    /// Waits for the next request.
    pub(super) async fn asked(&self) {
        self.stage.asked.notified().await;
    }

    /// Ends one [`Step::Wait`], also one that has not begun.
    pub(super) fn go(&self) {
        self.stage.go.notify_one();
    }

    pub(super) fn requests(&self) -> Vec<(HeaderMap, Value)> {
        self.stage.requests.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.stage.requests.lock().unwrap().len()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn reply(State(stage): State<Arc<Stage>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let script = {
        let mut scripts = stage.scripts.lock().unwrap();
        if scripts.len() > 1 { scripts.pop_front().unwrap() } else { scripts[0].clone() }
    };
    stage.requests.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
    stage.asked.notify_one();
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    let Script { status, headers, steps } = script;
    tokio::spawn(async move {
        for step in steps {
            let bytes = match step {
                Step::Wait => {
                    tokio::select! {
                        () = stage.go.notified() => continue,
                        () = sender.closed() => return,
                    }
                }
                Step::Stall => {
                    sender.closed().await;
                    return;
                }
                Step::HangUp => {
                    let _ = sender.send(Err(std::io::Error::other("hang up")));
                    return;
                }
                Step::Raw(bytes) => bytes,
                Step::Say(text) => event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]})),
                Step::Finish(why) => {
                    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": why}]}))
                }
                Step::Usage(prompt, completion) => event(&json!({"choices": [], "usage":
                    {"prompt_tokens": prompt, "completion_tokens": completion}})),
                Step::Done => b"data: [DONE]\n\n".to_vec(),
            };
            let _ = sender.send(Ok(bytes.into()));
        }
    });
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(UnboundedReceiverStream::new(receiver))).unwrap()
}

fn event(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}
