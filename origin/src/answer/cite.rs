//! Citations: which characters of which document a mark of the answer points to.

use std::collections::HashSet;
use std::ops::Range;

use perigee_shared::answer::Citation;

use super::marks::Mark;
use super::sentence::{Unit, units};
use super::words::content_stems;
use crate::retrieve::Hit;

/// Citations of one answer. A text with more marks than this repeats itself.
const CITATIONS_MAX: usize = 256;

/// Characters in front of a mark that are taken for the statement it belongs to.
const CLAIM_CHARS_MAX: usize = 400;

/// A citation of bytes of a passage's text.
pub(super) fn citation(mark: Mark, hit: &Hit, quoted: Range<usize>) -> Citation {
    let quote = hit.text.get(quoted.clone()).unwrap_or_default();
    let before = hit.text.get(..quoted.start).unwrap_or_default();
    let start = hit.start + before.chars().count();
    Citation {
        mark: mark.number,
        mark_start: mark.start,
        mark_end: mark.end,
        document: hit.document.clone(),
        title: hit.title.clone(),
        url: hit.url.clone(),
        start,
        end: start + quote.chars().count(),
        quote: quote.to_owned(),
    }
}

/// Citations for the marks of a text that somebody else wrote: each quotes the sentence of its passage that has
/// most in common with the words in front of the mark.
pub(super) fn citations(text: &str, marks: &[Mark], evidence: &[Hit]) -> Vec<Citation> {
    let passages: Vec<Passage> = evidence.iter().map(Passage::read).collect();
    let mut claim = 0..0;
    let mut reader = text.chars();
    let mut read = 0;
    let mut words: HashSet<String> = HashSet::new();
    let mut citations = Vec::new();
    for mark in marks.iter().take(CITATIONS_MAX) {
        // Marks that stand side by side share their statement.
        if mark.start > claim.end || words.is_empty() {
            let between: String = reader.by_ref().take(mark.start.saturating_sub(read)).collect();
            words = content_stems(statement(&between)).into_iter().collect();
        } else {
            reader.by_ref().take(mark.start.saturating_sub(read)).for_each(drop);
        }
        reader.by_ref().take(mark.end - mark.start).for_each(drop);
        read = mark.end;
        claim.end = mark.end;
        if let Some((hit, passage)) = evidence.get(mark.number - 1).zip(passages.get(mark.number - 1)) {
            citations.push(citation(*mark, hit, passage.closest(&words)));
        }
    }
    citations
}

/// The last paragraph of a text, bounded.
fn statement(text: &str) -> &str {
    let paragraph = text.trim_end().rsplit("\n\n").next().unwrap_or(text);
    let from = paragraph.char_indices().rev().nth(CLAIM_CHARS_MAX).map_or(0, |(at, _)| at);
    &paragraph[from..]
}

/// A passage read for quoting.
struct Passage {
    units: Vec<(Unit, Vec<String>)>,
    whole: Range<usize>,
}

impl Passage {
    fn read(hit: &Hit) -> Self {
        let stems = |unit: Unit| {
            let stems = content_stems(&unit.shown);
            (unit, stems)
        };
        Self { units: units(&hit.text).into_iter().map(stems).collect(), whole: 0..hit.text.len() }
    }

    /// The unit with the greatest overlap; the first of equals, and the whole passage if it has no units.
    fn closest(&self, words: &HashSet<String>) -> Range<usize> {
        let mut best: Option<(f32, &Unit)> = None;
        for (unit, stems) in &self.units {
            let common = stems.iter().filter(|stem| words.contains(*stem)).count();
            // Cosine of the two word sets, up to the factor that all units share.
            let score = common as f32 / (stems.len().max(1) as f32).sqrt();
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, unit));
            }
        }
        best.map_or_else(|| self.whole.clone(), |(_, unit)| unit.range.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::marks::MarkFilter;
    use crate::answer::testing::hit;

    fn cite(text: &str, evidence: &[Hit]) -> Vec<Citation> {
        let mut filter = MarkFilter::new(evidence.len());
        let mut out = filter.push(text);
        let (rest, marks) = filter.finish();
        out.push_str(&rest);
        citations(&out, &marks, evidence)
    }

    fn evidence() -> [Hit; 2] {
        [
            hit(
                1,
                "Cache",
                "The cache is größer. Entries expire after **ten** minutes. Nothing else matters.",
            ),
            hit(2, "Log", "Logs are rotated daily. They are kept for a week."),
        ]
    }

    #[test]
    fn each_mark_quotes_the_sentence_that_says_it() {
        let cited = cite(
            "Cached entries expire after ten minutes [1], and logs are kept for a week [2].",
            &evidence(),
        );
        assert_eq!(cited[0].quote, "Entries expire after **ten** minutes.");
        assert_eq!(cited[1].quote, "They are kept for a week.");
        // Offsets count characters from the document's start; the passage stands at 100.
        assert_eq!((cited[0].start, cited[0].end), (121, 158));
        let text: String = evidence()[0].text.chars().skip(21).take(37).collect();
        assert_eq!(text, cited[0].quote);
    }

    #[test]
    fn marks_side_by_side_share_their_statement() {
        let cited = cite("Logs are rotated daily and entries expire [2][1].", &evidence());
        assert_eq!(cited[0].quote, "Logs are rotated daily.");
        assert_eq!(cited[1].quote, "Entries expire after **ten** minutes.");
    }

    #[test]
    fn a_mark_without_words_quotes_all_the_same() {
        assert_eq!(cite("[1]", &evidence())[0].quote, "The cache is größer.");
        let bare = hit(1, "x", "---");
        assert_eq!(cite("So. [1]", &[bare])[0].quote, "---");
    }
}
