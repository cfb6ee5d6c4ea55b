//! JSON Lines: one document on each line.

use perigee_shared::document::Format;
use perigee_shared::id::Label;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of one line; the longest document fits even where each character is escaped.
const LINE_BYTES_MAX: usize = 64 << 20;

/// The document of one line.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonLine {
    /// Line in the file, from 1.
    pub line: usize,
    /// `_id` or `id`; numbers are taken as they are written.
    pub id: String,
    /// `title`.
    pub title: Option<String>,
    /// `url`.
    pub url: Option<String>,
    /// `format`, by default plain text.
    pub format: Format,
    /// `text` or `content`.
    pub text: String,
    /// `metadata`.
    pub metadata: Map<String, Value>,
    /// `audience`: who may read it. Never passed over: a line that names it wrongly is refused.
    pub audience: Vec<Label>,
}

/// Why a line is no document; the other lines are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct JsonLineError {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Unknown fields are ignored: data sets carry fields of their own.
#[derive(Deserialize)]
struct Raw {
    /// First choice of the two: data sets that have both number their lines in `id`.
    #[serde(default)]
    _id: Option<Id>,
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    format: Option<Format>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    audience: Option<Vec<Label>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

/// The documents of a file, in order; blank lines are passed over. Lazy: a line is parsed when it is asked for.
pub fn json_lines(bytes: &[u8]) -> impl Iterator<Item = Result<JsonLine, JsonLineError>> + '_ {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| parse(index + 1, line))
}

fn parse(line: usize, bytes: &[u8]) -> Result<JsonLine, JsonLineError> {
    let refuse = |reason: String| JsonLineError { line, reason };
    if bytes.len() > LINE_BYTES_MAX {
        return Err(refuse(format!("it is longer than {LINE_BYTES_MAX} bytes")));
    }
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| {
        // The parser counts lines from this one.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        refuse(format!("it is not a document ({message} at column {})", error.column()))
    })?;
    Ok(JsonLine {
        line,
        id: match raw._id.or(raw.id) {
            Some(Id::Text(text)) => text,
            Some(Id::Number(number)) => number.to_string(),
            None => return Err(refuse("it has no id".to_owned())),
        },
        title: raw.title.filter(|title| !title.trim().is_empty()),
        url: raw.url.filter(|url| !url.is_empty()),
        format: raw.format.unwrap_or(Format::Text),
        text: raw.text.or(raw.content).ok_or_else(|| refuse("it has no text".to_owned()))?,
        metadata: raw.metadata.unwrap_or_default(),
        audience: raw.audience.unwrap_or_default(),
    })
}
