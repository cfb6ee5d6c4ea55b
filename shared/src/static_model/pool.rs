//! Sums the rows of a text's pieces. One loop over the 64 numbers of a row, which compiles to vector instructions where
//! the target has them; every number is added up by itself and in order, so the sum is the same on every machine.

use super::vector::DIMENSIONS;

pub(super) struct Pool([f32; DIMENSIONS]);

impl Pool {
    pub(super) const fn new() -> Self {
        Self([0.0; DIMENSIONS])
    }

    /// Adds `scale` times a row, given as the bytes of its `i8`.
    #[inline]
    pub(super) fn add(&mut self, scale: f32, row: &[u8; DIMENSIONS]) {
        for (sum, byte) in self.0.iter_mut().zip(row) {
            *sum += scale * f32::from(byte.cast_signed());
        }
    }

    pub(super) const fn sum(&self) -> &[f32; DIMENSIONS] {
        &self.0
    }
}
