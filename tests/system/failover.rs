//! Origins fail, and callers notice as little as can be.

use anyhow::Result;
use perigee_tests::stage::{Settings, Stage};
use serde_json::json;

use crate::REFUND;

/// Both origins hold the same documents, with one word different to tell them apart.
async fn two_origins() -> Result<Stage> {
    let stage = Stage::with(Settings::default().origins(2))?;
    for (n, name) in ["five", "four"].iter().enumerate() {
        let operator = stage.operator(n, "acme")?;
        let text = format!("# Refunds\n\nA refund takes {name} working days.\n");
        operator.fill("docs", &[("refunds", &text)]).await?;
    }
    Ok(stage)
}

fn at_longitude(client: perigee_tests::client::Client, longitude: &str) -> perigee_tests::client::Client {
    let cf = serde_json::json!({"latitude": "0.0", "longitude": longitude, "colo": "TST", "country": "XX"});
    client.with("cf-blob", &cf.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_origin_is_asked_first() -> Result<()> {
    let stage = two_origins().await?;
    let client = stage.client("acme")?;
    let near_second = at_longitude(client.clone(), "11.0").ask("docs", REFUND).await?.expect(200)?;
    assert!(near_second.text()?.contains("four"), "{near_second:?}");
    let near_first =
        at_longitude(client, "-5.0").ask("docs", "How many days until a refund comes?").await?.expect(200)?;
    assert!(near_first.text()?.contains("five"), "{near_first:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_to_the_first_origin_and_to_no_other_also_when_that_one_is_dead() -> Result<()> {
    let mut stage = two_origins().await?;
    let client = at_longitude(stage.client("acme")?, "11.0");
    client.write("docs", "from-afar", "# Far\n\nWritten far from it.\n").await?;
    stage.operator(0, "acme")?.get("/v1/corpora/docs/documents/from-afar").await?.expect(200)?;
    stage.operator(1, "acme")?.get("/v1/corpora/docs/documents/from-afar").await?.expect(404)?;

    stage.origins[0].service().kill();
    for refused in [
        client.put("/v1/corpora/docs/documents/lost", &json!({"content": "lost"})).await?,
        client.post("/v1/corpora", &json!({"name": "lost"})).await?,
        client.delete("/v1/corpora/docs/documents/refunds").await?,
    ] {
        let refused = refused.expect(503)?;
        assert_eq!(refused.json()?["code"], "no_origin");
        assert!(refused.body.contains("may have written"), "{}", refused.body);
        assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    }
    let second = stage.operator(1, "acme")?;
    second.get("/v1/corpora/docs/documents/lost").await?.expect(404)?;
    second.get("/v1/corpora/lost").await?.expect(404)?;
    second.get("/v1/corpora/docs/documents/refunds").await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_stays_dead_is_not_asked_before_the_living_again_and_again() -> Result<()> {
    let mut stage = two_origins().await?;
    let client = at_longitude(stage.client("acme")?, "0.0");
    stage.origins[0].service().kill();
    for n in 0..30 {
        client.ask("docs", &format!("What is number {n}?")).await?.expect(200)?;
    }
    let failures = stage.logs()?.matches("origin origin-0 failed").count();
    // Three open its circuit; a few more may have been under way, and one tries it every five seconds at the most.
    assert!((1..15).contains(&failures), "{failures} of 30 and more");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_origin_is_passed_over_and_with_all_dead_the_caller_is_told_when_to_come_back() -> Result<()> {
    let mut stage = two_origins().await?;
    let client = at_longitude(stage.client("acme")?, "0.0");
    stage.origins[0].service().kill();
    let reply = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.text()?.contains("four"), "{reply:?}");

    stage.origins[1].service().kill();
    let refused = client.ask("docs", "Is anybody there?").await?.expect(503)?;
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    assert_eq!(refused.json()?["error"]["code"], "no_origin");
    assert!(!refused.body.contains("127.0.0.1"), "{}", refused.body);
    Ok(())
}
