//! The tokenizer of `shared` against Hugging Face's, over the bundled model's `tokenizer.json`.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use perigee_shared::static_model::{Piece, StaticModel};
use proptest::prelude::*;
use tokenizers::Tokenizer;
use xtask::workspace::Workspace;

fn theirs() -> Tokenizer {
    let file = xtask::origin::model_dir(&Workspace::find().unwrap()).join("tokenizer.json");
    let mut tokenizer = Tokenizer::from_file(file).unwrap();
    tokenizer.with_truncation(None).unwrap();
    tokenizer.with_padding(None);
    tokenizer
}

fn pieces_of_theirs(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    tokenizer.encode(text, false).unwrap().get_tokens().to_vec()
}

fn pieces_of_ours(text: &str) -> Vec<String> {
    let model = StaticModel::bundled();
    let mut pieces = Vec::new();
    let _to_the_end = model.each_piece(text, |piece: Piece| {
        pieces.push(model.text_of(piece));
        ControlFlow::Continue(())
    });
    pieces
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}

#[test]
fn every_line_of_real_text_is_cut_into_the_same_pieces() {
    let data = Workspace::find().unwrap().root().join("../shared/data");
    if !data.is_dir() {
        eprintln!("skipped: there is no {}", data.display());
        return;
    }
    let theirs = theirs();
    let mut files = Vec::new();
    files_below(&data, &mut files);
    let (mut lines, mut pieces) = (0, 0);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let ours = pieces_of_ours(line);
            assert_eq!(ours, pieces_of_theirs(&theirs, line), "{} line {}", file.display(), number + 1);
            lines += 1;
            pieces += ours.len();
        }
    }
    eprintln!("{lines} lines, {pieces} pieces");
    assert!(lines > 10_000, "the data is there, but hardly any of it was read");
}

#[test]
fn every_character_is_cut_into_the_same_pieces() {
    let theirs = theirs();
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    for few in characters.chunks(64) {
        let text: String = few.iter().map(|character| format!("a{character}b {character} ")).collect();
        assert_eq!(pieces_of_ours(&text), pieces_of_theirs(&theirs, &text), "from {:x}", u32::from(few[0]));
    }
}

#[test]
fn marks_long_words_and_odd_texts_are_cut_into_the_same_pieces() {
    let theirs = theirs();
    let long = ["a".repeat(100), "a".repeat(101), "é".repeat(100), "qz".repeat(60), "日本".repeat(90)];
    let odd = [
        "",
        " ",
        "[CLS] a [SEP]",
        "[[MASK]]",
        "[unk][UNK]",
        "##ing",
        "[unused7]",
        "x[PAD",
        "[CLS][CLS]b",
        "\u{301}a",
        "e\u{301}\u{301}",
        "ﬁne Å ǅ İstanbul ẞ ß",
        "한국어",
        "👩\u{200d}💻 ok",
        "\u{feff}bom",
        "a\u{200b}b",
        "१२३",
        "Ω≠ω",
        "don’t “quote”",
    ];
    for text in long.iter().map(String::as_str).chain(odd) {
        assert_eq!(pieces_of_ours(text), pieces_of_theirs(&theirs, text), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_cut_into_the_same_pieces(text in "(\\PC|[a-zA-Z0-9 .,'?\\[\\]#-]|\\[SEP\\]){0,60}") {
        thread_local!(static THEIRS: Tokenizer = theirs());
        let theirs = THEIRS.with(|theirs| pieces_of_theirs(theirs, &text));
        prop_assert_eq!(pieces_of_ours(&text), theirs);
    }
}
