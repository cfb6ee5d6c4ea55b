//! The origin's HTTP service. The modules stand in the order in which a request meets them.

pub mod server;

mod observe;
mod trace;

pub mod error;

pub mod admit;
pub mod limit;

mod body;
pub mod deadline;

mod json;
mod opened;
mod reply;

mod answer_index;
mod chat;
mod models;
mod search;

mod batch;
mod corpora;
mod documents;
mod resting;
mod upload;

mod health;
pub mod phase;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;
use perigee_shared::limits::{QUESTION_BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};
use perigee_shared::problem::ProblemKind;
use tower_http::catch_panic::CatchPanicLayer;

use self::admit::{Credentials, admit};
use self::body::BodyRule;
use self::error::Refused;
use self::limit::{Room, Slots, bounded};
use self::phase::{Phase, Phases};
use crate::answer::Answers;
use crate::config::Limits;
use crate::corpus::Corpora;

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    credentials: Credentials,
    limits: Limits,
    phases: Phases,
    metrics: PrometheusHandle,
    /// Empty while the server starts.
    services: OnceLock<Services>,
}

/// What answers questions, once it has been opened.
pub struct Services {
    pub corpora: Corpora,
    pub answers: Answers,
}

impl App {
    /// An application without corpora yet: it says that it is starting.
    #[must_use]
    pub fn new(credentials: Credentials, limits: Limits, metrics: PrometheusHandle) -> Self {
        let phases = Phases::new();
        Self(Arc::new(Shared { credentials, limits, phases, metrics, services: OnceLock::new() }))
    }

    /// From now on questions are answered.
    pub fn ready(&self, services: Services) {
        // Only a second call could be refused, and it would change nothing.
        let _ = self.0.services.set(services);
        self.0.phases.ready();
    }

    /// Finishes the writes that wait, and saves the views.
    pub async fn close(&self) {
        if let Some(services) = self.0.services.get() {
            services.corpora.close().await;
        }
    }

    #[must_use]
    pub fn phases(&self) -> &Phases {
        &self.0.phases
    }

    fn phase(&self) -> Phase {
        self.0.phases.now()
    }

    fn services(&self) -> Result<&Services, Refused> {
        let starting = || Refused::new(ProblemKind::NotReady, "the indexes are still catching up");
        self.0.services.get().ok_or_else(starting)
    }

    fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn metrics(&self) -> &PrometheusHandle {
        &self.0.metrics
    }
}

/// All routes with all that surrounds them.
pub fn router(app: App) -> Router {
    let Limits {
        concurrent_requests,
        queued_requests,
        queue_wait,
        question_timeout,
        question_bytes,
        upload_timeout,
        upload_bytes,
        ..
    } = *app.limits();
    let slots = Slots::new(concurrent_requests, queued_requests, queue_wait);
    // An edge waits here while it streams from there: had both the same places, streams would starve.
    let waits = Slots::new(concurrent_requests, 0, Duration::ZERO);
    let question = BodyRule {
        bytes_max: QUESTION_BODY_BYTES_MAX,
        within: question_timeout,
        room: Room::new(question_bytes, queue_wait),
        operator_streams: false,
    };
    // Room of their own: however much is uploaded, questions find theirs.
    let upload = BodyRule {
        bytes_max: UPLOAD_BODY_BYTES_MAX,
        within: upload_timeout,
        room: Room::new(upload_bytes, queue_wait),
        operator_streams: false,
    };
    let batch = BodyRule { operator_streams: true, ..upload.clone() };
    // Outermost last: who asks, by the head alone; a place for them; only then what they send.
    let guard = |routes: Router<App>, rule: &BodyRule, slots: &Slots| {
        routes
            .route_layer(from_fn_with_state(rule.clone(), body::take))
            .route_layer(from_fn_with_state(slots.clone(), bounded))
            .route_layer(from_fn_with_state(app.clone(), admit))
    };
    Router::new()
        .merge(guard(asking(), &question, &slots))
        .merge(guard(writing(), &upload, &slots))
        .merge(guard(batching(), &batch, &slots))
        .merge(guard(waiting(), &question, &waits))
        .merge(watching())
        .fallback(error::route_not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(error::write_refusals))
        .layer(map_response(kept_by_nobody))
        .layer(from_fn(observe::observe))
        .with_state(app)
}

/// Caches between an edge and here know addresses, and an address names neither the tenant nor who may read.
async fn kept_by_nobody(mut response: Response) -> Response {
    let never = HeaderValue::from_static("private, no-store");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(never);
    response
}

fn asking() -> Router<App> {
    Router::new()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{corpus}", get(models::show))
        .route("/v1/corpora", get(corpora::list).post(corpora::create))
        .route("/v1/corpora/{corpus}", get(corpora::show).patch(corpora::change).delete(corpora::delete))
        .route("/v1/corpora/{corpus}/epoch", get(corpora::epoch))
        .route("/v1/corpora/{corpus}/answer-index", get(answer_index::show))
        .route("/v1/corpora/{corpus}/search", post(search::search))
}

fn writing() -> Router<App> {
    Router::new()
        .route("/v1/corpora/{corpus}/documents", get(documents::list).post(upload::upload))
        .route(
            "/v1/corpora/{corpus}/documents/{id}",
            put(documents::put).get(documents::show).delete(documents::delete),
        )
        .route("/v1/corpora/{corpus}/documents/{id}/answers", get(resting::list))
}

fn batching() -> Router<App> {
    Router::new().route("/v1/corpora/{corpus}/documents:batch", post(batch::batch))
}

fn waiting() -> Router<App> {
    Router::new().route("/v1/corpora/{corpus}/answers/{key}", get(chat::finished))
}

fn watching() -> Router<App> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
}
