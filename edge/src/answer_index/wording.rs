//! Other wordings: which answered questions mean the same as the one that is asked. Pure.
//!
//! The vector only finds candidates. An answer is proposed when the gate says *same*, and for nothing less.

use perigee_shared::answer_index::{Candidate, Snapshot};
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::gate::{Doubt, Reading, Signature, Verdict};
use perigee_shared::id::Similarity;
use perigee_shared::question::Question;
use perigee_shared::static_model::StaticModel;

use super::Unusable;

/// Candidates that the gate looks at, nearest first. Comparing two signatures costs next to nothing.
const CANDIDATES_MAX: usize = 8;

/// Answers that are proposed, and looked up if this isolate doesn't hold them.
const PROPOSED_MAX: usize = 2;

/// Bytes of a question whose wording is matched. Longer ones hold more than one thing to get wrong, and cost the gate more
/// than a look at them should.
const TEXT_BYTES_MAX: usize = 1_024;

/// The keys of answers to questions that mean the same, nearest first. They are of a context whose start is the asker's;
/// the whole of it is beside the answer, and must be compared.
///
/// None for a question with turns before it, which other words could refer to.
pub(crate) fn answers_to_other_words(
    snapshot: &Snapshot,
    question: &Question,
    own: &CacheKey,
    context: &ContextKey,
) -> Vec<CacheKey> {
    let same = consider(snapshot, question, own, context).into_iter().filter(|one| one.verdict.is_same());
    same.map(|one| one.key).take(PROPOSED_MAX).collect()
}

/// An answered question beside the one that is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Considered {
    pub(crate) key: CacheKey,
    pub(crate) similarity: Similarity,
    pub(crate) verdict: Verdict,
}

