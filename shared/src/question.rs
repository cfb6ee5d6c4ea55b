//! The canonical question: what is asked, of what, by whom, and how it is to be answered.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::caller::{Audience, Caller};
use crate::chat::{ChatCompletionRequest, Content, Role, Stop};
use crate::id::{CorpusName, TenantId};
use crate::limits::{TURN_CHARS_MAX, TURNS_MAX};

/// A question that passed its checks. Its key is a hash over every field that can change the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub tenant: TenantId,
    pub corpus: CorpusName,
    pub audience: Audience,
    /// In order; the last one is the user's and not empty.
    pub turns: Vec<Turn>,
    pub options: Options,
}

/// One turn of the conversation; text in NFC without outer white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Turn {
    pub speaker: Speaker,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    System,
    User,
    Assistant,
}

impl Speaker {
    /// OpenAI's name of the role.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// What steers the generation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub max_tokens: Option<u32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub seed: Option<i64>,
    pub stop: Vec<String>,
}

/// Why a chat request is not a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuestion {
    /// The model is no corpus that this caller may ask. Never says whether it exists.
    #[error("there is no model of this name for your key")]
    UnknownModel,
    #[error("messages must hold 1 to {TURNS_MAX} messages")]
    TurnCount,
    #[error("the last message must be the user's and must not be empty")]
    NoQuestion,
    #[error("a message is longer than {TURN_CHARS_MAX} characters")]
    TooLong,
    #[error("only text can be asked; a message has a part of another type")]
    NotText,
    #[error("{0} is out of range")]
    Option(&'static str),
    #[error("only one choice (n = 1) is served")]
    Choices,
}

impl InvalidQuestion {
    /// The request's field at fault, as OpenAI's errors name it.
    #[must_use]
    pub const fn param(&self) -> &'static str {
        match self {
            Self::UnknownModel => "model",
            Self::TurnCount | Self::NoQuestion | Self::TooLong | Self::NotText => "messages",
            Self::Option(name) => name,
            Self::Choices => "n",
        }
    }
}

impl Question {
    /// Reads a chat request on behalf of a caller.
    ///
    /// # Errors
    /// The model is none of the caller's, or a field is out of bounds.
    pub fn from_chat(request: &ChatCompletionRequest, caller: &Caller) -> Result<Self, InvalidQuestion> {
        let corpus = CorpusName::new(request.model.as_str()).map_err(|_| InvalidQuestion::UnknownModel)?;
        if !caller.corpora.allows(&corpus) {
            return Err(InvalidQuestion::UnknownModel);
        }
        if request.n.is_some_and(|n| n != 1) {
            return Err(InvalidQuestion::Choices);
        }
        Ok(Self {
            tenant: caller.tenant.clone(),
            corpus,
            audience: caller.audience.clone(),
            turns: read_turns(request)?,
            options: Options::from_chat(request)?,
        })
    }

    /// The last turn: what is asked now.
    #[must_use]
    pub fn asked(&self) -> &str {
        self.turns.last().map_or("", |turn| &turn.text)
    }
}

fn read_turns(request: &ChatCompletionRequest) -> Result<Vec<Turn>, InvalidQuestion> {
    if request.messages.is_empty() || request.messages.len() > TURNS_MAX {
        return Err(InvalidQuestion::TurnCount);
    }
    let mut turns = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let speaker = match message.role {
            Role::System => Speaker::System,
            Role::User => Speaker::User,
            Role::Assistant => Speaker::Assistant,
            Role::Tool | Role::Function => continue,
        };
        let text = match &message.content {
            None => String::new(),
            Some(Content::Text(text)) => normalise(text)?,
            Some(Content::Parts(parts)) => {
                let texts: Option<Vec<&str>> =
                    parts.iter().map(|p| p.text.as_deref().filter(|_| p.kind == "text")).collect();
                normalise(&texts.ok_or(InvalidQuestion::NotText)?.join("\n"))?
            }
        };
        turns.push(Turn { speaker, text });
    }
    let asked = turns.last().is_some_and(|turn| turn.speaker == Speaker::User && !turn.text.is_empty());
    asked.then_some(turns).ok_or(InvalidQuestion::NoQuestion)
}

/// NFC, outer white space off; nothing that could change the meaning.
fn normalise(text: &str) -> Result<String, InvalidQuestion> {
    let text = text.trim();
    // Bytes bound characters, so the common case counts nothing.
    if text.len() > TURN_CHARS_MAX && text.chars().count() > TURN_CHARS_MAX {
        return Err(InvalidQuestion::TooLong);
    }
    Ok(match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.to_owned(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    })
}

