//! Word by word: what of one question has its counterpart in the other.

use super::lexicon::{self, Class, RARITY_MAX};
use super::reading::Reading;
use super::tokens::Token;

/// Which words that name something correspond, and which are left over. Words of grammar, openings (*is there a
/// way to*) and politeness take no part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alignment {
    /// In the order of the left question.
    pub pairs: Vec<Pair>,
    /// Words of the left question without a counterpart.
    pub left_only: Vec<Unaligned>,
    /// Words of the right question without a counterpart.
    pub right_only: Vec<Unaligned>,
}

/// Two words that correspond.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub left: String,
    pub right: String,
    pub kin: Kin,
    /// Places among the words that name something, from 0, in the order of the reduced questions.
    pub left_place: usize,
    pub right_place: usize,
    /// Of the rarer of the two; see [`Unaligned::weight`].
    pub weight: f32,
}

/// How two words correspond, closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kin {
    Equal,
    /// Forms of one word, by inflection (files, file) or derivation (installation, install).
    Inflection,
    /// Interchangeable, or sharing a WordNet synonym set in which both are mostly used.
    Synonym,
}

/// A word that names something and has no counterpart.
#[derive(Debug, Clone, PartialEq)]
pub struct Unaligned {
    pub word: String,
    /// From 0.1 for the commonest words of English to 1 for names, numbers and rare words.
    pub weight: f32,
    /// A literal thing, a number or a word that the tables do not know.
    pub is_name: bool,
}

impl Alignment {
    /// Pairs of pairs that stand the other way round in the other question; 0 when the order agrees.
    #[must_use]
    pub fn inversions(&self) -> usize {
        let crossing = |(at, pair): (usize, &Pair)| {
            self.pairs.iter().skip(at + 1).filter(|later| later.right_place < pair.right_place).count()
        };
        self.pairs.iter().enumerate().map(crossing).sum()
    }

    /// Whether some pair is more than a word and its form.
    #[must_use]
    pub fn has_synonyms(&self) -> bool {
        self.pairs.iter().any(|pair| pair.kin == Kin::Synonym)
    }

    /// Summed weight of the words that have a counterpart.
    #[must_use]
    pub fn aligned_weight(&self) -> f32 {
        self.pairs.iter().map(|pair| pair.weight).sum()
    }

    /// Summed weight of the words without a counterpart, both sides.
    #[must_use]
    pub fn unaligned_weight(&self) -> f32 {
        self.unaligned().map(|word| word.weight).sum()
    }

    /// The heaviest word without a counterpart, 0 if there is none.
    #[must_use]
    pub fn heaviest_unaligned(&self) -> f32 {
        self.unaligned().map(|word| word.weight).fold(0.0, f32::max)
    }

    /// All words without a counterpart, left before right.
    pub fn unaligned(&self) -> impl Iterator<Item = &Unaligned> {
        self.left_only.iter().chain(&self.right_only)
    }
}

/// Aligns two questions; empty if one can't be read. Equal words first, then forms, then synonyms.
#[must_use]
pub fn align(left: &Reading, right: &Reading) -> Alignment {
    let (Some(left), Some(right)) = (left.read(), right.read()) else { return Alignment::default() };
    let (left, right) = (&left.form.content, &right.form.content);
    let mut partner: Vec<Option<(usize, Kin)>> = vec![None; left.len()];
    let mut taken = vec![false; right.len()];
    for kin in [Kin::Equal, Kin::Inflection, Kin::Synonym] {
        for (token, found) in left.iter().zip(&mut partner).filter(|(_, found)| found.is_none()) {
            let other = right
                .iter()
                .zip(&taken)
                .position(|(other, taken)| !taken && kin_of(token, other) == Some(kin));
            if let Some((place, is_taken)) = other.and_then(|place| Some((place, taken.get_mut(place)?))) {
                *is_taken = true;
                *found = Some((place, kin));
            }
        }
    }
    let mut alignment = Alignment::default();
    for (left_place, (token, found)) in left.iter().zip(partner).enumerate() {
        match found.and_then(|(place, kin)| Some((place, kin, right.get(place)?))) {
            Some((right_place, kin, other)) => alignment.pairs.push(Pair {
                left: token.text.clone(),
                right: other.text.clone(),
                kin,
                left_place,
                right_place,
                weight: weight(token).max(weight(other)),
            }),
            None => alignment.left_only.push(unaligned(token)),
        }
    }
    alignment.right_only =
        right.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(token, _)| unaligned(token)).collect();
    alignment
}

fn unaligned(token: &Token) -> Unaligned {
    let is_name = !token.known || matches!(token.class, Class::Literal | Class::Number);
    Unaligned { word: token.text.clone(), weight: weight(token), is_name }
}

fn weight(token: &Token) -> f32 {
    f32::from(token.rarity + 1) / f32::from(RARITY_MAX + 1)
}

/// The closest way in which two words correspond.
fn kin_of(a: &Token, b: &Token) -> Option<Kin> {
    if a.class != b.class {
        return None;
    }
    if a.text == b.text || a.class != Class::Content && a.key == b.key {
        Some(Kin::Equal)
    } else if a.class != Class::Content {
        None
    } else if a.base == b.base || a.known && b.known && stem(&a.base) == stem(&b.base) {
        Some(Kin::Inflection)
    } else if a.key == b.key || lexicon::are_synonyms(&a.base, &b.base) {
        Some(Kin::Synonym)
    } else {
        None
    }
}

/// A word without the ending that makes a noun or adverb of it; short words have none.
fn stem(word: &str) -> &str {
    const ENDINGS: &[&str] = &[
        "ation", "ition", "ion", "ment", "ance", "ence", "ability", "able", "ally", "ness", "ity", "ly",
        "ate", "al", "ing", "e", "y",
    ];
    let stems = ENDINGS.iter().filter_map(|ending| word.strip_suffix(ending));
    stems.filter(|stem| stem.len() >= 4).min_by_key(|stem| stem.len()).unwrap_or(word)
}
