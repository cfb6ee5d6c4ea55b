//! Files in a form.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::stage::{Caller, Reply, Stage};

const PATH: &str = "/v1/corpora/docs/documents";

async fn upload(caller: &Caller, form: Form) -> Reply {
    Reply::read(caller.request(Method::POST, PATH).multipart(form)).await
}

fn file(name: &str, content: impl Into<Vec<u8>>) -> Part {
    Part::bytes(content.into()).file_name(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_refused_by_name_and_the_rest_goes_on() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let form = Form::new()
        .part("file", file("guide/trains.md", "# Trains\n\nTrains leave hourly.\n"))
        .part("file", file("broken.pdf", b"%PDF-1.7 nonsense".to_vec()))
        .part("file", file("empty.txt", ""))
        .part("file", file("program.exe", b"MZ".to_vec()))
        .part("file", file("fares.csv", "zone,price\nA,3\n"));
    let reply = upload(&operator, form.percent_encode_noop()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    let brief: Vec<(&str, &str)> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| match result["outcome"].as_str() {
            Some(outcome) => (result["id"].as_str().unwrap(), outcome),
            None => (result["name"].as_str().unwrap(), result["error"]["code"].as_str().unwrap()),
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("guide:trains.md", "created"),
            ("broken.pdf", "unreadable_document"),
            ("empty.txt", "unreadable_document"),
            ("program.exe", "unsupported_media_type"),
            ("fares.csv", "created"),
        ]
    );
    assert_eq!(body["epoch"], 4);
    assert_eq!(reply.header("perigee-epoch"), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_that_cannot_be_read_is_the_requests_refusal() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let reply = upload(&operator, Form::new().part("file", file("broken.docx", "PK nonsense"))).await;
    assert_eq!((reply.status, reply.header("content-type")), (422, "application/problem+json"));
    assert!(reply.json()["detail"].as_str().unwrap().starts_with("broken.docx: "), "{reply:?}");
    for (what, reply, status) in [
        ("no form", operator.post(PATH, "x").await, 415),
        ("no file", upload(&operator, Form::new()).await, 400),
        (
            "a misspelt field",
            upload(&operator, Form::new().text("audiance", "staff").part("file", file("a.md", "a"))).await,
            400,
        ),
        (
            "a bad label",
            upload(&operator, Form::new().text("audience", "a b").part("file", file("a.md", "a"))).await,
            400,
        ),
        (
            "a cut form",
            Reply::read(
                operator
                    .request(Method::POST, PATH)
                    .header("content-type", "multipart/form-data; boundary=x")
                    .body(
                        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\r\nabc",
                    ),
            )
            .await,
            400,
        ),
    ] {
        assert_eq!(reply.status, status, "{what}: {reply:?}");
    }
    assert_eq!(operator.get("/v1/corpora/docs").await.json()["epoch"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_describe_the_files_after_them_and_lines_themselves() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let lines = [
        json!({"_id": "one", "title": "One", "text": "The first line."}),
        json!({"_id": "two", "text": "The second line.", "audience": ["board"], "metadata": {"year": 2026}}),
        json!({"_id": "three", "text": "The third line.", "audience": "board"}),
    ]
    .map(|line| line.to_string())
    .join("\n");
    let form = Form::new()
        .text("audience", "staff")
        .text("metadata", r#"{"lang": "en"}"#)
        .part("file", file("lines.jsonl", lines));
    let reply = upload(&operator, form).await.json();
    assert_eq!(reply["data"][0]["outcome"], "created");
    // A label that is not understood must not make the line public.
    assert_eq!(reply["data"][2]["name"], "lines.jsonl, line 3");
    let two = operator.get(&format!("{PATH}/two")).await.json();
    assert_eq!(two["audience"], json!(["staff", "board"]));
    assert_eq!(two["metadata"], json!({"lang": "en", "year": 2026}));
    let public = operator.clone().with("perigee-audience", "");
    assert_eq!(public.get(&format!("{PATH}/one")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_too_many_documents_is_refused_from_there_on() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    // By hand: the client's own forms are as deep as they have parts.
    let upload = async |files: Vec<(&str, String)>| {
        let part = |(name, content): (&str, String)| {
            format!(
                "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n"
            )
        };
        let body = files.into_iter().map(part).collect::<String>() + "--edge--\r\n";
        let request = operator.request(Method::POST, PATH).body(body);
        Reply::read(request.header("content-type", "multipart/form-data; boundary=edge")).await.json()
    };
    // None of them can be read, so that nothing is written.
    let reply = upload((0..10_003).map(|_| ("noise", "x".to_owned())).collect()).await;
    let results = reply["data"].as_array().unwrap();
    assert_eq!(results.len(), 10_001);
    assert_eq!(results[9_999]["error"]["code"], "unsupported_media_type");
    assert_eq!(results[10_000]["error"]["code"], "too_large");

    // Lines count as files do, in whatever file they come.
    let lines = |count: usize| ("more.jsonl", "no document\n".repeat(count));
    let reply = upload(vec![lines(6_000), lines(4_001), lines(3_999)]).await;
    let results = reply["data"].as_array().unwrap();
    assert_eq!(results.len(), 6_000 + 1 + 3_999);
    assert_eq!(results[6_000]["error"]["code"], "too_large");
}
