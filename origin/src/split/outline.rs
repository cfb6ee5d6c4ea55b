//! The headings of a document and the places where it may be cut without hurting anything.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Structure of one text; all offsets are bytes.
pub(super) struct Outline {
    headings: Vec<Heading>,
    /// Starts of top-level blocks, ascending.
    boundaries: Vec<usize>,
}

struct Heading {
    start: usize,
    /// One past the white space that follows the heading.
    end: usize,
    level: u8,
    title: String,
}

impl Outline {
    /// Top-level headings and blocks. A `#` inside a code block, quote or list is not a heading here.
    pub(super) fn of_markdown(text: &str) -> Self {
        let mut outline = Self { headings: Vec::new(), boundaries: Vec::new() };
        let mut depth = 0_usize;
        let mut inside_heading = false;
        for (event, range) in Parser::new_ext(text, Options::all()).into_offset_iter() {
            match event {
                Event::Start(tag) => {
                    if depth == 0 {
                        outline.boundaries.push(range.start);
                        if let Tag::Heading { level, .. } = tag {
                            let end = skip_white_space(text, range.end);
                            let level = level as u8;
                            outline.headings.push(Heading {
                                start: range.start,
                                end,
                                level,
                                title: String::new(),
                            });
                            inside_heading = true;
                        }
                    }
                    depth += 1;
                }
                Event::End(tag) => {
                    depth = depth.saturating_sub(1);
                    if matches!(tag, TagEnd::Heading(_)) {
                        inside_heading = false;
                    }
                }
                Event::Text(part) | Event::Code(part) | Event::InlineMath(part) if inside_heading => {
                    if let Some(heading) = outline.headings.last_mut() {
                        heading.title.push_str(&part);
                    }
                }
                _ => {}
            }
        }
        outline
    }

    /// Paragraphs only.
    pub(super) fn of_plain(text: &str) -> Self {
        let boundaries = text.match_indices("\n\n").map(|(at, blank)| at + blank.len()).collect();
        Self { headings: Vec::new(), boundaries }
    }

    pub(super) fn boundaries(&self) -> &[usize] {
        &self.boundaries
    }

    /// The first heading that starts at `offset` or later, as an index.
    fn first_from(&self, offset: usize) -> usize {
        self.headings.partition_point(|heading| heading.start < offset)
    }

    /// Whether `start..end` holds headings and nothing else.
    pub(super) fn only_headings(&self, start: usize, end: usize) -> bool {
        let mut at = start;
        for heading in &self.headings[self.first_from(start)..] {
            if heading.start != at || at >= end {
                break;
            }
            at = heading.end;
        }
        at > start && at >= end
    }

    /// Titles in force where `start..end` begins to say something: those above it, then those that open it.
    pub(super) fn path(&self, start: usize, end: usize) -> Vec<String> {
        let mut last = self.first_from(start);
        let mut at = start;
        while let Some(heading) = self.headings.get(last).filter(|heading| heading.start == at && at < end) {
            at = heading.end;
            last += 1;
        }
        let mut level = u8::MAX;
        let mut path = Vec::new();
        for heading in self.headings[..last].iter().rev() {
            if heading.level < level {
                level = heading.level;
                if !heading.title.trim().is_empty() {
                    path.push(heading.title.trim().to_owned());
                }
            }
            if level == 1 {
                break;
            }
        }
        path.reverse();
        path
    }
}

fn skip_white_space(text: &str, offset: usize) -> usize {
    text.get(offset..).map_or(offset, |rest| text.len() - rest.trim_start().len())
}
