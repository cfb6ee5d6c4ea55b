//! Labels a pair of questions by their answers: whether the one's answer would have done for the other.

use std::collections::HashSet;

use perigee_shared::answer::{Answer, Generator};
use perigee_shared::evidence::PassageRef;
use perigee_shared::id::Similarity;

/// Answers that are so alike say the same, where they also rest on the same passages.
const SAME_SIMILARITY: f32 = 0.85;

/// Answers less alike than this say something else.
const OTHER_SIMILARITY: f32 = 0.6;

/// What two answers say of their questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    Same,
    Other,
    /// Neither so alike nor so unlike that one should learn from it.
    Unclear,
}

/// Compares the answer that a question got with the one that it would have been given, or was.
///
/// `similarity` is of the two texts' full-model vectors. An answer that rests on no passage of the other's is about
/// something else, however alike the words are: procedures read alike.
#[must_use]
pub fn compare(fresh: &Answer, reused: &Answer, similarity: Similarity) -> Label {
    if fresh.generator == Generator::Refusal {
        return Label::Other;
    }
    if fresh.text == reused.text {
        return Label::Same;
    }
    let (of_fresh, of_reused) = (cited(fresh), cited(reused));
    let common = of_fresh.intersection(&of_reused).count();
    let fewer = of_fresh.len().min(of_reused.len());
    if similarity.get() < OTHER_SIMILARITY || (fewer > 0 && common == 0) {
        return Label::Other;
    }
    if similarity.get() >= SAME_SIMILARITY && 2 * common >= fewer { Label::Same } else { Label::Unclear }
}

/// The passages that an answer cites, each once.
#[must_use]
pub fn cited(answer: &Answer) -> HashSet<&PassageRef> {
    let passages = answer.evidence.passages();
    answer.citations.iter().filter_map(|citation| passages.get(citation.mark.checked_sub(1)?)).collect()
}

#[cfg(test)]
mod tests {
    use perigee_shared::answer::Citation;
    use perigee_shared::evidence::Evidence;
    use perigee_shared::id::{ContentHash, DocumentId};

    use super::*;

    /// An answer over the passages 1 to 3 that cites some of them.
    fn answer(text: &str, marks: &[usize]) -> Answer {
        let document = |n: usize| DocumentId::new(format!("d{n}")).unwrap();
        let passage = |n: usize| PassageRef { document: document(n), hash: ContentHash::of(&[n as u8]) };
        let citation = |mark: &usize| Citation {
            mark: *mark,
            mark_start: 0,
            mark_end: 3,
            document: document(*mark),
            title: String::new(),
            url: None,
            start: 0,
            end: 1,
            quote: String::new(),
        };
        Answer {
            citations: marks.iter().map(citation).collect(),
            evidence: Evidence::new((1..=3).map(passage).collect()),
            ..perigee_shared::testing::answer(text, 1)
        }
    }

    fn label(fresh: &Answer, reused: &Answer, similarity: f32) -> Label {
        compare(fresh, reused, Similarity::new(similarity))
    }

    #[test]
    fn alike_and_from_the_same_passages_is_the_same() {
        let (a, b) = (answer("Run the installer. [1]", &[1]), answer("Just run the installer. [1]", &[1, 2]));
        assert_eq!(label(&a, &b, 0.95), Label::Same);
        assert_eq!(label(&a, &b, 0.7), Label::Unclear);
        assert_eq!(label(&a, &b, 0.3), Label::Other);
        assert_eq!(label(&a, &a, 0.0), Label::Same);
    }

    #[test]
    fn other_passages_make_it_another_answer_however_alike_it_reads() {
        let (a, b) = (answer("Set it to on. [1]", &[1]), answer("Set it to off. [2]", &[2]));
        assert_eq!(label(&a, &b, 0.97), Label::Other);
    }

    #[test]
    fn a_question_that_is_refused_afresh_was_answered_wrongly() {
        let refusal = Answer { generator: Generator::Refusal, ..answer("Nothing.", &[]) };
        assert_eq!(label(&refusal, &answer("Nothing.", &[]), 1.0), Label::Other);
    }
}
