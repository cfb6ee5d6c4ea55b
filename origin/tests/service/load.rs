//! More than can be served: refused at once, and nothing else suffers.

use std::time::Duration;

use futures::StreamExt;
use perigee_origin::config::Limits;
use reqwest::Method;
use serde_json::json;

use crate::stage::{Stage, chat};
use crate::upstream::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_is_refused_at_once_and_health_is_still_told() {
    let upstream = Scripted::start().await;
    let limits = Limits { concurrent_requests: 1, queued_requests: 0, ..Limits::default() };
    let stage = Stage::with(limits, Some(&upstream.url)).await;
    let operator = stage.operator();
    operator.fill().await;
    let mut body = chat("docs", "How long does a refund take?");
    body["stream"] = json!(true);
    upstream.say(1);
    let request = operator.request(Method::POST, "/v1/chat/completions").json(&body);
    // The stream has begun, and holds the only place until it ends.
    let mut stream = request.send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());

    let shed = operator.ask("docs", "How long does a refund take?").await;
    assert_eq!((shed.status, shed.header("retry-after")), (503, "1"));
    assert_eq!(shed.json()["error"]["code"], "overloaded");
    let problem = operator.get("/v1/corpora").await;
    assert_eq!((problem.status, problem.header("content-type")), (503, "application/problem+json"));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(operator.get(path).await.status, 200, "{path}");
    }
    assert!(operator.get("/metrics").await.body.contains("perigee_shed_total 2"));

    upstream.finish();
    while stream.next().await.is_some() {}
    assert_eq!(operator.get("/v1/corpora").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_mid_stream_gives_its_place_back() {
    let upstream = Scripted::start().await;
    let limits = Limits { concurrent_requests: 1, queue_wait: Duration::from_secs(60), ..Limits::default() };
    let stage = Stage::with(limits, Some(&upstream.url)).await;
    let operator = stage.operator();
    operator.fill().await;
    let mut body = chat("docs", "How long does a refund take?");
    body["stream"] = json!(true);
    upstream.say(1);
    let request = operator.request(Method::POST, "/v1/chat/completions").json(&body);
    let mut stream = request.send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());
    drop(stream);
    // It waits for the place, and gets it.
    assert_eq!(operator.get("/v1/corpora").await.status, 200);
    // What had begun is finished for the next who asks the same.
    upstream.finish();
    let next = operator.ask("docs", "How long does a refund take?").await;
    assert!(next.body.contains("five working days"), "{next:?}");
}
