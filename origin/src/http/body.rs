//! Request bodies, read within bounds of size and time; response bodies that keep something until they end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use perigee_shared::problem::ProblemKind;

use super::error::Refused;

/// Bytes of a refused body that are still read, so that the client gets to see the refusal: one that is
/// cut off while it sends reports a broken connection instead.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads a whole body.
///
/// # Errors
/// It is larger than `bytes_max`, is not there `within` this time, or ends early.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    within: Duration,
) -> Result<Bytes, Refused> {
    let mut body = body.into_data_stream();
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut read = Vec::with_capacity(declared.unwrap_or(0).min(bytes_max));
    let mut too_large = declared.is_some_and(|bytes| bytes > bytes_max);
    // Who asked first has sent nothing yet and needs no goodbye.
    let asks_first = headers.contains_key(EXPECT);
    let reading = async {
        while !too_large {
            let Some(chunk) = body.next().await else { break };
            let chunk = chunk.map_err(cut_off)?;
            too_large = read.len() + chunk.len() > bytes_max;
            read.extend_from_slice(&chunk);
        }
        Ok::<_, Refused>(())
    };
    tokio::time::timeout(within, reading).await.map_err(|_| too_slow())??;
    if !too_large {
        return Ok(read.into());
    }
    drop(read);
    if !asks_first {
        discard(&mut body).await;
    }
    Err(Refused::new(ProblemKind::TooLarge, format!("the body may have at most {bytes_max} bytes")))
}

async fn discard(body: &mut axum::body::BodyDataStream) {
    let mut bytes = 0;
    let reading = async {
        while let Some(Ok(chunk)) = body.next().await {
            bytes += chunk.len();
            if bytes > DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    // Whatever comes of it, the refusal is sent next.
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, reading).await;
}

pub(super) fn too_slow() -> Refused {
    Refused::new(ProblemKind::RequestTimeout, "the body did not arrive in time")
}

pub(super) fn cut_off(error: axum::Error) -> Refused {
    Refused::new(ProblemKind::InvalidRequest, "the body ended before it was complete").because(error)
}

/// A response's body that holds `guard` until it has been sent or given up.
pub(super) struct Guarded<G: Guard> {
    body: Body,
    guard: G,
}

/// What is told when a body has been sent to its end.
pub(super) trait Guard: Send + Unpin + 'static {
    fn complete(&mut self) {}
}

impl<G: Guard> Guarded<G> {
    pub(super) fn body(body: Body, mut guard: G) -> Body {
        if body.is_end_stream() {
            guard.complete();
        }
        Body::new(Self { body, guard })
    }
}

impl<G: Guard> HttpBody for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // A body of known length is not asked for an end; its last frame is the end.
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.guard.complete();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
