//! The first cache: answers in this isolate's memory, bounded by bytes. Keys carry tenant, corpus and
//! audience, so no look-up can cross them.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::Uint8Array;
use perigee_shared::answer::Answer;
use perigee_shared::answer_index::AnswerMark;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::chat::Rendering;
use perigee_shared::render::{completion_json, completion_sse};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::freshness::Held;

/// An isolate has 128 MB for everything; the answer indexes and the bodies of requests (`body_room.rs`) must fit beside this.
const BYTES_MAX: u64 = 24 << 20;

/// What one answer may weigh; larger ones are rare and would drive out many.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// An origin that lags behind by more than this is none: the corpus was made anew and counts from the beginning.
const LAG_MS_MAX: u64 = 60_000;

/// About `BYTES_MAX` by what a usual answer weighs.
const ANSWERS_ESTIMATE: usize = 2_048;

/// One answer and its renderings, each made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) answer: Answer,
    /// Of the question that it answers: other words may ask for it only in the same context.
    pub(crate) context: ContextKey,
    pub(crate) held: Held,
    /// The origin gave it although it was made for other words: it may be served while the corpus allows that.
    pub(crate) of_other_words: bool,
    /// The epoch as its header says it.
    pub(crate) epoch: String,
    bytes: u64,
    mark: OnceCell<AnswerMark>,
    json: OnceCell<Uint8Array>,
    sse: OnceCell<Uint8Array>,
    sse_with_usage: OnceCell<Uint8Array>,
}

impl Kept {
    /// `canonical_bytes`: the length of the answer's canonical JSON.
    pub(crate) fn new(
        answer: Answer,
        context: ContextKey,
        held: Held,
        of_other_words: bool,
        canonical_bytes: usize,
    ) -> Self {
        let epoch = answer.epoch.to_string();
        // The answer itself and, at most, its three renderings, each about as large.
        let bytes = 512 + 4 * canonical_bytes as u64;
        let (json, sse, sse_with_usage) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let mark = OnceCell::new();
        Self { answer, context, held, of_other_words, epoch, bytes, mark, json, sse, sse_with_usage }
    }

    /// Whether it stays where the other comes: two origins may answer out of order.
    pub(crate) fn outlasts(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.held.checked, other.held.checked);
        ours.epoch > theirs.epoch && theirs.seen_ms.saturating_sub(ours.seen_ms) < LAG_MS_MAX
    }

    /// What an answer index lists it by.
    pub(crate) fn mark(&self) -> AnswerMark {
        *self.mark.get_or_init(|| AnswerMark::of(&self.answer))
    }

    /// The body in the format asked for. It lies in JavaScript's memory, ready to be sent again and again.
    pub(crate) fn rendered(&self, rendering: Rendering) -> &Uint8Array {
        let bytes = |text: String| Uint8Array::from(text.as_bytes());
        match rendering {
            Rendering::Json => self.json.get_or_init(|| bytes(completion_json(&self.answer))),
            Rendering::Sse { include_usage: false } => {
                self.sse.get_or_init(|| bytes(completion_sse(&self.answer, false)))
            }
            Rendering::Sse { include_usage: true } => {
                self.sse_with_usage.get_or_init(|| bytes(completion_sse(&self.answer, true)))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<CacheKey, Rc<Kept>> for Weigh {
    fn weight(&self, _: &CacheKey, kept: &Rc<Kept>) -> u64 {
        kept.bytes
    }
}

/// The answers that this isolate holds.
pub(crate) struct AnswerMemory {
    answers: Cache<CacheKey, Rc<Kept>, Weigh>,
}

impl AnswerMemory {
    pub(crate) fn new() -> Self {
        Self { answers: Cache::with_weighter(ANSWERS_ESTIMATE, BYTES_MAX, Weigh) }
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<Rc<Kept>> {
        self.answers.get(key).map(Rc::clone)
    }

    /// Keeps an answer, unless a later one is there. Returns the one to serve from now on.
    pub(crate) fn put(&mut self, key: CacheKey, kept: Rc<Kept>) -> Rc<Kept> {
        if let Some(there) = self.answers.peek(&key).filter(|there| there.outlasts(&kept)) {
            return Rc::clone(there);
        }
        if kept.bytes <= ANSWER_BYTES_MAX {
            self.answers.insert(key, Rc::clone(&kept));
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::Sighting;
    use perigee_shared::id::Epoch;

    fn kept(epoch: u64, canonical_bytes: usize) -> Rc<Kept> {
        kept_at(epoch, canonical_bytes, 0)
    }

    fn kept_at(epoch: u64, canonical_bytes: usize, seen_ms: u64) -> Rc<Kept> {
        let answer = perigee_shared::testing::answer("", epoch);
        let held = Held {
            checked: Sighting { epoch: answer.epoch, seen_ms },
            certified: None,
            born_ms: 0,
            until_ms: 1,
        };
        Rc::new(Kept::new(answer, ContextKey::from_bytes([0; 32]), held, false, canonical_bytes))
    }

    fn key(number: u64) -> CacheKey {
        CacheKey::parse(&format!("{number:064x}")).unwrap()
    }

    #[test]
    fn an_earlier_answer_never_replaces_a_later_one() {
        let mut memory = AnswerMemory::new();
        memory.put(key(1), kept(7, 100));
        assert_eq!(memory.put(key(1), kept(6, 100)).answer.epoch, Epoch::new(7), "nor is it served");
        assert_eq!(memory.get(&key(1)).unwrap().answer.epoch, Epoch::new(7));
        let large = ANSWER_BYTES_MAX as usize;
        assert_eq!(memory.put(key(1), kept(6, large)).answer.epoch, Epoch::new(7));
        assert_eq!(memory.put(key(1), kept(8, large)).answer.epoch, Epoch::new(8), "served, but not kept");
        memory.put(key(1), kept(8, 100));
        assert_eq!(memory.get(&key(1)).unwrap().answer.epoch, Epoch::new(8));
        memory.put(key(1), kept_at(1, 100, LAG_MS_MAX));
        assert_eq!(memory.get(&key(1)).unwrap().answer.epoch, Epoch::new(1), "a corpus made anew");
    }

    #[test]
    fn memory_stays_within_its_bound_whatever_comes() {
        let mut memory = AnswerMemory::new();
        memory.put(key(0), kept(1, 300_000));
        assert!(memory.get(&key(0)).is_none(), "too large to be kept at all");
        for number in 1..2_000 {
            memory.put(key(number), kept(1, 20_000));
        }
        assert!(memory.answers.weight() <= BYTES_MAX);
        assert!(memory.answers.len() > 200);
    }
}
