//! Word by word: what of one question has its counterpart in the other.

use super::reading::Reading;

/// Which words of two questions correspond, and which are left over.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub left: String,
    pub right: String,
    pub kin: Kin,
    /// Places among the content words, from 0.
    pub left_place: usize,
    pub right_place: usize,
}

/// How two words correspond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kin {
    Equal,
    Inflection,
    Synonym,
}

/// A content word without a counterpart.
#[derive(Debug, Clone, PartialEq)]
pub struct Unaligned {
    pub word: String,
    /// From 0 for the commonest words of English to 1 for rare ones and names.
    pub weight: f32,
}

impl Alignment {
    /// Pairs that stand the other way round in the other question; 0 when the order agrees.
    #[must_use]
    pub fn inversions(&self) -> usize {
        let places = |(at, pair): (usize, &Pair)| {
            self.pairs[at + 1..].iter().filter(|later| later.right_place < pair.right_place).count()
        };
        self.pairs.iter().enumerate().map(places).sum()
    }

    /// Summed weight of the words without a counterpart, both sides.
    #[must_use]
    pub fn unaligned_weight(&self) -> f32 {
        self.left_only.iter().chain(&self.right_only).map(|word| word.weight).sum()
    }

    /// The heaviest word without a counterpart, 0 if there is none.
    #[must_use]
    pub fn heaviest_unaligned(&self) -> f32 {
        self.left_only.iter().chain(&self.right_only).map(|word| word.weight).fold(0.0, f32::max)
    }
}

/// Aligns the content words of two questions.
#[must_use]
pub fn align(left: &Reading, right: &Reading) -> Alignment {
    let mut taken = vec![false; right.words().len()];
    let mut alignment = Alignment::default();
    for (left_place, word) in left.words().iter().enumerate() {
        let found = right.words().iter().enumerate().find(|(at, other)| !taken[*at] && *other == word);
        match found {
            Some((right_place, other)) => {
                taken[right_place] = true;
                alignment.pairs.push(Pair {
                    left: word.clone(),
                    right: other.clone(),
                    kin: Kin::Equal,
                    left_place,
                    right_place,
                });
            }
            None => alignment.left_only.push(Unaligned { word: word.clone(), weight: 1.0 }),
        }
    }
    let left_over = right.words().iter().zip(&taken).filter(|(_, taken)| !**taken);
    alignment.right_only = left_over.map(|(word, _)| Unaligned { word: word.clone(), weight: 1.0 }).collect();
    alignment
}
