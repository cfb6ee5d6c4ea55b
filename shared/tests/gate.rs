//! The gate by its behaviour: pairs of questions in gate_pairs.txt, and what holds for all texts.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test stands on must be there")]

use perigee_shared::gate::{GATE_VERSION, Reading, Signature, Verdict, align};
use proptest::prelude::*;

struct Example {
    expected: &'static str,
    left: String,
    right: String,
    about: &'static str,
}

fn examples() -> Vec<Example> {
    let lines = include_str!("gate_pairs.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(" | ").collect();
            let [expected, left, right, about] = fields[..] else { panic!("not a pair: {line}") };
            Example { expected, left: unescaped(left), right: unescaped(right), about }
        })
        .collect()
}

/// Characters that can't be seen are written `\u{…}`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('}').unwrap();
        plain.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        plain.push_str(rest);
    }
    plain
}

fn holds(expected: &str, verdict: Verdict) -> bool {
    match expected {
        "same" => verdict == Verdict::Same,
        "not" => verdict != Verdict::Same,
        different => {
            let named = different.strip_prefix("different ").unwrap();
            matches!(verdict, Verdict::Different(difference) if format!("{difference:?}").to_lowercase() == named)
        }
    }
}

#[test]
fn every_example_is_judged_as_it_should_be_both_ways_round() {
    let examples = examples();
    assert!(examples.len() > 250);
    let mut wrong = Vec::new();
    for Example { expected, left, right, about } in &examples {
        let (a, b) = (Reading::of(left), Reading::of(right));
        for (a, b) in [(&a, &b), (&b, &a)] {
            let verdict = a.compare(b);
            if !holds(expected, verdict) {
                wrong.push(format!(
                    "{about}: {left} / {right}: expected {expected}, not {verdict}\n    {:?}\n    {:?}",
                    a.words().join(" "),
                    b.words().join(" ")
                ));
            }
            assert_eq!(
                verdict.is_same(),
                a.signature().compare(&b.signature()).is_same(),
                "{left} / {right}"
            );
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), examples.len(), wrong.join("\n"));
}

#[test]
fn what_cannot_be_read_is_the_same_as_itself_only() {
    for text in ["", "🙂", "как удалить файл", "how d\u{43e} I pay", "how do I log in\u{200b}", "?!"]
    {
        let reading = Reading::of(text);
        assert!(!reading.is_readable(), "{text}");
        assert_eq!(reading.compare(&Reading::of(&format!("  {text}\n"))), Verdict::Same, "{text}");
        assert_ne!(reading.compare(&Reading::of("how do I log in")), Verdict::Same, "{text}");
    }
}

#[test]
fn a_text_too_long_for_a_question_is_the_same_as_itself_only() {
    let long = "how do I delete a file ".repeat(2_000);
    assert_eq!(Reading::of(&long).compare(&Reading::of(&long)), Verdict::Same);
    assert_ne!(Reading::of(&long).compare(&Reading::of(&format!("{long} and more"))), Verdict::Same);
}

#[test]
fn a_signature_of_another_version_is_refused() {
    let mut bytes = Reading::of("How do I pay?").signature().to_bytes();
    bytes[0] = GATE_VERSION + 1;
    assert!(Signature::from_bytes(bytes).is_err());
}

#[test]
fn the_alignment_tells_forms_synonyms_and_what_is_left_over() {
    let (left, right) = (
        Reading::of("How do I configure the Grafana server?"),
        Reading::of("How do I do Kibana configuration?"),
    );
    let alignment = align(&left, &right);
    assert_eq!(alignment.pairs.len(), 1);
    assert_eq!(alignment.pairs[0].right, "configuration");
    let left_only: Vec<&str> = alignment.left_only.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(left_only, ["grafana", "server"]);
    assert!(alignment.left_only[0].is_name && alignment.left_only[0].weight > alignment.left_only[1].weight);
    assert_eq!(alignment.right_only.len(), 1);
}

/// Texts made of what the rules look at, so that they meet often.
fn question() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "how", "do", "i", "you", "can", "what", "which", "is", "are", "be", "the", "a", "of", "by", "if",
        "when", ",", "?", "not", "all", "dogs", "cats", "chase", "chased", "deleted", "file", "files", "uv",
        "3.5", "5", "seconds", "`x`", "--flag", "'s", "from", "to", "without", "that", "please", "thanks",
        "exist", "there", "should", "me",
    ]);
    proptest::collection::vec(word, 0..10).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn the_verdict_is_the_same_both_ways_round(a in question(), b in question()) {
        let (a, b) = (Reading::of(&a), Reading::of(&b));
        prop_assert_eq!(a.compare(&b), b.compare(&a));
        prop_assert_eq!(a.signature().compare(&b.signature()), b.signature().compare(&a.signature()));
        prop_assert_eq!(a.compare(&a), Verdict::Same);
    }

    #[test]
    fn what_the_signatures_call_the_same_the_texts_do_not_call_different(a in question(), b in question()) {
        let (a, b) = (Reading::of(&a), Reading::of(&b));
        prop_assert_eq!(a.signature().compare(&b.signature()).is_same(), a.compare(&b).is_same());
    }

    #[test]
    fn any_text_is_read_and_its_signature_comes_back_from_its_bytes(a in any::<String>(), b in any::<String>()) {
        let (a, b) = (Reading::of(&a), Reading::of(&b));
        prop_assert_eq!(a.compare(&b), b.compare(&a));
        prop_assert_eq!(Signature::from_bytes(a.signature().to_bytes()), Ok(a.signature()));
        let alignment = align(&a, &b);
        if a.is_readable() && b.is_readable() {
            prop_assert_eq!(alignment.pairs.len() + alignment.left_only.len(), align(&a, &a).pairs.len());
        } else {
            prop_assert!(alignment.pairs.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_a_signature_or_refused(bytes in any::<[u8; 24]>(), text in question()) {
        if let Ok(signature) = Signature::from_bytes(bytes) {
            let verdict = signature.compare(&Reading::of(&text).signature());
            prop_assert_ne!(verdict, Verdict::Same);
        }
    }

    #[test]
    fn outer_space_and_case_do_not_matter(a in question()) {
        prop_assume!(!a.contains(['`', '-']));
        let spaced = format!(" \t{a}\n");
        prop_assert_eq!(Reading::of(&spaced).compare(&Reading::of(&a)), Verdict::Same);
    }
}
