//! What is seen of a pair of questions, each as a number that grows the more alike they are.

use perigee_shared::gate::{Alignment, Kin, Unaligned};
use perigee_shared::id::Similarity;
use serde::{Deserialize, Serialize};

/// How alike two questions are, each in [0, 1]; 1 is no difference. The calibration's weights are none of them
/// negative, so that more alike never means less sure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Cosine of the full model's vectors, from [`COSINE_MIN`] on, stretched to [0, 1].
    pub similarity: f64,
    /// Weight of the aligned words by that of all, on the side where that is less.
    pub aligned: f64,
    /// The same on the other side.
    pub aligned_other: f64,
    /// 1 less the weight of the heaviest unaligned word of either side.
    pub heaviest: f64,
    /// Whether every name, number and unknown word is aligned.
    pub named: f64,
    /// Weight of the pairs that are one word or its forms by that of all pairs; synonyms are the rest.
    pub kin: f64,
    /// 1 less the part of the pairs of aligned words that stand the other way round.
    pub order: f64,
    /// Whether the gate says *same*.
    pub same: f64,
    /// The part of the stored answer's evidence that the asked question's own retrieval returns.
    pub evidence: f64,
}

/// Questions less alike are about something else; what is between there and -1 tells nothing more.
const COSINE_MIN: f64 = 0.5;

impl Features {
    pub const COUNT: usize = 9;

    /// In the order of [`Self::values`]; the calibration's file names the weights so.
    pub const NAMES: [&str; Self::COUNT] =
        ["similarity", "aligned", "aligned_other", "heaviest", "named", "kin", "order", "same", "evidence"];

    /// `evidence` is a part of 1.
    #[must_use]
    pub fn of(same: bool, alignment: &Alignment, similarity: Similarity, evidence: f64) -> Self {
        let Alignment { pairs, left_only, right_only } = alignment;
        let aligned: f64 = pairs.iter().map(|pair| f64::from(pair.weight)).sum();
        let synonyms: f64 =
            pairs.iter().filter(|pair| pair.kin == Kin::Synonym).map(|pair| f64::from(pair.weight)).sum();
        let (left, right) = (share(aligned, weight(left_only)), share(aligned, weight(right_only)));
        let named = !left_only.iter().chain(right_only).any(|word| word.is_name);
        let count = pairs.len() as f64;
        let orders = count * (count - 1.0) / 2.0;
        Self {
            similarity: stretched(similarity),
            aligned: left.min(right),
            aligned_other: left.max(right),
            heaviest: (1.0 - f64::from(alignment.heaviest_unaligned())).clamp(0.0, 1.0),
            named: f64::from(u8::from(named)),
            kin: share(aligned - synonyms, synonyms),
            order: if orders > 0.0 { 1.0 - alignment.inversions() as f64 / orders } else { 1.0 },
            same: f64::from(u8::from(same)),
            evidence: evidence.clamp(0.0, 1.0),
        }
    }

    #[must_use]
    pub const fn values(&self) -> [f64; Self::COUNT] {
        let Self { similarity, aligned, aligned_other, heaviest, named, kin, order, same, evidence } = *self;
        [similarity, aligned, aligned_other, heaviest, named, kin, order, same, evidence]
    }
}

fn stretched(similarity: Similarity) -> f64 {
    ((f64::from(similarity.get()) - COSINE_MIN) / (1.0 - COSINE_MIN)).clamp(0.0, 1.0)
}

fn weight(words: &[Unaligned]) -> f64 {
    words.iter().map(|word| f64::from(word.weight)).sum()
}

fn share(aligned: f64, unaligned: f64) -> f64 {
    let all = aligned + unaligned;
    // Without a word of weight on this side there is nothing that could differ, and nothing that agrees.
    if all > 0.0 { aligned / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use perigee_shared::gate::Pair;

    use super::*;

    fn pair(left_place: usize, right_place: usize) -> Pair {
        let (left, right) = ("a".to_owned(), "a".to_owned());
        Pair { left, right, kin: Kin::Equal, left_place, right_place, weight: 1.0 }
    }

    fn of(alignment: &Alignment) -> Features {
        Features::of(false, alignment, Similarity::new(0.75), 1.0)
    }

    #[test]
    fn an_unaligned_word_counts_by_its_weight_and_on_its_side() {
        let pairs = vec![pair(0, 0), pair(1, 1), pair(2, 2)];
        let left_only = vec![Unaligned { word: "rust".into(), weight: 1.0, is_name: true }];
        let features = of(&Alignment { pairs, left_only, right_only: Vec::new() });
        assert_eq!((features.aligned, features.aligned_other, features.heaviest), (0.75, 1.0, 0.0));
        assert_eq!((features.similarity, features.order, features.named, features.kin), (0.5, 1.0, 0.0, 1.0));
    }

    #[test]
    fn words_the_other_way_round_are_less_alike() {
        let pairs = vec![pair(0, 2), pair(1, 1), pair(2, 0)];
        assert_eq!(of(&Alignment { pairs, ..Alignment::default() }).order, 0.0);
    }

    #[test]
    fn questions_without_a_common_word_are_not_aligned_at_all() {
        assert_eq!(of(&Alignment::default()).aligned_other, 0.0);
    }
}
