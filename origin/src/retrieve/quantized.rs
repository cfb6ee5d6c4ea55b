//! A vector as it is kept: 384 signed bytes, on disk and in the index alike.

use perigee_shared::id::Similarity;

use crate::embed::DIMENSIONS;

/// A direction in the model's space.
///
/// Each vector is scaled so that its largest number becomes 127. Cosine does not see the scale, and the bytes are
/// used to the full: with one fixed scale for all, a unit vector's typical number (0.05) would be 6 of 127.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuantizedVector(Box<[i8; DIMENSIONS]>);

impl QuantizedVector {
    /// Quantises a row of the model. A row of another length or without direction has no place: `None`.
    pub(crate) fn new(row: &[f32]) -> Option<Self> {
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        if row.len() != DIMENSIONS || !largest.is_normal() || row.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let scale = 127.0 / largest;
        let mut bytes = Box::new([0_i8; DIMENSIONS]);
        for (byte, x) in bytes.iter_mut().zip(row) {
            *byte = (x * scale).round() as i8;
        }
        Some(Self(bytes))
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut vector = Box::new([0_i8; DIMENSIONS]);
        if bytes.len() != DIMENSIONS {
            return None;
        }
        for (to, from) in vector.iter_mut().zip(bytes) {
            *to = from.cast_signed();
        }
        Some(Self(vector))
    }

    /// The bytes to store.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().map(|x| x.cast_unsigned()).collect()
    }

    pub(crate) fn as_slice(&self) -> &[i8] {
        self.0.as_slice()
    }
}

/// A query's vector, with its length worked out once.
#[derive(Debug, Clone)]
pub(crate) struct QueryVector {
    vector: QuantizedVector,
    length: f32,
}

impl QueryVector {
    pub(crate) fn new(row: &[f32]) -> Option<Self> {
        QuantizedVector::new(row).map(Self::of)
    }

    pub(crate) fn of(vector: QuantizedVector) -> Self {
        let length = squared_length(vector.as_slice());
        Self { vector, length: (length as f32).sqrt() }
    }

    pub(crate) fn as_slice(&self) -> &[i8] {
        self.vector.as_slice()
    }

    /// Cosine with a stored vector.
    pub(crate) fn similarity(&self, other: &[i8]) -> Similarity {
        self.cosine(other, (squared_length(other) as f32).sqrt())
    }

    /// Cosine with another query's vector.
    pub(crate) fn likeness(&self, other: &Self) -> Similarity {
        self.cosine(other.as_slice(), other.length)
    }

    fn cosine(&self, other: &[i8], length: f32) -> Similarity {
        // 384 products of at most 127 * 127 stay far inside i32.
        let dot: i32 = self.as_slice().iter().zip(other).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        let lengths = self.length * length;
        Similarity::new(if lengths > 0.0 { dot as f32 / lengths } else { 0.0 })
    }
}

fn squared_length(vector: &[i8]) -> i32 {
    vector.iter().map(|x| i32::from(*x) * i32::from(*x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..DIMENSIONS).map(|_| next() * 0.1).collect()
    }

    #[test]
    fn rows_without_direction_or_of_another_length_are_refused() {
        assert!(QuantizedVector::new(&[0.0; DIMENSIONS]).is_none());
        assert!(QuantizedVector::new(&[1.0; 3]).is_none());
        let mut nan = row(1);
        nan[7] = f32::NAN;
        assert!(QuantizedVector::new(&nan).is_none());
        assert!(QuantizedVector::from_bytes(&[0; 383]).is_none());
    }

    #[test]
    fn quantising_keeps_the_cosine() {
        for seed in 1..50 {
            let (a, b) = (row(seed), row(seed + 100));
            let exact = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>()
                / (a.iter().map(|x| x * x).sum::<f32>() * b.iter().map(|x| x * x).sum::<f32>()).sqrt();
            let stored = QuantizedVector::new(&b).unwrap();
            let stored = QuantizedVector::from_bytes(&stored.to_bytes()).unwrap();
            let found = QueryVector::new(&a).unwrap().similarity(stored.as_slice()).get();
            assert!((exact - found).abs() < 0.002, "{exact} {found}");
        }
    }
}
