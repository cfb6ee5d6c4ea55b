//! Origins fail, and callers notice as little as can be.

use anyhow::Result;
use perigee_tests::stage::{Settings, Stage};

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
