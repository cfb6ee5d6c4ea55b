//! The bundled table and the embedding over it: what is committed is whole, and any text has a vector or none.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use std::ops::ControlFlow;

use perigee_shared::static_model::{
    DIMENSIONS, InvalidTable, NewRow, PIECES_MAX, StaticModel, StaticVector, write_table,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

static TABLE: &[u8] = include_bytes!("../models/static-table.bin");
const MODEL: &str = "../origin/models/all-MiniLM-L6-v2-int8/model.onnx";

fn embed(text: &str) -> Option<StaticVector> {
    StaticModel::bundled().embed(text)
}

fn similarity(a: &str, b: &str) -> f32 {
    embed(a).unwrap().similarity(&embed(b).unwrap()).get()
}

#[test]
fn the_bundled_table_is_named_by_its_content_and_was_made_from_the_bundled_model() {
    let model = StaticModel::bundled();
    assert_eq!(model.id().to_bytes(), Sha256::digest(&TABLE[16..])[..8]);
    let source: [u8; 32] = Sha256::digest(std::fs::read(MODEL).unwrap()).into();
    assert_eq!(*model.source(), source, "the model changed: run `cargo xtask distil`");
    let read_me = std::fs::read_to_string("models/README.md").unwrap();
    assert!(read_me.contains(&model.id().to_string()) && read_me.contains(&hex::encode(source)));
    assert!(TABLE.len() <= 2_200_000, "{} bytes", TABLE.len());
}

/// The very bytes: a vector made in the worker must be the one that the origin published.
#[test]
fn a_text_has_this_vector_and_no_other() {
    let vector = embed("How do I enable remote write?").unwrap().to_bytes();
    insta::assert_snapshot!(hex::encode(vector), @"7f8fe7edd8420df10ffb33e64b36f33214e1250028f727f819090de009f31ffe200f2bf706c7e2e52701faf02e1c0d30bf3307f2e6d3c5081321141f0a1ff813");
}

#[test]
fn texts_of_the_same_words_are_near_and_others_are_not() {
    let near = similarity("How can I delete old metrics?", "how do I remove old metrics");
    let far = similarity("How can I delete old metrics?", "Which Python versions are supported?");
    assert!(near > 0.6 && far < 0.4, "{near} {far}");
    // Case, accents and punctuation carry little or nothing.
    assert!(similarity("Déjà vu, again?", "deja vu again") > 0.99);
}

#[test]
fn a_text_without_known_words_has_no_vector() {
    for text in ["", " \n\t", "\u{200b}\u{feff}", "[CLS] [SEP]", &"a".repeat(101)] {
        assert_eq!(embed(text), None, "{text:?}");
    }
}

#[test]
fn of_a_text_without_end_only_the_first_pieces_count() {
    let start = "metric ".repeat(PIECES_MAX);
    assert_eq!(embed(&(start.clone() + &"zebra ".repeat(10_000))), embed(&start));
    let mut pieces = 0;
    let _all = StaticModel::bundled().each_piece(&"metric ".repeat(10_000), |_| {
        pieces += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(pieces, 10_000, "the tokenizer itself leaves nothing out");
}

fn rows() -> impl Strategy<Value = Vec<NewRow>> {
    let piece = ("(##)?[ab]{1,4}", any::<[[i8; 8]; 8]>());
    proptest::collection::btree_map(piece.0, piece.1, 1..40).prop_map(|rows| {
        rows.into_iter()
            .map(|(piece, numbers)| {
                let mut row = [0.0; DIMENSIONS];
                for (to, from) in row.iter_mut().zip(numbers.as_flattened()) {
                    *to = f32::from(*from) / 10.0;
                }
                NewRow { piece, numbers: row }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_cut_and_embedded_without_harm(text in "\\PC{0,200}") {
        embed(&text);
    }

    /// Each number is the row's, but for half a step of what a byte can say.
    #[test]
    fn a_table_says_what_was_written(rows in rows()) {
        let table = write_table(&[9; 32], &rows).unwrap();
        let model = StaticModel::parse(&table).unwrap();
        prop_assert_eq!(model.source(), &[9; 32]);
        for row in rows.iter().filter(|row| !row.piece.starts_with("##")) {
            let most = row.numbers.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
            let vector = model.embed(&row.piece);
            prop_assert_eq!(vector.is_none(), most == 0.0);
            if let Some(vector) = vector {
                for (byte, number) in vector.to_bytes().iter().zip(row.numbers) {
                    prop_assert!((f32::from(byte.cast_signed()) * most / 127.0 - number).abs() <= most / 253.0);
                }
            }
        }
    }

    #[test]
    fn a_damaged_table_is_refused_or_read_without_harm(
        rows in rows(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        text in "[ab ]{0,12}",
    ) {
        let mut table = write_table(&[9; 32], &rows).unwrap();
        prop_assert!(StaticModel::parse(&table[..at.index(table.len())]).is_err());
        let at = at.index(table.len());
        table[at] = byte;
        if let Ok(model) = StaticModel::parse(&table) {
            // Whatever it gives: it does not panic.
            let _ = model.embed(&text);
        }
    }
}

#[test]
fn what_is_no_table_of_this_format_is_named() {
    let table =
        write_table(&[9; 32], &[NewRow { piece: "a".to_owned(), numbers: [1.0; DIMENSIONS] }]).unwrap();
    let with = |at: usize, byte: u8| {
        let mut table = table.clone();
        table[at] = byte;
        StaticModel::parse(&table).map(|_| ()).unwrap_err()
    };
    assert_eq!(with(0, b'X'), InvalidTable::NotATable);
    assert_eq!(with(4, 2), InvalidTable::Version(2));
    assert_eq!(with(6, 65), InvalidTable::Dimensions(65));
    assert_eq!(with(51, 255), InvalidTable::Damaged, "billions of pieces");
}

#[test]
fn no_table_is_written_that_could_not_be_read() {
    let row = |piece: &str, number| NewRow { piece: piece.to_owned(), numbers: [number; DIMENSIONS] };
    for rows in [
        vec![row("a", 1.0), row("a", 2.0)],
        vec![row("", 1.0)],
        vec![row("a", f32::NAN)],
        vec![row(&"a".repeat(65), 1.0)],
    ] {
        assert_eq!(write_table(&[0; 32], &rows), None, "{rows:?}");
    }
}
