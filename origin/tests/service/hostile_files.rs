//! Files that take no end of memory or time: each ends its own reader, and the server goes on.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_extract::{Dictionary, Document, Object, Stream, dictionary};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::stage::{Caller, Program, Reply};

const PATH: &str = "/v1/corpora/docs/documents";

/// A PDF of one page with this content and these resources.
fn pdf(make: impl FnOnce(&mut Document) -> (Object, Object)) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let (contents, resources) = make(&mut document);
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages, "Contents" => contents, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    });
    let tree = dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 };
    document.objects.insert(pages, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

/// Ten forms, each of which draws the next ten times: nested no deeper than is allowed, and drawn 10^10 times.
fn endless() -> Vec<u8> {
    pdf(|document| {
        let mut inner = document.add_object(Stream::new(form(Dictionary::new()), b"q Q".to_vec()));
        for _ in 0..10 {
            let resources = dictionary! { "XObject" => dictionary! { "X" => inner } };
            inner = document.add_object(Stream::new(form(resources), b"/X Do ".repeat(10)));
        }
        let contents = document.add_object(Stream::new(Dictionary::new(), b"/X Do".to_vec()));
        (contents.into(), Object::Dictionary(dictionary! { "XObject" => dictionary! { "X" => inner } }))
    })
}

fn form(resources: Dictionary) -> Dictionary {
    dictionary! { "Type" => "XObject", "Subtype" => "Form", "Resources" => resources }
}

/// A megabyte that is packed to a kilobyte, and named by the page two thousand times.
fn many_times() -> Vec<u8> {
    pdf(|document| {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&b"q Q ".repeat(250_000)).unwrap();
        let stream = Stream::new(dictionary! { "Filter" => "FlateDecode" }, packed.finish().unwrap());
        let stream = document.add_object(stream);
        (vec![Object::from(stream); 2_000].into(), Object::Dictionary(Dictionary::new()))
    })
}

async fn upload(caller: &Caller, name: &str, content: Vec<u8>) -> Reply {
    let form = Form::new().part("file", Part::bytes(content).file_name(name.to_owned()));
    Reply::read(caller.request(Method::POST, PATH).multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_end_ends_its_own_reader_and_the_next_one_is_read() {
    let data = tempfile::tempdir().unwrap();
    let bounds = [
        ("PERIGEE_FILES_TIMEOUT", "4s"),
        ("PERIGEE_FILES_AT_ONCE", "1"),
        ("PERIGEE_FILES_MEMORY_BYTES", "600000000"),
    ];
    let mut program = Program::serve(data.path(), &bounds).await;
    program.line_with("\"ready\"").await;
    let operator = Caller::operator(program.address);
    assert_eq!(operator.post("/v1/corpora", json!({"name": "docs"}).to_string()).await.status, 201);

    let slow = upload(&operator, "endless.pdf", endless()).await;
    assert_eq!((slow.status, slow.json()["code"].as_str()), (422, Some("unreadable_document")), "{slow:?}");
    assert!(slow.shown().contains("took longer than 4 seconds"), "{slow:?}");

    let large = upload(&operator, "large.pdf", many_times()).await;
    assert_eq!(
        (large.status, large.json()["code"].as_str()),
        (422, Some("unreadable_document")),
        "{large:?}"
    );
    assert!(large.shown().contains("of memory"), "{large:?}");

    let page = "<h1>Trains</h1><p>Trains leave hourly.</p>";
    let read = upload(&operator, "trains.html", page.into()).await;
    assert_eq!(read.json()["data"][0]["outcome"], "created", "{read:?}");
    let metrics = operator.get("/metrics").await.shown();
    for outcome in ["timed_out", "too_large"] {
        let counted = format!("perigee_files_read_total{{format=\"pdf\",outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&counted), "{outcome}: {metrics}");
    }
}
