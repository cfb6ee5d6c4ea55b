//! Limits while something is broken: a ledger that can't be reached, a crash, a flood.

use std::time::{Duration, Instant};

use anyhow::Result;
use perigee_tests::client::{Client, Reply};
use perigee_tests::stage::Stage;
use xtask::edge::EdgeShape;

use crate::REFUND;
use crate::tiers::{settings, settings_with_addresses, tenant, usage};

const LEDGERS: &str = "test:ledgers";
const FLOOD_GUARD: &str = "test:flood-guard";

/// Longer than the longest pause between two tries to reach a ledger.
const REACHED_AGAIN_WITHIN: Duration = Duration::from_secs(30);

fn stage_with_faults() -> Result<Stage> {
    Stage::with(settings_with_addresses().edge_shape(EdgeShape::WithFaults))
}

async fn ask_until_admitted(client: &Client) -> Result<Reply> {
    let began = Instant::now();
    loop {
        let reply = client.ask("docs", REFUND).await?;
        if reply.status == 200 {
            return Ok(reply);
        }
        anyhow::ensure!(began.elapsed() < REACHED_AGAIN_WITHIN, "never admitted again: {reply:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until the ledger has booked so many requests, and holds nothing back.
async fn booked(stage: &Stage, tenant: &str, requests: u64) -> Result<()> {
    let began = Instant::now();
    loop {
        let usage = usage(stage, tenant).await?;
        let (used, on_lease) = (&usage["data"][0]["used"], &usage["data"][0]["on_lease"]);
        if *used == requests && *on_lease == 0 {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < REACHED_AGAIN_WITHIN, "never booked: {usage}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tier_refuses_while_its_ledger_fails_or_is_silent_and_says_so() -> Result<()> {
    let stage = stage_with_faults()?;
    for (name, fault) in [("acme", "fail"), ("rival", "stall")] {
        let client = tenant(&stage, name, "hundred").await?;
        stage.edge.put_key(LEDGERS, fault)?;
        for _ in 0..3 {
            let refused = client.ask("docs", REFUND).await?.expect(503)?;
            assert_eq!(refused.header("perigee-quota"), "closed; ledger=unreachable", "{refused:?}");
            assert_eq!(refused.json()?["error"]["code"], "quota_unknown");
            let wait_s: u64 = refused.header("retry-after").parse()?;
            assert!((1..=8).contains(&wait_s), "{refused:?}");
        }
        stage.edge.delete_key(LEDGERS)?;
        let admitted = ask_until_admitted(&client).await?;
        assert_eq!(admitted.header("perigee-quota"), "");
        booked(&stage, name, 1).await?;
    }
    // What failed is in the log, with the tenant's name.
    assert!(stage.logs()?.contains("the ledger of acme can't be reached"), "{}", stage.logs()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgiving_tier_admits_a_few_says_so_and_books_them_later() -> Result<()> {
    let stage = stage_with_faults()?;
    // No isolate has ever heard of the tenant's tier from its ledger, and the default tier is closed.
    let client = tenant(&stage, "acme", "forgiving").await?;
    stage.edge.put_key(LEDGERS, "fail")?;
    for _ in 0..3 {
        let admitted = client.ask("docs", REFUND).await?.expect(200)?;
        assert_eq!(admitted.header("perigee-quota"), "allowance; ledger=unreachable", "{admitted:?}");
    }
    let refused = client.ask("docs", REFUND).await?.expect(503)?;
    assert_eq!(refused.header("perigee-quota"), "closed; ledger=unreachable");
    // 3 an hour: 20 minutes for the next one.
    let wait_s: u64 = refused.header("retry-after").parse()?;
    assert!((1_100..=1_200).contains(&wait_s), "{refused:?}");

    stage.edge.delete_key(LEDGERS)?;
    booked(&stage, "acme", 3).await?;
    let admitted = ask_until_admitted(&client).await?;
    assert_eq!(admitted.header("perigee-quota"), "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_stays_used_when_everything_crashes() -> Result<()> {
    let mut stage = Stage::with(settings())?;
    let client = tenant(&stage, "acme", "ten").await?;
    let mut admitted = 0;
    for _ in 0..6 {
        client.ask("docs", REFUND).await?.expect(200)?;
        admitted += 1;
    }
    booked(&stage, "acme", 6).await?;
    stage.restart_edge()?;
    assert_eq!(usage(&stage, "acme").await?["data"][0]["used"], 6);
    let client = client.at(&stage.edge.url());
    client.ask("docs", REFUND).await?.expect(200)?;
    admitted += 1;
    // This time with quota out on lease, and a request that is not booked.
    stage.restart_edge()?;
    let client = client.at(&stage.edge.url());
    for _ in 0..10 {
        admitted += u32::from(client.ask("docs", REFUND).await?.status == 200);
    }
    assert!((8..=10).contains(&admitted), "{admitted} of 10 were admitted in three lives");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_s_own_limit_stands_before_everything_and_fails_open() -> Result<()> {
    let stage = stage_with_faults()?;
    let client = tenant(&stage, "acme", "wide").await?;
    let from = |client: &Client, address: &str| client.clone().with("cf-connecting-ip", address);
    stage.edge.put_key(FLOOD_GUARD, "2")?;
    let stranger = from(&client.clone().anonymous(), "192.0.2.1");
    stranger.ask("docs", REFUND).await?.expect(401)?;
    stranger.get("/v1/corpora").await?.expect(401)?;
    let refused = stranger.ask("docs", REFUND).await?.expect(429)?;
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(refused.json()?["error"]["code"], "rate_limit_exceeded");
    // A good key from there floods as well; from elsewhere it does not.
    from(&client, "192.0.2.1").ask("docs", REFUND).await?.expect(429)?;
    from(&client, "192.0.2.2").ask("docs", REFUND).await?.expect(200)?;
    // What never costs anything is never refused.
    stranger.get("/healthz").await?.expect(200)?;

    stage.edge.put_key(FLOOD_GUARD, "broken")?;
    from(&client, "192.0.2.1").ask("docs", REFUND).await?.expect(200)?;
    Ok(())
}
