//! Logs and metrics: where they go and in what shape. What is logged and counted is said where it happens.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Seconds. Retrieval takes milliseconds, an upstream's answer tens of seconds.
const LATENCY_BUCKETS_S: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Why logging or counting cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter is not understood")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    #[error("logging was set up twice")]
    Logger(#[source] tracing_subscriber::util::TryInitError),
    #[error("the metrics' buckets are wrong")]
    Buckets(#[source] BuildError),
}

/// Sends logs to stderr: JSON lines, or text for people on a terminal. Panics are logged, not printed.
///
/// # Errors
/// The filter is malformed, or this was done before.
pub fn log(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(TelemetryError::Filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let for_people = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let started = if for_people {
        builder.finish().try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).finish().try_init()
    };
    started.map_err(TelemetryError::Logger)?;
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, panic = panic.payload_as_str(), "a panic");
    }));
    Ok(())
}

/// The process's recorder. The `metrics` crate takes one per process, whoever asks first makes it.
static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Makes the recorder that `/metrics` shows; later calls give the same one.
///
/// # Errors
/// Its buckets are not accepted.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = recorder.as_ref() {
        return Ok(handle.clone());
    }
    let built = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &LATENCY_BUCKETS_S)
        .map_err(TelemetryError::Buckets)?
        .build_recorder();
    let handle = built.handle();
    // Refused only where somebody else's recorder is there already; then ours stays empty, and nothing breaks.
    if metrics::set_global_recorder(built).is_ok() {
        describe();
    }
    Ok(recorder.insert(handle).clone())
}

/// Between two clean-ups of the recorder.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps the recorder small: what was measured is folded into its buckets even when nobody asks for it.
pub async fn keep_up(recorder: PrometheusHandle) {
    let mut turns = tokio::time::interval(UPKEEP);
    loop {
        turns.tick().await;
        recorder.run_upkeep();
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_histogram!(
        "perigee_request_duration_seconds",
        Unit::Seconds,
        "From a request's head to its response's last byte."
    );
    describe_histogram!("perigee_stage_duration_seconds", Unit::Seconds, "Steps of answering and writing.");
    describe_histogram!("perigee_upstream_duration_seconds", Unit::Seconds, "The model server's time.");
    describe_counter!("perigee_upstream_requests_total", "Calls of the model server.");
    describe_counter!("perigee_cache_requests_total", "Look-ups in each tier of cache.");
    describe_gauge!("perigee_corpus_epoch", "The number of a corpus's last change.");
    describe_gauge!("perigee_answered_questions", "Answered questions of a corpus that are followed.");
    describe_gauge!("perigee_answers_in_doubt", "Those of them that a change may have touched.");
    describe_gauge!("perigee_certified_epoch_lag", "Epochs by which certification is behind the corpus.");
    describe_counter!("perigee_answers_touched_total", "Answers that a change may have touched, by rule.");
    describe_counter!(
        "perigee_answers_rechecked_total",
        "Answers whose question was retrieved again for that."
    );
    describe_counter!("perigee_answer_index_requests_total", "Answer indexes asked for, by what was sent.");
    describe_counter!("perigee_answer_index_bytes_total", Unit::Bytes, "Bytes of answer indexes sent.");
    describe_histogram!("perigee_answer_index_build_seconds", Unit::Seconds, "Making an answer index.");
    describe_gauge!("perigee_index_passages", "Passages of a corpus.");
    describe_counter!("perigee_shed_total", "Requests refused because the server was busy.");
    describe_gauge!("perigee_inflight_requests", "Requests that are being answered, streams included.");
}
