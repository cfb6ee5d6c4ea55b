//! From which epoch on a listed answer has stood: what tells it from an older answer of the same question.

use crate::id::Epoch;

/// The low 32 bits of the first epoch from which an answer has stood, without a break, up to its snapshot's epoch.
///
/// An epoch and not an age, so that an entry stays the same while the snapshot's epoch moves. The whole number is the
/// latest one up to the snapshot's epoch that has these bits: where that is too late, an answer is merely not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Since(u32);

impl Since {
    #[must_use]
    pub const fn of(epoch: Epoch) -> Self {
        let [a, b, c, d, ..] = epoch.get().to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]))
    }

    /// Whether what was checked at `held` has stood until the snapshot's epoch.
    #[must_use]
    pub const fn covers(self, held: Epoch, snapshot: Epoch) -> bool {
        let age = Self::of(snapshot).0.wrapping_sub(self.0);
        match snapshot.get().checked_sub(held.get()) {
            Some(held_age) => held_age <= age as u64,
            None => false,
        }
    }

    pub(super) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }

    pub(super) const fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(since: u64, held: u64, snapshot: u64) -> bool {
        Since::of(Epoch::new(since)).covers(Epoch::new(held), Epoch::new(snapshot))
    }

    proptest! {
        #[test]
        fn an_answer_is_covered_from_its_first_epoch_to_the_snapshots(
            since in 0..50_u64,
            held in 0..70_u64,
            length in 0..20_u64,
            far in prop_oneof![Just(0_u64), Just(u64::from(u32::MAX) - 20), Just(u64::MAX - 100)],
        ) {
            let snapshot = since + length;
            prop_assert_eq!(
                covers(far + since, far + held, far + snapshot),
                since <= held && held <= snapshot
            );
        }

        /// More epochs ago than 32 bits count: later than it was, never earlier.
        #[test]
        fn bits_that_are_lost_cover_less_and_never_more(since in 0..u64::MAX / 2, held: u64, length in 0..u64::MAX / 2) {
            let snapshot = since + length;
            if covers(since, held, snapshot) {
                prop_assert!(since <= held && held <= snapshot);
            }
        }
    }
}
