//! More than can be served: refused at once, and nothing else suffers.

use std::time::Duration;

use futures::StreamExt;
use perigee_origin::config::Limits;
use perigee_shared::limits::UPLOAD_BODY_BYTES_MAX;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Stage, TOKEN, chat};
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
    // Who is not let in takes no place, and learns nothing of how busy it is.
    assert_eq!(operator.clone().anonymous().get("/v1/corpora").await.status, 401);

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

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_would_take_too_much_memory_wait_outside_and_questions_are_answered() {
    let limits = Limits {
        upload_bytes: UPLOAD_BODY_BYTES_MAX,
        queue_wait: Duration::from_millis(10),
        ..Limits::default()
    };
    let stage = Stage::with(limits, None).await;
    let operator = stage.operator();
    operator.fill().await;
    // One that never comes: what it says of its size is held for it as soon as it may be sent.
    let head = format!(
        "PUT /v1/corpora/docs/documents/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: {UPLOAD_BODY_BYTES_MAX}\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut large = TcpStream::connect(stage.address).await.unwrap();
    large.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 12];
    large.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");

    let small = json!({"content": "# Returns\n\nA return is free.\n"});
    let refused = operator.put("/v1/corpora/docs/documents/returns", &small).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.json()["code"], "overloaded");
    assert_eq!(operator.ask("docs", "How long does a refund take?").await.status, 200);
    // What has no body needs no room.
    assert_eq!(operator.get("/v1/corpora/docs/documents/refunds").await.status, 200);
    drop(large);
    let written = async || operator.put("/v1/corpora/docs/documents/returns", &small).await.status;
    while written().await == 503 {}
    assert_eq!(written().await, 200);
}
