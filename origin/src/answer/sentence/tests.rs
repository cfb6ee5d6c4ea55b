//! What passages fall into.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Vec<(Kind, String, String)> {
    units(text).into_iter().map(|unit| (unit.kind, unit.shown, text[unit.range].to_owned())).collect()
}

fn sentence(text: &str) -> (Kind, String, String) {
    (Kind::Sentence, text.to_owned(), text.to_owned())
}

#[test]
fn a_paragraph_falls_into_sentences_across_its_line_breaks() {
    let text = "uv is fast. It replaces\npip, e.g. in CI. Version 0.5.1 of J. Doe does, too!";
    let shown: Vec<String> = read(text).into_iter().map(|(_, shown, _)| shown).collect();
    assert_eq!(shown, ["uv is fast.", "It replaces pip, e.g. in CI.", "Version 0.5.1 of J. Doe does, too!"]);
}

#[test]
fn decoration_is_not_shown_and_is_quoted() {
    let read = read("**Run** the [installer](https://x.example/a_b). See `uv *x*`.");
    assert_eq!(
        read,
        [
            (
                Kind::Sentence,
                "Run the installer.".to_owned(),
                "**Run** the [installer](https://x.example/a_b).".to_owned()
            ),
            sentence("See `uv *x*`."),
        ]
    );
}

#[test]
fn code_lists_and_tables_stay_whole() {
    let text = "# Head\n\nInstall it:\n\n```console\n$ pip install uv. Then go.\n```\n\n- First. One.\n- \
                Second\n\n| Flag | Use |\n|---|---|\n| `-v` | More words. |\n";
    let read = read(text);
    let code = "```console\n$ pip install uv. Then go.\n```";
    assert_eq!(
        read,
        [
            sentence("Install it:"),
            (Kind::Code, code.to_owned(), code.to_owned()),
            (Kind::Item, "First. One.".to_owned(), "First. One.".to_owned()),
            (Kind::Item, "Second".to_owned(), "Second".to_owned()),
            (Kind::Row, "Flag: `-v`; Use: More words.".to_owned(), "| `-v` | More words. |".to_owned()),
        ]
    );
}

#[test]
fn admonitions_and_tabs_are_read_as_the_text_they_hold() {
    let text = "!!! note\n\n    Windows needs more. See below.\n\n=== \"macOS\"\n\n    ```sh\n    brew install uv\n    ```\n\nAfter.";
    let shown: Vec<(Kind, String)> = read(text).into_iter().map(|(kind, shown, _)| (kind, shown)).collect();
    assert_eq!(
        shown,
        [
            (Kind::Sentence, "Windows needs more.".to_owned()),
            (Kind::Sentence, "See below.".to_owned()),
            (Kind::Code, "```sh\nbrew install uv\n```".to_owned()),
            (Kind::Sentence, "After.".to_owned()),
        ]
    );
}

#[test]
fn tabs_inside_of_lists_are_read_too() {
    let text = "1. Remove it:\n\n    === \"macOS\"\n\n        ```sh\n        rm uv\n        ```\n";
    let shown: Vec<String> = read(text).into_iter().map(|(_, shown, _)| shown).collect();
    assert_eq!(shown, ["Remove it:", "```sh\nrm uv\n```"]);
}

#[test]
fn code_cannot_end_its_own_block() {
    let text = "````\n```\nx\n```\n````";
    assert_eq!(read(text)[0].1, "````\n```\nx\n```\n````");
}

#[test]
fn metadata_headings_images_and_markup_are_no_sentences() {
    assert_eq!(read("---\ntitle: x\n---\n\n# A\n\n![alt](x.png)\n\n<div>hello</div>\n\n***\n"), []);
    assert_eq!(units(""), []);
}

proptest! {
    #[test]
    fn whatever_the_text_units_are_inside_it_and_in_order(text in r"([a-zé. \n*_`>|\[\]()#!&;:=\\-]|    |```|\r\n){0,80}") {
        let units = units(&text);
        for unit in &units {
            prop_assert!(text.get(unit.range.clone()).is_some_and(|quote| !quote.trim().is_empty()));
        }
    }
}
