//! Whatever is sent: a clear 4xx in the API's own shape, no side effect, and the next request is served.

use anyhow::Result;
use perigee_tests::client::{Client, chat};
use perigee_tests::stage::Stage;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{GUIDE, REFUND};

async fn post_raw(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> Result<(u16, String)> {
    let request = client.request(Method::POST, path).header("content-type", "application/json").body(body);
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_is_a_4xx_in_openais_shape() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let nested = format!("{{\"model\":\"docs\",\"messages\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("broken JSON", b"{\"model\": \"docs\", ".to_vec(), 400),
        ("no body", Vec::new(), 400),
        (
            "invalid UTF-8",
            b"{\"model\":\"docs\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}".to_vec(),
            400,
        ),
        ("wrong types", json!({"model": 5, "messages": "x"}).to_string().into_bytes(), 400),
        (
            "wrong role",
            json!({"model": "docs", "messages": [{"role": "king", "content": "x"}]}).to_string().into_bytes(),
            400,
        ),
        ("no messages", json!({"model": "docs", "messages": []}).to_string().into_bytes(), 400),
        ("empty question", chat("docs", "  ").to_string().into_bytes(), 400),
        ("over-long question", chat("docs", &"x".repeat(40_000)).to_string().into_bytes(), 400),
        ("unknown model", chat("nothing", "Is it?").to_string().into_bytes(), 404),
        ("model with a slash", chat("../docs", "Is it?").to_string().into_bytes(), 404),
        ("deep nesting", nested.into_bytes(), 400),
        ("10 MB", chat("docs", &"x".repeat(10 << 20)).to_string().into_bytes(), 413),
    ];
    for (what, body, status) in cases {
        let (got, text) = post_raw(&client, "/v1/chat/completions", body).await?;
        assert_eq!(got, status, "{what}: {text}");
        let error: Value = serde_json::from_str(&text)?;
        assert!(
            error["error"]["message"].is_string() && error["error"]["type"].is_string(),
            "{what}: {text}"
        );
    }
    client.ask("docs", REFUND).await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_search_is_a_4xx_problem() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let deep =
        format!("{}{{\"exists\":{{\"field\":\"a\"}}}}{}", "{\"not\":".repeat(1_000), "}".repeat(1_000));
    for (what, body) in [
        ("a filter nested 1,000 deep", format!("{{\"query\":\"x\",\"filter\":{deep}}}")),
        ("an empty query", json!({"query": ""}).to_string()),
        ("k of 0", json!({"query": "x", "k": 0}).to_string()),
        ("k of a billion", json!({"query": "x", "k": 1_000_000_000}).to_string()),
        ("an unknown field", json!({"query": "x", "filters": {}}).to_string()),
        ("an unknown condition", json!({"query": "x", "filter": {"like": {"field": "a"}}}).to_string()),
    ] {
        let (status, text) = post_raw(&client, "/v1/corpora/docs/search", body).await?;
        assert_eq!(status, 400, "{what}: {text}");
        assert_eq!(serde_json::from_str::<Value>(&text)?["code"], "invalid_request", "{what}: {text}");
    }
    client.post("/v1/corpora/nothing/search", &json!({"query": "x"})).await?.expect(404)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_is_refused_and_nothing_is_written() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    for id in ["a%2Fb", "a%00b", "a%0Ab", "..%2f..%2fx", "%F0%9F%98%80", &"x".repeat(300)] {
        let reply = client.put(&format!("/v1/corpora/docs/documents/{id}"), &json!({"content": "x"})).await?;
        assert!(matches!(reply.status, 400 | 404), "{id}: {reply:?}");
    }
    for (what, body, statuses) in [
        ("no content", json!({}), [400, 422]),
        ("empty content", json!({"content": " "}), [400, 422]),
        ("unknown field", json!({"content": "x", "titel": "y"}), [400, 422]),
        ("bad url", json!({"content": "x", "url": "javascript:alert(1)"}), [400, 422]),
        ("pdf in JSON", json!({"content": "x", "format": "pdf"}), [415, 415]),
        ("bad label", json!({"content": "x", "audience": ["a b"]}), [400, 422]),
        ("too much metadata", json!({"content": "x", "metadata": {"a": "y".repeat(20_000)}}), [400, 422]),
    ] {
        let reply = client.put("/v1/corpora/docs/documents/bad", &body).await?;
        assert!(statuses.contains(&reply.status), "{what}: {reply:?}");
    }
    client.post("/v1/corpora", &json!({"name": "Not A Name"})).await?.expect(400)?;
    let corpus = client.get("/v1/corpora/docs").await?.expect(200)?.json()?;
    assert_eq!(corpus["epoch"], GUIDE.len());
    Ok(())
}
