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
    /// The heading that this one stands under, as an index.
    under: Option<usize>,
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
                            outline.open(range.start, end, level as u8);
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

    fn open(&mut self, start: usize, end: usize, level: u8) {
        // Up from the last one: whatever is passed over is closed for good, so that all steps together are few.
        let mut under = self.headings.len().checked_sub(1);
        while let Some(heading) = under.and_then(|at| self.headings.get(at)).filter(|one| one.level >= level)
        {
            under = heading.under;
        }
        self.headings.push(Heading { start, end, level, under, title: String::new() });
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
        let mut path = Vec::new();
        let mut above = last.checked_sub(1);
        while let Some(heading) = above.and_then(|at| self.headings.get(at)) {
            if !heading.title.trim().is_empty() {
                path.push(heading.title.trim().to_owned());
            }
            above = heading.under;
        }
        path.reverse();
        path
    }
}

fn skip_white_space(text: &str, offset: usize) -> usize {
    text.get(offset..).map_or(offset, |rest| text.len() - rest.trim_start().len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A heading stands under the nearest one before it of each lower level, as whoever reads upwards finds.
        #[test]
        fn a_path_is_what_is_found_by_reading_upwards(levels in prop::collection::vec(1_u8..=6, 0..40)) {
            let line = |(number, level): (usize, &u8)| format!("{} h{number}\n\ntext\n\n", "#".repeat(usize::from(*level)));
            let text: String = levels.iter().enumerate().map(line).collect();
            let outline = Outline::of_markdown(&text);
            prop_assert_eq!(outline.headings.len(), levels.len());
            for (last, heading) in outline.headings.iter().enumerate() {
                let mut path = Vec::new();
                let mut lowest = u8::MAX;
                for (number, level) in levels[..=last].iter().enumerate().rev() {
                    if *level < lowest {
                        path.insert(0, format!("h{number}"));
                        lowest = *level;
                    }
                }
                prop_assert_eq!(outline.path(heading.start, heading.end + 1), path);
            }
        }
    }

    #[test]
    fn headings_without_end_are_each_looked_at_once() {
        let text = "## a\n".repeat(200_000);
        let outline = Outline::of_markdown(&text);
        // Were those before it looked through for a higher one, this would be 2 * 10^10 steps.
        assert!(outline.headings.iter().all(|heading| outline.path(heading.start, heading.end) == ["a"]));
    }
}
