//! `POST /v1/chat/completions` and, for edges, the finished answer of a stream.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use perigee_shared::answer::{Answer, MEDIA_TYPE};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::caller::Scope;
use perigee_shared::chat::{ChatCompletionRequest, Rendering};
use perigee_shared::header::{ANSWER_KEY, CACHE_STATUS, CacheOutcome, EPOCH, EXPLAIN, ORIGIN_CACHE};
use perigee_shared::id::Epoch;
use perigee_shared::problem::ProblemKind;
use perigee_shared::question::Question;
use perigee_shared::render::{self, EventStream};

use super::App;
use super::admit::{Admitted, Ask};
use super::deadline::Deadline;
use super::error::Refused;
use super::json::JsonBody;
use super::opened::{self, Opened, parameter, wait_for_min_epoch};
use crate::answer::{AnswerEvent, AnswerStream, Answers, Reply};
use crate::corpus::Corpus;

/// Of a candidate's question, and of the words that tell it apart, as much as a header has room for.
const EXPLAINED_BYTES_MAX: usize = 200;
const EXPLAINED_WORDS_MAX: usize = 16;

/// Answers the last turn from the corpus that `model` names.
///
/// # Errors
/// 400 unreadable request; 404 no such corpus for this caller; 502 the model server failed; 503 busy; 504 past
/// the deadline, or nothing cached where only that was wanted.
pub(super) async fn create(
    State(app): State<App>,
    admitted: Admitted<Ask>,
    deadline: Deadline,
    headers: HeaderMap,
    JsonBody(request): JsonBody<ChatCompletionRequest>,
) -> Result<Response, Refused> {
    let question = Question::from_chat(&request, &admitted.caller)?;
    let corpus = opened::open_model(&app, &admitted.caller, &question.corpus)?;
    wait_for_min_epoch(&corpus, &headers, deadline).await?;
    let control = CacheControl::parse(text(&headers, &CACHE_CONTROL));
    let answers = &app.services()?.answers;
    let explanation = explain(answers, &corpus, &question, &admitted, &headers, deadline).await?;
    let reply = answers.answer(&corpus, question, control, deadline.0).await?;
    let mut response = match (reply, request.rendering()) {
        (Reply::Ready(answer, outcome), rendering) => whole(&headers, rendering, &answer, outcome),
        (Reply::Stream(stream, outcome, _), Rendering::Json) => {
            let answer = stream.finished(deadline.0).await?;
            whole(&headers, Rendering::Json, &answer, outcome)
        }
        (Reply::Stream(stream, outcome, key), Rendering::Sse { include_usage }) => {
            streamed(stream, include_usage, outcome, key)
        }
    };
    if let Some(explanation) = explanation {
        response.headers_mut().insert(HeaderName::from_static(EXPLAIN), explanation);
    }
    Ok(response)
}

/// What the caller asked to be told of reuse, before the answer changes it. Others' questions show in it, if only those of
/// the caller's own tenant and audience: whoever may not manage the tenant is told nothing.
async fn explain(
    answers: &Answers,
    corpus: &Corpus,
    question: &Question,
    admitted: &Admitted<Ask>,
    headers: &HeaderMap,
    deadline: Deadline,
) -> Result<Option<HeaderValue>, Refused> {
    let is_asked = text(headers, &HeaderName::from_static(EXPLAIN)) == Some("1");
    if !is_asked || !admitted.caller.may(Scope::Admin) {
        return Ok(None);
    }
    let mut explanation = answers.explain(corpus, question, deadline.0).await?;
    for candidate in &mut explanation.candidates {
        let end = candidate.question.floor_char_boundary(EXPLAINED_BYTES_MAX);
        candidate.question.truncate(end);
        candidate.unaligned.truncate(EXPLAINED_WORDS_MAX);
    }
    let json = serde_json::to_string(&explanation).unwrap_or_default();
    Ok(HeaderValue::try_from(ascii(&json)).ok())
}

/// JSON without a character that a header may not hold.
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}")));
        }
    }
    ascii
}

