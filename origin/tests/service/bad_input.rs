//! Whatever is sent: a clear 4xx in the route's own shape, no side effect, and the next request is served.

use perigee_origin::config::Limits;
use perigee_shared::limits::QUESTION_BODY_BYTES_MAX;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Reply, Stage, TOKEN, chat};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_is_a_4xx_in_openais_shape() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let nested = format!("{{\"model\":\"docs\",\"messages\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("broken JSON", b"{\"model\": \"docs\", ".to_vec(), 400, "invalid_request"),
        ("no body", Vec::new(), 400, "invalid_request"),
        ("invalid UTF-8", b"{\"model\":\"docs\",\"x\":\"\xff\"}".to_vec(), 400, "invalid_request"),
        ("wrong types", br#"{"model": 5, "messages": "x"}"#.to_vec(), 400, "invalid_request"),
        ("no messages", br#"{"model": "docs", "messages": []}"#.to_vec(), 400, "invalid_request"),
        ("an empty question", chat("docs", " \n").to_string().into(), 400, "invalid_request"),
        (
            "an over-long question",
            chat("docs", &"x".repeat(40_000)).to_string().into(),
            400,
            "invalid_request",
        ),
        ("an unknown model", chat("nothing", "Is it?").to_string().into(), 404, "model_not_found"),
        ("a model with a slash", chat("../docs", "Is it?").to_string().into(), 404, "model_not_found"),
        ("deep nesting", nested.into_bytes(), 400, "invalid_request"),
        ("10 MB", chat("docs", &"x".repeat(10 << 20)).to_string().into(), 413, "too_large"),
    ];
    for (what, body, status, code) in cases {
        let reply = operator.post("/v1/chat/completions", body).await;
        assert_eq!(
            (reply.status, reply.json()["error"]["code"].as_str()),
            (status, Some(code)),
            "{what}: {reply:?}"
        );
        assert_eq!(reply.header("content-type"), "application/json", "{what}");
        assert!(reply.json()["error"]["message"].is_string(), "{what}: {reply:?}");
    }
    let served = operator.ask("docs", "How long does a refund take?").await;
    assert!(served.body.contains("five working days"), "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_of_a_chat_request_are_ignored() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let mut body = chat("docs", "How long does a refund take?");
    body["user"] = json!("u-1");
    body["logit_bias"] = json!({"50256": -100});
    body["messages"][0]["name"] = json!("x");
    assert_eq!(operator.post("/v1/chat/completions", body.to_string()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_search_is_a_problem() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let deep =
        format!("{}{{\"exists\":{{\"field\":\"a\"}}}}{}", "{\"not\":".repeat(1_000), "}".repeat(1_000));
    let shallow = format!("{}{{\"exists\":{{\"field\":\"a\"}}}}{}", "{\"not\":".repeat(40), "}".repeat(40));
    for (what, body) in [
        ("a filter nested 1,000 deep", format!("{{\"query\":\"x\",\"filter\":{deep}}}")),
        ("a filter nested 40 deep", format!("{{\"query\":\"x\",\"filter\":{shallow}}}")),
        ("an empty query", json!({"query": ""}).to_string()),
        ("k of 0", json!({"query": "x", "k": 0}).to_string()),
        ("k of a billion", json!({"query": "x", "k": 1_000_000_000}).to_string()),
        ("an unknown field", json!({"query": "x", "filters": {}}).to_string()),
        ("an unknown condition", json!({"query": "x", "filter": {"like": {"field": "a"}}}).to_string()),
    ] {
        let reply = operator.post("/v1/corpora/docs/search", body).await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (400, Some("invalid_request")),
            "{what}: {reply:?}"
        );
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    insta::assert_snapshot!(operator.post("/v1/corpora/nothing/search", r#"{"query": "x"}"#).await.shown(), @r#"
    404 application/problem+json
    {"type":"urn:perigee:problem:corpus_not_found","title":"There is no such corpus for this key","status":404,"detail":"there is no such corpus","code":"corpus_not_found"}
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_is_refused_and_nothing_is_written() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    for id in ["a%2Fb", "a%00b", "a%0Ab", "..%2f..%2fx", "%F0%9F%98%80", "%ff", &"x".repeat(300)] {
        for method in [Method::PUT, Method::GET, Method::DELETE] {
            let request = operator.request(method, &format!("/v1/corpora/docs/documents/{id}"));
            let reply = Reply::read(request.body(r#"{"content": "x"}"#)).await;
            assert_eq!(
                (reply.status, reply.json()["code"].as_str()),
                (400, Some("invalid_request")),
                "{id}: {reply:?}"
            );
        }
    }
    for (what, body, status) in [
        ("no content", json!({}), 400),
        ("empty content", json!({"content": " "}), 400),
        ("an unknown field", json!({"content": "x", "titel": "y"}), 400),
        ("a bad url", json!({"content": "x", "url": "javascript:alert(1)"}), 400),
        ("pdf in JSON", json!({"content": "x", "format": "pdf"}), 415),
        ("a bad label", json!({"content": "x", "audience": ["a b"]}), 400),
        ("too much metadata", json!({"content": "x", "metadata": {"a": "y".repeat(20_000)}}), 400),
    ] {
        let reply = operator.put("/v1/corpora/docs/documents/bad", &body).await;
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        assert!(reply.json()["detail"].is_string(), "{what}: {reply:?}");
    }
    for (what, body) in
        [("a bad name", r#"{"name": "Not A Name"}"#), ("an unknown field", r#"{"name": "a", "x": 1}"#)]
    {
        assert_eq!(operator.post("/v1/corpora", body).await.status, 400, "{what}");
    }
    assert_eq!(operator.post("/v1/corpora", r#"{"name": "docs"}"#).await.status, 409);
    let corpus: Value = operator.get("/v1/corpora/docs").await.json();
    assert_eq!((&corpus["epoch"], &corpus["documents"]), (&json!(2), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_method_that_is_not_served_is_refused_in_the_routes_shape() {
    let stage = Stage::starting(Limits::default()).await;
    let operator = stage.operator();
    insta::assert_snapshot!(operator.get("/v2/nothing").await.shown(), @r#"
    404 application/problem+json
    {"type":"urn:perigee:problem:route_not_found","title":"There is nothing at this address","status":404,"detail":"no route of this path exists","code":"route_not_found"}
    "#);
    let method = operator.get("/v1/chat/completions").await;
    assert_eq!((method.status, method.header("allow")), (405, "POST"));
    assert_eq!(method.json()["error"]["code"], "method_not_allowed");
    let method = operator.delete("/v1/corpora/docs/documents").await;
    assert_eq!((method.status, method.header("allow")), (405, "GET,HEAD,POST"));
    assert_eq!(method.json()["code"], "method_not_allowed");
}

/// Sends raw bytes and reads what comes until the server hangs up.
async fn raw(stage: &Stage, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_too_slow_is_not_waited_for() {
    let limits = Limits {
        header_timeout: Duration::from_millis(100),
        question_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let stage = Stage::starting(limits).await;
    // A head that never ends: the connection is closed.
    let head = raw(&stage, b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-").await;
    assert!(!head.contains("200"), "{head}");
    // A body that never ends.
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    );
    let body = raw(&stage, request.as_bytes()).await;
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(body.contains("request_timeout"), "{body}");
    assert_eq!(stage.operator().get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let stage = Stage::starting(Limits::default()).await;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\nConnection: close\r\n\r\n",
        QUESTION_BODY_BYTES_MAX + 1
    );
    let answer = raw(&stage, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
