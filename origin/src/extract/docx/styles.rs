//! `word/styles.xml`: which styles are headings. A style's id is translated with Word's menus (`berschrift1`), its name
//! and its outline level are not.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::body::{attribute, value};

/// Styles that are read; a document has a few hundred.
const STYLES_MAX: usize = 10_000;

/// Styles that a style may rest on, one upon the other; Word itself stops at 11.
const ANCESTRY_MAX: usize = 11;

/// The heading level of each style that has one, by the style's id.
#[derive(Debug, Default)]
pub(super) struct Styles(HashMap<String, usize>);

#[derive(Default)]
struct Style {
    level: Option<usize>,
    based_on: Option<String>,
}

impl Styles {
    /// Reads as far as the file can be read: a document without styles is still a document.
    pub(super) fn read(xml: &str) -> Self {
        let mut reader = Reader::from_str(xml);
        let mut styles: HashMap<String, Style> = HashMap::new();
        let mut current = None;
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                    "style" if styles.len() < STYLES_MAX => {
                        current = attribute(&tag, "styleId");
                        if let Some(id) = &current {
                            styles.insert(id.clone(), Style::default());
                        }
                    }
                    name => {
                        if let Some(style) = current.as_ref().and_then(|id| styles.get_mut(id)) {
                            style.note(name, &tag);
                        }
                    }
                },
                Event::Eof => break,
                _ => {}
            }
        }
        let levels = styles.keys().filter_map(|id| Some((id.clone(), inherited(&styles, id)?)));
        Self(levels.collect())
    }

    /// The level, from 1, of a paragraph in this style.
    pub(super) fn heading_level(&self, style: &str) -> Option<usize> {
        self.0.get(style).copied().or_else(|| named_level(style))
    }
}

impl Style {
    fn note(&mut self, element: &str, tag: &BytesStart<'_>) {
        match element {
            "name" => self.level = value(tag).and_then(|name| named_level(&name)).or(self.level),
            "outlineLvl" => self.level = self.level.or_else(|| outline_level(tag)),
            "basedOn" => self.based_on = value(tag),
            _ => {}
        }
    }
}

fn inherited(styles: &HashMap<String, Style>, id: &str) -> Option<usize> {
    let mut style = styles.get(id)?;
    for _ in 0..ANCESTRY_MAX {
        if style.level.is_some() {
            return style.level;
        }
        style = styles.get(style.based_on.as_ref()?)?;
    }
    None
}

/// `w:outlineLvl` counts from 0; 9 stands for body text.
pub(super) fn outline_level(tag: &BytesStart<'_>) -> Option<usize> {
    let level: usize = value(tag)?.parse().ok()?;
    (level < 9).then(|| (level + 1).min(6))
}

/// `heading 1` to `heading 9`, as Word names the styles in every language, and the variants that other programs write.
fn named_level(style: &str) -> Option<usize> {
    let style = style.to_ascii_lowercase().replace([' ', '_', '-'], "");
    if style == "title" {
        return Some(1);
    }
    let level: usize = style.strip_prefix("heading")?.parse().ok()?;
    (1..=9).contains(&level).then(|| level.min(6))
}
