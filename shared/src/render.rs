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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DocumentId;

    fn answer() -> Answer {
        let citation = Citation {
            mark: 1,
            mark_start: 11,
            mark_end: 14,
            document: DocumentId::new("install.md").unwrap(),
            title: "Install".into(),
            url: None,
            start: 5,
            end: 15,
            quote: "Run it so.".into(),
        };
        Answer {
            created_s: 1_700_000_000,
            citations: vec![citation],
            usage: Usage { prompt_tokens: 7, completion_tokens: 5 },
            ..crate::testing::answer("Run it so. [1]", 3)
        }
    }

    #[test]
    fn an_answer_is_a_chat_completion() {
        insta::assert_snapshot!(completion_json(&answer()), @r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"docs","choices":[{"index":0,"message":{"role":"assistant","content":"Run it so. [1]","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"start_index":11,"end_index":14,"title":"Install","url":"/v1/corpora/docs/documents/install.md"},"mark":1,"document_id":"install.md","start":5,"end":15,"quote":"Run it so."}]},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#);
    }

    #[test]
    fn a_stream_of_the_same_answer_says_the_same() {
        let events = completion_sse(&answer(), true);
        let data: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.last(), Some(&"[DONE]"));
        let chunks: Vec<serde_json::Value> =
            data[..data.len() - 1].iter().map(|d| serde_json::from_str(d).unwrap()).collect();
        let text: String =
            chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, answer().text);
        let whole: serde_json::Value = serde_json::from_str(&completion_json(&answer())).unwrap();
        let last = &chunks[chunks.len() - 2]["choices"][0];
        assert_eq!(last["delta"]["annotations"], whole["choices"][0]["message"]["annotations"]);
        assert_eq!(last["finish_reason"], "stop");
        assert_eq!(chunks[chunks.len() - 1]["usage"], whole["usage"]);
        assert!(chunks[..chunks.len() - 1].iter().all(|c| c["usage"].is_null()));
    }

    #[test]
    fn no_text_can_break_out_of_an_event() {
        let mut answer = answer();
        answer.text = "a\n\ndata: [DONE]\n\n\r\u{2028}\"\\".into();
        let events = completion_sse(&answer, false);
        assert_eq!(events.matches("data: [DONE]\n").count(), 1);
        assert!(
            events
                .split("\n\n")
                .filter(|e| !e.is_empty())
                .all(|e| e.starts_with("data: ") && !e.contains('\n'))
        );
    }
}
