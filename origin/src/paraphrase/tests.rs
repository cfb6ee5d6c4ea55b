//! What is reused and what never.

use perigee_shared::gate::{Difference, Reading};

use super::*;

fn judged(asked: &str, answered: &str, evidence: Support) -> Judgement {
    let (asked, answered) = (Reading::of(asked), Reading::of(answered));
    let pair = Pair { asked: &asked, answered: &answered, similarity: Similarity::new(0.99), evidence };
    judge(pair, Calibration::bundled(), 0.0)
}

fn decided(asked: &str, answered: &str, evidence: Support) -> Decision {
    let threshold = Calibration::bundled().threshold(Tolerance::default());
    judged(asked, answered, evidence).decide(threshold)
}

#[test]
fn the_same_question_is_reused() {
    let text = "How do I install uv on Linux?";
    assert_eq!(decided(text, text, Support::WHOLE), Decision::Reuse);
}

#[test]
fn what_the_gate_refuses_is_not_reused_however_sure_all_else_is() {
    let (on, off) = ("How do I enable the query log?", "How do I disable the query log?");
    let mut judgement = judged(on, off, Support::WHOLE);
    judgement.verdict = Verdict::Different(Difference::Opposites);
    judgement.probability = Probability::new(1.0);
    assert_eq!(judgement.decide(Some(Probability::new(0.5))), Decision::Gate);
    judgement.verdict = Verdict::Unsure(Doubt::Unreadable);
    assert_eq!(judgement.decide(Some(Probability::new(0.5))), Decision::Gate);
}

#[test]
fn what_the_answer_cites_must_be_what_retrieval_returns() {
    let text = "How do I install uv on Linux?";
    let moved = Support { cited: false, overlap: 0.9 };
    assert_eq!(decided(text, text, moved), Decision::Evidence);
}

#[test]
fn without_a_threshold_nothing_is_reused() {
    let text = "How do I install uv on Linux?";
    assert_eq!(judged(text, text, Support::WHOLE).decide(None), Decision::Unsure);
}
