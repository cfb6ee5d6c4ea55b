//! The gate's fuzz target: real questions cut, spliced and strewn with hostile characters. Runs briefly with the
//! other tests; `PROPTEST_CASES=1000000 cargo test --release -p perigee-shared --test gate_fuzz` runs it for long.

use std::sync::LazyLock;

use perigee_shared::gate::{Reading, Signature, Verdict, align};
use proptest::prelude::*;
use proptest::sample::Index;

/// Hidden, turning, look-alike, wide and combining characters, and an emoji.
const HOSTILE: [char; 9] =
    ['\u{200b}', '\u{200d}', '\u{202e}', '\u{feff}', '\u{ad}', '\u{430}', '\u{ff41}', '\u{336}', '\u{1f642}'];

/// The examples' questions, without their escapes.
static QUESTIONS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lines = include_str!("gate_pairs.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| line.split(" | ").skip(1).take(2)).filter(|text| !text.contains('\\')).collect()
});

#[derive(Debug, Clone)]
enum Edit {
    Insert(Index, char),
    Delete(Index),
    SwapWords(Index, Index),
    /// The rest becomes that of another question.
    Splice(Index, Index, Index),
    Repeat(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let inserted = prop_oneof![
        proptest::sample::select(&HOSTILE[..]),
        proptest::sample::select(vec![
            '\'', '"', '`', '-', '.', ',', '?', '(', ')', '$', '%', ' ', '\n', '0', '9', 's', 'A', 'é'
        ]),
    ];
    prop_oneof![
        (index(), inserted).prop_map(|(at, c)| Edit::Insert(at, c)),
        index().prop_map(Edit::Delete),
        (index(), index()).prop_map(|(a, b)| Edit::SwapWords(a, b)),
        (index(), index(), index()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
        index().prop_map(Edit::Repeat),
    ]
}

fn edited(text: &str, edits: &[Edit]) -> String {
    edits.iter().fold(text.to_owned(), |text, edit| {
        let mut letters: Vec<char> = text.chars().collect();
        let place = |index: &Index, length: usize| index.index(length + 1);
        match edit {
            Edit::Insert(at, c) => letters.insert(place(at, letters.len()), *c),
            Edit::Delete(at) if !letters.is_empty() => {
                letters.remove(at.index(letters.len()));
            }
            Edit::Delete(_) => {}
            Edit::SwapWords(a, b) => {
                let mut words: Vec<&str> = text.split(' ').collect();
                let (a, b) = (a.index(words.len()), b.index(words.len()));
                words.swap(a, b);
                return words.join(" ");
            }
            Edit::Splice(at, other, from) => {
                let other: Vec<char> = other.get(&QUESTIONS).chars().collect();
                letters.truncate(place(at, letters.len()));
                letters.extend(&other[place(from, other.len())..]);
            }
            Edit::Repeat(at) => letters.extend_from_within(place(at, letters.len())..),
        }
        letters.into_iter().collect()
    })
}

fn digits(text: &str) -> Vec<char> {
    let mut digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    digits.sort_unstable();
    digits
}

proptest! {
    #[test]
    fn no_edit_makes_the_gate_panic_contradict_itself_or_overlook_a_digit_or_a_hidden_character(
        question in any::<Index>(),
        edits in proptest::collection::vec(edit(), 0..6),
    ) {
        let question = *question.get(&QUESTIONS);
        let changed = edited(question, &edits);
        let (a, b) = (Reading::of(question), Reading::of(&changed));
        let (s, t) = (a.signature(), b.signature());
        prop_assert_eq!(b.compare(&b), Verdict::Same);
        prop_assert_eq!(a.compare(&b), b.compare(&a));
        prop_assert_eq!(s.compare(&t), t.compare(&s));
        prop_assert_eq!(s.compare(&t).is_same(), a.compare(&b).is_same());
        prop_assert_eq!(Signature::from_bytes(t.to_bytes()).unwrap(), t);
        let alignment = align(&a, &b);
        prop_assert!(alignment.unaligned().all(|word| word.weight > 0.0 && word.weight <= 1.0));
        if a.compare(&b).is_same() {
            prop_assert_eq!(digits(question), digits(&changed), "{} / {}", question, changed);
            let hostile = |text: &str| text.contains(HOSTILE);
            prop_assert_eq!(hostile(question), hostile(&changed), "{:?}", changed);
        }
    }
}
