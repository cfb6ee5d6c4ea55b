//! An answer in OpenAI's wire formats: one JSON object, or server-sent events.
//!
//! The pieces of a stream are functions of their own, because the origin writes them as text arrives and
//! the edge writes them all at once; both give the same events.

use serde::Serialize;
use serde_json::json;

use crate::answer::{Answer, Citation, Finish, Usage};
use crate::id::CorpusName;

/// The whole answer as a `chat.completion` object.
#[must_use]
pub fn completion_json(answer: &Answer) -> String {
    to_json(&Completion {
        id: &answer.id,
        object: "chat.completion",
        created: answer.created_s,
        model: answer.corpus.as_str(),
        choices: [Choice {
            index: 0,
            message: Message {
                role: "assistant",
                content: &answer.text,
                refusal: None,
                annotations: answer.citations.iter().map(|c| annotation(&answer.corpus, c)).collect(),
            },
            finish_reason: answer.finish.reason(),
            logprobs: None,
        }],
        usage: answer.usage.into(),
    })
}

/// The whole answer as a finished event stream.
#[must_use]
pub fn completion_sse(answer: &Answer, include_usage: bool) -> String {
    let stream =
        EventStream { id: &answer.id, created_s: answer.created_s, corpus: &answer.corpus, include_usage };
    let mut events = stream.role();
    events.push_str(&stream.content(&answer.text));
    events.push_str(&stream.end(answer.finish, &answer.citations, answer.usage));
    events
}

/// What the events of one stream have in common.
#[derive(Debug, Clone, Copy)]
pub struct EventStream<'a> {
    pub id: &'a str,
    pub created_s: u64,
    pub corpus: &'a CorpusName,
    pub include_usage: bool,
}

impl EventStream<'_> {
    /// The first event: who speaks.
    #[must_use]
    pub fn role(&self) -> String {
        self.event(
            json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
            None,
        )
    }

    /// A piece of the text.
    #[must_use]
    pub fn content(&self, piece: &str) -> String {
        self.event(json!([{"index": 0, "delta": {"content": piece}, "finish_reason": null}]), None)
    }

    /// The last events: why the text ends, with its citations; the usage where it was asked for; `[DONE]`.
    #[must_use]
    pub fn end(&self, finish: Finish, citations: &[Citation], usage: Usage) -> String {
        let annotations: Vec<Annotation<'_>> = citations.iter().map(|c| annotation(self.corpus, c)).collect();
        let choices =
            json!([{"index": 0, "delta": {"annotations": annotations}, "finish_reason": finish.reason()}]);
        let mut events = self.event(choices, None);
        if self.include_usage {
            events.push_str(&self.event(json!([]), Some(usage)));
        }
        events.push_str("data: [DONE]\n\n");
        events
    }

    /// An event that tells of a failure after the stream began; nothing follows it.
    #[must_use]
    pub fn failure(problem: &crate::problem::Problem) -> String {
        format!("data: {}\n\n", problem.to_openai_json())
    }

    fn event(&self, choices: serde_json::Value, usage: Option<Usage>) -> String {
        let mut event = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created_s,
            "model": self.corpus.as_str(),
            "choices": choices,
        });
        if self.include_usage {
            event["usage"] = usage.map_or(serde_json::Value::Null, |u| json!(UsageWire::from(u)));
        }
        format!("data: {event}\n\n")
    }
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: UsageWire,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    finish_reason: &'static str,
    logprobs: Option<()>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
    annotations: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct UsageWire {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
}

impl From<Usage> for UsageWire {
    fn from(usage: Usage) -> Self {
        let Usage { prompt_tokens, completion_tokens } = usage;
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
        }
    }
}

/// OpenAI's `url_citation`, with the document's own coordinates beside it.
#[derive(Serialize)]
struct Annotation<'a> {
    r#type: &'static str,
    url_citation: UrlCitation<'a>,
    mark: usize,
    document_id: &'a str,
    start: usize,
    end: usize,
    quote: &'a str,
}

#[derive(Serialize)]
struct UrlCitation<'a> {
    start_index: usize,
    end_index: usize,
    title: &'a str,
    url: std::borrow::Cow<'a, str>,
}

fn annotation<'a>(corpus: &CorpusName, citation: &'a Citation) -> Annotation<'a> {
    let Citation { mark, mark_start, mark_end, document, title, url, start, end, quote } = citation;
    Annotation {
        r#type: "url_citation",
        url_citation: UrlCitation {
            start_index: *mark_start,
            end_index: *mark_end,
            title,
            // OpenAI's clients demand a URL; a document without one is found through Perigee itself.
            url: url
                .as_deref()
                .map_or_else(|| format!("/v1/corpora/{corpus}/documents/{document}").into(), Into::into),
        },
        mark: *mark,
        document_id: document.as_str(),
        start: *start,
        end: *end,
        quote,
    }
}

fn to_json(value: &impl Serialize) -> String {
    // Nothing here has a key that is not text or a number that is not finite, so this cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}
