//! The bytes of a file to its canonical text, the text that passages and citations' offsets point into.
//!
//! | format   | canonical text | read as |
//! |----------|----------------|---------|
//! | markdown | the file's own text, without byte order mark and front matter | Markdown |
//! | text     | the file's own text, without byte order mark | plain |
//! | html     | the main content converted to Markdown, without scripts, styles, navigation and forms | Markdown |
//! | pdf      | the text of the pages in order, without control characters | plain |
//! | docx     | headings, paragraphs, lists and tables as Markdown | Markdown |
//! | csv      | each row as `column: value` lines, rows separated by blank lines | plain |
//! | json     | each value as a `path: value` line, elements of a top-level array separated by blank lines | plain |
//!
//! Files come from anywhere. A server reads those of complicated formats through a [`Reader`], in a process of its own each:
//! their parsers cannot be trusted with memory and time that other callers need.

mod confine;
mod contain;
mod csv;
mod decode;
mod docx;
mod error;
mod html;
mod json;
mod json_lines;
mod markdown;
mod pdf;
mod pdf_check;
mod reader;
mod sniff;

use perigee_shared::document::Format;
use perigee_shared::limits::{DOCUMENT_CHARS_MAX, TITLE_CHARS_MAX};
use serde::{Deserialize, Serialize};

pub use self::confine::{Bounds, read_confined};
pub use self::error::ExtractError;
pub use self::json_lines::{JsonLine, JsonLineError, json_lines};
pub use self::reader::{Reader, ReaderOptions};
pub use self::sniff::{is_json_lines, sniff};

/// How a canonical text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Markup {
    /// Headings, lists, tables and code blocks in Markdown.
    Markdown,
    /// Paragraphs separated by blank lines; no character means anything but itself.
    Plain,
}

/// A document as the rest of the origin sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// What the document calls itself, if it does.
    pub title: Option<String>,
    /// The canonical text.
    pub text: String,
    /// How to read it.
    pub markup: Markup,
}

/// Reads a file. Blocking, usually for milliseconds; a hostile PDF may take for ever, and all memory.
///
/// # Errors
/// What is wrong with the file, in words for whoever sent it.
pub fn extract(format: Format, bytes: &[u8]) -> Result<Extracted, ExtractError> {
    let extracted = match format {
        Format::Markdown => markdown::extract(decode::text(bytes)?),
        Format::Text => Extracted { title: None, text: decode::text(bytes)?, markup: Markup::Plain },
        Format::Html => html::extract(decode::text(bytes)?)?,
        Format::Pdf => pdf::extract(bytes)?,
        Format::Docx => docx::extract(bytes)?,
        Format::Csv => csv::extract(&decode::text(bytes)?)?,
        Format::Json => json::extract(&decode::text(bytes)?)?,
    };
    finish(extracted)
}

/// The checks that every format shares.
fn finish(extracted: Extracted) -> Result<Extracted, ExtractError> {
    let Extracted { title, text, markup } = extracted;
    if text.trim().is_empty() {
        return Err(ExtractError::Empty);
    }
    // Bytes first: counting characters of a text that is short enough either way is wasted.
    if text.len() > DOCUMENT_CHARS_MAX && text.chars().count() > DOCUMENT_CHARS_MAX {
        return Err(ExtractError::TooLong);
    }
    Ok(Extracted { title: title.and_then(|title| clean_title(&title)), text, markup })
}

/// A title on one line and within its limit, if there is anything left of it.
fn clean_title(title: &str) -> Option<String> {
    let words = title.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line: String = words.collect::<Vec<_>>().join(" ").chars().take(TITLE_CHARS_MAX).collect();
    (!line.is_empty()).then_some(line)
}

/// A text being written that stops growing at the longest document there may be.
#[derive(Default)]
struct Bounded {
    text: String,
}

impl Bounded {
    fn push(&mut self, part: &str) -> Result<(), ExtractError> {
        // Four bytes is the longest character: beyond this the text is too long however it is counted.
        if self.text.len() + part.len() > DOCUMENT_CHARS_MAX * 4 {
            return Err(ExtractError::TooLong);
        }
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
