//! What passages promise: exact places, nothing lost, sizes that the model can read.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn tokenizer() -> Arc<Tokenizer> {
    static TOKENIZER: std::sync::OnceLock<Arc<Tokenizer>> = std::sync::OnceLock::new();
    let load = || {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2-int8/tokenizer.json");
        let mut tokenizer = Tokenizer::from_file(file).unwrap();
        tokenizer.with_truncation(None).unwrap();
        tokenizer.with_padding(None);
        Arc::new(tokenizer)
    };
    Arc::clone(TOKENIZER.get_or_init(load))
}

fn tokens(text: &str) -> usize {
    tokenizer().encode(text, true).unwrap().len()
}

fn document(text: &str, markup: Markup) -> Extracted {
    Extracted { title: None, text: text.to_owned(), markup }
}

fn split(text: &str) -> Vec<Piece> {
    let pieces = Splitter::new(tokenizer()).split(&document(text, Markup::Markdown)).unwrap();
    check(text, &pieces);
    pieces
}

/// Everything that must hold for any text.
fn check(text: &str, pieces: &[Piece]) {
    let characters: Vec<char> = text.chars().collect();
    let mut covered = 0;
    for piece in pieces {
        assert!(piece.start >= covered, "pieces overlap or are out of order");
        let lost: String = characters[covered..piece.start].iter().collect();
        assert!(lost.trim().is_empty(), "lost {lost:?}");
        assert_eq!(piece.text, characters[piece.start..piece.end].iter().collect::<String>());
        assert!(!piece.text.trim().is_empty());
        covered = piece.end;
    }
    let lost: String = characters[covered..].iter().collect();
    assert!(lost.trim().is_empty(), "lost {lost:?} at the end");
}

fn sentences(count: usize) -> String {
    (0..count).map(|n| format!("Sentence number {n} says that the ducks of pond {n} are well. ")).collect()
}

#[test]
fn nothing_makes_no_passages() {
    assert!(split("").is_empty());
    assert!(split(" \n\t\n ").is_empty());
}

#[test]
fn a_short_document_is_one_passage_under_its_heading() {
    let pieces = split("# Ducks\n\n## Food\n\nThey eat weeds.\n");
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].headings, ["Ducks", "Food"]);
    assert_eq!(pieces[0].text, "# Ducks\n\n## Food\n\nThey eat weeds.");
}

#[test]
fn headings_form_a_path_and_siblings_replace_each_other() {
    let text = format!(
        "# Guide\n\n{a}\n\n## Install `uv` {{#install}}\n\n{a}\n\n### On *Windows*\n\n{a}\n\n## Use\n\n{a}",
        a = sentences(14)
    );
    let pieces = split(&text);
    let path = |start: &str| {
        pieces.iter().find(|piece| piece.text.starts_with(start)).map(|piece| piece.headings.join(" > "))
    };
    assert_eq!(path("# Guide").as_deref(), Some("Guide"));
    assert_eq!(path("## Install").as_deref(), Some("Guide > Install uv"));
    assert_eq!(path("### On").as_deref(), Some("Guide > Install uv > On Windows"));
    assert_eq!(path("## Use").as_deref(), Some("Guide > Use"));
}

#[test]
fn a_hash_in_a_code_block_is_no_heading() {
    let pieces = split(&format!("# Real\n\n```sh\n# not a heading\nls\n```\n\n{}", sentences(30)));
    assert!(pieces.len() > 1);
    for piece in pieces {
        assert_eq!(piece.headings, ["Real"]);
    }
}

#[test]
fn a_heading_is_not_a_passage_of_its_own() {
    for words in 150..230 {
        let body = "duck ".repeat(words);
        let pieces = split(&format!("# One\n\n{body}\n\n## Two\n\n{body}\n"));
        for piece in &pieces {
            assert!(piece.text.contains("duck"), "{words}: {piece:?}");
        }
    }
}

#[test]
fn what_is_embedded_fits_the_model() {
    let title =
        "A rather long title of a document that goes on and on about many things, as titles do".repeat(3);
    let text = format!("# {title}\n\n{}\n\n## {title}\n\n{}", sentences(60), sentences(60));
    for piece in split(&text) {
        let embedded = embedding_text(&title, &piece.headings, &piece.text);
        assert!(tokens(&embedded) <= 256, "{}: {embedded}", tokens(&embedded));
    }
}

