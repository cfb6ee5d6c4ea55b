//! Text formats: plain, Markdown, CSV, JSON, JSON Lines; and names of files.

use super::*;

#[test]
fn bytes_that_are_not_text_are_refused_with_a_way_out() {
    assert_eq!(refusal(Format::Text, b"abc\xFFdef"), ExtractError::NotUtf8 { at: 3 });
    assert_eq!(refusal(Format::Markdown, b"abc\0def"), ExtractError::Binary);
    assert_eq!(refusal(Format::Csv, b"a\0,\0b\0"), ExtractError::Binary);
    assert_eq!(refusal(Format::Json, b"\xFF\xFE\x00\xD8"), ExtractError::NotUtf16);
    assert!(refusal(Format::Text, b"abc\xFFdef").to_string().contains("save it as UTF-8"));
}

#[test]
fn a_text_over_the_limit_is_refused() {
    assert_eq!(refusal(Format::Text, "x".repeat(DOCUMENT_CHARS_MAX + 1)), ExtractError::TooLong);
    // Characters count, not bytes.
    assert!(extract(Format::Text, "é".repeat(DOCUMENT_CHARS_MAX).as_bytes()).is_ok());
}

#[test]
fn byte_order_marks_are_read_and_not_kept() {
    assert_eq!(text_of(Format::Text, b"\xEF\xBB\xBFducks"), "ducks");
    assert_eq!(text_of(Format::Text, b"\xFF\xFEd\0u\0"), "du");
    assert_eq!(text_of(Format::Text, b"\xFE\xFF\0d\0u"), "du");
}

#[test]
fn text_is_kept_as_it_is() {
    let text = "  Line one\r\n\r\n\tLine two \u{202e}🦆\n\n";
    assert_eq!(text_of(Format::Text, text), text);
    assert_eq!(text_of(Format::Markdown, text), text);
}

#[test]
fn front_matter_gives_the_title_and_goes() {
    let read = |text: &str| {
        let read = extract(Format::Markdown, text.as_bytes()).unwrap();
        (read.title, read.text)
    };
    let some = |title: &str, text: &str| (Some(title.to_owned()), text.to_owned());
    assert_eq!(read("---\ntitle: Ducks\nnav: 1\n---\n# Birds\n"), some("Ducks", "# Birds\n"));
    assert_eq!(read("---\r\ntitle: \"Du: cks\"\r\n---\r\nText"), some("Du: cks", "Text"));
    assert_eq!(read("---\ntitle: 'It''s'\n---\nText"), some("It's", "Text"));
    assert_eq!(read("---\nnav: 1\n---\n\n# The `duck` {#d}\n"), some("The duck", "\n# The `duck` {#d}\n"));
    // A thematic break is no front matter, and neither is one that never ends.
    assert_eq!(read("---\nDucks swim.\n\n---\n").1, "---\nDucks swim.\n\n---\n");
    assert_eq!(read("---\ntitle: x\nDucks").1, "---\ntitle: x\nDucks");
    assert_eq!(read("```\n# no\n```\n\nYes\n===\n").0.as_deref(), Some("Yes"));
    assert_eq!(refusal(Format::Markdown, "---\ntitle: x\n---\n"), ExtractError::Empty);
}

#[test]
fn a_title_is_one_line_within_its_limit() {
    let read = extract(Format::Markdown, format!("# a\u{7}b {}\n", "long ".repeat(500)).as_bytes()).unwrap();
    let title = read.title.unwrap();
    assert!(title.starts_with("a b long"));
    assert_eq!(title.chars().count(), TITLE_CHARS_MAX);
}

#[test]
fn a_row_of_csv_becomes_lines_with_the_names_of_its_columns() {
    let csv = "name,weight,note\nMallard,1.1,\"swims,\n\ndives\"\nTeal,,small,extra\n";
    assert_eq!(
        text_of(Format::Csv, csv),
        "name: Mallard\nweight: 1.1\nnote: swims, dives\n\nname: Teal\nnote: small\nextra\n"
    );
    assert_eq!(text_of(Format::Csv, "name;weight\nTeal;0,3\n"), "name: Teal\nweight: 0,3\n");
    assert_eq!(text_of(Format::Csv, "name\tweight\nTeal\t0.3\n"), "name: Teal\nweight: 0.3\n");
    assert_eq!(text_of(Format::Csv, "name,weight\n"), "name\nweight");
}

