//! How many bytes of requests' bodies an isolate holds, so that a few large or slow ones can't end it. Pure.
//!
//! Bytes count as they arrive, not as they are declared. Small bodies don't count: they come and go with their requests.

use std::collections::BTreeMap;

/// An isolate has 128 MB for everything; its caches may hold 40 of them. Arrays double while they grow, so that for a moment
/// one of them takes half as much again.
const HELD_BYTES_MAX: usize = 48 << 20;

/// The first room of a body, which doubles while it arrives.
const ROOM_BYTES_MIN: usize = 64 << 10;

/// The bodies that an isolate holds.
#[derive(Debug, Default)]
pub(crate) struct BodyRoom {
    held: BTreeMap<u64, Held>,
    bytes: usize,
    last_id: u64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: usize,
    /// When its request is over in any case. One that was abandoned never says so itself.
    until_ms: u64,
}

/// There is no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl BodyRoom {
    /// A name for a body that is about to come.
    pub(crate) const fn name(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Gives a body room for so many bytes, in place of what it had.
    ///
    /// # Errors
    /// There is none; then it keeps what it had.
    pub(crate) fn take(&mut self, id: u64, bytes: usize, until_ms: u64, now_ms: u64) -> Result<(), Full> {
        let had = self.held.get(&id).map_or(0, |held| held.bytes);
        if self.bytes - had + bytes > HELD_BYTES_MAX {
            self.forget_overdue(id, now_ms);
        }
        let others = self.bytes - had;
        if others + bytes > HELD_BYTES_MAX {
            return Err(Full);
        }
        self.held.insert(id, Held { bytes, until_ms });
        self.bytes = others + bytes;
        Ok(())
    }

    /// The body is gone.
    pub(crate) fn leave(&mut self, id: u64) {
        if let Some(held) = self.held.remove(&id) {
            self.bytes -= held.bytes;
        }
    }

    fn forget_overdue(&mut self, but: u64, now_ms: u64) {
        let bytes = &mut self.bytes;
        self.held.retain(|id, held| {
            let stays = *id == but || now_ms < held.until_ms;
            if !stays {
                *bytes -= held.bytes;
            }
            stays
        });
    }
}

/// The room for a body of which so many bytes have come, and at most so many will.
pub(crate) fn room_for(bytes: usize, most: usize) -> usize {
    bytes.max(ROOM_BYTES_MIN).next_power_of_two().min(most).max(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_000_000;
    const LATER: u64 = NOW + 60_000;

    #[test]
    fn bodies_that_would_not_fit_beside_each_other_wait_their_turn() {
        let mut room = BodyRoom::default();
        let (first, second) = (room.name(), room.name());
        assert_eq!(room.take(first, HELD_BYTES_MAX / 2, LATER, NOW), Ok(()));
        assert_eq!(room.take(second, HELD_BYTES_MAX / 2, LATER, NOW), Ok(()));
        assert_eq!(room.take(second, HELD_BYTES_MAX / 2 + 1, LATER, NOW), Err(Full));
        room.leave(first);
        room.leave(first);
        assert_eq!(room.take(second, HELD_BYTES_MAX, LATER, NOW), Ok(()));
    }

    #[test]
    fn an_abandoned_body_leaves_when_its_time_is_over() {
        let mut room = BodyRoom::default();
        let (abandoned, next) = (room.name(), room.name());
        assert_eq!(room.take(abandoned, HELD_BYTES_MAX, LATER, NOW), Ok(()));
        assert_eq!(room.take(next, 1, LATER + 1, LATER - 1), Err(Full));
        assert_eq!(room.take(next, 1, LATER + 1, LATER), Ok(()));
        assert_eq!(room.bytes, 1);
    }

    #[test]
    fn a_body_s_room_doubles_up_to_what_may_come() {
        for (bytes, most, expected) in [
            (1, 1 << 20, ROOM_BYTES_MIN),
            (1, 100, 100),
            (ROOM_BYTES_MIN + 1, 1 << 20, 2 * ROOM_BYTES_MIN),
            (700_000, 800_000, 800_000),
            (800_000, 800_000, 800_000),
        ] {
            assert_eq!(room_for(bytes, most), expected, "{bytes} of {most}");
        }
    }

    proptest! {
        /// What is held is the sum of what each holds, within the bound, whatever happens.
        #[test]
        fn the_sum_is_right(steps in prop::collection::vec((0_u64..6, 0_usize..(20 << 20), 0_u64..40_000), 0..100)) {
            let (mut room, mut now_ms) = (BodyRoom::default(), NOW);
            for (id, bytes, passed_ms) in steps {
                now_ms += passed_ms;
                if bytes % 3 == 0 {
                    room.leave(id);
                } else {
                    let _full = room.take(id, bytes, now_ms + 60_000, now_ms);
                }
                prop_assert_eq!(room.bytes, room.held.values().map(|held| held.bytes).sum::<usize>());
                prop_assert!(room.bytes <= HELD_BYTES_MAX);
            }
        }
    }
}
