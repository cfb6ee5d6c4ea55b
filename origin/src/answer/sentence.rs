//! A passage's sentences, list items, table rows and code blocks, each with the bytes that it was read from.
//!
//! What is shown is readable Markdown (link targets, emphasis and site generators' markers are gone), and what is
//! quoted is the document's own text, decoration included, so that offsets point to exactly these characters.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use unicode_segmentation::UnicodeSegmentation;

/// Characters of a list item that is kept whole; a longer one falls into sentences.
const ITEM_CHARS_MAX: usize = 400;

/// Spaces by which MkDocs indents what belongs to a marker.
const CONTENT_INDENT: usize = 4;

/// Endings after which a sentence goes on.
const ABBREVIATIONS: &[&str] = &[
    "e.g.", "i.e.", "etc.", "vs.", "cf.", "approx.", "no.", "fig.", "eq.", "mr.", "mrs.", "ms.", "dr.",
    "prof.", "st.", "jr.", "sr.", "inc.", "ltd.", "co.", "z.b.", "d.h.", "bzw.", "u.s.", "c.", "ca.", "al.",
    "resp.",
];

/// One piece of a passage that can stand for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) kind: Kind,
    /// Bytes of the passage's text.
    pub(super) range: Range<usize>,
    /// As Markdown, without its list marker.
    pub(super) shown: String,
    /// The paragraph, list, table or code block that it belongs to, counted through the passage.
    pub(super) block: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sentence,
    Item,
    Row,
    Code,
}

/// Takes a passage apart. Headings, markup and comments are left out.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let markdown = without_site_markers(text);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader::new(text);
    for (event, range) in Parser::new_ext(&markdown, options).into_offset_iter() {
        reader.read(event, range);
    }
    reader.flush();
    reader.units
}

/// The text with MkDocs' and Docusaurus' markers blanked out and the indented content of the former made a block
/// quote. Every byte keeps its place.
fn without_site_markers(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    // How far the markers are indented in whose content the line stands, outermost first.
    let mut inside: Vec<usize> = Vec::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        let indent = line.len() - line.trim_start_matches(' ').len();
        if !bare.is_empty() {
            inside.retain(|marker| indent >= marker + CONTENT_INDENT);
        }
        let marker = ["!!!", "???", "==="].iter().any(|marker| bare.starts_with(marker))
            && !bare.chars().all(|c| matches!(c, '=' | '!' | '?'));
        if marker || bare.starts_with(":::") {
            blanked
                .extend(line.bytes().map(|b| if matches!(b, b'\n' | b'\r') { char::from(b) } else { ' ' }));
            if marker {
                inside.push(indent);
            }
        } else if bare.is_empty() {
            blanked.push_str(line);
        } else {
            // Each level's indentation becomes the sign of a quote, which code can stand in.
            let mut at = 0;
            for marker in &inside {
                blanked.push_str(&line[at..*marker]);
                blanked.push_str(">   ");
                at = marker + CONTENT_INDENT;
            }
            blanked.push_str(&line[at..]);
        }
    }
    blanked
}

/// Inline text being collected, with the way back to where it was read.
#[derive(Debug, Default)]
struct Inline {
    shown: String,
    pieces: Vec<Piece>,
    /// Emphasis and links: the shown bytes inside and the source bytes with the decoration.
    spans: Vec<Span>,
    open: Vec<(usize, Range<usize>)>,
}

#[derive(Debug)]
struct Piece {
    shown: Range<usize>,
    source: Range<usize>,
}

#[derive(Debug)]
struct Span {
    shown: Range<usize>,
    source: Range<usize>,
}

struct Reader<'a> {
    text: &'a str,
    units: Vec<Unit>,
    inline: Inline,
    block: usize,
    /// Whether the text being collected is the first of a list item, at each depth of lists.
    items: Vec<bool>,
    /// Inside of what is no text: headings, images, metadata, HTML.
    skipped: usize,
    code: Option<(String, Range<usize>)>,
    table: Option<Table>,
}

