//! Collects the best passages of a lexical search: only allowed ones, and in one order whatever the segments.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::query::Weight;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

use super::lexical::PASSAGE_FIELD;

/// A passage and how well it fits; the larger, the better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) passage: u64,
    pub(crate) score: f32,
}

impl Ranked {
    /// Best first; by number where scores are equal.
    pub(crate) fn best_first(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.passage.cmp(&other.passage))
    }
}

/// A passage in the heap, whose top is the worst.
struct Worst(Ranked);

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.best_first(&other.0)
    }
}

/// The best `count` of what it is given, in any order.
pub(crate) struct Best {
    count: usize,
    heap: BinaryHeap<Worst>,
}

impl Best {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, heap: BinaryHeap::with_capacity(count + 1) }
    }

    pub(crate) fn push(&mut self, ranked: Ranked) {
        if self.heap.len() < self.count {
            self.heap.push(Worst(ranked));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && ranked.best_first(&worst.0).is_lt()
        {
            *worst = Worst(ranked);
        }
    }

    /// The worst score that is kept, once nothing worse can enter.
    fn threshold(&self) -> Option<f32> {
        self.heap.peek().filter(|_| self.heap.len() >= self.count).map(|worst| worst.0.score)
    }

    pub(crate) fn into_sorted(self) -> Vec<Ranked> {
        self.heap.into_sorted_vec().into_iter().map(|worst| worst.0).collect()
    }
}

/// The collector.
pub(super) struct TopPassages<'a> {
    count: usize,
    allow: &'a (dyn Fn(u64) -> bool + Sync),
}

impl<'a> TopPassages<'a> {
    pub(super) fn new(count: usize, allow: &'a (dyn Fn(u64) -> bool + Sync)) -> Self {
        Self { count, allow }
    }
}

/// Adding up a passage's words in another order changes the last bits of its score; equal must stay equal.
fn rounded(score: Score) -> f32 {
    f32::from_bits(score.to_bits().saturating_add(0x80) & !0xff)
}

impl Collector for TopPassages<'_> {
    type Fruit = Vec<Ranked>;
    type Child = Never;

    fn for_segment(&self, _: SegmentOrdinal, _: &SegmentReader) -> tantivy::Result<Never> {
        Err(tantivy::TantivyError::InternalError("segments are collected whole".to_owned()))
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Vec<Ranked>>) -> tantivy::Result<Vec<Ranked>> {
        let mut best = Best::new(self.count);
        segments.into_iter().flatten().for_each(|ranked| best.push(ranked));
        Ok(best.into_sorted())
    }

    /// Skips whole blocks that cannot reach the best (block-max WAND), with a filter as without one.
    fn collect_segment(
        &self,
        weight: &dyn Weight,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<Vec<Ranked>> {
        let numbers = segment.fast_fields().u64(PASSAGE_FIELD)?;
        let alive = segment.alive_bitset();
        let mut best = Best::new(self.count);
        // A little below the worst that is kept: what rounds to the same score must still be seen.
        let threshold = |best: &Best| best.threshold().map_or(Score::MIN, |score| score * 0.9999);
        weight.for_each_pruning(Score::MIN, segment, &mut |doc, score| {
            if alive.is_none_or(|alive| alive.is_alive(doc))
                && let Some(passage) = numbers.first(doc)
                && (self.allow)(passage)
            {
                best.push(Ranked { passage, score: rounded(score) });
            }
            threshold(&best)
        })?;
        Ok(best.into_sorted())
    }
}

/// No document is collected one by one.
pub(super) struct Never;

impl SegmentCollector for Never {
    type Fruit = Vec<Ranked>;

    fn collect(&mut self, _: DocId, _: Score) {}

    fn harvest(self) -> Vec<Ranked> {
        Vec::new()
    }
}
