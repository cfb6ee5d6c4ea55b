//! Chosen sentences to one readable text with marks, within the caller's limits.

use std::ops::Range;

use perigee_shared::answer::{Citation, Finish, Usage};
use perigee_shared::question::Question;
use tokenizers::Tokenizer;

use super::cite::citation;
use super::marks::Mark;
use super::sentence::Kind;
use crate::retrieve::Hit;

/// What a generator hands over: an answer without its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) citations: Vec<Citation>,
    pub(super) finish: Finish,
    pub(super) usage: Usage,
}

/// One sentence to show, with what belongs to it.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// The passage's number, from 1.
    pub(super) passage: usize,
    pub(super) hit: &'a Hit,
    /// Bytes of the passage's text that are quoted.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
    pub(super) block: usize,
    pub(super) lead: &'a str,
    /// Code or a list behind the sentence; may be empty.
    pub(super) tail: &'a str,
}

/// Writes the parts one after the other. A part that does not fit `max_tokens` ends the text; so does the first
/// stop sequence.
pub(super) fn compose(parts: &[Part<'_>], question: &Question, tokenizer: &Tokenizer) -> Written {
    let tokens_max = question.options.max_tokens.map_or(usize::MAX, |max| max as usize);
    let mut text = String::new();
    let mut citations = Vec::new();
    let mut finish = Finish::Stop;
    let mut before: Option<&Part<'_>> = None;
    for part in parts {
        let mut longer = text.clone();
        longer.push_str(before.map_or("", |before| separator(before, part)));
        let mark = write(&mut longer, part);
        if tokens(&longer, tokenizer) > tokens_max {
            if text.is_empty() {
                text = first_tokens(&longer, tokens_max, tokenizer).to_owned();
            }
            finish = Finish::Length;
            break;
        }
        text = longer;
        citations.push(citation(mark, part.hit, part.range.clone()));
        before = Some(part);
    }
    stop(&mut text, &mut citations, &question.options.stop);
    let completion_tokens = count(tokens(&text, tokenizer));
    Written {
        text,
        citations,
        finish,
        usage: Usage { prompt_tokens: asked_tokens(question, tokenizer), completion_tokens },
    }
}

/// Tokens of the conversation. Passages are not counted: nothing here reads them as a prompt.
pub(super) fn asked_tokens(question: &Question, tokenizer: &Tokenizer) -> u32 {
    count(question.turns.iter().map(|turn| tokens(&turn.text, tokenizer)).sum())
}

/// Tokens of a text by the embedding model's tokenizer; one that it refuses counts as its words.
pub(super) fn tokens(text: &str, tokenizer: &Tokenizer) -> usize {
    tokenizer
        .encode_fast(text, false)
        .map_or_else(|_| text.split_whitespace().count(), |encoded| encoded.len())
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Sentences of one paragraph run on, items of one list stand below each other, all else is apart.
fn separator(before: &Part<'_>, part: &Part<'_>) -> &'static str {
    let together = before.passage == part.passage && before.block == part.block && before.tail.is_empty();
    match (together, part.kind) {
        (true, Kind::Sentence) => " ",
        (true, Kind::Item | Kind::Row) => "\n",
        (true, Kind::Code) | (false, _) => "\n\n",
    }
}

/// Appends a part; its mark stands behind the sentence, in front of what the sentence announces.
fn write(text: &mut String, part: &Part<'_>) -> Mark {
    match part.kind {
        Kind::Item | Kind::Row => text.push_str("- "),
        Kind::Sentence | Kind::Code => {}
    }
    text.push_str(part.lead);
    text.push_str(match part.kind {
        Kind::Code => "\n\n",
        Kind::Sentence | Kind::Item | Kind::Row => " ",
    });
    let start = text.chars().count();
    text.push_str(&format!("[{}]", part.passage));
    let end = text.chars().count();
    if !part.tail.is_empty() {
        text.push_str("\n\n");
        text.push_str(part.tail);
    }
    Mark { number: part.passage, start, end }
}

/// The beginning of a text that has so many tokens, up to a whole word.
fn first_tokens<'a>(text: &'a str, tokens_max: usize, tokenizer: &Tokenizer) -> &'a str {
    let Ok(encoded) = tokenizer.encode(text, false) else { return "" };
    let Some((_, end)) = tokens_max.checked_sub(1).and_then(|last| encoded.get_offsets().get(last)) else {
        return "";
    };
    let cut = &text[..text.floor_char_boundary(*end)];
    let inside_a_word = text[cut.len()..].starts_with(char::is_alphanumeric);
    match cut.rfind(char::is_whitespace) {
        Some(space) if inside_a_word => cut[..space].trim_end(),
        Some(_) | None => cut.trim_end(),
    }
}

/// Ends the text before the first stop sequence, as OpenAI does.
fn stop(text: &mut String, citations: &mut Vec<Citation>, stops: &[String]) {
    let Some(at) = stops.iter().filter_map(|stop| text.find(stop.as_str())).min() else { return };
    text.truncate(at);
    let chars = text.chars().count();
    citations.retain(|citation| citation.mark_end <= chars);
}
