//! A model server that says one piece of an answer each time that the test tells it to.

use std::sync::Arc;

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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, pieces }
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
