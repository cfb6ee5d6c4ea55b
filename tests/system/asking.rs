//! A question is answered from documents, with citations, and again from the edge's cache.

use anyhow::Result;
use perigee_tests::client::chat;
use perigee_tests::stage::Stage;
use serde_json::json;

use crate::{GUIDE, REFUND};

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_with_citations_that_point_into_the_document() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;

    let reply = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.text()?.contains("five working days"), "{}", reply.body);
    let citations = reply.citations()?;
    let citation = &citations[0];
    assert_eq!(citation["document_id"], "refunds");
    let document = client.get("/v1/corpora/docs/documents/refunds").await?.expect(200)?.json()?;
    let (start, end) = (citation["start"].as_u64().unwrap_or(0), citation["end"].as_u64().unwrap_or(0));
    let text = document["text"].as_str().unwrap_or("");
    let shown: String = text.chars().skip(start as usize).take((end - start) as usize).collect();
    assert_eq!(Some(shown.as_str()), citation["quote"].as_str());
    let mark = format!("[{}]", citation["mark"]);
    let (at, to) = (&citation["url_citation"]["start_index"], &citation["url_citation"]["end_index"]);
    let (at, to) = (at.as_u64().unwrap_or(0) as usize, to.as_u64().unwrap_or(0) as usize);
    assert_eq!(reply.text()?.chars().skip(at).take(to - at).collect::<String>(), mark);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_the_same_as_json() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;

    let streamed = client.ask_streamed("docs", REFUND).await?.expect(200)?;
    assert!(streamed.header("content-type").starts_with("text/event-stream"));
    let whole = client.ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(streamed.text()?, whole.text()?);
    assert_eq!(streamed.citations()?, whole.citations()?);
    assert_eq!(streamed.events()?[0]["id"], whole.json()?["id"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_openai_clients_send_and_nobody_here_knows_are_ignored() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let mut body = chat("docs", REFUND);
    body["user"] = json!("u-1");
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    body["service_tier"] = json!("auto");
    client.post("/v1/chat/completions", &body).await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_is_looked_up_with_the_conversation_in_mind() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let body = json!({"model": "docs", "messages": [
        {"role": "user", "content": "How do I install the program on Linux?"},
        {"role": "assistant", "content": "With apt install perigee-demo. [1]"},
        {"role": "user", "content": "And on Windows?"},
    ]});
    let reply = client.post("/v1/chat/completions", &body).await?.expect(200)?;
    assert!(reply.text()?.contains("setup.exe"), "{}", reply.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_documents_do_not_answer_is_not_answered() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let reply = client.ask("docs", "Which chemical elements are found in the atmosphere of Jupiter?").await?;
    let reply = reply.expect(200)?;
    assert!(reply.citations()?.is_empty(), "{}", reply.body);
    // A refusal is never kept.
    let again = client.ask("docs", "Which chemical elements are found in the atmosphere of Jupiter?").await?;
    assert!(!again.header("cache-status").contains("perigee-edge; hit"), "{again:?}");
    Ok(())
}