impl Options {
    fn from_chat(request: &ChatCompletionRequest) -> Result<Self, InvalidQuestion> {
        let stop = match &request.stop {
            None => Vec::new(),
            Some(Stop::One(one)) => vec![one.clone()],
            Some(Stop::Many(many)) => many.clone(),
        };
        if stop.len() > 4 || stop.iter().any(|s| s.is_empty() || s.len() > 256) {
            return Err(InvalidQuestion::Option("stop"));
        }
        let max_tokens = request.max_completion_tokens.or(request.max_tokens);
        if max_tokens == Some(0) {
            return Err(InvalidQuestion::Option("max_tokens"));
        }
        Ok(Self {
            temperature: within(request.temperature, 0.0, 2.0, "temperature")?,
            top_p: within(request.top_p, 0.0, 1.0, "top_p")?,
            max_tokens,
            presence_penalty: within(request.presence_penalty, -2.0, 2.0, "presence_penalty")?,
            frequency_penalty: within(request.frequency_penalty, -2.0, 2.0, "frequency_penalty")?,
            seed: request.seed,
            stop,
        })
    }
}

fn within(
    value: Option<f32>,
    low: f32,
    high: f32,
    name: &'static str,
) -> Result<Option<f32>, InvalidQuestion> {
    match value {
        // NaN is in no range. Adding 0.0 makes -0.0 the same as 0.0, so that both have one key.
        Some(v) if (low..=high).contains(&v) => Ok(Some(v + 0.0)),
        Some(_) => Err(InvalidQuestion::Option(name)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{CorpusScope, Scope};
    use crate::id::CorpusName;
    use serde_json::{Value, json};

    fn caller() -> Caller {
        Caller {
            tenant: TenantId::new("acme").unwrap(),
            corpora: CorpusScope::Only([CorpusName::new("docs").unwrap()].into()),
            audience: Audience::public(),
            scopes: Scope::ALL.into(),
        }
    }

    fn read(body: &Value) -> Result<Question, InvalidQuestion> {
        Question::from_chat(&serde_json::from_value(body.clone()).unwrap(), &caller())
    }

    fn asking(content: Value) -> Value {
        json!({"model": "docs", "messages": [{"role": "user", "content": content}]})
    }

    #[test]
    fn outer_white_space_and_composition_do_not_matter_and_everything_else_does() {
        assert_eq!(read(&asking(json!(" cafe\u{301}?\n"))), read(&asking(json!("caf\u{e9}?"))));
        assert_ne!(read(&asking(json!("Is it on?"))), read(&asking(json!("is it on?"))));
        assert_ne!(read(&asking(json!("a  b"))), read(&asking(json!("a b"))));
    }

    #[test]
    fn unknown_fields_and_parts_of_text_are_accepted() {
        let body = json!({"model": "docs", "messages": [
            {"role": "developer", "content": "Be brief.", "name": "x"},
            {"role": "user", "content": [{"type": "text", "text": "How?"}], "weight": 1},
        ], "tools": [], "logit_bias": {}, "metadata": {"a": "b"}, "store": true, "temperature": -0.0});
        let question = read(&body).unwrap();
        assert_eq!(question.turns[0].speaker, Speaker::System);
        assert_eq!(question.asked(), "How?");
        assert_eq!(question.options.temperature.map(f32::to_bits), Some(0));
    }

    #[test]
    fn what_is_not_a_question_is_refused() {
        let refused = |body: Value| read(&body).unwrap_err();
        assert_eq!(refused(json!({"model": "other", "messages": []})), InvalidQuestion::UnknownModel);
        assert_eq!(refused(json!({"model": "../docs", "messages": []})), InvalidQuestion::UnknownModel);
        assert_eq!(refused(json!({"model": "docs", "messages": []})), InvalidQuestion::TurnCount);
        assert_eq!(refused(asking(json!(" \n"))), InvalidQuestion::NoQuestion);
        assert_eq!(refused(asking(json!("x".repeat(TURN_CHARS_MAX + 1)))), InvalidQuestion::TooLong);
        assert_eq!(refused(asking(json!([{"type": "image_url", "text": "x"}]))), InvalidQuestion::NotText);
        for (field, value) in
            [("temperature", json!(2.1)), ("top_p", json!(-1)), ("n", json!(2)), ("max_tokens", json!(0))]
        {
            let mut body = asking(json!("How?"));
            body[field] = value;
            assert_eq!(refused(body).param(), field);
        }
    }
}
