//! JSON: each value on a line behind the path that leads to it.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Bounded, ExtractError, Extracted, Markup};

/// Bytes of a JSON file: the parsed values take up to sixteen times as much memory.
const JSON_BYTES_MAX: usize = 8 << 20;

/// Levels of arrays and objects; the parser's own bound.
const DEPTH_MAX: usize = 128;

pub(super) fn extract(text: &str) -> Result<Extracted, ExtractError> {
    if text.len() > JSON_BYTES_MAX {
        return Err(ExtractError::too_much("bytes of JSON", JSON_BYTES_MAX as u64));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // The parser has no name for this error.
        if error.to_string().starts_with("recursion limit") {
            ExtractError::too_deep("arrays and objects", DEPTH_MAX)
        } else {
            ExtractError::broken("JSON", error)
        }
    })?;
    let title = value.get("title").and_then(Value::as_str).map(str::to_owned);
    let mut lines = Lines { out: Bounded::default(), path: String::new() };
    if let Value::Array(records) = &value {
        for record in records {
            // A record is a paragraph, and its place in the array means nothing to a reader.
            if !lines.out.text.is_empty() && !lines.out.text.ends_with("\n\n") {
                lines.out.push("\n")?;
            }
            lines.write(record)?;
        }
    } else {
        lines.write(&value)?;
    }
    Ok(Extracted { title, text: lines.out.text, markup: Markup::Plain })
}

struct Lines {
    out: Bounded,
    path: String,
}

impl Lines {
    /// Recursive: the parser admits only so many levels.
    fn write(&mut self, value: &Value) -> Result<(), ExtractError> {
        match value {
            Value::Null => Ok(()),
            Value::Bool(flag) => self.line(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.line(&number.to_string()),
            Value::String(text) => self.line(text.trim()),
            Value::Array(values) => self.values(values),
            Value::Object(fields) => {
                for (name, field) in fields {
                    let length = self.path.len();
                    if length > 0 {
                        self.path.push('.');
                    }
                    self.path.push_str(name);
                    self.write(field)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
        }
    }

    fn values(&mut self, values: &[Value]) -> Result<(), ExtractError> {
        for (index, value) in values.iter().enumerate() {
            let length = self.path.len();
            // A list of plain values reads better without numbers.
            if value.is_array() || value.is_object() {
                let _ = write!(self.path, "[{index}]");
            }
            self.write(value)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn line(&mut self, value: &str) -> Result<(), ExtractError> {
        if value.is_empty() {
            return Ok(());
        }
        if !self.path.is_empty() {
            self.out.push(&self.path)?;
            self.out.push(": ")?;
        }
        // Escapes can bring back what the decoder refused.
        self.out.push(&value.replace('\0', ""))?;
        self.out.push("\n")
    }
}
