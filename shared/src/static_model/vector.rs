//! A text's vector: a direction in 64 dimensions, each number in a byte.

use crate::id::Similarity;

/// Numbers of a vector.
pub const DIMENSIONS: usize = 64;

/// A direction: its largest number is ±127, its length carries no meaning.
///
/// Not one length for all, although that would make the cosine a plain product: most numbers of a unit vector in 64
/// dimensions are near 1/8, and would get four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StaticVector([i8; DIMENSIONS]);

impl StaticVector {
    /// `None`: the sum has no direction, or is not finite.
    pub(super) fn quantise(sum: &[f32; DIMENSIONS]) -> Option<Self> {
        let most = sum.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        if !most.is_normal() || !sum.iter().all(|number| number.is_finite()) {
            return None;
        }
        Some(Self(sum.map(|number| (number / most * 127.0).round() as i8)))
    }

    #[must_use]
    pub const fn from_bytes(bytes: &[u8; DIMENSIONS]) -> Self {
        let mut numbers = [0; DIMENSIONS];
        let mut at = 0;
        while at < DIMENSIONS {
            numbers[at] = bytes[at].cast_signed();
            at += 1;
        }
        Self(numbers)
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; DIMENSIONS] {
        self.0.map(i8::cast_unsigned)
    }

    /// Cosine. A vector of zeros, which no text has, is like nothing.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> Similarity {
        let other = other.to_bytes();
        self.cosine(self.inverse_length(), &other, Self::inverse_length(&Self::from_bytes(&other)))
    }

    /// The cosine with a vector that lies in its bytes, both inverse lengths given: a scan knows them already.
    #[inline]
    pub(crate) fn cosine(
        &self,
        inverse_length: f32,
        other: &[u8; DIMENSIONS],
        other_inverse: f32,
    ) -> Similarity {
        Similarity::new(self.dot(other) as f32 * inverse_length * other_inverse)
    }

    /// 1 ÷ length; 0 for a vector of zeros.
    pub(crate) fn inverse_length(&self) -> f32 {
        let square = self.dot(&self.to_bytes());
        if square == 0 { 0.0 } else { (square as f32).sqrt().recip() }
    }

    /// At most 64 × 128²: exact in `i32`, and in `f32`.
    #[inline]
    fn dot(&self, other: &[u8; DIMENSIONS]) -> i32 {
        let products = self.0.iter().zip(other);
        products.map(|(a, b)| i32::from(*a) * i32::from(b.cast_signed())).sum()
    }
}
