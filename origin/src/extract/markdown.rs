//! Markdown: the text is canonical as it is; only front matter goes, and gives the title.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{Extracted, Markup};

/// Bytes in which front matter must end.
const FRONT_MATTER_BYTES_MAX: usize = 16 << 10;

pub(super) fn extract(text: String) -> Extracted {
    let (front_matter, body) = split_front_matter(&text);
    let title = front_matter.and_then(title_of).or_else(|| first_heading(body));
    let start = text.len() - body.len();
    let text = if start == 0 { text } else { text[start..].to_owned() };
    Extracted { title, text, markup: Markup::Markdown }
}

/// The YAML between the `---` lines a file begins with, and what follows them.
fn split_front_matter(text: &str) -> (Option<&str>, &str) {
    let opening = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"));
    let Some(opened) = opening else { return (None, text) };
    let mut at = 0;
    for line in opened.split_inclusive('\n') {
        let end = at + line.len();
        match line.trim_end() {
            "---" | "..." => return (Some(&opened[..at]), &opened[end..]),
            // A document may also begin with a thematic break: then prose follows, and not `key: value`.
            first if at == 0 && !first.contains(':') => break,
            _ if end > FRONT_MATTER_BYTES_MAX => break,
            _ => at = end,
        }
    }
    (None, text)
}

/// The top-level `title:` of front matter, for the one-line forms that people write.
fn title_of(front_matter: &str) -> Option<String> {
    let value = front_matter.lines().find_map(|line| line.strip_prefix("title:"))?.trim();
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .map_or_else(|| value.to_owned(), |inner| inner.replace("''", "'").replace("\\\"", "\""));
    // `|` and `>` begin a block over several lines.
    (!unquoted.trim().is_empty() && !matches!(value, "|" | ">" | "|-" | ">-")).then_some(unquoted)
}

/// The text of the first heading.
pub(super) fn first_heading(text: &str) -> Option<String> {
    let mut title: Option<String> = None;
    for event in Parser::new_ext(text, Options::all()) {
        match (event, title.as_mut()) {
            (Event::Start(Tag::Heading { .. }), None) => title = Some(String::new()),
            (Event::Text(part) | Event::Code(part), Some(title)) => title.push_str(&part),
            (Event::SoftBreak | Event::HardBreak, Some(title)) => title.push(' '),
            (Event::End(TagEnd::Heading(_)), Some(found)) if found.trim().is_empty() => title = None,
            (Event::End(TagEnd::Heading(_)), Some(_)) => break,
            _ => {}
        }
    }
    title
}
