//! DOCX, built as the tests need it.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::*;

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn document(body: &str) -> Vec<u8> {
    let xml = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="w" xmlns:mc="mc"><w:body>{body}</w:body></w:document>"#
    );
    archive(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", xml.as_bytes())])
}

fn paragraph(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

#[test]
fn headings_lists_and_tables_become_markdown() {
    let style = |name: &str| format!(r#"<w:pStyle w:val="{name}"/>"#);
    let list = |level: usize| format!(r#"<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr>"#);
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", paragraph("", text));
    let body = [
        paragraph(&style("Heading1"), "Ducks &amp; geese"),
        paragraph("", "They <w:br/>swim.")
            .replace("They <w:br/>", "They</w:t><w:br/><w:t xml:space=\"preserve\">"),
        paragraph(&style("heading 2"), "Food"),
        paragraph(&list(0), "weeds"),
        paragraph(&list(1), "pond weeds &#x1F986;"),
        paragraph("", "# no heading"),
        format!(
            "<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>",
            cell("name"),
            cell("weight"),
            cell("Teal"),
            cell("0.3")
        ),
        paragraph("", "End"),
    ]
    .concat();
    let read = extract(Format::Docx, &document(&body)).unwrap();
    assert_eq!(read.title.as_deref(), Some("Ducks & geese"));
    assert_eq!(
        read.text,
        "# Ducks & geese\n\nThey swim.\n\n## Food\n\n- weeds\n  - pond weeds 🦆\n\n\\# no heading\n\n\
         | name | weight |\n| --- | --- |\n| Teal | 0.3 |\n\nEnd\n\n"
    );
}

#[test]
fn headings_are_known_by_their_styles_name_and_level_in_any_language() {
    let style = |id: &str| format!(r#"<w:pStyle w:val="{id}"/>"#);
    let body = [
        paragraph(&style("berschrift2"), "Enten"),
        paragraph(&style("MyChapter"), "Gänse"),
        paragraph(&style("Based"), "Schwäne"),
        paragraph(r#"<w:outlineLvl w:val="3"/>"#, "Teal"),
        paragraph(&style("Loop"), "Text"),
    ]
    .concat();
    let styles = r#"<w:styles>
        <w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
        <w:style w:styleId="MyChapter"><w:name w:val="Chapter"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
        <w:style w:styleId="Based"><w:name w:val="Own"/><w:basedOn w:val="berschrift2"/></w:style>
        <w:style w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>
        </w:styles>"#;
    let xml = format!("<w:document><w:body>{body}</w:body></w:document>");
    let file = archive(&[("word/document.xml", xml.as_bytes()), ("word/styles.xml", styles.as_bytes())]);
    assert_eq!(text_of(Format::Docx, file), "## Enten\n\n# Gänse\n\n## Schwäne\n\n#### Teal\n\nText\n\n");
    let broken = archive(&[("word/document.xml", xml.as_bytes()), ("word/styles.xml", b"<w:styles><w:st")]);
    assert!(text_of(Format::Docx, broken).contains("Enten"));
}

#[test]
fn deleted_text_and_fallbacks_are_not_read_twice() {
    let body = "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>\
        <mc:AlternateContent><mc:Choice><w:r><w:t>once</w:t></w:r></mc:Choice>\
        <mc:Fallback><w:r><w:t>twice</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>";
    assert_eq!(text_of(Format::Docx, document(body)), "once\n\n");
}

#[test]
fn the_properties_title_wins() {
    let file = archive(&[
        ("word/document.xml", b"<w:document><w:p><w:r><w:t>Text</w:t></w:r></w:p></w:document>"),
        ("docProps/core.xml", b"<cp:coreProperties><dc:title>A &lt;title&gt;</dc:title></cp:coreProperties>"),
    ]);
    assert_eq!(extract(Format::Docx, &file).unwrap().title.as_deref(), Some("A <title>"));
}

#[test]
fn a_zip_bomb_is_refused() {
    let bomb = archive(&[("word/document.xml", &vec![b' '; 100 << 20])]);
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(refusal(Format::Docx, bomb), ExtractError::TooMuch { .. }));
}

#[test]
fn an_archive_of_very_many_files_is_refused() {
    let names: Vec<String> = (0..10_001).map(|n| format!("f{n}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(matches!(refusal(Format::Docx, archive(&files)), ExtractError::TooMuch { .. }));
}

#[test]
fn protected_old_cut_or_other_files_are_refused() {
    assert_eq!(refusal(Format::Docx, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), ExtractError::Encrypted);
    let whole = document(&paragraph("", "Text"));
    assert!(matches!(refusal(Format::Docx, &whole[..whole.len() / 2]), ExtractError::Broken { .. }));
    assert!(matches!(refusal(Format::Docx, archive(&[("a.txt", b"a")])), ExtractError::Broken { .. }));
    let torn = archive(&[("word/document.xml", b"<w:document><w:p></w:q>")]);
    assert!(matches!(refusal(Format::Docx, torn), ExtractError::Broken { .. }));
}

#[test]
fn entities_are_not_expanded() {
    let xml = b"<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><w:document><w:p><w:r><w:t>x&b;y</w:t></w:r></w:p></w:document>";
    assert_eq!(text_of(Format::Docx, archive(&[("word/document.xml", xml)])), "xy\n\n");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "<w:tbl><w:tr><w:tc>".repeat(10_000);
    assert!(matches!(
        refusal(Format::Docx, document(&deep)),
        ExtractError::TooDeep { .. } | ExtractError::Broken { .. }
    ));
}
