//! The tokenizer's fuzz target: words strewn with whatever Unicode has that breaks tokenizers. Runs briefly with the other
//! tests; `PROPTEST_CASES=1000000 cargo test --release -p perigee-shared --test static_model_fuzz` runs it for long.

use std::ops::ControlFlow;

use perigee_shared::static_model::{Piece, StaticModel};
use proptest::prelude::*;

/// Bits of texts: words, marks and halves of them, combining marks without and in masses, joiners, directions, ideographs,
/// controls, what changes its length in lower case, and anything at all.
fn bit() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z]{1,12}",
        1 => "[ \\t\\n\u{a0}\u{2028}]{1,3}",
        1 => Just("[CLS]".to_owned()),
        1 => "[\\[\\]#CLSMAK]{1,6}",
        1 => "[\u{300}-\u{36f}\u{489}\u{20dd}]{1,40}",
        1 => "[\u{200b}-\u{200f}\u{202a}-\u{202e}\u{feff}\u{ad}]{1,4}",
        1 => "[\u{4e00}-\u{4e20}\u{20000}-\u{20010}\u{ac00}-\u{ac20}\u{3040}-\u{3060}]{1,4}",
        1 => "[\u{0}-\u{1f}\u{7f}\u{fffd}\u{e000}\u{10ffff}]{1,4}",
        1 => "[İẞǅﬁＡ①ſK]{1,4}",
        1 => "\\PC{1,8}",
        1 => (any::<char>(), 1..150_usize).prop_map(|(c, times)| c.to_string().repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_cut_into_pieces_that_are_there(bits in proptest::collection::vec(bit(), 0..24)) {
        let (model, text) = (StaticModel::bundled(), bits.concat());
        let mut pieces = Vec::new();
        let _all = model.each_piece(&text, |piece| {
            pieces.push(piece);
            ControlFlow::Continue(())
        });
        // A character is at most one piece, and those of a word spell it: none is empty, none is made up.
        let spelt: usize = pieces.iter().map(|piece| match piece {
            Piece::Known(_) => model.text_of(*piece).trim_start_matches("##").chars().count().max(1),
            Piece::Unknown | Piece::Special(_) => 1,
        }).sum();
        // NFD and lower case make up to some 18 characters of one.
        prop_assert!(spelt <= 18 * text.chars().count());
        let known = pieces.iter().any(|piece| matches!(piece, Piece::Known(_)));
        let vector = model.embed(&text);
        prop_assert!(known || vector.is_none());
        prop_assert_eq!(vector, model.embed(&text));
        // Told to stop, it stops.
        let mut seen = 0;
        let _stopped = model.each_piece(&text, |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        prop_assert_eq!(seen, pieces.len().min(1));
    }
}
