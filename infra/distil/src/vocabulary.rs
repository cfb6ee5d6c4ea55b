//! The model's vocabulary as a table holds it: without the model's own marks, each piece with the weight that its rarity
//! gives it.

use tokenizers::Tokenizer;

/// Smooth inverse frequency's parameter: a piece as frequent as this weighs half.
///
/// Source: Arora, Liang, Ma, "A simple but tough-to-beat baseline for sentence embeddings" (2017), which recommends 10⁻³
/// to 10⁻⁴.
const SIF_A: f32 = 1e-3;

/// The first word after the single characters, and the most frequent of all.
const FIRST_WORD: &str = "the";

/// A row to be.
pub(crate) struct WordPiece {
    /// As the vocabulary writes it.
    pub(crate) piece: String,
    /// a ÷ (a + frequency).
    pub(crate) weight: f32,
}

impl WordPiece {
    /// What is embedded: a continuation by itself, without its mark.
    pub(crate) fn text(&self) -> &str {
        self.piece.strip_prefix("##").filter(|rest| !rest.is_empty()).unwrap_or(&self.piece)
    }
}

/// All pieces that a text can be cut into, in the vocabulary's order.
///
/// Their frequencies follow from it: WordPiece's training sorted the words by how often they occur ("the" first), and the
/// frequency of the r-th is that of Zipf's law, 1 ÷ (r × the sum of all 1 ÷ r). The single characters before them are
/// sorted by code point, not by frequency: punctuation counts as the most frequent piece, a letter or digit as the
/// hundredth.
pub(crate) fn word_pieces(tokenizer: &Tokenizer) -> Vec<WordPiece> {
    let mut vocabulary: Vec<(String, u32)> = tokenizer.get_vocab(true).into_iter().collect();
    vocabulary.sort_by_key(|(_, number)| *number);
    let pieces: Vec<String> =
        vocabulary.into_iter().map(|(piece, _)| piece).filter(|piece| !is_mark(piece)).collect();
    let characters = pieces.iter().position(|piece| piece == FIRST_WORD).unwrap_or(0);
    let harmonic: f32 = (1..=pieces.len()).map(|rank| 1.0 / rank as f32).sum();
    let rank = |index: usize, piece: &str| match index.checked_sub(characters) {
        Some(place) => place + 1,
        None if piece.chars().all(char::is_alphanumeric) => 100,
        None => 1,
    };
    let weight = |index, piece: &str| {
        let frequency = 1.0 / (rank(index, piece) as f32 * harmonic);
        SIF_A / (SIF_A + frequency)
    };
    pieces
        .into_iter()
        .enumerate()
        .map(|(index, piece)| WordPiece { weight: weight(index, &piece), piece })
        .collect()
}

/// `[CLS]`, `[unused7]`: no text is cut into them, for a bracket is always a piece of its own.
fn is_mark(piece: &str) -> bool {
    piece.len() > 2 && piece.starts_with('[') && piece.ends_with(']')
}
