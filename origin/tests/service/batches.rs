//! `documents:batch`: lines in, lines out.

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::stage::{Edge, Reply, Stage};

fn results(reply: &Reply) -> Vec<Value> {
    let mut lines: Vec<Value> = reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["id"].as_str().or(line["name"].as_str()).map(str::to_owned));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_refused_by_name_and_the_others_are_written() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let body = [
        r#"{"id": "a", "content": "The first note is about apples."}"#,
        r#"{"id": "b", "content": "#,
        r#"{"id": "c", "content": "x", "titel": "misspelt"}"#,
        "",
        r#"{"id": "d d", "content": "x"}"#,
        r#"{"id": "refunds", "content": ""}"#,
        r#"{"id": "e", "content": "The last note is about elderberries."}"#,
    ]
    .join("\n");
    let reply = operator.post("/v1/corpora/docs/documents:batch", body).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"));
    let results = results(&reply);
    let brief: Vec<(&str, &str)> = results
        .iter()
        .map(|line| match line["outcome"].as_str() {
            Some(outcome) => (line["id"].as_str().unwrap(), outcome),
            None => (line["name"].as_str().unwrap(), line["error"]["code"].as_str().unwrap()),
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("a", "created"),
            ("c", "invalid_request"),
            ("d d", "invalid_request"),
            ("e", "created"),
            ("line 2", "invalid_request"),
            ("refunds", "invalid_request"),
        ]
    );
    let found = operator.post("/v1/corpora/docs/search", r#"{"query": "elderberries", "k": 1}"#).await.json();
    assert_eq!(found["data"][0]["document_id"], "e");
    assert_eq!(operator.get("/v1/corpora/docs").await.json()["documents"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_comes_before_the_batch_has_ended() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let (mut lines, body) = mpsc::channel::<std::io::Result<String>>(1);
    let request = operator.request(Method::POST, "/v1/corpora/docs/documents:batch");
    let sending = tokio::spawn(request.body(Body::wrap_stream(body)).send());
    lines.send(Ok(json!({"id": "a", "content": "Apples."}).to_string() + "\n")).await.unwrap();
    let mut results = sending.await.unwrap().unwrap().bytes_stream();
    let first: Value = serde_json::from_slice(&results.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(first["id"], "a");
    // Cut in the middle of a character.
    let second = json!({"id": "b", "content": "Bär."}).to_string();
    lines.send(Ok(second)).await.unwrap();
    drop(lines);
    let second: Value = serde_json::from_slice(&results.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(second["id"], "b");
    assert!(results.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edges_batch_is_checked_whole_before_any_of_it_is_written() {
    let stage = Stage::start().await;
    stage.operator().with("perigee-tenant", "acme").fill().await;
    let edge = Edge::of("acme");
    let body = json!({"id": "a", "content": "Apples."}).to_string();
    let path = "/v1/corpora/docs/documents:batch";
    let signed = || edge.request(stage.address, Method::POST, path, &body);
    assert_eq!(Reply::read(signed().body(body.replace("Apples", "Pears"))).await.status, 401);
    let reply = Reply::read(signed()).await;
    assert_eq!(results(&reply)[0]["outcome"], "created");
}
