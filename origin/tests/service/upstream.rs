//! A model server that says one piece of an answer each time that the test tells it to, and one that never says the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub(crate) struct Scripted {
    pub(crate) url: String,
    pieces: Arc<Semaphore>,
}

const PIECES: [&str; 3] = ["A refund takes ", "five working days ", "[1]."];

impl Scripted {
    pub(crate) async fn start() -> Self {
        let pieces = Arc::new(Semaphore::new(0));
        let turns = Arc::clone(&pieces);
        let app = Router::new().route(
            "/v1/chat/completions",
            post(move || async move {
                let body = async_stream::stream! {
                    for piece in PIECES {
                        turns.acquire().await.unwrap().forget();
                        let chunk = json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]});
                        yield Ok::<_, std::convert::Infallible>(Bytes::from(format!("data: {chunk}\n\n")));
                    }
                    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
                    yield Ok(Bytes::from(format!("data: {end}\n\ndata: [DONE]\n\n")));
                };
                ([("content-type", "text/event-stream")], Body::from_stream(body))
            }),
        );
        Self { url: serve(app).await, pieces }
    }

    /// Lets so many more pieces go.
    pub(crate) fn say(&self, pieces: usize) {
        self.pieces.add_permits(pieces);
    }

    /// Lets everything go.
    pub(crate) fn finish(&self) {
        self.say(1_000);
    }
}

/// Answers of a model that contradicts itself: about other things each time, and citing another passage than before.
const MOODS: [&str; 8] = [
    "Bears sleep all winter long. [1]",
    "The violin has four strings. [2]",
    "Granite is harder than chalk. [1]",
    "Comets are made of ice and dust. [2]",
    "Bread rises because of yeast. [1]",
    "The Danube ends in the Black Sea. [2]",
    "Chess is played on 64 squares. [1]",
    "Magnets attract iron filings. [2]",
];

/// The base URL of a model server that gives another answer to each call.
pub(crate) async fn moody() -> String {
    let calls = Arc::new(AtomicUsize::new(0));
    let app = Router::new().route(
        "/v1/chat/completions",
        post(move || async move {
            let mood = MOODS[calls.fetch_add(1, Ordering::Relaxed) % MOODS.len()];
            let chunk =
                json!({"choices": [{"index": 0, "delta": {"content": mood}, "finish_reason": "stop"}]});
            ([("content-type", "text/event-stream")], format!("data: {chunk}\n\ndata: [DONE]\n\n"))
        }),
    );
    serve(app).await
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}