/// The answered questions that are near enough for the gate to be asked, and its word, nearest first. `own` is the key of
/// the one that is asked: under it was looked before.
pub(crate) fn consider(
    snapshot: &Snapshot,
    question: &Question,
    own: &CacheKey,
    context: &ContextKey,
) -> Vec<Considered> {
    let text = question.asked();
    let stands_alone = question.turns.len() == 1 && text.len() <= TEXT_BYTES_MAX;
    if !stands_alone || snapshot.is_empty() || Unusable::wordings_of(snapshot).is_some() {
        return Vec::new();
    }
    let Some(threshold) = snapshot.header().threshold else { return Vec::new() };
    let Some(vector) = StaticModel::bundled().embed(text) else { return Vec::new() };
    let mut candidates = snapshot.scan(&vector, context.tag(), threshold, CANDIDATES_MAX);
    candidates.retain(|one| one.key != *own);
    if candidates.is_empty() {
        return Vec::new();
    }
    let asked = Reading::of(text).signature();
    let considered = candidates.into_iter().map(|Candidate { key, similarity, signature }| {
        let other = Signature::from_bytes(signature);
        let verdict = other.map_or(Verdict::Unsure(Doubt::Version), |other| asked.compare(&other));
        Considered { key, similarity, verdict }
    });
    considered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_shared::answer_index::{AnswerMark, Entry, Header};
    use perigee_shared::cache_key::ContextTag;
    use perigee_shared::gate::GATE_VERSION;
    use perigee_shared::question::{Speaker, Turn};
    use perigee_shared::static_model::ModelId;
    use perigee_shared::testing::{index_entry, index_header, question};
    use proptest::prelude::*;

    const CONTEXT: ContextKey = ContextKey::from_bytes([7; 32]);

    fn header() -> Header {
        index_header(5)
    }

    fn key(number: u8) -> CacheKey {
        CacheKey::from_bytes([number; 32])
    }

    fn entry(number: u8, text: &str, context: ContextTag) -> Entry {
        index_entry(key(number), text, context)
    }

    fn asked(text: &str, snapshot: &Snapshot) -> Vec<CacheKey> {
        answers_to_other_words(snapshot, &question(text), &key(0), &CONTEXT)
    }

    #[test]
    fn only_a_question_that_the_gate_calls_the_same_is_proposed() {
        let stored = "How do I enable remote write?";
        let snapshot = Snapshot::new(header(), [entry(1, stored, CONTEXT.tag())]);
        assert_eq!(asked(stored, &snapshot), [key(1)]);
        for other in ["How do I disable remote write?", "What is remote write?", "", "🙂", "remote"] {
            assert!(asked(other, &snapshot).is_empty(), "{other}");
        }
    }

    #[test]
    fn the_question_itself_takes_no_other_s_place() {
        let stored = "How do I enable remote write?";
        let entries = [1, 2, 3].map(|number| entry(number, stored, CONTEXT.tag()));
        let snapshot = Snapshot::new(header(), entries);
        let proposed = answers_to_other_words(&snapshot, &question(stored), &key(1), &CONTEXT);
        assert_eq!(proposed, [key(2), key(3)]);
    }

    #[test]
    fn what_other_words_could_refer_to_or_is_long_is_not_matched() {
        let stored = "How do I enable remote write?";
        let snapshot = Snapshot::new(header(), [entry(1, stored, CONTEXT.tag())]);
        let mut follow_up = question(stored);
        follow_up.turns.insert(0, Turn { speaker: Speaker::User, text: "Hello".to_owned() });
        assert!(answers_to_other_words(&snapshot, &follow_up, &key(0), &CONTEXT).is_empty());
        let long = stored.repeat(TEXT_BYTES_MAX);
        let snapshot = Snapshot::new(header(), [entry(1, &long, CONTEXT.tag())]);
        assert!(asked(&long, &snapshot).is_empty());
    }

    #[test]
    fn a_question_of_another_context_is_never_proposed() {
        let stored = "How do I enable remote write?";
        let other = ContextKey::from_bytes([8; 32]);
        let snapshot = Snapshot::new(header(), [entry(1, stored, other.tag())]);
        assert!(asked(stored, &snapshot).is_empty());
    }

    #[test]
    fn where_a_corpus_tolerates_no_error_not_even_the_very_words_are_taken_for_each_other() {
        let stored = "How do I enable remote write?";
        let none = Header { threshold: None, ..header() };
        let snapshot = Snapshot::new(none, [entry(1, stored, CONTEXT.tag())]);
        assert!(asked(stored, &snapshot).is_empty());
        assert!(snapshot.covers(&key(1), AnswerMark::from_bytes([0; 4])), "it still certifies");
    }

    /// Wordings of three questions: some the same by the gate, all of them like each other by their vectors.
    const WORDINGS: [&str; 8] = [
        "How do I enable remote write?",
        "how do i enable remote write",
        "How can I enable remote write?",
        "How do I enable remote read?",
        "how do I enable the remote read?",
        "How do I disable remote write?",
        "How can I disable remote write",
        "Why enable remote write?",
    ];

    proptest! {
        /// The floor that is published rules, and a stricter one never lets more in.
        #[test]
        fn nothing_is_proposed_below_the_published_floor(
            text in prop::sample::select(&WORDINGS[..]),
            stored in prop::sample::subsequence(&WORDINGS[..], 0..=WORDINGS.len()),
            mild in prop::option::of(0.5..=1.0_f32),
            strict in prop::option::of(0.5..=1.0_f32),
        ) {
            let reach = |floor: Option<f32>| floor.unwrap_or(f32::INFINITY);
            let (mild, strict) = if reach(mild) <= reach(strict) { (mild, strict) } else { (strict, mild) };
            let entries: Vec<Entry> =
                (1..).zip(&stored).map(|(number, text)| entry(number, text, CONTEXT.tag())).collect();
            let proposed = |floor: Option<f32>| {
                let header = Header { threshold: floor.map(Similarity::new), ..header() };
                asked(text, &Snapshot::new(header, entries.clone()))
            };
            let vector = StaticModel::bundled().embed(text).unwrap();
            for key in proposed(strict) {
                let found = entries.iter().find(|entry| entry.key == key).unwrap();
                prop_assert!(found.vector.similarity(&vector).get() >= reach(strict));
                prop_assert!(proposed(mild).contains(&key));
            }
        }
    }

    #[test]
    fn nothing_is_looked_for_below_the_threshold_or_among_another_model_s_or_gate_s_entries() {
        let stored = "How do I enable remote write?";
        let other_model = Header { model: ModelId::from_bytes([0; 8]), ..header() };
        let other_gate = Header { gate_version: u16::from(GATE_VERSION) + 1, ..header() };
        for (header, expected) in [(header(), 1), (other_model, 0), (other_gate, 0)] {
            let snapshot = Snapshot::new(header, [entry(1, stored, CONTEXT.tag())]);
            assert_eq!(asked(stored, &snapshot).len(), expected, "{header:?}");
        }
        // A signature that says the same, and a vector that says otherwise.
        let strange = Entry {
            vector: StaticModel::bundled().embed("zebra").unwrap(),
            ..entry(1, stored, CONTEXT.tag())
        };
        assert!(asked(stored, &Snapshot::new(header(), [strange])).is_empty());
    }
}