#[derive(Debug, Default)]
struct Table {
    headers: Vec<String>,
    cells: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            units: Vec::new(),
            inline: Inline::default(),
            block: 0,
            items: Vec::new(),
            skipped: 0,
            code: None,
            table: None,
        }
    }

    fn read(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) if self.code.is_some() => {
                if let Some((code, _)) = &mut self.code {
                    code.push_str(&text);
                }
            }
            Event::Text(text) if self.skipped == 0 => self.inline.push(&text, range),
            Event::Code(_) if self.skipped == 0 => {
                let source = self.text.get(range.clone()).unwrap_or_default().replace(['\n', '\r'], " ");
                self.inline.push(&source, range);
            }
            Event::SoftBreak | Event::HardBreak if self.skipped == 0 => self.inline.push(" ", range),
            Event::Rule => self.flush(),
            Event::Text(_)
            | Event::Code(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } => self.inline.open(range),
            Tag::Heading { .. } | Tag::HtmlBlock | Tag::MetadataBlock(_) => {
                self.flush();
                self.skipped += 1;
            }
            Tag::Image { .. } => self.skipped += 1,
            Tag::CodeBlock(kind) => {
                self.flush();
                self.block += 1;
                let language = match kind {
                    CodeBlockKind::Fenced(info) => language(&info).to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((format!("```{language}\n"), range));
            }
            Tag::Item => {
                self.flush();
                self.items.push(true);
            }
            Tag::List(_) | Tag::Paragraph => {
                self.flush();
                self.block += 1;
            }
            Tag::Table(_) => {
                self.flush();
                self.block += 1;
                self.table = Some(Table::default());
            }
            Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.cells.clear();
                }
            }
            Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => self.flush(),
            Tag::TableHead
            | Tag::TableCell
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link => self.inline.close(),
            TagEnd::Heading(_) | TagEnd::HtmlBlock | TagEnd::MetadataBlock(_) => {
                self.inline = Inline::default();
                self.skipped = self.skipped.saturating_sub(1);
            }
            TagEnd::Image => self.skipped = self.skipped.saturating_sub(1),
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::Item => {
                self.flush();
                self.items.pop();
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline).shown.trim().to_owned();
                if let Some(table) = &mut self.table {
                    table.cells.push(cell);
                }
            }
            TagEnd::TableHead => {
                if let Some(table) = &mut self.table {
                    table.headers = std::mem::take(&mut table.cells);
                }
            }
            TagEnd::TableRow => self.end_row(range),
            TagEnd::Table => self.table = None,
            TagEnd::Paragraph | TagEnd::List(_) | TagEnd::BlockQuote(_) | TagEnd::FootnoteDefinition => {
                self.flush();
            }
            TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Superscript
            | TagEnd::Subscript => {}
        }
    }

    fn end_code(&mut self) {
        let Some((mut shown, range)) = self.code.take() else { return };
        if !shown.ends_with('\n') {
            shown.push('\n');
        }
        // A fence longer than any run inside, so that the code cannot end its own block.
        let run = longest_run_of_ticks(&shown[3..]);
        let fence = "`".repeat(if run >= 3 { run + 1 } else { 3 });
        let shown = format!("{fence}{}{fence}", &shown[3..]);
        self.add(Kind::Code, range, shown);
    }

    fn end_row(&mut self, range: Range<usize>) {
        let Some(table) = &self.table else { return };
        let cells = table.cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty());
        let named: Vec<String> = cells
            .map(|(column, cell)| match table.headers.get(column).filter(|header| !header.is_empty()) {
                Some(header) => format!("{header}: {cell}"),
                None => cell.clone(),
            })
            .collect();
        self.add(Kind::Row, range, named.join("; "));
    }

    /// Ends the inline text collected so far.
    fn flush(&mut self) {
        let inline = std::mem::take(&mut self.inline);
        if self.skipped > 0 || inline.pieces.is_empty() {
            return;
        }
        let first_of_item = self.items.last_mut().is_some_and(std::mem::take);
        if first_of_item && inline.shown.chars().count() <= ITEM_CHARS_MAX {
            let whole = 0..inline.shown.len();
            let range = inline.source(&whole);
            self.add(Kind::Item, range, inline.shown.clone());
            return;
        }
        for sentence in sentences(&inline.shown) {
            let range = inline.source(&sentence);
            self.add(Kind::Sentence, range, inline.shown[sentence].to_owned());
        }
    }

    fn add(&mut self, kind: Kind, range: Range<usize>, shown: String) {
        let Some(source) = self.text.get(range.clone()) else { return };
        let start = range.start + (source.len() - source.trim_start().len());
        let end = range.start + source.trim_end().len();
        let shown = shown.trim();
        if start < end && shown.chars().any(char::is_alphanumeric) {
            self.units.push(Unit { kind, range: start..end, shown: shown.to_owned(), block: self.block });
        }
    }
}

