//! `GET /v1/corpora/{corpus}/documents/{id}/answers`: for the operator, the kept answers that rest on a document.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use perigee_shared::caller::Audience;
use perigee_shared::question::{Options, Question};
use serde_json::{Map, Value, json};

use super::App;
use super::admit::Write;
use super::error::Refused;
use super::opened::{AskedDocument, Opened};
use super::reply::at_epoch;
use crate::answer::RestingAnswer;

/// Lists them with their questions, each as the request that asks it. The document need not be there any more: that is
/// how a deletion is proven.
///
/// # Errors
/// 404 no such corpus for this caller; 503 while the server starts.
pub(super) async fn list(
    State(app): State<App>,
    opened: Opened<Write>,
    AskedDocument(id): AskedDocument,
) -> Result<Response, Refused> {
    let (looked_at, resting) = app.services()?.answers.resting_on(&opened.corpus, &id);
    let data: Vec<Value> = resting.iter().map(shown).collect();
    Ok(at_epoch(opened.corpus.epoch(), Json(json!({"data": data, "looked_at": looked_at}))))
}

fn shown(resting: &RestingAnswer) -> Value {
    let RestingAnswer { key, answer, uses, question } = resting;
    let audience = question.as_ref().map(|question| match &question.audience {
        Audience::Everything => json!("everything"),
        Audience::Labels(labels) => json!(labels),
    });
    json!({
        "key": key.to_string(),
        "id": answer.id,
        "epoch": answer.epoch,
        "uses": uses,
        "audience": audience,
        "request": question.as_ref().map(request),
    })
}

/// The chat request that asks the very same question.
fn request(question: &Question) -> Value {
    let Question { tenant: _, corpus, audience: _, turns, options } = question;
    let messages: Vec<Value> =
        turns.iter().map(|turn| json!({"role": turn.speaker.role(), "content": turn.text})).collect();
    let mut request = Map::new();
    request.insert("model".to_owned(), json!(corpus));
    request.insert("messages".to_owned(), json!(messages));
    let Options { temperature, top_p, max_tokens, presence_penalty, frequency_penalty, seed, stop } = options;
    let stop = (!stop.is_empty()).then_some(stop);
    for (name, value) in [
        ("temperature", json!(temperature)),
        ("top_p", json!(top_p)),
        ("max_tokens", json!(max_tokens)),
        ("presence_penalty", json!(presence_penalty)),
        ("frequency_penalty", json!(frequency_penalty)),
        ("seed", json!(seed)),
        ("stop", json!(stop)),
    ] {
        if !value.is_null() {
            request.insert(name.to_owned(), value);
        }
    }
    Value::Object(request)
}
