//! Request bodies, read within bounds of size and time; response bodies that keep something until they end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use perigee_shared::id::ContentHash;
use perigee_shared::problem::ProblemKind;
use perigee_shared::signature::InvalidSignature;
use sha2::{Digest, Sha256};

use super::admit::{Sender, unsigned};
use super::error::Refused;
use super::limit::{Held, Room};

/// Bytes of a refused body that are still read, so that the client gets to see the refusal: one that is
/// cut off while it sends reports a broken connection instead.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// How a route takes its body.
#[derive(Debug, Clone)]
pub(super) struct BodyRule {
    pub(super) bytes_max: usize,
    pub(super) within: Duration,
    /// Where the bodies of all such routes are held.
    pub(super) room: Room,
    /// The operator's body is handed on unread. An edge's never is: its signature covers the whole.
    pub(super) operator_streams: bool,
}

/// Hands an admitted request on with its body read, which counts as held until the response has been sent.
pub(super) async fn take(State(rule): State<BodyRule>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let signed = match parts.extensions.get() {
        Some(Sender::Operator) if rule.operator_streams => {
            return next.run(Request::from_parts(parts, body)).await;
        }
        Some(Sender::Operator) => None,
        Some(Sender::Edge(hash)) => Some(*hash),
        None => return unsigned().into_response(),
    };
    match read(&parts.headers, body, &rule, signed).await {
        Ok((bytes, held)) => {
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            response.map(|body| Guarded::body(body, held))
        }
        Err(refused) => refused.into_response(),
    }
}

/// Reads a whole body, of which an edge may have signed the hash.
///
/// # Errors
/// There is no room for it, it is larger than may be, is not there in time, ends early, or is not what was signed.
async fn read(
    headers: &HeaderMap,
    body: Body,
    rule: &BodyRule,
    signed: Option<ContentHash>,
) -> Result<(Bytes, Held), Refused> {
    let BodyRule { bytes_max, within, room, operator_streams: _ } = rule;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut too_large = declared.is_some_and(|bytes| bytes > *bytes_max);
    let expected = if too_large || body.is_end_stream() { 0 } else { declared.unwrap_or(*bytes_max) };
    let mut held = room.take(expected).await?;
    let mut read = Vec::with_capacity(declared.map_or(0, |_| expected));
    let mut hash = Sha256::new();
    let mut body = body.into_data_stream();
    let reading = async {
        while !too_large {
            let Some(chunk) = body.next().await else { break };
            let chunk = chunk.map_err(cut_off)?;
            too_large = read.len() + chunk.len() > *bytes_max;
            read.extend_from_slice(&chunk);
            if signed.is_some() {
                hash.update(&chunk);
            }
        }
        Ok::<_, Refused>(())
    };
    tokio::time::timeout(*within, reading).await.map_err(|_| too_slow())??;
    if too_large {
        drop((read, held));
        let_finish(headers, body).await;
        return Err(Refused::new(
            ProblemKind::TooLarge,
            format!("the body may have at most {bytes_max} bytes"),
        ));
    }
    if signed.is_some_and(|signed| signed.as_bytes()[..] != hash.finalize()[..]) {
        return Err(unsigned().because(InvalidSignature::OtherBody));
    }
    held.shrink_to(read.len());
    Ok((read.into(), held))
}

/// Lets a client finish sending what is refused, unless it asked first and has sent nothing yet.
pub(super) async fn let_finish(headers: &HeaderMap, body: BodyDataStream) {
    if !headers.contains_key(EXPECT) {
        discard(body).await;
    }
}

async fn discard(mut body: BodyDataStream) {
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
