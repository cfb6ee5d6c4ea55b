//! HTML: the main content as Markdown.

use std::rc::Rc;
use std::time::{Duration, Instant};

use htmd::element_handler::{HandlerResult, Handlers};
use htmd::{Element, HtmlToMarkdown, Node};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{NodeData, RcDom};

use super::contain::contained;
use super::{ExtractError, Extracted, Markup, markdown};

/// Bytes of an HTML file: its tree takes about ten times as much memory.
const HTML_BYTES_MAX: usize = 8 << 20;

/// Elements inside elements. Real pages stay below 100; the converter recurses.
const DEPTH_MAX: usize = 512;

/// Seconds for parsing alone, which takes one for 8 MiB; checked between steps of so many bytes.
const PARSE_SECONDS_MAX: u64 = 10;
const STEP_BYTES: usize = 4096;

/// Elements that are no content.
const NOISE: [&str; 18] = [
    "head", "title", "script", "style", "noscript", "template", "iframe", "object", "svg", "canvas", "video",
    "audio", "nav", "footer", "form", "button", "select", "dialog",
];

pub(super) fn extract(html: String) -> Result<Extracted, ExtractError> {
    if html.len() > HTML_BYTES_MAX {
        return Err(ExtractError::too_much("bytes of HTML", HTML_BYTES_MAX as u64));
    }
    contained("HTML", || convert(&html))
}

/// Parses in small steps: the parser's work can grow with the square of the nesting, and a step can be the last.
fn parse(html: &str) -> Result<Rc<Node>, ExtractError> {
    let deadline = Instant::now() + Duration::from_secs(PARSE_SECONDS_MAX);
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let mut parser = parse_document(RcDom::default(), ParseOpts { tree_builder, ..ParseOpts::default() });
    let mut rest = html;
    while !rest.is_empty() {
        let (step, later) = rest.split_at(rest.floor_char_boundary(STEP_BYTES));
        rest = later;
        parser.process(StrTendril::from_slice(step));
        if Instant::now() > deadline {
            return Err(ExtractError::TimedOut { format: "HTML".into(), seconds: PARSE_SECONDS_MAX });
        }
    }
    Ok(parser.finish().document)
}

fn convert(html: &str) -> Result<Extracted, ExtractError> {
    let converter = HtmlToMarkdown::builder()
        .skip_tags(NOISE.to_vec())
        .add_handler(vec!["img"], alternative_text)
        .build();
    let tree = parse(html)?;
    let found = look_through(&tree)?;
    let text = match found.main {
        Some(main) => converter.tree_to_markdown(&main),
        None => converter.tree_to_markdown(&tree),
    };
    // Entities can bring back what the decoder refused.
    let text = text.replace('\0', "");
    let title =
        found.title.filter(|title| !title.trim().is_empty()).or_else(|| markdown::first_heading(&text));
    Ok(Extracted { title, text, markup: Markup::Markdown })
}

/// An image is what its author says it shows; its address, perhaps a megabyte of `data:`, is not text.
#[expect(clippy::needless_pass_by_value, reason = "htmd's handler signature")]
fn alternative_text(_: &dyn Handlers, image: Element<'_>) -> Option<HandlerResult> {
    let alt = image.attrs.iter().find(|attribute| &*attribute.name.local == "alt")?;
    Some(HandlerResult::from(alt.value.to_string()))
}

#[derive(Default)]
struct Found {
    title: Option<String>,
    /// The page's only `main` element.
    main: Option<Rc<Node>>,
}

/// Walks the tree without recursion: it may be too deep for that, which is what is to be found out.
fn look_through(tree: &Rc<Node>) -> Result<Found, ExtractError> {
    let mut found = Found::default();
    let mut mains = 0;
    let mut open = vec![(Rc::clone(tree), 0)];
    while let Some((node, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return Err(ExtractError::too_deep("elements", DEPTH_MAX));
        }
        if let NodeData::Element { name, .. } = &node.data {
            match &*name.local {
                "title" if found.title.is_none() => found.title = Some(text_of(&node)),
                "main" => {
                    mains += 1;
                    found.main = Some(Rc::clone(&node));
                }
                _ => {}
            }
        }
        // Reversed, so that elements are met in document order.
        open.extend(node.children.borrow().iter().rev().map(|child| (Rc::clone(child), depth + 1)));
    }
    found.main = found.main.filter(|main| mains == 1 && !main.children.borrow().is_empty());
    Ok(found)
}

/// The text directly inside an element; `title` has nothing else.
fn text_of(node: &Node) -> String {
    let children = node.children.borrow();
    let texts = children.iter().filter_map(|child| match &child.data {
        NodeData::Text { contents } => Some(contents.borrow().to_string()),
        _ => None,
    });
    texts.collect()
}
