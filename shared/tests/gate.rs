//! The gate by its behaviour.

use perigee_shared::gate::{Doubt, Reading, Signature, Verdict};

#[test]
fn a_question_is_the_same_as_itself_and_unsure_of_another() {
    let asked = Reading::of("How do I reset my password?");
    let other = Reading::of("Where is my card?");
    assert_eq!(asked.compare(&asked), Verdict::Same);
    assert_eq!(asked.compare(&other), Verdict::Unsure(Doubt::Words));
    assert_eq!(asked.signature().compare(&other.signature()), Verdict::Unsure(Doubt::Words));
    assert_eq!(Signature::from_bytes(asked.signature().to_bytes()), Ok(asked.signature()));
}
