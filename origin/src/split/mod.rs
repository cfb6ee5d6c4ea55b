//! A document's canonical text to passages: pieces of about a paragraph or two that the model can read whole,
//! with the headings they stand under and exact offsets. No text is changed, and none but white space is lost.

mod measure;
mod outline;
mod window;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use text_splitter::{ChunkConfig, MarkdownSplitter, TextSplitter};
use tokenizers::Tokenizer;

use self::measure::Measure;
use self::outline::Outline;
use crate::extract::{Extracted, Markup};

/// Word pieces of a passage's own text: neighbours are joined up to the first number, and a passage grows to the
/// second where that keeps a paragraph or section whole.
const PIECE_TOKENS: std::ops::RangeInclusive<usize> = 120..=216;

/// A heading that would be a passage by itself is joined to its section up to this size. With the context and the
/// model's two marker tokens a passage stays within the 256 word pieces that the model reads.
const JOINED_TOKENS_MAX: usize = 232;

/// Characters of headings put before a passage's text when it is embedded: about 20 word pieces.
const CONTEXT_CHARS_MAX: usize = 90;

/// Passages of one document: 8,000,000 characters, the longest document, make about 10,000 of ordinary text;
/// beyond that it is a file of fragments that would drown the corpus.
pub const PASSAGES_PER_DOCUMENT_MAX: usize = 20_000;

/// A passage before it has an id and a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// First character, counted in Unicode scalar values of the canonical text.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
    /// The headings it stands under, outermost first, without marks. A heading that opens the piece is among them.
    pub headings: Vec<String>,
    /// The characters `start..end` of the canonical text.
    pub text: String,
}

/// Why a document cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// More pieces than one document may have.
    #[error(
        "the document falls into more than {PASSAGES_PER_DOCUMENT_MAX} passages; split the file into several documents"
    )]
    TooManyPassages,
    /// The tokenizer or splitter failed on this text.
    #[error("the document's text cannot be split into passages")]
    Unsplittable,
}

/// Splits documents; cheap to clone, safe to share.
#[derive(Clone)]
pub struct Splitter {
    tokenizer: Arc<Tokenizer>,
    pieces_max: usize,
}

impl Splitter {
    /// A splitter that measures with `tokenizer`, which must neither truncate nor pad.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, pieces_max: PASSAGES_PER_DOCUMENT_MAX }
    }

    /// The passages of a document, in order, without overlap. Blocking: about half a second for a megabyte.
    ///
    /// # Errors
    /// Too many passages, or a text that the tokenizer refuses.
    pub fn split(&self, extracted: &Extracted) -> Result<Vec<Piece>, SplitError> {
        let text = extracted.text.as_str();
        let outline = match extracted.markup {
            Markup::Markdown => Outline::of_markdown(text),
            Markup::Plain => Outline::of_plain(text),
        };
        let mut pieces = Pieces { text, outline: &outline, at: (0, 0), done: Vec::new() };
        for window in window::windows(text, outline.boundaries()) {
            let measure =
                Measure::of(&self.tokenizer, &text[window.clone()]).ok_or(SplitError::Unsplittable)?;
            let chunks = chunks(&text[window.clone()], extracted.markup, &measure)?;
            for (start, end) in join_lone_headings(chunks, &window, &outline, &measure) {
                pieces.push(window.start + start, window.start + end);
            }
            if pieces.done.len() > self.pieces_max {
                return Err(SplitError::TooManyPassages);
            }
        }
        Ok(pieces.done)
    }
}

/// What is embedded for a passage: where it stands, then what it says.
///
/// The title and headings that the text repeats at its start are left out, and long ones are cut, so that the
/// context never pushes the text out of the model's sight.
pub fn embedding_text(title: &str, headings: &[String], text: &str) -> String {
    let mut context: Vec<&str> = Vec::new();
    for part in std::iter::once(title).chain(headings.iter().map(String::as_str)).map(str::trim) {
        if !part.is_empty() && !context.contains(&part) && !opens_with(text, part) {
            context.push(part);
        }
    }
    // The title says most, then the nearest heading; what lies between goes first.
    while context.len() > 2 && chars(&context) > CONTEXT_CHARS_MAX {
        context.remove(1);
    }
    let context: String = context.join(": ").chars().take(CONTEXT_CHARS_MAX).collect();
    if context.is_empty() { text.to_owned() } else { format!("{context}\n{text}") }
}

fn chars(parts: &[&str]) -> usize {
    parts.iter().map(|part| part.chars().count() + 2).sum()
}

/// Whether one of the heading lines that `text` begins with is `part`.
fn opens_with(text: &str, part: &str) -> bool {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .take_while(|line| line.starts_with('#'))
        .any(|line| line.trim_matches(['#', ' ']) == part)
}

/// Byte ranges of a window's chunks.
fn chunks(window: &str, markup: Markup, measure: &Measure) -> Result<Vec<(usize, usize)>, SplitError> {
    let range = |(start, chunk): (usize, &str)| (start, start + chunk.len());
    let config = || ChunkConfig::new(PIECE_TOKENS).with_sizer(measure);
    let markdown = || MarkdownSplitter::new(config()).chunk_indices(window).map(range).collect();
    let plain = || TextSplitter::new(config()).chunk_indices(window).map(range).collect();
    // Both splitters assert things about the text's structure. Nothing outlives the call, so unwinding is safe,
    // and a text that breaks the Markdown splitter can still be split as the plain text that it also is.
    let split = match markup {
        Markup::Markdown => {
            catch_unwind(AssertUnwindSafe(markdown)).or_else(|_| catch_unwind(AssertUnwindSafe(plain)))
        }
        Markup::Plain => catch_unwind(AssertUnwindSafe(plain)),
    };
    split.map_err(|_| SplitError::Unsplittable)
}

/// A chunk of nothing but headings belongs to the text below it.
fn join_lone_headings(
    chunks: Vec<(usize, usize)>,
    window: &std::ops::Range<usize>,
    outline: &Outline,
    measure: &Measure,
) -> Vec<(usize, usize)> {
    let mut joined: Vec<(usize, usize)> = Vec::with_capacity(chunks.len());
    for (start, end) in chunks {
        match joined.last_mut() {
            Some(last)
                if outline.only_headings(window.start + last.0, window.start + last.1)
                    && measure.tokens(last.0, end) <= JOINED_TOKENS_MAX =>
            {
                last.1 = end;
            }
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Pieces so far, with a cursor that turns bytes into characters in one pass.
struct Pieces<'a> {
    text: &'a str,
    outline: &'a Outline,
    /// A byte offset and its character offset.
    at: (usize, usize),
    done: Vec<Piece>,
}

impl Pieces<'_> {
    fn push(&mut self, start: usize, end: usize) {
        let text = &self.text[start..end];
        let first = self.at.1 + self.text[self.at.0..start].chars().count();
        let last = first + text.chars().count();
        self.at = (end, last);
        self.done.push(Piece {
            start: first,
            end: last,
            headings: self.outline.path(start, end),
            text: text.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests;
