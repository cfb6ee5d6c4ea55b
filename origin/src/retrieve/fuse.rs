//! Two rankings to one: min-max normalised scores, weighed and added.
//!
//! Design source: on four collections this beat reciprocal rank fusion; `perigee eval` measures it on any.

use std::collections::HashMap;

use perigee_shared::id::Similarity;
use perigee_shared::search::{LexicalRank, SearchMode, VectorRank};

use super::top_passages::Ranked;

/// Weight of the vector ranking; the lexical one has the rest. Tried: 0.45 to 0.65 (`docs/retrieval.md`).
const VECTOR_WEIGHT: f32 = 0.5;

/// How deep each ranking goes into the fusion, however few results are asked for.
pub(super) const DEPTH: usize = 100;

/// A passage with its place in each ranking that found it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fused {
    pub(crate) passage: u64,
    pub(crate) score: f32,
    pub(crate) vector: Option<VectorRank>,
    pub(crate) lexical: Option<LexicalRank>,
}

/// Fuses rankings that are best first. A passage that one of them did not find gets nothing from it: it could
/// have at most the score of the ranking's last, which counts as 0.
pub(super) fn fuse(mode: SearchMode, vector: &[Ranked], lexical: &[Ranked]) -> Vec<Fused> {
    let vector_weight = match mode {
        SearchMode::Hybrid => VECTOR_WEIGHT,
        SearchMode::Vector => 1.0,
        SearchMode::Lexical => 0.0,
    };
    let mut fused: HashMap<u64, Fused> = HashMap::with_capacity(vector.len() + lexical.len());
    let mut entry = |passage: u64, score: f32, place: &mut dyn FnMut(&mut Fused)| {
        let fused =
            fused.entry(passage).or_insert(Fused { passage, score: 0.0, vector: None, lexical: None });
        fused.score += score;
        place(fused);
    };
    let scale = Scale::of(vector);
    for (index, ranked) in vector.iter().enumerate() {
        let rank = VectorRank { rank: index + 1, similarity: Similarity::new(ranked.score) };
        entry(ranked.passage, vector_weight * scale.at(ranked.score), &mut |f| f.vector = Some(rank));
    }
    let scale = Scale::of(lexical);
    for (index, ranked) in lexical.iter().enumerate() {
        let rank = LexicalRank { rank: index + 1, score: ranked.score };
        let score = (1.0 - vector_weight) * scale.at(ranked.score);
        entry(ranked.passage, score, &mut |f| f.lexical = Some(rank));
    }
    let mut fused: Vec<Fused> = fused.into_values().collect();
    fused.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.passage.cmp(&b.passage)));
    fused
}

/// Maps a ranking's scores to [0, 1].
struct Scale {
    least: f32,
    spread: f32,
}

impl Scale {
    fn of(ranking: &[Ranked]) -> Self {
        let most = ranking.first().map_or(0.0, |first| first.score);
        let least = ranking.last().map_or(0.0, |last| last.score);
        Self { least, spread: most - least }
    }

    fn at(&self, score: f32) -> f32 {
        // All equal, or only one: each of them is the best.
        if self.spread > 0.0 { ((score - self.least) / self.spread).clamp(0.0, 1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(scores: &[(u64, f32)]) -> Vec<Ranked> {
        scores.iter().map(|&(passage, score)| Ranked { passage, score }).collect()
    }

    #[test]
    fn what_both_rankings_find_comes_before_what_one_finds() {
        let vector = ranking(&[(1, 0.9), (2, 0.8), (3, 0.1)]);
        let lexical = ranking(&[(4, 9.0), (2, 8.5), (5, 1.0)]);
        let fused = fuse(SearchMode::Hybrid, &vector, &lexical);
        assert_eq!(fused.iter().map(|f| f.passage).collect::<Vec<_>>(), [2, 1, 4, 3, 5]);
        assert_eq!(fused[0].vector.map(|v| v.rank), Some(2));
        assert_eq!(fused[0].lexical.map(|l| l.rank), Some(2));
        assert!(fused.iter().all(|f| (0.0..=1.0).contains(&f.score)));
    }

    #[test]
    fn equal_scores_are_ordered_by_passage() {
        let lexical = ranking(&[(9, 2.0), (4, 2.0), (7, 2.0)]);
        let fused = fuse(SearchMode::Lexical, &[], &lexical);
        assert_eq!(fused.iter().map(|f| f.passage).collect::<Vec<_>>(), [4, 7, 9]);
        assert!(fuse(SearchMode::Hybrid, &[], &[]).is_empty());
    }
}
