//! Streams pass through the edge as they come, and are stored only when they finish.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use perigee_tests::client::{Client, chat};
use perigee_tests::stage::{Settings, Stage};
use perigee_tests::upstream::{Script, Upstream};
use reqwest::Method;
use serde_json::json;

use crate::{GUIDE, REFUND};

fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

async fn stage(script: Script) -> Result<(Upstream, Stage, Client)> {
    let upstream = Upstream::start(script).await?;
    let stage = Stage::with(Settings::default().upstream(&upstream.base_url))?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    Ok((upstream, stage, client))
}

fn streaming(client: &Client) -> reqwest::RequestBuilder {
    let mut body = chat("docs", REFUND);
    body["stream"] = json!(true);
    client.request(Method::POST, "/v1/chat/completions").json(&body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_reaches_the_caller_before_the_next_one_is_made() -> Result<()> {
    let (upstream, _stage, client) = stage(Script::SayWhenReleased(pieces("It takes five days."))).await?;
    let sending = tokio::spawn(streaming(&client).send());
    upstream.release();
    let mut events = sending.await??.bytes_stream();
    let mut seen = String::new();
    for word in ["It", "takes", "five", "days"] {
        while !text_of(&seen).contains(word) {
            let chunk = events
                .next()
                .await
                .with_context(|| format!("the stream ended before {word:?}: {seen}"))??;
            seen.push_str(&String::from_utf8(chunk.to_vec())?);
        }
        upstream.release();
    }
    Ok(())
}

/// The text of the whole events in a stream's beginning.
fn text_of(seen: &str) -> String {
    let events = seen.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    events
        .filter_map(|e: serde_json::Value| e["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_told_apart_from_one_that_ends_and_is_not_kept() -> Result<()> {
    let (upstream, _stage, client) = stage(Script::HangUpAfter(pieces("It takes "))).await?;
    let broken = streaming(&client).send().await?.text().await.unwrap_or_default();
    assert!(!broken.contains("[DONE]") && !broken.contains("\"finish_reason\":\"stop\""), "{broken}");
    assert!(!broken.contains("scripted"), "upstream's words reached the caller: {broken}");

    upstream.play(Script::Say(pieces("It takes five days. [1]")));
    let whole = client.ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(whole.text()?, "It takes five days. [1]");
    assert_eq!(upstream.calls(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_upstream_fails_the_documents_speak_and_that_is_not_kept() -> Result<()> {
    let (upstream, stage, client) = stage(Script::Fail(500)).await?;
    for reply in [client.ask("docs", REFUND).await?, client.ask_streamed("docs", REFUND).await?] {
        let reply = reply.expect(200)?;
        assert!(reply.text()?.contains("five working days"), "{reply:?}");
        let status = reply.header("cache-status");
        assert!(status.starts_with("perigee-origin; fwd=miss; detail=substitute"), "{status}");
        assert!(!reply.body.contains("secret-upstream-detail"), "{}", reply.body);
    }
    upstream.play(Script::Say(pieces("It takes five days. [1]")));
    assert_eq!(client.ask("docs", REFUND).await?.expect(200)?.text()?, "It takes five days. [1]");
    assert!(!stage.logs()?.contains("an-upstream-key-for-tests"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_upstream_is_a_502_without_its_words_where_that_is_wanted() -> Result<()> {
    let upstream = Upstream::start(Script::Fail(500)).await?;
    let settings = Settings::default().upstream(&upstream.base_url);
    let stage = Stage::with(settings.origin_env("PERIGEE_ANSWERS_WHEN_UPSTREAM_FAILS", "refuse"))?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    for reply in [client.ask("docs", REFUND).await?, client.ask_streamed("docs", REFUND).await?] {
        let reply = reply.expect(502)?;
        assert_eq!(reply.json()?["error"]["code"], "upstream_failed");
        assert!(!reply.body.contains("secret-upstream-detail"), "{}", reply.body);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_does_not_cancel_the_answer_for_the_others() -> Result<()> {
    let (upstream, _stage, client) =
        stage(Script::SayWhenReleased(pieces("It takes five days. [1]"))).await?;
    let leaving = tokio::spawn(streaming(&client).send());
    upstream.release();
    let mut leaving = leaving.await??.bytes_stream();
    leaving.next().await.context("the stream began")??;
    let staying = {
        let client = client.clone();
        tokio::spawn(async move { client.ask_streamed("docs", REFUND).await })
    };
    drop(leaving);
    let release = tokio::spawn(async move {
        for _ in 0..400 {
            upstream.release();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        upstream.calls()
    });
    let reply = staying.await??.expect(200)?;
    assert_eq!(reply.text()?, "It takes five days. [1]");
    assert_eq!(release.await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_that_point_to_no_passage_are_removed_from_streams_too() -> Result<()> {
    let script = Script::Say(
        ["Five", " days", " [", "1", "] or", " six [", "99", "].", " See [0]."].map(str::to_owned).to_vec(),
    );
    let (_upstream, _stage, client) = stage(script).await?;
    let reply = client.ask_streamed("docs", REFUND).await?.expect(200)?;
    let text = reply.text()?;
    assert!(text.contains("[1]") && !text.contains("[99]") && !text.contains("[0]"), "{text}");
    assert_eq!(reply.citations()?.len(), 1);
    Ok(())
}
