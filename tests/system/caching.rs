//! When an answer is reused, when it is not, and what the caller is told of it.

use anyhow::Result;
use perigee_tests::client::chat;
use perigee_tests::stage::{Settings, Stage};
use perigee_tests::upstream::{Script, Upstream};

use crate::{GUIDE, REFUND};

const HIT: &str = "perigee-edge; hit; detail=exact";

fn say(text: &str) -> Script {
    Script::Say(text.split_inclusive(' ').map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_time_the_edge_answers_alone() -> Result<()> {
    let mut stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;

    let first = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(first.header("cache-status").contains("perigee-edge; fwd=miss"), "{first:?}");
    let epoch = first.header("perigee-epoch").to_owned();
    assert_eq!(epoch, GUIDE.len().to_string());

    // An edge hit uses nothing outside its data centre: it works with the origin gone.
    stage.origins[0].service().kill();
    let second = client.ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(second.header("cache-status"), HIT);
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("perigee-epoch"), epoch);
    for header in ["age", "server-timing", "traceparent", "x-request-id"] {
        assert!(!second.header(header).is_empty(), "{header}: {second:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stored_from_a_stream_serves_json_and_the_reverse() -> Result<()> {
    let upstream = Upstream::start(say("It takes five days. [1]")).await?;
    let stage = Stage::with(Settings::default().upstream(&upstream.base_url))?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;

    let streamed = client.ask_streamed("docs", REFUND).await?.expect(200)?;
    let whole = hit_soon(&client, REFUND).await?;
    assert_eq!(whole.text()?, streamed.text()?);
    assert_eq!(whole.citations()?, streamed.citations()?);

    let whole = client.ask("docs", "When is the support desk open?").await?.expect(200)?;
    let streamed = client.ask_streamed("docs", "When is the support desk open?").await?.expect(200)?;
    assert_eq!(streamed.header("cache-status"), HIT);
    assert_eq!(streamed.text()?, whole.text()?);
    assert_eq!(upstream.calls(), 2);
    Ok(())
}

/// Asks until the edge answers from its cache, which it fills after a stream has ended.
async fn hit_soon(
    client: &perigee_tests::client::Client,
    question: &str,
) -> Result<perigee_tests::client::Reply> {
    let only_cached = client.clone().with("cache-control", "only-if-cached");
    for _ in 0..200 {
        let reply = only_cached.ask("docs", question).await?;
        if reply.status == 200 {
            assert_eq!(reply.header("cache-status"), HIT);
            return Ok(reply);
        }
        assert_eq!(reply.status, 504, "{reply:?}");
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    anyhow::bail!("the edge never filled its cache")
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_can_tighten_reuse_in_https_own_words() -> Result<()> {
    let upstream = Upstream::start(say("It takes five days. [1]")).await?;
    let stage = Stage::with(Settings::default().upstream(&upstream.base_url))?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let asking = |directive: &str| client.clone().with("cache-control", directive);

    let cold = asking("only-if-cached").ask("docs", REFUND).await?.expect(504)?;
    assert_eq!(cold.json()?["error"]["code"], "not_cached");
    assert_eq!(upstream.calls(), 0);

    // Not stored: the next one is not an edge hit, and the upstream is called again.
    asking("no-store").ask("docs", REFUND).await?.expect(200)?;
    let after = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(after.header("cache-status").contains("fwd=miss"), "{after:?}");
    assert_eq!(upstream.calls(), 2);

    // Stored now, and a `no-store` may be served from it.
    let reused = asking("no-store").ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(reused.header("cache-status"), HIT);

    // Checked at the origin, which finds the evidence unchanged and generates nothing.
    let checked = asking("no-cache").ask("docs", REFUND).await?.expect(200)?;
    assert!(
        checked.header("cache-status").contains("perigee-origin; hit; detail=revalidated"),
        "{checked:?}"
    );
    assert_eq!(checked.text()?, after.text()?);
    assert_eq!(upstream.calls(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_can_change_the_answer_makes_another_question() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    for (field, value) in [
        ("temperature", serde_json::json!(0.5)),
        ("max_tokens", serde_json::json!(100)),
        ("seed", serde_json::json!(1)),
        ("stop", serde_json::json!("x")),
    ] {
        let mut body = chat("docs", REFUND);
        body[field] = value;
        let reply = client.post("/v1/chat/completions", &body).await?.expect(200)?;
        assert!(!reply.header("cache-status").contains("perigee-edge; hit"), "{field}: {reply:?}");
    }
    let padded = client.ask("docs", &format!("  {REFUND}\n")).await?.expect(200)?;
    assert_eq!(padded.header("cache-status"), HIT);
    Ok(())
}
