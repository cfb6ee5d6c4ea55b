//! The upstream writes, we check: one generation from its turn to its last word.

use std::time::Instant as Watch;

use perigee_shared::answer::{Finish, Usage};
use perigee_shared::question::Question;
use tokenizers::Tokenizer;

use super::cite::citations;
use super::compose::{Written, tokens};
use super::error::{AnswerError, UpstreamError};
use super::flight::Pilot;
use super::marks::MarkFilter;
use super::prompt::{Message, messages};
use super::upstream::{Piece, Upstream};
use crate::retrieve::Hit;

/// Has the upstream answer, saying each piece of text as it comes.
///
/// # Errors
/// Nobody waits any more before its turn came, or the upstream failed.
pub(super) async fn write(
    upstream: &Upstream,
    pilot: &Pilot,
    question: &Question,
    evidence: &[Hit],
    tokenizer: &Tokenizer,
) -> Result<Written, AnswerError> {
    let _turn = tokio::select! {
        biased;
        turn = upstream.turn() => turn.ok_or(AnswerError::Interrupted)?,
        () = pilot.deserted() => return Err(AnswerError::Shed),
    };
    pilot.begin();
    let messages = messages(question, evidence);
    let watch = Watch::now();
    let outcome = listen(upstream, pilot, question, &messages, evidence.len(), watch).await;
    let name = match &outcome {
        Ok(_) => "ok",
        Err(AnswerError::Upstream(error)) => error.name(),
        Err(_) => "interrupted",
    };
    metrics::counter!("perigee_upstream_requests_total", "outcome" => name).increment(1);
    let heard = outcome.inspect_err(|error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, cause, "the upstream failed");
    })?;
    metrics::histogram!("perigee_upstream_duration_seconds", "phase" => "whole").record(watch.elapsed());
    let citations = citations(&heard.text, &heard.marks, evidence);
    let usage = heard.usage.unwrap_or_else(|| estimate(&messages, &heard.text, tokenizer));
    Ok(Written { text: heard.text, citations, finish: heard.finish, usage })
}

struct Heard {
    text: String,
    marks: Vec<super::marks::Mark>,
    finish: Finish,
    usage: Option<Usage>,
}

async fn listen(
    upstream: &Upstream,
    pilot: &Pilot,
    question: &Question,
    messages: &[Message],
    passages: usize,
    watch: Watch,
) -> Result<Heard, AnswerError> {
    let mut reading = upstream.ask(question, messages).await.map_err(AnswerError::Upstream)?;
    let mut filter = MarkFilter::new(passages);
    let mut spoken = false;
    let (finish, usage) = loop {
        match reading.next().await.map_err(AnswerError::Upstream)? {
            Piece::Text(text) => {
                if !std::mem::replace(&mut spoken, true) {
                    let phase =
                        metrics::histogram!("perigee_upstream_duration_seconds", "phase" => "first_token");
                    phase.record(watch.elapsed());
                }
                pilot.say(&filter.push(&text))?;
            }
            Piece::End(finish, usage) => break (finish, usage),
        }
    };
    let (rest, marks) = filter.finish();
    pilot.say(&rest)?;
    let text = pilot.text();
    if finish == Finish::Stop && text.trim().is_empty() {
        return Err(AnswerError::Upstream(UpstreamError::Empty));
    }
    Ok(Heard { text, marks, finish, usage })
}

/// For servers that count nothing: our own tokenizer's count, which is near enough to bill by.
fn estimate(messages: &[Message], text: &str, tokenizer: &Tokenizer) -> Usage {
    let count = |text: &str| u32::try_from(tokens(text, tokenizer)).unwrap_or(u32::MAX);
    let prompt = messages.iter().map(|message| count(&message.content));
    Usage { prompt_tokens: prompt.fold(0, u32::saturating_add), completion_tokens: count(text) }
}
