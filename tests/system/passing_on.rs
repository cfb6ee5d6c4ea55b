//! Documents, corpora and searches through the edge, and what the edge says of itself.

use std::io::Write;

use anyhow::{Context, Result};
use perigee_tests::stage::Stage;
use reqwest::Method;
use serde_json::{Value, json};

use crate::GUIDE;

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_written_listed_read_and_deleted() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.post("/v1/corpora", &json!({"name": "docs"})).await?.expect(409)?;

    let again = client
        .put("/v1/corpora/docs/documents/refunds", &json!({"content": GUIDE[0].1}))
        .await?
        .expect(200)?;
    assert_eq!(again.json()?["outcome"], "unchanged");
    // No change, so no new number: the one of the change that wrote it.
    assert_eq!(again.json()?["epoch"], 1);
    assert_eq!(again.header("perigee-epoch"), GUIDE.len().to_string());

    let page = client.get("/v1/corpora/docs/documents?limit=2").await?.expect(200)?.json()?;
    let ids = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|d| d["id"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(ids(&page), ["install", "refunds"]);
    let cursor = page["next_cursor"].as_str().unwrap_or("");
    let rest = client
        .get(&format!("/v1/corpora/docs/documents?limit=2&cursor={cursor}"))
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(ids(&rest), ["support"]);
    assert!(rest["next_cursor"].is_null());

    client.delete("/v1/corpora/docs/documents/support").await?.expect(200)?;
    client.get("/v1/corpora/docs/documents/support").await?.expect(404)?;
    let corpus = client.get("/v1/corpora/docs").await?.expect(200)?.json()?;
    assert_eq!(corpus["documents"], 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_upload_hostile_files_are_refused_by_name_and_the_rest_goes_on() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", &[]).await?;
    let files: [(&str, Vec<u8>); 5] = [
        ("good.md", b"# Good\n\nThis is readable.\n".to_vec()),
        ("bad.pdf", b"not a pdf".to_vec()),
        ("locked.pdf", encrypted_pdf()),
        ("bomb.docx", zip_bomb()?),
        ("table.csv", b"a,b\n1,2\n".to_vec()),
    ];
    let mut form = reqwest::multipart::Form::new();
    for (name, bytes) in files {
        form = form.part("file", reqwest::multipart::Part::bytes(bytes).file_name(name));
    }
    let reply = client.request(Method::POST, "/v1/corpora/docs/documents").multipart(form).send().await?;
    assert_eq!(reply.status(), 200);
    let body: Value = reply.json().await?;
    let results = body["data"].as_array().context("no results")?;
    let result = |name: &str| results.iter().find(|result| result["name"] == name || result["id"] == name);
    for (name, why) in
        [("bad.pdf", "begin"), ("locked.pdf", "encrypted"), ("bomb.docx", "bytes when unpacked")]
    {
        let error = &result(name).with_context(|| format!("no result for {name}: {body}"))?["error"];
        assert_eq!(error["code"], "unreadable_document", "{name}: {error}");
        assert!(error["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{name}: {error}");
    }
    for name in ["good.md", "table.csv"] {
        assert_eq!(result(name).map(|result| &result["outcome"]), Some(&json!("created")), "{name}: {body}");
    }
    let corpus = client.get("/v1/corpora/docs").await?.expect(200)?.json()?;
    assert_eq!(corpus["documents"], 2);
    Ok(())
}

/// A PDF under a password, written out by hand.
fn encrypted_pdf() -> Vec<u8> {
    let secret = "01".repeat(32);
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[]/Count 0>>".to_owned(),
        format!("<</Filter/Standard/V 1/R 2/P -4/O<{secret}>/U<{secret}>>>"),
    ];
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", pdf.len()));
        pdf.extend(format!("{} 0 obj\n{object}\nendobj\n", number + 1).bytes());
    }
    let (start, size, id) = (pdf.len(), objects.len() + 1, "03".repeat(16));
    let trailer = format!("trailer\n<</Root 1 0 R/Encrypt 3 0 R/ID[<{id}><{id}>]/Size {size}>>\n");
    pdf.extend(format!("{table}{trailer}startxref\n{start}\n%%EOF\n").bytes());
    pdf
}

/// A DOCX of some hundred kilobytes that unpacks to a hundred megabytes.
fn zip_bomb() -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("word/document.xml", zip::write::SimpleFileOptions::default())?;
    for _ in 0..100 {
        archive.write_all(&vec![b' '; 1 << 20])?;
    }
    Ok(archive.finish()?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_line_by_line() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", &[]).await?;
    let lines = "{\"id\":\"a\",\"content\":\"Alpha is first.\"}\nnot json\n{\"id\":\"b/c\",\"content\":\"x\"}\n{\"id\":\"b\",\"content\":\"Beta is second.\"}\n";
    let reply = client
        .request(Method::POST, "/v1/corpora/docs/documents:batch")
        .header("content-type", "application/x-ndjson")
        .body(lines)
        .send()
        .await?;
    assert_eq!(reply.status(), 200);
    let results: Vec<Value> =
        reply.text().await?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(results.len(), 4, "{results:?}");
    assert_eq!(results.iter().filter(|r| r["outcome"] == "created").count(), 2, "{results:?}");
    assert_eq!(results.iter().filter(|r| !r["error"].is_null()).count(), 2, "{results:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_filtered_and_shows_both_ranks() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", &[]).await?;
    for year in 2020..2030 {
        let document = json!({"content": format!("# Report {year}\n\nThe yearly report of {year}."), "metadata": {"year": year}});
        client.put(&format!("/v1/corpora/docs/documents/report-{year}"), &document).await?;
    }
    let search = json!({"query": "yearly report", "k": 3, "filter": {"range": {"field": "year", "gte": 2024, "lt": 2027}}});
    let found = client.post("/v1/corpora/docs/search", &search).await?.expect(200)?.json()?;
    let results = found["data"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<&str> = results.iter().filter_map(|r| r["document_id"].as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["report-2024", "report-2025", "report-2026"]);
    assert!(results[0]["vector"]["rank"].is_u64() && results[0]["lexical"]["rank"].is_u64(), "{found}");
    assert_eq!(found["epoch"], 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_describes_itself() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?.anonymous();
    client.get("/healthz").await?.expect(200)?;
    let page = client.get("/").await?.expect(200)?;
    assert!(
        page.header("content-type").starts_with("text/html")
            && !page.header("content-security-policy").is_empty()
    );
    let api = client.get("/openapi.json").await?.expect(200)?.json()?;
    assert!(api["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")));
    for path in ["/", "/openapi.json"] {
        let sent = client.get(path).await?.expect(200)?;
        let again = client.clone().with("if-none-match", sent.header("etag")).get(path).await?.expect(304)?;
        assert!(again.body.is_empty() && !again.header("cache-control").is_empty(), "{path}: {again:?}");
    }
    for path in [
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{corpus}",
        "/v1/corpora/{corpus}/search",
        "/v1/corpora/{corpus}/documents/{id}",
    ] {
        assert!(api["paths"][path].is_object(), "{path} is missing");
    }
    client.get("/nothing/here").await?.expect(404)?;
    let wrong_method = client.delete("/v1/chat/completions").await?.expect(405)?;
    assert!(wrong_method.header("allow").contains("POST"));
    Ok(())
}
