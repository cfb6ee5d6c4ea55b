//! Corpora: what they are made with, and how that changes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Edge, Reply, Stage};

const DOCS: &str = "/v1/corpora/docs";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_corpus_tolerates_is_shown_and_can_be_changed() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    let created = operator.post("/v1/corpora", r#"{"name": "docs", "reuse_tolerance": 0.005}"#).await;
    assert_eq!((created.status, &created.json()["reuse_tolerance"]), (201, &json!(0.005)));
    let change = |body: Value| {
        let request = operator.request(Method::PATCH, DOCS).json(&body);
        async move { Reply::read(request).await }
    };
    for share in [json!(0.002), json!(0), json!(0.05)] {
        let changed = change(json!({"reuse_tolerance": share})).await;
        assert_eq!((changed.status, changed.header("perigee-epoch")), (200, "0"), "{changed:?}");
        assert_eq!(changed.json()["reuse_tolerance"].as_f64(), share.as_f64());
        assert_eq!(operator.get(DOCS).await.json(), changed.json());
    }
    for refused in [
        json!({"reuse_tolerance": 0.06}),
        json!({"reuse_tolerance": -0.01}),
        json!({"reuse_tolerance": "0.01"}),
        json!({}),
        json!({"name": "other"}),
        json!({"reuse_tolerance": 0.01, "name": "other"}),
        json!([]),
    ] {
        let reply = change(refused.clone()).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (400, "application/problem+json"),
            "{refused}"
        );
    }
    let listed = operator.get("/v1/corpora").await.json();
    assert_eq!(listed["data"][0]["reuse_tolerance"], json!(0.05), "what was refused has changed nothing");
    let back = change(json!({"reuse_tolerance": null})).await.json();
    assert!(back.get("reuse_tolerance").is_none(), "the server's own again: {back}");
    let nobody = operator.request(Method::PATCH, "/v1/corpora/none").json(&json!({"reuse_tolerance": 0}));
    assert_eq!(Reply::read(nobody).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whoever_may_write_a_corpus_changes_it() {
    let stage = Stage::start().await;
    stage.operator().with("perigee-tenant", "acme").fill().await;
    let body = r#"{"reuse_tolerance": 0}"#;
    let caller = |scopes: Value, corpora: Value| Edge {
        caller: json!({"tenant": "acme", "corpora": corpora, "audience": {"labels": []}, "scopes": scopes})
            .to_string(),
        ..Edge::of("acme")
    };
    for (edge, status) in [
        (caller(json!(["ask", "search", "read"]), json!(["docs"])), 403),
        (caller(json!(["write"]), json!(["other"])), 404),
        (Edge::of("globex"), 404),
        (caller(json!(["write"]), json!(["docs"])), 200),
    ] {
        let reply = edge.request(stage.address, Method::PATCH, DOCS, body).send().await.unwrap();
        assert_eq!(reply.status(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_that_is_told_to_tolerate_nothing_takes_no_wording_for_another_from_then_on() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    operator.ask("docs", "How long does a refund take?").await;
    let other_words = operator.clone().with("cache-control", "no-store");
    let asked = async || {
        let reply = other_words.ask("docs", "how long does a refund take").await;
        reply.header("cache-status").to_owned()
    };
    assert_eq!(asked().await, "perigee-origin; hit; detail=paraphrase");
    for (share, cache_status) in
        [(0.0, "perigee-origin; fwd=miss"), (0.01, "perigee-origin; hit; detail=paraphrase")]
    {
        let change = operator.request(Method::PATCH, DOCS).json(&json!({"reuse_tolerance": share}));
        assert_eq!(Reply::read(change).await.status, 200);
        assert_eq!(asked().await, cache_status);
    }
}
