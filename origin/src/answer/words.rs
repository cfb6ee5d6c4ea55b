//! Words that carry a text's content: folded, stemmed, without the ones that every sentence has.
//!
//! English stop words and the English stemmer; other languages keep all their words, which are then stemmed
//! alike on both sides of a comparison, so that comparing stays sound and is only less sharp.

use std::collections::HashSet;

use frostem::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// English words that say nothing about what a sentence is about, apostrophes left out. Sorted.
const STOP_WORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at",
    "be", "because", "been", "before", "being", "between", "both", "but", "by", "can", "cannot", "cant",
    "could", "did", "do", "does", "doesnt", "doing", "dont", "each", "every", "for", "from", "had", "has",
    "have", "having", "he", "her", "here", "him", "his", "how", "i", "if", "im", "in", "into", "is", "isnt",
    "it", "its", "just", "many", "may", "me", "might", "more", "most", "much", "must", "my", "no", "not",
    "of", "on", "one", "ones", "only", "or", "other", "our", "out", "over", "own", "please", "same", "shall",
    "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "through", "to", "too", "under", "up", "us", "very", "was", "we", "were",
    "what", "whats", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will",
    "with", "would", "you", "your",
];

/// A text's words in order: lower case, apostrophes dropped, punctuation gone.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(|word| {
        let lower = word.to_lowercase();
        if lower.contains(['\'', '\u{2019}']) { lower.replace(['\'', '\u{2019}'], "") } else { lower }
    })
}

/// Whether a word, as [`words`] gives it, carries content.
pub(super) fn is_content(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_err()
}

/// The distinct stems of a text's content words, in order of first appearance.
pub(super) fn content_stems(text: &str) -> Vec<String> {
    let stemmer = Stemmer::new(Algorithm::English);
    let mut seen = HashSet::new();
    let mut stems = Vec::new();
    for word in words(text).filter(|word| is_content(word)) {
        let stem = stemmer.stem(&word).to_string();
        if seen.insert(stem.clone()) {
            stems.push(stem);
        }
    }
    stems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_words_can_be_searched() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn content_is_compared_by_stem_and_case_does_not_matter() {
        assert_eq!(
            content_stems("How do I RELOAD the configurations?"),
            content_stems("reloading configuration")
        );
        assert_eq!(content_stems("What is it?"), Vec::<String>::new());
        assert_eq!(content_stems("Wie heißt die Datei?").len(), 4);
    }
}
