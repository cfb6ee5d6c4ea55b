//! WordPiece: the longest known start of a word, then the longest known continuations until it is used up.
//!
//! Source: `WordPiece` of Hugging Face's `tokenizers`. Total on any input; the cost of a piece does not grow with its word.

use std::ops::ControlFlow;

use super::normalise::{WORD_CHARS_MAX, each_word};
use super::vocabulary::{Part, Row, Vocabulary};

/// One word piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The table has a row for it.
    Known(Row),
    /// A word that can't be put together from known pieces.
    Unknown,
    /// The text spells one of the model's own marks.
    Special(Special),
}

/// The model's own marks. They are not split, and carry no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Pad,
    Unk,
    Cls,
    Sep,
    Mask,
}

impl Special {
    const ALL: [Self; 5] = [Self::Pad, Self::Unk, Self::Cls, Self::Sep, Self::Mask];

    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Pad => "[PAD]",
            Self::Unk => "[UNK]",
            Self::Cls => "[CLS]",
            Self::Sep => "[SEP]",
            Self::Mask => "[MASK]",
        }
    }
}

/// Hands over a text's pieces in order until told to stop.
pub(super) fn each_piece(
    vocabulary: &Vocabulary<'_>,
    text: &str,
    mut found: impl FnMut(Piece) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut rest = text;
    while let Some((before, special, after)) = split_at_special(rest) {
        each_word(before, |word| pieces_of_word(vocabulary, word, &mut found))?;
        found(Piece::Special(special))?;
        rest = after;
    }
    each_word(rest, |word| pieces_of_word(vocabulary, word, &mut found))
}

/// Marks are looked for in the text as it is written, before it is normalised.
fn split_at_special(text: &str) -> Option<(&str, Special, &str)> {
    text.match_indices('[').find_map(|(at, _)| {
        let (before, from) = text.split_at_checked(at)?;
        Special::ALL.iter().find_map(|special| Some((before, *special, from.strip_prefix(special.text())?)))
    })
}

fn pieces_of_word(
    vocabulary: &Vocabulary<'_>,
    word: &str,
    found: &mut impl FnMut(Piece) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if word.len() > WORD_CHARS_MAX && word.chars().count() > WORD_CHARS_MAX {
        return found(Piece::Unknown);
    }
    // A word is known as a whole or not at all, so its pieces are held back until the last one is found.
    let mut rows = [Row::FIRST; WORD_CHARS_MAX];
    let (mut count, mut rest, mut part) = (0, word, Part::Word);
    while !rest.is_empty() {
        let next = vocabulary.longest_start(part, rest).and_then(|(row, bytes)| {
            *rows.get_mut(count)? = row;
            rest.get(bytes..)
        });
        let Some(next) = next else { return found(Piece::Unknown) };
        (count, rest, part) = (count + 1, next, Part::Continuation);
    }
    rows.iter().take(count).try_for_each(|row| found(Piece::Known(*row)))
}
