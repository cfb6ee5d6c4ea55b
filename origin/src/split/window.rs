//! Cuts a long text into windows, because the splitter's work grows with the square of what it is given.

use std::ops::Range;

/// A window is closed at the last boundary before this many bytes.
const WINDOW_BYTES: usize = 16 * 1024;

/// Consecutive windows that cover `text`, cut at `boundaries` (ascending) where one is in reach, else after a
/// line or a word, else anywhere between two characters.
pub(super) fn windows(text: &str, boundaries: &[usize]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while text.len() - start > WINDOW_BYTES {
        let latest = start + WINDOW_BYTES;
        let end =
            last_boundary(text, boundaries, start, latest).unwrap_or_else(|| last_gap(text, start, latest));
        windows.push(start..end);
        start = end;
    }
    windows.push(start..text.len());
    windows
}

fn last_boundary(text: &str, boundaries: &[usize], start: usize, latest: usize) -> Option<usize> {
    let upto = boundaries.partition_point(|boundary| *boundary <= latest);
    let boundary = boundaries[..upto].last().copied()?;
    (boundary > start && text.is_char_boundary(boundary)).then_some(boundary)
}

fn last_gap(text: &str, start: usize, latest: usize) -> usize {
    let latest = text.floor_char_boundary(latest);
    let reach = &text[start..latest];
    reach
        .rfind('\n')
        .or_else(|| reach.rfind(' '))
        // A gap is one byte; at the very start it would make no progress.
        .map(|gap| start + gap + 1)
        .unwrap_or(latest)
}
