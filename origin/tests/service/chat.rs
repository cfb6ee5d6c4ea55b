//! Answers and their renderings.

use futures::StreamExt;
use perigee_origin::config::Limits;
use perigee_shared::answer::{Answer, MEDIA_TYPE};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Edge, Reply, Stage, chat};
use crate::upstream::Scripted;

const QUESTION: &str = "How long does a refund take?";

fn streamed(question: &str) -> String {
    let mut body = chat("docs", question);
    body["stream"] = json!(true);
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_where_it_came_from() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let first = operator.ask("docs", QUESTION).await;
    assert_eq!(first.header("cache-status"), "perigee-origin; fwd=miss");
    assert_eq!((first.header("perigee-epoch"), first.header("age")), ("2", ""));
    assert!(first.header("server-timing").starts_with("origin;dur="));
    let second = operator.ask("docs", QUESTION).await;
    assert_eq!(second.header("cache-status"), "perigee-origin; hit; detail=exact");
    assert!(!second.header("age").is_empty());
    assert_eq!(first.body, second.body);
    let never =
        operator.clone().with("cache-control", "only-if-cached").ask("docs", "Who is the king?").await;
    assert_eq!((never.status, never.json()["error"]["code"].as_str()), (504, Some("not_cached")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_gets_the_canonical_answer_and_others_their_wire_format() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let canonical = operator.clone().with("accept", &format!("{MEDIA_TYPE}, text/event-stream"));
    for body in [chat("docs", QUESTION).to_string(), streamed(QUESTION)] {
        let reply = canonical.post("/v1/chat/completions", body).await;
        assert_eq!(reply.header("content-type"), MEDIA_TYPE);
        let answer: Answer = serde_json::from_str(&reply.body).unwrap();
        assert!(answer.text.contains("five working days") && !answer.citations.is_empty(), "{answer:?}");
    }
    let events = operator.post("/v1/chat/completions", streamed(QUESTION)).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(events.body.ends_with("data: [DONE]\n\n"), "{}", events.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_arrives_piece_by_piece_and_its_answer_can_be_fetched() {
    let upstream = Scripted::start().await;
    let stage = Stage::with(Limits::default(), Some(&upstream.url)).await;
    stage.operator().with("perigee-tenant", "acme").fill().await;
    let edge = Edge::of("acme");
    upstream.say(1);
    let request = edge.request(stage.address, Method::POST, "/v1/chat/completions", &streamed(QUESTION));
    let response = request.header("accept", MEDIA_TYPE).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let key = response.headers()["perigee-answer-key"].to_str().unwrap().to_owned();
    let mut body = response.bytes_stream();
    let mut text = String::new();
    while !text.contains("A refund takes") {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let path = format!("/v1/corpora/docs/answers/{key}");
    let waiting = tokio::spawn(Reply::read(edge.request(stage.address, Method::GET, &path, "")));
    upstream.finish();
    while let Some(piece) = body.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let finished = waiting.await.unwrap();
    let answer: Answer = serde_json::from_str(&finished.body).unwrap();
    assert_eq!(answer.text, "A refund takes five working days [1].");

    // Of nobody else.
    let rival = Edge::of("rival");
    stage.operator().with("perigee-tenant", "rival").fill().await;
    let theirs = Reply::read(rival.request(stage.address, Method::GET, &path, "")).await;
    assert_eq!((theirs.status, theirs.json()["code"].as_str()), (404, Some("answer_not_found")));
    let nonsense =
        Reply::read(edge.request(stage.address, Method::GET, "/v1/corpora/docs/answers/x", "")).await;
    assert_eq!(nonsense.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_that_cannot_be_reached_is_a_502_without_its_address() {
    let stage = Stage::with(Limits::default(), Some("http://127.0.0.1:1/v1")).await;
    let operator = stage.operator();
    operator.fill().await;
    let reply = operator.ask("docs", QUESTION).await;
    assert_eq!((reply.status, reply.header("retry-after")), (502, "1"));
    let error: Value = reply.json();
    assert_eq!(error["error"]["code"], "upstream_failed");
    assert!(!reply.body.contains("127.0.0.1"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_past_its_deadline_is_a_504() {
    let upstream = Scripted::start().await;
    let stage = Stage::with(Limits::default(), Some(&upstream.url)).await;
    let operator = stage.operator();
    operator.fill().await;
    let hurried = operator.clone().with("perigee-deadline-ms", "100");
    let reply = hurried.ask("docs", QUESTION).await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (504, Some("deadline_exceeded")));
    assert_eq!(operator.clone().with("perigee-deadline-ms", "soon").ask("docs", QUESTION).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_an_answer_was_reused_is_told_to_who_manages_the_tenant_and_kept_from_others() {
    let stage = Stage::start().await;
    for tenant in ["acme", "globex"] {
        stage.operator().with("perigee-tenant", tenant).fill().await;
    }
    let ask = async |tenant: &str, scopes: &[&str], question: &str| {
        let caller =
            json!({"tenant": tenant, "corpora": ["docs"], "audience": {"labels": []}, "scopes": scopes});
        let edge = Edge { caller: caller.to_string(), ..Edge::of(tenant) };
        let body = chat("docs", question).to_string();
        let request = edge.request(stage.address, Method::POST, "/v1/chat/completions", &body);
        Reply::read(request.header("perigee-explain", "1").header("cache-control", "no-store")).await
    };
    stage.operator().with("perigee-tenant", "acme").ask("docs", QUESTION).await;
    // Kept for an audience of its own: a key's, and not the operator's.
    let first = Edge::of("acme").request(
        stage.address,
        Method::POST,
        "/v1/chat/completions",
        &chat("docs", QUESTION).to_string(),
    );
    assert_eq!(first.send().await.unwrap().status(), 200);

    let told = ask("acme", &["ask", "admin"], "how long does a refund take").await;
    assert_eq!(told.header("cache-status"), "perigee-origin; hit; detail=paraphrase");
    let why: Value = serde_json::from_str(told.header("perigee-explain")).unwrap();
    assert_eq!((why["mode"].as_str(), why["tolerance"].as_f64()), (Some("open"), Some(0.01)));
    let candidates = why["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 1, "of this audience alone: {why}");
    let candidate = &candidates[0];
    assert_eq!(
        (&candidate["question"], &candidate["decision"], &candidate["gate"]),
        (&json!(QUESTION), &json!("reuse"), &json!("same"))
    );
    assert!(candidate["probability"].as_f64() >= why["threshold"].as_f64(), "{why}");
    assert_eq!(candidate["evidence"]["cited"], true);

    let not_reused = ask("acme", &["ask", "admin"], "How long does a refund not take?").await;
    let why: Value = serde_json::from_str(not_reused.header("perigee-explain")).unwrap();
    assert_eq!(why["candidates"][0]["decision"], "gate", "{why}");
    assert!(why["candidates"][0]["gate"].as_str().unwrap().starts_with("different: "), "{why}");

    let stranger = ask("globex", &["ask", "admin"], QUESTION).await;
    assert!(!stranger.header("perigee-explain").contains("refund"), "{stranger:?}");
    let untold = ask("acme", &["ask", "search", "read", "write"], "how long does a refund take").await;
    assert_eq!((untold.status, untold.headers.get("perigee-explain")), (200, None));
}
