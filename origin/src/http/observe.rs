//! What is told of each request: one log line, metrics, and the headers by which it is found again.

use std::borrow::Cow;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use perigee_shared::header::{REQUEST_ID, SERVER_TIMING, TRACEPARENT};
use perigee_shared::id::TenantId;
use tokio::time::Instant;
use tracing::Instrument;

use super::body::{Guard, Guarded};
use super::deadline::Received;
use super::trace::Identity;

/// Runs a request in a span of its own and records it when its response has been sent.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let mut record = Record::begin(&request);
    let identity = record.identity.clone();
    request.extensions_mut().insert(Received(record.received));
    let span = tracing::info_span!("request", request_id = identity.request_id, trace_id = identity.trace_id);
    let mut response = next.run(request).instrument(span).await;
    record.status = Some(response.status().as_u16());
    record.tenant = response.extensions_mut().remove::<TenantId>();
    let timing = format!("origin;dur={:.1}", record.received.elapsed().as_secs_f64() * 1e3);
    for (name, value) in [
        (REQUEST_ID, identity.request_id.clone()),
        (TRACEPARENT, identity.traceparent()),
        (SERVER_TIMING, timing),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response.map(|body| Guarded::body(body, record))
}

/// What is known of a request; written to the log and the metrics when dropped.
struct Record {
    method: Method,
    /// The route's template, never the path: paths are without number.
    route: Cow<'static, str>,
    identity: Identity,
    received: Instant,
    /// None: the client left before there was a response.
    status: Option<u16>,
    tenant: Option<TenantId>,
    complete: bool,
}

impl Record {
    fn begin(request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let record = Self {
            method: request.method().clone(),
            route: matched.map_or("unmatched".into(), |path| path.as_str().to_owned().into()),
            identity: Identity::of(request.headers()),
            received: Instant::now(),
            status: None,
            tenant: None,
            complete: false,
        };
        if !record.is_probe() {
            metrics::gauge!("perigee_inflight_requests").increment(1);
        }
        record
    }

    /// Asked every few seconds by machines: neither logged nor counted.
    fn is_probe(&self) -> bool {
        matches!(&*self.route, "/healthz" | "/readyz" | "/metrics")
    }
}

impl Guard for Record {
    fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.is_probe() {
            return;
        }
        let Self { method, route, identity, received, status, tenant, complete } = self;
        let took = received.elapsed();
        metrics::gauge!("perigee_inflight_requests").decrement(1);
        let label = status.map_or("none".into(), |status| status.to_string());
        metrics::histogram!("perigee_request_duration_seconds", "route" => route.clone(), "status" => label)
            .record(took);
        tracing::info!(
            method = method.as_str(),
            route = &**route,
            status,
            ms = took.as_millis() as u64,
            request_id = identity.request_id,
            trace_id = identity.trace_id,
            span_id = identity.span_id,
            tenant = tenant.as_ref().map(TenantId::as_str),
            complete,
            "request"
        );
    }
}