/// `GET /v1/corpora/{corpus}/answers/{key}`: the finished answer of a question that is being streamed, for the
/// edge that passed the stream on. Waits for it until the deadline.
///
/// # Errors
/// 404 there is none, it failed, or it may not be kept.
pub(super) async fn finished(
    State(app): State<App>,
    opened: Opened<Ask>,
    deadline: Deadline,
    AskedAnswer(key): AskedAnswer,
) -> Result<Response, Refused> {
    let answers = &app.services()?.answers;
    let answer = answers.finished(&opened.corpus, key, deadline.0).await.ok_or_else(answer_not_found)?;
    let epoch = answer.epoch;
    Ok((
        [(CONTENT_TYPE, MEDIA_TYPE), (HeaderName::from_static(EPOCH), &*epoch.to_string())],
        canonical(&answer),
    )
        .into_response())
}

/// The path's `{key}`.
#[derive(Debug)]
pub(super) struct AskedAnswer(CacheKey);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for AskedAnswer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Refused> {
        let key = parameter(parts, "key").await?;
        CacheKey::parse(&key).map(Self).map_err(|_| answer_not_found())
    }
}

fn answer_not_found() -> Refused {
    Refused::new(ProblemKind::AnswerNotFound, "no answer of this key is kept or being made")
}

/// An answer that is there: canonical for an edge, else in the wire format that was asked for.
fn whole(headers: &HeaderMap, rendering: Rendering, answer: &Answer, outcome: CacheOutcome) -> Response {
    let for_edge = text(headers, &ACCEPT).is_some_and(|accept| accept.contains(MEDIA_TYPE));
    let (media_type, body) = match rendering {
        _ if for_edge => (MEDIA_TYPE, canonical(answer)),
        Rendering::Json => ("application/json", render::completion_json(answer)),
        Rendering::Sse { include_usage } => {
            ("text/event-stream", render::completion_sse(answer, include_usage))
        }
    };
    let mut response = described(media_type, outcome, answer.epoch, Body::from(body));
    if outcome.is_hit() {
        response.headers_mut().insert(AGE, age_s(answer).into());
    }
    response
}

/// A generation, as it goes on.
fn streamed(stream: AnswerStream, include_usage: bool, outcome: CacheOutcome, key: CacheKey) -> Response {
    let epoch = stream.epoch();
    let body = Body::from_stream(events(stream, include_usage).map(Ok::<_, Infallible>));
    let mut response = described("text/event-stream", outcome, epoch, body);
    if let Ok(key) = HeaderValue::try_from(key.to_string()) {
        response.headers_mut().insert(HeaderName::from_static(ANSWER_KEY), key);
    }
    response
}

fn events(mut stream: AnswerStream, include_usage: bool) -> impl futures::Stream<Item = Bytes> {
    async_stream::stream! {
        let (id, corpus, created_s) = (stream.id().to_owned(), stream.corpus().clone(), stream.created_s());
        let wire = EventStream { id: &id, created_s, corpus: &corpus, include_usage };
        yield Bytes::from(wire.role());
        while let Some(event) = stream.next().await {
            yield match event {
                AnswerEvent::Text(piece) => wire.content(&piece),
                AnswerEvent::Finished(answer) => wire.end(answer.finish, &answer.citations, answer.usage),
                // What was sent cannot be taken back: an error in OpenAI's shape, and no `[DONE]` after it.
                AnswerEvent::Failed(error) => {
                    EventStream::failure(&Refused::from(error).into_problem())
                }
            }
            .into();
        }
    }
}

fn described(media_type: &'static str, outcome: CacheOutcome, epoch: Epoch, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (HeaderName::from_static(CACHE_STATUS), outcome.member(ORIGIN_CACHE)),
        (HeaderName::from_static(EPOCH), epoch.to_string()),
    ];
    (headers, body).into_response()
}

fn canonical(answer: &Answer) -> String {
    // An answer is text and numbers: it always has a JSON form.
    serde_json::to_string(answer).unwrap_or_default()
}

fn age_s(answer: &Answer) -> u64 {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    now_s.saturating_sub(answer.created_s)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
