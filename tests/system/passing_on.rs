//! Documents, corpora and searches through the edge, and what the edge says of itself.

use anyhow::Result;
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
async fn in_an_upload_the_unreadable_file_is_refused_by_name_and_the_rest_goes_on() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", &[]).await?;
    let form = reqwest::multipart::Form::new()
        .part(
            "file",
            reqwest::multipart::Part::bytes(b"# Good\n\nThis is readable.\n".to_vec()).file_name("good.md"),
        )
        .part("file", reqwest::multipart::Part::bytes(b"not a pdf".to_vec()).file_name("bad.pdf"))
        .part("file", reqwest::multipart::Part::bytes(b"a,b\n1,2\n".to_vec()).file_name("table.csv"));
    let reply = client.request(Method::POST, "/v1/corpora/docs/documents").multipart(form).send().await?;
    assert_eq!(reply.status(), 200);
    let results: Value = reply.json().await?;
    let text = results.to_string();
    assert!(text.contains("good.md") && text.contains("table.csv"), "{text}");
    assert!(text.contains("bad.pdf") && text.contains("unreadable_document"), "{text}");
    let corpus = client.get("/v1/corpora/docs").await?.expect(200)?.json()?;
    assert_eq!(corpus["documents"], 2);
    Ok(())
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
    for path in [
        "/v1/chat/completions",
        "/v1/models",
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