impl Inline {
    fn push(&mut self, shown: &str, source: Range<usize>) {
        let start = self.shown.len();
        self.shown.push_str(shown);
        self.pieces.push(Piece { shown: start..self.shown.len(), source });
    }

    fn open(&mut self, source: Range<usize>) {
        self.open.push((self.shown.len(), source));
    }

    fn close(&mut self) {
        if let Some((start, source)) = self.open.pop() {
            self.spans.push(Span { shown: start..self.shown.len(), source });
        }
    }

    /// Where shown bytes were read, with the decoration that belongs to them alone.
    fn source(&self, shown: &Range<usize>) -> Range<usize> {
        let mut all: Option<Range<usize>> = None;
        for piece in &self.pieces {
            let start = piece.shown.start.max(shown.start);
            let end = piece.shown.end.min(shown.end);
            if start >= end {
                continue;
            }
            // An escape or an entity is longer in the source than shown: then the piece counts as a whole.
            let same = piece.shown.len() == piece.source.len();
            let source = if same {
                piece.source.start + (start - piece.shown.start)
                    ..piece.source.start + (end - piece.shown.start)
            } else {
                piece.source.clone()
            };
            all = Some(join(all, &source));
        }
        for span in &self.spans {
            if !span.shown.is_empty() && span.shown.start >= shown.start && span.shown.end <= shown.end {
                all = Some(join(all, &span.source));
            }
        }
        all.unwrap_or(0..0)
    }
}

fn join(all: Option<Range<usize>>, more: &Range<usize>) -> Range<usize> {
    all.map_or_else(|| more.clone(), |all| all.start.min(more.start)..all.end.max(more.end))
}

/// The sentences of a paragraph on one line, as byte ranges without outer white space.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut goes_on = false;
    for (start, piece) in text.split_sentence_bound_indices() {
        let end = start + piece.trim_end().len();
        match found.last_mut() {
            Some(last) if goes_on => last.end = end,
            _ => found.push(start..end),
        }
        goes_on = ends_with_abbreviation(piece.trim_end());
    }
    found.retain(|range| !range.is_empty());
    found
}

fn ends_with_abbreviation(sentence: &str) -> bool {
    let Some(last) = sentence.split_whitespace().next_back() else { return true };
    let last = last.trim_start_matches(['(', '[', '"']).to_lowercase();
    // "J." as in "J. Smith", and the known ones.
    let initial =
        last.len() == 2 && last.ends_with('.') && last.starts_with(char::is_alphabetic) && last != "i.";
    initial || ABBREVIATIONS.contains(&last.as_str())
}

/// The language of a fence's info string, if it is a plain name.
fn language(info: &str) -> &str {
    let name = info.split([' ', ',', '{']).next().unwrap_or_default();
    if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '#')) {
        name
    } else {
        ""
    }
}

fn longest_run_of_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
