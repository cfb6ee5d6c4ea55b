//! BERT's uncased normalisation and its splitting into words, exactly as the bundled model's `tokenizer.json` asks for:
//! clean, set Chinese characters apart, strip accents, lower case; then split at white space and around punctuation.
//!
//! Source: `BertNormalizer` and `BertPreTokenizer` of Hugging Face's `tokenizers`; the character classes come from the
//! crate that it takes them from, so that both agree on every character.

use std::ops::ControlFlow;

use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

/// Characters of a word; a longer one is not looked up, as `max_input_chars_per_word` in `tokenizer.json` says.
pub(super) const WORD_CHARS_MAX: usize = 100;

/// Hands over a text's words in order. Of a word that is too long to be known, only its start.
pub(super) fn each_word(text: &str, mut found: impl FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    let (mut word, mut word_chars) = (String::new(), 0);
    for character in normalised(text) {
        let alone = is_punctuation(character);
        if (alone || character.is_whitespace()) && !word.is_empty() {
            found(&word)?;
            word.clear();
            word_chars = 0;
        }
        if alone {
            found(character.encode_utf8(&mut [0; 4]))?;
        } else if !character.is_whitespace() && word_chars <= WORD_CHARS_MAX {
            word.push(character);
            word_chars += 1;
        }
    }
    if word.is_empty() { ControlFlow::Continue(()) } else { found(&word) }
}

fn normalised(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !is_dirt(*c))
        .flat_map(|c| set_apart(if c.is_whitespace() { ' ' } else { c }))
        .nfd()
        .filter(|c| c.is_ascii() || !c.is_mark_nonspacing())
        .flat_map(char::to_lowercase)
}

/// Characters that are dropped: controls but white space, formats, private use, and what stands for unreadable bytes.
fn is_dirt(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | ' '..='~' => false,
        '\0' | '\u{fffd}' => true,
        _ => c.is_other(),
    }
}

/// A Chinese character is a word of its own: it gets white space on both sides.
fn set_apart(c: char) -> impl Iterator<Item = char> {
    let space = is_chinese(c).then_some(' ');
    space.into_iter().chain([c]).chain(space)
}

/// The blocks of ideographs that BERT names; Kana and Hangul are not among them.
fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x2_0000..=0x2_A6DF
            | 0x2_A700..=0x2_B73F
            | 0x2_B740..=0x2_B81F
            | 0x2_B920..=0x2_CEAF
            | 0xF900..=0xFAFF
            | 0x2_F800..=0x2_FA1F
    )
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_punctuation() } else { c.is_punctuation() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        let _to_the_end = each_word(text, |word| {
            words.push(word.to_owned());
            ControlFlow::Continue(())
        });
        words
    }

    #[test]
    fn case_accents_and_invisible_characters_do_not_matter() {
        assert_eq!(words("Über\u{ad}große CAFE\u{301}S"), ["ubergroße", "cafes"]);
        assert_eq!(words("en\u{200b}able\t2\u{a0}FA\u{0}"), ["enable", "2", "fa"]);
    }

    #[test]
    fn punctuation_and_ideographs_are_words_of_their_own() {
        assert_eq!(words("don't--v1.2"), ["don", "'", "t", "-", "-", "v1", ".", "2"]);
        assert_eq!(words("日本go「x」"), ["日", "本", "go", "「", "x", "」"]);
        assert_eq!(words(" \n "), [""; 0]);
    }

    #[test]
    fn of_a_word_without_end_only_the_start_is_held() {
        let long = words(&"a".repeat(1_000_000));
        assert_eq!(long[0].len(), WORD_CHARS_MAX + 1);
    }
}
