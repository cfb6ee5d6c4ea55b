//! What a process has taken of the processor.

use anyhow::{Context, Result};

/// The kernel counts in hundredths of a second.
const TICK_MS: f64 = 10.0;

/// Milliseconds of processor time that a process has taken since it began, all its threads together.
///
/// # Errors
/// There is no such process, or this is no Linux.
pub(crate) fn spent_ms(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path)
        .with_context(|| format!("reading {path}: processor time is measured on Linux only"))?;
    // The name, in brackets, may hold anything; after it the 12th and 13th fields are user and system time.
    let (_, fields) = stat.rsplit_once(')').context("not the state of a process")?;
    let ticks = |at: usize| -> Result<f64> {
        Ok(fields.split_ascii_whitespace().nth(at).context("no such field")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) * TICK_MS)
}
