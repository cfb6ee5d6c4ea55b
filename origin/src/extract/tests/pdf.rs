//! PDF, built with the reader's own library.

use pdf_extract::{Dictionary, Document, Object, Stream, dictionary};

use super::*;

/// Pages with one line of text each; `change` may spoil the document before it is written.
fn pdf(lines: &[&str], change: impl FnOnce(&mut Document, Object)) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let kids: Vec<Object> = lines
        .iter()
        .map(|line| {
            let drawing = format!("BT /F1 24 Tf 72 700 Td ({line}) Tj ET /X Do");
            let drawing = if line.contains("Do") { drawing } else { drawing.replace(" /X Do", "") };
            let contents = document.add_object(Stream::new(Dictionary::new(), drawing.into_bytes()));
            document
                .add_object(dictionary! { "Type" => "Page", "Parent" => pages, "Contents" => contents })
                .into()
        })
        .collect();
    let count = i64::try_from(kids.len()).unwrap();
    document.objects.insert(
        pages,
        Object::Dictionary(dictionary! {
            "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
        }),
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    let info = document.add_object(dictionary! { "Title" => Object::string_literal("Duck report") });
    document.trailer.set("Info", info);
    change(&mut document, resources.into());
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn set(document: &mut Document, target: &Object, key: &str, value: impl Into<Object>) {
    let target = document.get_object_mut(target.as_reference().unwrap()).unwrap();
    target.as_dict_mut().unwrap().set(key, value);
}

#[test]
fn the_pages_are_read_in_order() {
    let read = extract(Format::Pdf, &pdf(&["Ducks swim.", "Geese fly."], |_, _| ())).unwrap();
    assert_eq!(read.title.as_deref(), Some("Duck report"));
    assert_eq!(read.markup, Markup::Plain);
    let (ducks, geese) = (read.text.find("Ducks swim.").unwrap(), read.text.find("Geese fly.").unwrap());
    assert!(ducks < geese);
}

#[test]
fn cut_and_damaged_files_are_refused_or_read() {
    let whole = pdf(&["Ducks swim."], |_, _| ());
    for end in (0..whole.len()).step_by(whole.len() / 12) {
        let _ = extract(Format::Pdf, &whole[..end]);
    }
    for at in (9..whole.len()).step_by(37) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        let _ = extract(Format::Pdf, &damaged);
    }
    assert!(matches!(refusal(Format::Pdf, "just text"), ExtractError::Broken { .. }));
    assert!(matches!(
        refusal(Format::Pdf, "%PDF-1.7\n%%EOF"),
        ExtractError::Broken { .. } | ExtractError::Empty
    ));
}

#[test]
fn a_file_without_text_is_empty() {
    assert_eq!(refusal(Format::Pdf, pdf(&[""], |_, _| ())), ExtractError::Empty);
}

#[test]
fn an_encrypted_file_is_refused() {
    let bytes = pdf(&["Secret ducks."], |document, _| {
        let encrypt = document.add_object(dictionary! {
            "Filter" => "Standard", "V" => 1, "R" => 2, "P" => -4,
            "O" => Object::string_literal(vec![1_u8; 32]), "U" => Object::string_literal(vec![2_u8; 32]),
        });
        document.trailer.set("Encrypt", encrypt);
        let id = Object::string_literal(vec![3_u8; 16]);
        document.trailer.set("ID", vec![id.clone(), id]);
    });
    assert_eq!(refusal(Format::Pdf, bytes), ExtractError::Encrypted);
}

#[test]
fn a_stream_that_unpacks_without_end_is_refused() {
    let bytes = pdf(&["Ducks."], |document, _| {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..600 {
            std::io::Write::write_all(&mut packed, &vec![b' '; 1 << 20]).unwrap();
        }
        let packed = packed.finish().unwrap();
        document.add_object(Stream::new(dictionary! { "Filter" => "FlateDecode" }, packed));
    });
    assert!(bytes.len() < 2 << 20);
    assert!(matches!(refusal(Format::Pdf, bytes), ExtractError::TooMuch { .. }));
}

#[test]
fn a_drawing_that_draws_itself_does_not_overflow() {
    for own_resources in [true, false] {
        let bytes = pdf(&["Do"], |document, resources| {
            let form = document.new_object_id();
            let mut stream =
                Stream::new(dictionary! { "Type" => "XObject", "Subtype" => "Form" }, b"/X Do".to_vec());
            let xobjects = dictionary! { "X" => form };
            if own_resources {
                stream.dict.set("Resources", dictionary! { "XObject" => xobjects.clone() });
            }
            document.objects.insert(form, Object::Stream(stream));
            set(document, &resources, "XObject", xobjects);
        });
        let error = refusal(Format::Pdf, bytes);
        assert!(matches!(error, ExtractError::TooDeep { .. } | ExtractError::Broken { .. }), "{error}");
    }
}

#[test]
fn a_page_tree_in_a_circle_is_refused() {
    let bytes = pdf(&["Ducks."], |document, _| {
        let pages = document.catalog().unwrap().get(b"Pages").unwrap().clone();
        set(document, &pages, "Parent", pages.clone());
    });
    assert!(matches!(
        refusal(Format::Pdf, bytes),
        ExtractError::TooDeep { .. } | ExtractError::Broken { .. }
    ));
}
