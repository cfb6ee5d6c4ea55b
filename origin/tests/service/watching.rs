//! Reuse across wordings watches itself: what it gave is compared with fresh answers, the share that was wrong is told,
//! and where it is too large reuse tightens, then stops.

use std::time::Duration;

use perigee_origin::config::Limits;
use serde_json::json;

use crate::stage::{Caller, Stage};
use crate::upstream::moody;

const PARAPHRASE: &str = "perigee-origin; hit; detail=paraphrase";

/// How the question is put by one after the other.
const WORDINGS: [&str; 12] = [
    "How can I get a refund?",
    "How to get a refund",
    "Is there a way to get a refund?",
    "What is the way to get a refund?",
    "Could you tell me how to get a refund?",
    "Please tell me how I can get a refund.",
    "hi, how do i get a refund, please?",
    "How can we get a refund?",
    "I want to know how to get a refund",
    "What are the steps to get a refund?",
    "Can you explain how to get a refund?",
    "How do I get a refund? Thanks!",
];

/// The value of a metric of the corpus; `None`: it was never told.
async fn metric(caller: &Caller, name: &str, label: &str) -> Option<f64> {
    let metrics = caller.get("/metrics").await.body;
    let sample = format!(r#"{name}{{tenant="default",corpus="docs",{label}}} "#);
    let line = metrics.lines().find_map(|line| line.strip_prefix(&sample).map(str::to_owned));
    line.map(|value| value.parse().unwrap())
}

async fn checks(caller: &Caller) -> f64 {
    metric(caller, "perigee_reuse_checks_total", r#"result="wrong""#).await.unwrap_or(0.0)
}

/// Asks in one wording until one of its hits has been checked.
async fn ask_until_checked(caller: &Caller, wording: &str) {
    let before = checks(caller).await;
    for _ in 0..20 {
        let reply = caller.ask("docs", wording).await;
        assert_eq!(reply.header("cache-status"), PARAPHRASE, "{wording}: {reply:?}");
    }
    // The check is nobody's request: it ends when it ends.
    for _ in 0..500 {
        if checks(caller).await > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the twentieth hit of {wording:?} was never checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn reuse_that_is_wrong_too_often_is_told_tightened_and_stopped() {
    let upstream = moody().await;
    let stage = Stage::with(Limits::default(), Some(&upstream)).await;
    let operator = stage.operator();
    let corpus = json!({"name": "docs", "reuse_tolerance": 0.05});
    assert_eq!(operator.post("/v1/corpora", corpus.to_string()).await.status, 201);
    for (id, content) in [
        ("refunds", "# Refunds\n\nA refund is got at the desk, within five working days.\n"),
        ("returns", "# Returns\n\nTo get a refund for a return, send the parcel back.\n"),
    ] {
        let path = format!("/v1/corpora/docs/documents/{id}");
        assert_eq!(operator.put(&path, &json!({"content": content})).await.status, 201);
    }
    assert_eq!(operator.ask("docs", "How do I get a refund?").await.status, 200);

    let ratio = async |bound: &str| {
        metric(&operator, "perigee_reuse_false_hit_ratio", &format!(r#"bound="{bound}""#)).await
    };
    let is_in = async |mode: &str| {
        metric(&operator, "perigee_reuse_mode", &format!(r#"mode="{mode}""#)).await == Some(1.0)
    };
    let mut wordings = WORDINGS.iter();
    let mut modes = Vec::new();
    while !is_in("stopped").await {
        let wording = wordings.next().expect("reuse is never stopped");
        ask_until_checked(&operator, wording).await;
        let (low, estimate, high) = (ratio("low").await, ratio("estimate").await, ratio("high").await);
        assert!(low < estimate && estimate <= high && high <= Some(1.0), "{low:?} {estimate:?} {high:?}");
        for mode in ["open", "tight", "stopped"] {
            if is_in(mode).await && modes.last() != Some(&mode) {
                modes.push(mode);
            }
        }
    }
    assert_eq!(modes, ["open", "tight", "stopped"]);

    // From now on other words get answers of their own, and every response says so.
    let other = wordings.next().expect("one wording is left");
    let reply = operator.ask("docs", other).await;
    assert_eq!(reply.header("cache-status"), "perigee-origin; fwd=miss", "{reply:?}");
    let again = operator.ask("docs", other).await;
    assert_eq!(again.header("cache-status"), "perigee-origin; hit; detail=exact", "{again:?}");
}
