//! Numbers, words and directions that a seed decides.

use crate::embed::DIMENSIONS;

/// Words from which documents and questions are made, from common to rare. Each has a stem of its own.
const WORDS: [&str; 40] = [
    "cache", "server", "window", "bridge", "button", "ticket", "garden", "bottle", "letter", "market",
    "engine", "pocket", "carpet", "rabbit", "candle", "basket", "hammer", "island", "jacket", "kettle",
    "ladder", "magnet", "needle", "orchid", "pencil", "quarry", "ribbon", "saddle", "tunnel", "umbrella",
    "velvet", "walnut", "yogurt", "zipper", "anchor", "beacon", "cactus", "dagger", "falcon", "goblet",
];

pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize) % end
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn fraction(&mut self) -> f32 {
        self.below(1_000) as f32 / 1_000.0
    }

    /// Common words come more often.
    pub(super) fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len()).min(self.below(WORDS.len()))]
    }

    pub(super) fn words(&mut self, count: usize) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// At least `least` words, and fewer than `more` beyond.
    pub(super) fn some_words(&mut self, least: usize, more: usize) -> String {
        let count = least + self.below(more);
        self.words(count)
    }

    /// A direction that is near to none of the questions'.
    pub(super) fn far_away(&mut self) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| (self.fraction() - 0.5) * 0.1).collect()
    }

    /// A direction more or less near to one of these.
    pub(super) fn near_one_of(&mut self, directions: &[Vec<f32>]) -> Vec<f32> {
        let chosen = self.below(directions.len());
        let blur = 0.2 + 2.0 * self.fraction();
        let noise = self.far_away();
        directions[chosen].iter().zip(noise).map(|(x, noise)| x + blur * noise).collect()
    }
}
