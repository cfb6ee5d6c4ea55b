//! `perigee serve`.

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::End;
use crate::answer::{AnswerOptions, Answers, Upstream, Verifier};
use crate::config::Config;
use crate::corpus::{Corpora, OpenOptions, Progress};
use crate::embed::{EmbedOptions, Embedder};
use crate::extract::Reader;
use crate::http::admit::Credentials;
use crate::http::{App, Services, server};
use crate::telemetry;

/// Runs the origin's server
///
/// It listens at once; /readyz says 503 until the indexes have caught up. On SIGTERM or Ctrl-C it finishes what
/// it has begun, and at the second one it stops at once.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Environment, each over the key of the same name in perigee.toml:
  PERIGEE_CONFIG          the file that is read first [perigee.toml]
  PERIGEE_LISTEN          address and port [127.0.0.1:8080]; port 0 lets the system choose
  PERIGEE_DATA_DIR        where corpora live [data]
  PERIGEE_MODEL_DIR       the embedding model's files
  PERIGEE_ONNXRUNTIME     ONNX Runtime's shared library; ORT_DYLIB_PATH does the same
  PERIGEE_EDGE_SECRETS    what edges sign with; two, separated by a comma, during a rotation
  PERIGEE_OPERATOR_TOKEN  may do everything
  PERIGEE_UPSTREAM_BASE_URL, _API_KEY, _MODEL, _CONNECT_TIMEOUT, _FIRST_TOKEN_TIMEOUT, _WHOLE_TIMEOUT,
      _CONCURRENCY, _TOKEN_LIMIT max_tokens or max_completion_tokens
  PERIGEE_ANSWERS_CACHE_BYTES [128 MiB], _CACHE_TTL [24h], _WHEN_UPSTREAM_FAILS substitute or refuse
  PERIGEE_REUSE_TOLERANCE [0.01]: share of requests that reuse across wordings may answer wrongly; 0 turns it off
  PERIGEE_REUSE_VERIFIER  off, upstream or cross-encoder [off]; PERIGEE_REUSE_CROSS_ENCODER: its directory
  PERIGEE_FILES_AT_ONCE [2], _MEMORY_BYTES [768 MiB], _TIMEOUT [30s]: PDF files read at one time, as many others, and the
      memory and time that each may take
  PERIGEE_LIMITS_CONCURRENT_REQUESTS, _QUEUED_REQUESTS, _QUEUE_WAIT, _QUESTION_BYTES [64 MiB],
      _UPLOAD_BYTES [256 MiB], _CONNECTIONS, _HEADER_TIMEOUT, _QUESTION_TIMEOUT, _UPLOAD_TIMEOUT, _WRITE_TIMEOUT,
      _DRAIN_ANNOUNCE, _DRAIN_TIMEOUT
  PERIGEE_LOG_FILTER [info], PERIGEE_LOG_FORMAT auto, json or text
  PERIGEE_URL, PERIGEE_KEY, PERIGEE_ADMIN_SECRET: for the commands that talk to a server

Example:
  PERIGEE_OPERATOR_TOKEN=$(openssl rand -hex 32) perigee serve")]
pub(super) struct Arguments {}

pub(super) async fn run(config: Config, _: Arguments) -> anyhow::Result<End> {
    config.check_for_serving()?;
    telemetry::log(&config.log)?;
    let metrics = telemetry::metrics()?;
    let signals = signals().context("signals cannot be received")?;
    let listener = server::listen(config.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let credentials = Credentials {
        edge_secrets: config.edge_secrets.clone(),
        operator_token: config.operator_token.clone(),
    };
    let app = App::new(credentials, config.limits, metrics.clone());
    tracing::info!(listen = %address, "listening");

    let (failed, failure) = oneshot::channel();
    tokio::spawn(open(app.clone(), config, failed));
    tokio::spawn(telemetry::keep_up(metrics));
    let mut why = None;
    let stop = async {
        tokio::select! {
            () = reached(signals.clone(), 1) => {}
            Ok(error) = failure => why = Some(error),
        }
    };
    server::serve(listener, app.clone(), stop, reached(signals.clone(), 2)).await;
    app.close().await;
    match why {
        None => {
            tracing::info!("ended");
            Ok(End::Done)
        }
        Some(error) => Err(error),
    }
}

/// Loads the model and opens the corpora; says so to `app`, or why not to `failed`.
async fn open(app: App, config: Config, failed: oneshot::Sender<anyhow::Error>) {
    match open_services(&app, config).await {
        Ok(services) => {
            app.ready(services);
            tracing::info!("ready");
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot start");
            // Nobody hears it any more when the server is ending by itself.
            let _ = failed.send(error);
        }
    }
}

async fn open_services(app: &App, config: Config) -> anyhow::Result<Services> {
    let upstream = config.upstream()?.map(|config| Upstream::new(&config)).transpose()?;
    let (verifier, reuse_tolerance) = (config.reuse.verifier()?, config.reuse.tolerance);
    let Config { data_dir, model_dir, onnxruntime, files, answers, .. } = config;
    app.phases().progress("loading the embedding model");
    let load =
        move || Embedder::load(EmbedOptions { model_dir, runtime_library: onnxruntime, threads: None });
    let embedder = tokio::task::spawn_blocking(load).await.context("loading the model broke off")??;
    app.phases().progress("opening the corpora");
    let phases = app.phases().clone();
    let on_progress = move |progress: Progress<'_>| {
        let Progress { tenant, corpus, done, of } = progress;
        phases.progress(format!("catching up {tenant}/{corpus}: {done} of {of} passages"));
        tracing::info!(%tenant, %corpus, done, of, "catching up");
    };
    let reader = Reader::apart(files.options()).context("finding this very program, which reads files")?;
    reader.try_out().await.context("trying to read a file as [files] says; the log says why it failed")?;
    let on_progress = std::sync::Arc::new(on_progress);
    let options = OpenOptions { data_dir, embedder: embedder.clone(), reader, on_progress };
    let corpora = Corpora::open(options).await?;
    let loading = tokio::task::spawn_blocking(move || Verifier::load(&verifier));
    let verifier = loading.await.context("loading the cross-encoder broke off")??;
    let options = AnswerOptions { reuse_tolerance, verifier, ..answers.options() };
    let answers = Answers::new(&options, upstream, embedder);
    Ok(Services { corpora, answers })
}

/// Counts the signals that end the server.
fn signals() -> std::io::Result<watch::Receiver<usize>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(counted)
}

/// Waits for so many signals.
async fn reached(mut counted: watch::Receiver<usize>, wanted: usize) {
    if counted.wait_for(|count| *count >= wanted).await.is_err() {
        // Nobody counts any more: none will come.
        std::future::pending().await
    }
}