#[test]
fn the_embedded_text_names_title_and_headings_once() {
    let headings = ["Guide".to_owned(), "Install".to_owned()];
    assert_eq!(embedding_text("Guide", &headings, "Run it."), "Guide: Install\nRun it.");
    assert_eq!(embedding_text("Guide", &headings, "## Install\n\nRun it."), "Guide\n## Install\n\nRun it.");
    assert_eq!(embedding_text(" ", &[], "Run it."), "Run it.");
}

#[test]
fn one_endless_word_or_line_is_cut() {
    for endless in ["x".repeat(200_000), "é".repeat(100_000), "a ".repeat(100_000), "🦆".repeat(50_000)] {
        let pieces = split(&endless);
        assert!(pieces.len() > 10);
        assert!(pieces.iter().all(|piece| piece.text.len() < 8_000));
    }
}

#[test]
fn deep_nesting_and_long_tables_are_split() {
    split(&format!("{}text", "> ".repeat(20_000)));
    split(&"[".repeat(20_000));
    split(&(0..500).map(|depth| format!("{}- item\n", "  ".repeat(depth))).collect::<String>());
    let rows: String = (0..5_000).map(|n| format!("| row {n} | a cell | another |\n")).collect();
    assert!(split(&format!("| a | b | c |\n|---|---|---|\n{rows}")).len() > 50);
}

#[test]
fn a_document_of_too_many_passages_is_refused() {
    let text = sentences(1_000);
    let refused = Splitter { tokenizer: tokenizer(), pieces_max: 10 }.split(&document(&text, Markup::Plain));
    assert_eq!(refused, Err(SplitError::TooManyPassages));
}

#[test]
fn real_documentation_is_split_exactly() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/docs");
    if !root.is_dir() {
        println!("skipped: ../shared/data is not there");
        return;
    }
    let mut count = 0;
    for entry in ignore::Walk::new(root).flatten().filter(|e| e.path().extension().is_some_and(|x| x == "md"))
    {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let pieces = split(&text);
        for piece in &pieces {
            let embedded = embedding_text("A title of the usual length", &piece.headings, &piece.text);
            assert!(
                tokens(&embedded) <= 262,
                "{} in {}: {embedded}",
                tokens(&embedded),
                entry.path().display()
            );
        }
        count += pieces.len();
    }
    println!("{count} passages");
    assert!(count > 500);
}

fn markdown_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "\\PC{0,40}",
        Just("\n\n".to_owned()),
        Just("\n# Heading ünï\n\n".to_owned()),
        Just("\n## 二番\n".to_owned()),
        Just("Setext\n======\n".to_owned()),
        Just("```\n# code\n```\n".to_owned()),
        Just("- item\n  - nested\n\n    para\n".to_owned()),
        Just("| a | b |\n|---|---|\n| 1 | 2 |\n".to_owned()),
        Just("> quote\n".to_owned()),
        Just("<div>\n*x*\n</div>\n\n".to_owned()),
        Just("---\ntitle: x\n---\n".to_owned()),
        Just("\r\n\u{2028}\u{a0}\t\0".to_owned()),
        Just("word ".repeat(130)),
        Just("🦆é".repeat(90)),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_covered_exactly(text in markdown_like()) {
        for markup in [Markup::Markdown, Markup::Plain] {
            let pieces = Splitter::new(tokenizer()).split(&document(&text, markup)).unwrap();
            check(&text, &pieces);
        }
    }

    #[test]
    fn windows_cover_a_text_without_gaps(text in "(\\PC{0,9}|\n){0,9000}", every in 1_usize..50_000) {
        let boundaries: Vec<usize> =
            (0..text.len()).step_by(every).filter(|at| text.is_char_boundary(*at)).collect();
        let windows = window::windows(&text, &boundaries);
        let mut at = 0;
        for window in windows {
            prop_assert_eq!(window.start, at);
            prop_assert!(window.end > at || text.is_empty());
            at = window.end;
        }
        prop_assert_eq!(at, text.len());
    }
}
