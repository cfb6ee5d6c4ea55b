//! What machines and people see of the server: readiness, metrics, ids.

use perigee_origin::config::Limits;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_before_it_is_ready_and_says_how_far_it_is() {
    let stage = Stage::starting(Limits::default()).await;
    let anybody = stage.operator().anonymous();
    assert_eq!(anybody.get("/healthz").await.status, 200);
    stage.app.phases().progress("catching up default/docs: 10 of 20 passages");
    let waiting = anybody.get("/readyz").await;
    assert_eq!((waiting.status, waiting.header("retry-after")), (503, "1"));
    assert_eq!(waiting.json()["detail"], "catching up default/docs: 10 of 20 passages");
    let asked = stage.operator().ask("docs", "Is it?").await;
    assert_eq!((asked.status, asked.json()["error"]["code"].as_str()), (503, Some("not_ready")));
    stage.app.phases().ready();
    assert_eq!(anybody.get("/readyz").await.status, 200);
    stage.app.phases().drain();
    assert_eq!(anybody.get("/readyz").await.status, 503);
}

/// A sample's value.
fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_with_what_happens() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let asked = r#"perigee_request_duration_seconds_count{route="/v1/chat/completions",status="200"}"#;
    let before = sample(&operator.get("/metrics").await.body, asked);
    for _ in 0..2 {
        operator.ask("docs", "How long does a refund take?").await;
    }
    operator.get("/v1/corpora/docs/documents/some-path-without-number").await;
    let metrics = operator.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let metrics = metrics.body;
    assert_eq!(sample(&metrics, asked), before + 2.0, "{metrics}");
    assert_eq!(
        sample(
            &metrics,
            r#"perigee_request_duration_seconds_bucket{route="/v1/chat/completions",status="200",le="+Inf"}"#
        ),
        before + 2.0
    );
    assert_eq!(
        sample(&metrics, r#"perigee_cache_requests_total{tier="answer",outcome="hit"}"#),
        1.0,
        "{metrics}"
    );
    assert_eq!(sample(&metrics, r#"perigee_corpus_epoch{tenant="default",corpus="docs"}"#), 2.0, "{metrics}");
    assert_eq!(
        sample(&metrics, r#"perigee_index_passages{tenant="default",corpus="docs"}"#),
        2.0,
        "{metrics}"
    );
    assert!(sample(&metrics, r#"perigee_stage_duration_seconds_count{stage="embed"}"#) > 0.0, "{metrics}");
    assert_eq!(sample(&metrics, "perigee_inflight_requests"), 0.0, "{metrics}");
    // Templates, never paths.
    assert!(!metrics.contains("without-number"), "{metrics}");
    assert!(metrics.contains(r#"route="/v1/corpora/{corpus}/documents/{id}",status="404""#), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_and_ids_are_given() {
    let stage = Stage::starting(Limits::default()).await;
    let began = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let reply =
        stage.operator().with("traceparent", began).with("x-request-id", "r-1").get("/v1/corpora").await;
    assert_eq!(reply.header("x-request-id"), "r-1");
    assert!(reply.header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_ne!(reply.header("traceparent"), began);
    let reply = stage.operator().with("traceparent", "nonsense").get("/healthz").await;
    assert_eq!((reply.header("x-request-id").len(), reply.header("traceparent").len()), (32, 55));
}
