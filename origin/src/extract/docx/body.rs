//! `word/document.xml` to Markdown: headings by style, lists by numbering, tables row by row.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::styles::{Styles, outline_level};
use crate::extract::{Bounded, ExtractError};

/// Open paragraphs and tables inside each other: text boxes and tables in tables. Word's own limit is below.
const NESTING_MAX: usize = 64;

/// The text of the document's paragraphs and tables.
pub(super) fn to_markdown(xml: &str, styles: &Styles) -> Result<String, ExtractError> {
    let mut reader = Reader::from_str(xml);
    let mut body = Body {
        styles,
        out: Bounded::default(),
        paragraphs: Vec::new(),
        tables: Vec::new(),
        in_text: false,
        in_fallback: 0,
        after_list_item: false,
    };
    loop {
        match reader.read_event().map_err(|error| ExtractError::broken("DOCX", error))? {
            Event::Start(tag) => body.start(&tag, false)?,
            Event::Empty(tag) => body.start(&tag, true)?,
            Event::End(tag) => body.end(tag.local_name().as_ref())?,
            Event::Text(part) if body.in_text => body.text(&part.xml10_content()),
            Event::CData(part) if body.in_text => body.text(&part.xml10_content()),
            Event::GeneralRef(reference) if body.in_text => {
                body.text(resolve(&reference).as_deref().unwrap_or_default());
            }
            Event::Eof => return Ok(body.out.text),
            _ => {}
        }
    }
}

/// A character reference or one of XML's five entities; others are dropped, never expanded.
pub(super) fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(reference.as_ref()).map(str::to_owned)
}

#[derive(Default)]
struct Paragraph {
    text: String,
    heading: Option<usize>,
    list_level: Option<usize>,
}

#[derive(Default)]
struct Table {
    rows: usize,
    cells: Vec<String>,
}

struct Body<'a> {
    styles: &'a Styles,
    out: Bounded,
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    in_text: bool,
    /// Open elements whose content another element repeats.
    in_fallback: usize,
    after_list_item: bool,
}

impl Body<'_> {
    fn start(&mut self, tag: &BytesStart<'_>, empty: bool) -> Result<(), ExtractError> {
        match tag.local_name().as_ref() {
            "Fallback" if !empty => self.in_fallback += 1,
            _ if self.in_fallback > 0 => {}
            "p" if !empty => {
                self.check_nesting()?;
                self.paragraphs.push(Paragraph::default());
            }
            "tbl" if !empty => {
                self.check_nesting()?;
                self.tables.push(Table::default());
            }
            "tc" => {
                if let Some(table) = self.tables.last_mut() {
                    table.cells.push(String::new());
                }
            }
            "pStyle" => {
                let level = value(tag).and_then(|style| self.styles.heading_level(&style));
                self.on_paragraph(|paragraph| paragraph.heading = paragraph.heading.or(level));
            }
            "outlineLvl" => {
                let level = outline_level(tag);
                self.on_paragraph(|paragraph| paragraph.heading = level);
            }
            "numPr" => self.on_paragraph(|paragraph| paragraph.list_level = Some(0)),
            "ilvl" => {
                let level = value(tag).and_then(|level| level.parse().ok()).unwrap_or(0_usize).min(8);
                self.on_paragraph(|paragraph| paragraph.list_level = Some(level));
            }
            "t" => self.in_text = !empty,
            "tab" | "br" | "cr" => self.text(" "),
            "noBreakHyphen" => self.text("-"),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), ExtractError> {
        match name {
            "Fallback" => self.in_fallback = self.in_fallback.saturating_sub(1),
            _ if self.in_fallback > 0 => {}
            "t" => self.in_text = false,
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.write_paragraph(&paragraph)?;
                }
            }
            "tr" => self.write_row()?,
            "tbl" => {
                self.tables.pop();
                if self.tables.is_empty() {
                    self.out.push("\n")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_nesting(&self) -> Result<(), ExtractError> {
        if self.paragraphs.len() + self.tables.len() >= NESTING_MAX {
            return Err(ExtractError::too_deep("tables and text boxes", NESTING_MAX));
        }
        Ok(())
    }

    fn on_paragraph(&mut self, change: impl FnOnce(&mut Paragraph)) {
        if let Some(paragraph) = self.paragraphs.last_mut() {
            change(paragraph);
        }
    }

    fn text(&mut self, part: &str) {
        if self.in_fallback == 0 {
            self.on_paragraph(|paragraph| paragraph.text.push_str(part));
        }
    }

    fn write_paragraph(&mut self, paragraph: &Paragraph) -> Result<(), ExtractError> {
        let text = paragraph.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(cell) = self.tables.last_mut().and_then(|table| table.cells.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(text);
            return Ok(());
        }
        let list_item = paragraph.list_level.filter(|_| paragraph.heading.is_none());
        if self.after_list_item && list_item.is_none() {
            self.out.push("\n")?;
        }
        self.after_list_item = list_item.is_some();
        match (paragraph.heading, list_item) {
            (Some(level), _) => self.out.push(&format!("{} {text}\n\n", "#".repeat(level))),
            (None, Some(level)) => self.out.push(&format!("{}- {text}\n", "  ".repeat(level))),
            // A paragraph that merely begins with the mark of a heading is none.
            (None, None) if text.starts_with('#') => self.out.push(&format!("\\{text}\n\n")),
            (None, None) => self.out.push(&format!("{text}\n\n")),
        }
    }

    fn write_row(&mut self) -> Result<(), ExtractError> {
        let outer = self.tables.len() == 1;
        let Some(table) = self.tables.last_mut() else { return Ok(()) };
        let cells = std::mem::take(&mut table.cells);
        table.rows += 1;
        if outer {
            let first = table.rows == 1;
            if first && self.after_list_item {
                self.after_list_item = false;
                self.out.push("\n")?;
            }
            self.out.push(&format!("| {} |\n", cells.join(" | ")))?;
            if first {
                self.out.push(&format!("|{}\n", " --- |".repeat(cells.len().max(1))))?;
            }
            return Ok(());
        }
        // A table in a table becomes part of the outer one's cell.
        let position = self.tables.len() - 2;
        if let Some(cell) = self.tables[position].cells.last_mut() {
            cell.push(' ');
            cell.push_str(&cells.join(" "));
        }
        Ok(())
    }
}

/// The `w:val` attribute.
pub(super) fn value(tag: &BytesStart<'_>) -> Option<String> {
    attribute(tag, "val")
}

/// An attribute, whatever its namespace's prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    let mut attributes = attributes.with_checks(false).flatten();
    attributes.find(|attribute| attribute.key.local_name().as_ref() == name).map(|a| a.value.into_owned())
}
