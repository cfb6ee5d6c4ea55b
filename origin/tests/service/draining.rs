//! The end of the real program: nothing that it has begun is dropped.

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{Caller, Program, chat};
use crate::upstream::Scripted;

#[tokio::test(flavor = "multi_thread")]
async fn at_sigterm_a_stream_is_finished_new_ones_are_turned_away_and_the_program_ends_well() {
    let upstream = Scripted::start().await;
    let data = TempDir::new().unwrap();
    let env = [
        ("PERIGEE_UPSTREAM_BASE_URL", upstream.url.as_str()),
        ("PERIGEE_UPSTREAM_MODEL", "scripted"),
        ("PERIGEE_LIMITS_DRAIN_ANNOUNCE", "500ms"),
    ];
    let mut program = Program::serve(data.path(), &env).await;
    program.line_with("\"ready\"").await;
    let operator = Caller::operator(program.address);
    operator.fill().await;
    let mut body = chat("docs", "How long does a refund take?");
    body["stream"] = json!(true);
    upstream.say(1);
    let request = operator.request(Method::POST, "/v1/chat/completions").json(&body);
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut text = stream.next().await.unwrap().unwrap().to_vec();

    program.terminate();
    program.line_with("draining").await;
    // While it announces its end it is not ready, and still serves who has not heard of it.
    assert_eq!(operator.get("/readyz").await.status, 503);
    assert_eq!(operator.get("/v1/corpora").await.status, 200);
    upstream.finish();
    while let Some(piece) = stream.next().await {
        text.extend_from_slice(&piece.unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("five working days") && text.ends_with("data: [DONE]\n\n"), "{text}");
    program.line_with("\"ended\"").await;
    assert!(program.child.wait().await.unwrap().success());

    // What it knew, it knows again, and embeds nothing for it.
    let mut program = Program::serve(data.path(), &[]).await;
    program.line_with("\"ready\"").await;
    let operator = Caller::operator(program.address);
    assert_eq!(operator.get("/v1/corpora/docs").await.json()["documents"], 2);
    program.terminate();
    assert!(program.child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Scripted::start().await;
    let data = TempDir::new().unwrap();
    let env = [("PERIGEE_UPSTREAM_BASE_URL", upstream.url.as_str()), ("PERIGEE_UPSTREAM_MODEL", "scripted")];
    let mut program = Program::serve(data.path(), &env).await;
    program.line_with("\"ready\"").await;
    let operator = Caller::operator(program.address);
    operator.fill().await;
    let mut body = chat("docs", "How long does a refund take?");
    body["stream"] = json!(true);
    upstream.say(1);
    let request = operator.request(Method::POST, "/v1/chat/completions").json(&body);
    let mut stream = request.send().await.unwrap().bytes_stream();
    assert!(stream.next().await.is_some());
    program.terminate();
    program.line_with("draining").await;
    program.terminate();
    program.line_with("ended without waiting").await;
    assert!(program.child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_of_each_request_and_nothing_of_what_was_said() {
    let data = TempDir::new().unwrap();
    let mut program = Program::serve(data.path(), &[]).await;
    program.line_with("\"ready\"").await;
    let operator = Caller::operator(program.address);
    operator.fill().await;
    operator.clone().with("x-request-id", "r-77").ask("docs", "How long does a refund take?").await;
    let line = program.line_with("r-77").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["method"], &line["route"]), (&json!("POST"), &json!("/v1/chat/completions")));
    assert_eq!(
        (&line["status"], &line["tenant"], &line["complete"]),
        (&json!(200), &json!("default"), &json!(true))
    );
    let log = program.lines.join("\n");
    assert!(!log.contains("refund take") && !log.contains("operator-token"), "{log}");
}