#[test]
fn a_table_of_a_million_columns_is_refused() {
    let wide = "a,".repeat(1_000_000);
    assert_eq!(refusal(Format::Csv, &wide), ExtractError::too_much("columns", 1_000));
    assert!(matches!(refusal(Format::Csv, format!("a,b\n{wide}\n")), ExtractError::TooMuch { .. }));
}

#[test]
fn a_small_table_that_repeats_long_names_is_refused() {
    let bomb = format!("{}\n{}", "n".repeat(1 << 20), "1\n".repeat(1 << 10));
    assert_eq!(refusal(Format::Csv, bomb), ExtractError::TooLong);
}

#[test]
fn json_becomes_lines_with_paths() {
    let json =
        r#"{"title":"Ducks","food":{"weeds":true,"bread":null},"ponds":[{"name":"North","fish":[1,2]}]}"#;
    let read = extract(Format::Json, json.as_bytes()).unwrap();
    assert_eq!(read.title.as_deref(), Some("Ducks"));
    let mut lines: Vec<&str> = read.text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["food.weeds: true", "ponds[0].fish: 1", "ponds[0].fish: 2", "ponds[0].name: North", "title: Ducks"]
    );
    assert_eq!(text_of(Format::Json, r#"[{"a":1},{"a":"two"}]"#), "a: 1\n\na: two\n");
    assert_eq!(refusal(Format::Json, "{}"), ExtractError::Empty);
}

#[test]
fn broken_or_deep_json_is_refused() {
    assert!(
        matches!(refusal(Format::Json, "{\"a\":"), ExtractError::Broken { format, .. } if format == "JSON")
    );
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(refusal(Format::Json, deep), ExtractError::TooDeep { .. }));
}

#[test]
fn each_line_of_json_lines_is_a_document_or_an_error_of_its_own() {
    let lines = concat!(
        "\u{feff}{\"_id\":\"a\",\"title\":\"T\",\"text\":\"one\",\"metadata\":{\"k\":1},\"other\":true}\r\n",
        "\n",
        "{\"id\":7,\"content\":\"two\",\"format\":\"markdown\"}\n",
        "{\"id\":\"b\"}\n",
        "not json\n",
        "[1]\n",
        "{\"text\":\"no id\"}"
    );
    let read: Vec<_> = json_lines(lines.as_bytes()).collect();
    let first = read[0].as_ref().unwrap();
    assert_eq!(
        (first.line, first.id.as_str(), first.text.as_str(), first.format),
        (1, "a", "one", Format::Text)
    );
    assert_eq!(first.metadata["k"], 1);
    let second = read[1].as_ref().unwrap();
    assert_eq!((second.line, second.id.as_str(), second.text.as_str()), (3, "7", "two"));
    assert_eq!(second.format, Format::Markdown);
    let wrong: Vec<usize> = read[2..].iter().map(|line| line.as_ref().unwrap_err().line).collect();
    assert_eq!(wrong, [4, 5, 6, 7]);
}

#[test]
fn the_name_decides_the_format_and_the_declared_type_helps() {
    assert_eq!(sniff("Guide.MD", None), Some(Format::Markdown));
    assert_eq!(sniff("a.b.docx", Some("application/octet-stream")), Some(Format::Docx));
    assert_eq!(sniff("page", Some("text/html; charset=utf-8")), Some(Format::Html));
    assert_eq!(sniff("data.tsv", None), Some(Format::Csv));
    assert_eq!(sniff("tool.exe", None), None);
    assert_eq!(sniff(".md", None), None);
    assert_eq!(sniff("lines.jsonl", None), None);
    assert!(is_json_lines("lines.JSONL", None) && is_json_lines("x", Some("application/x-ndjson")));
    assert!(!is_json_lines("one.json", Some("application/x-ndjson")));
}
