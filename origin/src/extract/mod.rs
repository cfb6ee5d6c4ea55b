//! The bytes of a file to its canonical text, the text that passages and citations' offsets point into.

/// How a canonical text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Headings, lists, tables and code blocks in Markdown.
    Markdown,
    /// Paragraphs separated by blank lines; no character means anything but itself.
    Plain,
}

/// A document as the rest of the origin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// What the document calls itself, if it does.
    pub title: Option<String>,
    /// The canonical text.
    pub text: String,
    /// How to read it.
    pub markup: Markup,
}
