//! Documents change: no cached answer outlives its evidence, and none is thrown away without need.

use std::time::{Duration, Instant};

use anyhow::Result;
use perigee_tests::client::Client;
use perigee_tests::stage::{Settings, Stage, record_name};
use perigee_tests::upstream::{Script, Upstream};
use reqwest::Method;
use serde_json::json;
use xtask::edge::Edge;

use crate::{GUIDE, REFUND};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_through_an_edge_is_answered_from_the_new_text_at_once() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    for days in ["six", "seven", "eight"] {
        client.ask("docs", REFUND).await?.expect(200)?;
        let epoch = client
            .write("docs", "refunds", &format!("# Refunds\n\nA refund takes {days} working days.\n"))
            .await?;
        let reply = client
            .clone()
            .with("perigee-min-epoch", &epoch.to_string())
            .ask("docs", REFUND)
            .await?
            .expect(200)?;
        assert!(reply.text()?.contains(days), "{}", reply.body);
        assert_eq!(reply.header("perigee-epoch"), epoch.to_string());
    }
    Ok(())
}

/// The same caller at another edge.
fn elsewhere(stage: &Stage, client: &Client) -> Result<(Edge, Client)> {
    let edge = stage.another_edge()?;
    let key = perigee_shared::key::Key::parse(client.token())?;
    let record = json!({"tenant": "acme", "corpora": ["*"], "audience": [], "scopes": ["ask"]});
    edge.put_key(&record_name(&key), &record.to_string())?;
    let there = client.clone().at(&edge.url());
    Ok((edge, there))
}

#[tokio::test(flavor = "multi_thread")]
async fn another_edge_sees_a_change_at_once_when_asked_and_within_the_bound_when_not() -> Result<()> {
    let settings = Settings::default().edge_var("EPOCH_STALENESS_S", "2").edge_var("EPOCH_REFRESH_S", "1");
    let stage = Stage::with(settings)?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let (_edge, there) = elsewhere(&stage, &client)?;
    there.ask("docs", REFUND).await?.expect(200)?;

    let epoch = client.write("docs", "refunds", "# Refunds\n\nA refund takes six working days.\n").await?;
    let written = Instant::now();
    loop {
        let reply = there.ask("docs", REFUND).await?.expect(200)?;
        if reply.text()?.contains("six") {
            break;
        }
        assert!(
            reply.header("cache-status").contains("perigee-edge; hit"),
            "stale, and not from the cache: {reply:?}"
        );
        // The bound, and as much again for a busy machine.
        assert!(
            written.elapsed() < Duration::from_secs(4),
            "still the old text after {:?}",
            written.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let epoch = epoch + 1;
    assert_eq!(
        client.write("docs", "refunds", "# Refunds\n\nA refund takes seven working days.\n").await?,
        epoch
    );
    let at_once =
        there.clone().with("perigee-min-epoch", &epoch.to_string()).ask("docs", REFUND).await?.expect(200)?;
    assert!(at_once.text()?.contains("seven"), "{}", at_once.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_elsewhere_costs_at_most_a_retrieval_and_no_generation() -> Result<()> {
    let upstream = Upstream::start(Script::Say(vec!["Five days. [1]".into()])).await?;
    let stage = Stage::with(Settings::default().upstream(&upstream.base_url))?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    // Enough other text that the changed document is no evidence of the question.
    for n in 0..12 {
        let text = format!(
            "# Refund rule {n}\n\nRule {n} of refunds: a refund of kind {n} takes {n} working days.\n"
        );
        client.write("docs", &format!("rule-{n}"), &text).await?;
    }
    let first = client.ask("docs", REFUND).await?.expect(200)?;
    let epoch = client.write("docs", "menu", "# Menu\n\nThe canteen serves soup on Mondays.\n").await?;
    let min_epoch = client.clone().with("perigee-min-epoch", &epoch.to_string());
    let second = min_epoch.ask("docs", REFUND).await?.expect(200)?;
    // Retrieved again by then, or now.
    assert!(second.header("cache-status").contains("perigee-origin; hit"), "{second:?}");
    assert_eq!(second.text()?, first.text()?);
    assert_eq!(second.header("perigee-epoch"), epoch.to_string());
    assert_eq!(upstream.calls(), 1);
    // And the edge may serve it again.
    let third = min_epoch.ask("docs", REFUND).await?.expect(200)?;
    assert!(third.header("cache-status").contains("perigee-edge; hit"), "{third:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_is_gone_from_answers() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    assert!(client.ask("docs", REFUND).await?.text()?.contains("five working days"));
    let gone = client.delete("/v1/corpora/docs/documents/refunds").await?.expect(200)?;
    let epoch = gone.json()?["epoch"].to_string();
    let reply = client.clone().with("perigee-min-epoch", &epoch).ask("docs", REFUND).await?.expect(200)?;
    assert!(!reply.body.contains("five working days"), "{}", reply.body);
    client.delete("/v1/corpora/docs/documents/refunds").await?.expect(404)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_does_not_come_is_refused_with_a_time_to_come_back() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let reply = client.with("perigee-min-epoch", "999").ask("docs", REFUND).await?.expect(503)?;
    assert!(!reply.header("retry-after").is_empty(), "{reply:?}");
    assert_eq!(reply.json()?["error"]["code"], "epoch_not_reached");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_made_again_under_the_same_name_shares_nothing_with_the_old_one() -> Result<()> {
    let settings = Settings::default().edge_var("EPOCH_STALENESS_S", "2").edge_var("EPOCH_REFRESH_S", "1");
    let stage = Stage::with(settings)?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let (_edge, there) = elsewhere(&stage, &client)?;
    for asking in [&client, &there] {
        asking.ask("docs", REFUND).await?.expect(200)?;
    }
    let deleted = client.delete("/v1/corpora/docs").await?;
    assert!(matches!(deleted.status, 200 | 204), "{deleted:?}");
    client
        .fill(
            "docs",
            &[
                ("a", "# Moons\n\nThe moon is round.\n"),
                ("b", "# Suns\n\nThe sun is hot.\n"),
                ("c", "# Refunds\n\nA refund takes nine working days.\n"),
            ],
        )
        .await?;
    let reply = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.body.contains("nine working days"), "{}", reply.body);
    // As many documents as before, and still no epoch that meant the old ones: an edge that saw neither the deletion
    // nor the new corpus cannot take its old answer for a new one.
    let epoch = reply.header("perigee-epoch").to_owned();
    assert!(epoch.parse::<usize>()? > GUIDE.len(), "{epoch}");
    let reply = there.with("perigee-min-epoch", &epoch).ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.body.contains("nine working days"), "{}", reply.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_batch_the_very_next_question_sees_it() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let line = json!({"id": "refunds", "content": "# Refunds\n\nA refund takes six working days.\n"});
    let batch = client.request(Method::POST, "/v1/corpora/docs/documents:batch").body(line.to_string());
    let results = batch.header("content-type", "application/x-ndjson").send().await?.text().await?;
    assert!(results.contains("updated"), "{results}");
    let reply = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.text()?.contains("six"), "{}", reply.body);
    Ok(())
}
