//! OpenAI's chat completion stream: what is sent and what is understood of what comes back.

use perigee_shared::answer::{Finish, Usage};
use perigee_shared::question::Options;
use serde::{Deserialize, Serialize};

use super::options::TokenLimit;
use crate::answer::error::UpstreamError;
use crate::answer::prompt::Message;

/// The request.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        model: &'a str,
        token_limit: TokenLimit,
        messages: &'a [Message],
        options: &'a Options,
    ) -> Self {
        let Options { temperature, top_p, max_tokens, presence_penalty, frequency_penalty, seed, stop } =
            options;
        let (max_tokens, max_completion_tokens) = match token_limit {
            TokenLimit::MaxTokens => (*max_tokens, None),
            TokenLimit::MaxCompletionTokens => (None, *max_tokens),
        };
        Self {
            model,
            messages,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            temperature: *temperature,
            top_p: *top_p,
            max_tokens,
            max_completion_tokens,
            presence_penalty: *presence_penalty,
            frequency_penalty: *frequency_penalty,
            seed: *seed,
            stop,
        }
    }
}

/// One event's data.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

/// What a chunk says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Option<Usage>,
}

impl Said {
    /// # Errors
    /// The data is no chunk, reports an error, or ends in a way that is not known.
    pub(super) fn read(data: &str) -> Result<Self, UpstreamError> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| UpstreamError::Unreadable)?;
        if chunk.error.is_some() {
            return Err(UpstreamError::Reported);
        }
        let usage = chunk.usage.map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        });
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(Self { usage, ..Self::default() });
        };
        let text = choice.delta.and_then(|delta| delta.content).unwrap_or_default();
        // Some servers say "" in every chunk before the last.
        let reason = choice.finish_reason.as_deref().filter(|reason| !reason.is_empty());
        let finish = reason.map(finish).transpose()?;
        Ok(Self { text, finish, usage })
    }
}

/// OpenAI's reasons, and the names that other servers give them. No tools are offered, so a call of one is an error.
fn finish(reason: &str) -> Result<Finish, UpstreamError> {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => Ok(Finish::Stop),
        "length" | "max_tokens" | "model_length" => Ok(Finish::Length),
        "content_filter" | "safety" => Ok(Finish::ContentFilter),
        _ => Err(UpstreamError::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_different_servers_are_understood() {
        let said = |data: &str| Said::read(data).unwrap();
        assert_eq!(said(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#), Said::default());
        assert_eq!(
            said(r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#).text,
            "a"
        );
        let unfinished = said(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":""}]}"#);
        assert_eq!((unfinished.text.as_str(), unfinished.finish), ("a", None));
        assert_eq!(
            said(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#).finish,
            Some(Finish::Length)
        );
        assert_eq!(
            said(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#)
                .usage,
            Some(Usage { prompt_tokens: 3, completion_tokens: 4 })
        );
        assert_eq!(
            said(r#"{"choices":[{"delta":{"content":null}}],"usage":null,"error":null}"#),
            Said::default()
        );
    }

    #[test]
    fn the_limit_goes_by_the_name_that_the_server_knows() {
        let options = Options { max_tokens: Some(7), ..Options::default() };
        let sent = |limit| serde_json::to_value(Request::new("m", limit, &[], &options)).unwrap();
        let (older, newer) = (sent(TokenLimit::MaxTokens), sent(TokenLimit::MaxCompletionTokens));
        assert_eq!((&older["max_tokens"], older.get("max_completion_tokens")), (&7.into(), None));
        assert_eq!((newer.get("max_tokens"), &newer["max_completion_tokens"]), (None, &7.into()));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for garbage in ["", "x", "[1]", "{\"choices\":{}}", r#"{"choices":[{"finish_reason":"tool_calls"}]}"#]
        {
            assert_eq!(Said::read(garbage), Err(UpstreamError::Unreadable), "{garbage}");
        }
        assert_eq!(Said::read(r#"{"error":{"message":"secret"}}"#), Err(UpstreamError::Reported));
    }
}
