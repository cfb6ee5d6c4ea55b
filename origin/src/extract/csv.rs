//! CSV: a row is a paragraph of `column: value` lines, so that each value carries its meaning into its passage.

use super::{Bounded, ExtractError, Extracted, Markup};

/// Columns of a table. Every row repeats their names.
const COLUMNS_MAX: usize = 1_000;

pub(super) fn extract(text: &str) -> Result<Extracted, ExtractError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let broken = |error: csv::Error| ExtractError::broken("CSV", error);
    let columns = reader.headers().map_err(broken)?.clone();
    check_columns(columns.len())?;
    let mut out = Bounded::default();
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(broken)? {
        check_columns(row.len())?;
        if !out.text.is_empty() {
            out.push("\n")?;
        }
        for (index, value) in row.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
            // More values than names: the value stands for itself.
            if let Some(name) = columns.get(index).filter(|name| !name.is_empty()) {
                out.push(name)?;
                out.push(": ")?;
            }
            // A blank line inside a value would look like the end of the row.
            out.push(&value.split_whitespace().collect::<Vec<_>>().join(" "))?;
            out.push("\n")?;
        }
    }
    if out.text.is_empty() {
        // Names without rows are still something to find.
        out.push(&columns.iter().collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Extracted { title: None, text: out.text, markup: Markup::Plain })
}

fn check_columns(count: usize) -> Result<(), ExtractError> {
    if count > COLUMNS_MAX {
        return Err(ExtractError::too_much("columns", COLUMNS_MAX as u64));
    }
    Ok(())
}

/// The separator that the first line uses most; a comma unless another wins.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: u8| first.bytes().filter(|byte| *byte == separator).count();
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}
