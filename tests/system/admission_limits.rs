//! Limits: what is admitted never exceeds them, however many isolates serve and however suddenly the requests come; and what
//! callers are told.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perigee_tests::client::{Client, chat};
use perigee_tests::stage::{Settings, Stage};
use perigee_tests::upstream::{Script, Upstream};
use serde_json::json;
use xtask::edge::EdgeShape;

use crate::tiers::{count, set_tier, settings, settings_with_addresses, statuses, tenant, usage};
use crate::{GUIDE, REFUND};

/// A stage whose tenant `acme` has its documents; its tier comes afterwards.
async fn filled(settings: Settings) -> Result<(Stage, Client)> {
    let stage = Stage::with(settings)?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    Ok((stage, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_at_once_on_cold_isolates_admit_no_more_than_the_limit() -> Result<()> {
    let stage = Stage::with(settings().edge_shape(EdgeShape::ThreeIsolates))?;
    let client = tenant(&stage, "acme", "hundred").await?;
    let isolates: Vec<Client> = stage.edge.isolate_urls().iter().map(|url| client.clone().at(url)).collect();
    let statuses = statuses(&isolates, 334).await?;
    let (admitted, refused) = (count(&statuses, 200), count(&statuses, 429));
    assert_eq!(admitted + refused, statuses.len(), "{statuses:?}");
    // One may have come back meanwhile: 100 an hour is one in 36 seconds.
    assert!(admitted <= 101, "{admitted} were admitted");
    assert!(admitted >= 80, "only {admitted} were admitted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_load_on_several_isolates_stays_within_the_limit_and_refused_requests_cost_nothing()
-> Result<()> {
    let stage = Stage::with(settings().edge_shape(EdgeShape::ThreeIsolates))?;
    let client = tenant(&stage, "acme", "hundred").await?;
    let isolates: Vec<Client> = stage.edge.isolate_urls().iter().map(|url| client.clone().at(url)).collect();
    let mut admitted = 0;
    for _ in 0..12 {
        let statuses = statuses(&isolates, 5).await?;
        assert_eq!(count(&statuses, 200) + count(&statuses, 429), 15, "{statuses:?}");
        admitted += count(&statuses, 200);
    }
    assert!((80..=102).contains(&admitted), "{admitted} of 180 were admitted");
    let usage = usage(&stage, "acme").await?;
    let requests = &usage["data"][0];
    assert_eq!((&requests["of"], &requests["measure"]), (&json!("tenant"), &json!("requests")), "{usage}");
    assert_eq!(requests["limit"], 100);
    let used = requests["used"].as_u64().unwrap_or(0) + requests["on_lease"].as_u64().unwrap_or(0);
    assert!(used <= 100, "{usage}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_never_share_a_counter() -> Result<()> {
    let stage = Stage::with(settings())?;
    let acme = tenant(&stage, "acme", "ten").await?;
    let rival = tenant(&stage, "rival", "ten").await?;
    let spent = statuses(std::slice::from_ref(&acme), 30).await?;
    assert!(count(&spent, 200) <= 10, "{spent:?}");
    acme.ask("docs", REFUND).await?.expect(429)?;
    for _ in 0..8 {
        rival.ask("docs", REFUND).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_limit_in_the_route_s_own_shape_and_says_when_to_come_back() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = tenant(&stage, "acme", "key").await?;
    let first = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(first.header("ratelimit-policy").contains("\"key-requests\";q=3;w=3600"), "{first:?}");
    assert!(first.header("ratelimit").contains("\"key-requests\";r="), "{first:?}");
    assert_eq!(first.header("x-ratelimit-limit-requests"), "3");
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "2");
    client.ask("docs", REFUND).await?.expect(200)?;
    client.ask("docs", REFUND).await?.expect(200)?;

    // As long as the last request is not booked, it may come back: then one second. Afterwards it is exact.
    let began = Instant::now();
    let refused = loop {
        let refused = client.ask("docs", REFUND).await?.expect(429)?;
        let wait_s: u64 = refused.header("retry-after").parse().with_context(|| format!("{refused:?}"))?;
        if wait_s > 10 {
            break refused;
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "it never says how long: {refused:?}");
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
    };
    let error = refused.json()?["error"].clone();
    assert_eq!((&error["code"], &error["type"]), (&json!("rate_limit_exceeded"), &json!("rate_limit_error")));
    assert!(error["message"].as_str().is_some_and(|m| m.contains("the key's limit of requests")), "{error}");
    let wait_s: u64 = refused.header("retry-after").parse()?;
    assert!((1_000..=1_200).contains(&wait_s), "a request comes back in 1,200 s, not {wait_s}");
    assert_eq!(refused.headers.get_all("retry-after").iter().count(), 1);
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    let problem = client.get("/v1/corpora").await?.expect(429)?;
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert_eq!(problem.json()?["code"], "rate_limit_exceeded");

    // Another key of the tenant has its own; and who is refused still sees what is used.
    stage.client("acme")?.ask("docs", REFUND).await?.expect(200)?;
    let usage = client.get("/v1/usage").await?.expect(200)?.json()?;
    assert_eq!((&usage["tenant"], &usage["tier"]), (&json!("acme"), &json!("key")));
    assert!(usage["data"].as_array().is_some_and(|data| data.iter().any(|d| d["of"] == "key")), "{usage}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_what_the_platform_says_and_never_what_a_client_says() -> Result<()> {
    let stage = Stage::with(settings_with_addresses())?;
    let client = tenant(&stage, "acme", "network").await?;
    let from = |address: &str| client.clone().with("cf-connecting-ip", address);
    // A network may be ahead of what the ledger knows by two requests in each isolate.
    let mut admitted = 0;
    while from(&format!("2001:db8:1:2::{}", admitted + 1)).ask("docs", REFUND).await?.status == 200 {
        admitted += 1;
        anyhow::ensure!(admitted <= 7, "the network is not limited");
    }
    assert!(admitted >= 5, "{admitted}");
    let refused =
        from("2001:db8:1:2:ffff::1").with("x-forwarded-for", "198.51.100.7").ask("docs", REFUND).await?;
    assert!(refused.expect(429)?.body.contains("the network's limit"));
    from("2001:db8:1:3::1").ask("docs", REFUND).await?.expect(200)?;
    from("192.0.2.1, 192.0.2.2").ask("docs", REFUND).await?.expect(400)?;

    // Where no platform sets the header, a client's own moves nothing: each time another network, and no limit reached.
    let stage = Stage::with(settings())?;
    let client = tenant(&stage, "acme", "network").await?;
    let forged = client.with("cf-connecting-ip", "192.0.2.1").with("x-forwarded-for", "192.0.2.1");
    let statuses = statuses(&[forged], 10).await?;
    assert_eq!(count(&statuses, 200), 10, "{statuses:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_keeps_knocking_is_kept_out_with_every_key_and_its_neighbours_are_not() -> Result<()> {
    let stage = Stage::with(settings_with_addresses())?;
    let client = tenant(&stage, "acme", "cool").await?;
    let from = |client: &Client, address: &str| client.clone().with("cf-connecting-ip", address);
    let knocker = from(&client, "192.0.2.7");
    let began = Instant::now();
    let kept_out = loop {
        let reply = knocker.ask("docs", REFUND).await?;
        if reply.body.contains("refused too often") {
            break reply.expect(429)?;
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "it is never kept out: {reply:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let wait_s: u64 = kept_out.header("retry-after").parse()?;
    assert!((200..=300).contains(&wait_s), "{kept_out:?}");
    // Longer than an SDK waits: it must not come back before.
    assert_eq!(kept_out.header("x-should-retry"), "false");
    let other_key = from(&stage.client("acme")?, "192.0.2.7");
    other_key.ask("docs", REFUND).await?.expect(429)?;
    from(&client, "192.0.2.8").ask("docs", REFUND).await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_costs_its_part_of_a_request_and_what_is_refused_as_invalid_costs_nothing() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = tenant(&stage, "acme", "cheap").await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    for _ in 0..30 {
        client.ask("docs", "").await?.expect(400)?;
    }
    // 1 miss and 30 hits of a tenth make 4 of 10.
    for _ in 0..30 {
        client.ask("docs", REFUND).await?.expect(200)?;
    }
    let last = client.ask("docs", REFUND).await?.expect(200)?;
    let left: u64 = last.header("x-ratelimit-remaining-requests").parse()?;
    assert!((4..=6).contains(&left), "{last:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_is_402_and_a_question_beyond_any_limit_400() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = tenant(&stage, "acme", "poor").await?;
    for question in [REFUND, "When is the support desk open?"] {
        client.ask("docs", question).await?.expect(200)?;
    }
    let spent = client.ask("docs", "How do I install it?").await?.expect(402)?;
    assert_eq!(spent.json()?["error"]["code"], "budget_spent");
    assert!(!spent.header("retry-after").is_empty(), "{spent:?}");

    let client = tenant(&stage, "rival", "tokens").await?;
    let mut body = chat("docs", REFUND);
    body["max_tokens"] = json!(1_000_000);
    let never = client.post("/v1/chat/completions", &body).await?.expect(400)?;
    assert!(never.body.contains("than the tenant's limit ever allows"), "{}", never.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_settled_with_what_an_answer_took_also_when_the_client_hangs_up() -> Result<()> {
    let text = "It takes five days. [1]";
    let script = Script::Say(text.split_inclusive(' ').map(str::to_owned).collect());
    let upstream = Upstream::start(script).await?;
    let stage = Stage::with(settings().upstream(&upstream.base_url))?;
    let client = tenant(&stage, "acme", "tokens").await?;
    // Each reserves more than 3,000 of 20,000 tokens, so ten fit only if what they did not use came back.
    for number in 0..10 {
        let question = format!("{REFUND} Case {number}?");
        let mut body = chat("docs", &question);
        body["stream"] = json!(true);
        let response =
            client.request(reqwest::Method::POST, "/v1/chat/completions").json(&body).send().await?;
        assert_eq!(response.status(), 200);
        if number % 2 == 0 {
            response.bytes().await?;
        }
        // Else the client hangs up.
        settled(&stage).await?;
    }
    Ok(())
}

/// Waits until the ledger holds nothing of a request for granted: what was reserved is spent or has come back.
async fn settled(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    loop {
        let usage = usage(stage, "acme").await?;
        if usage["data"][0]["on_lease"] == 0 && usage["data"][0]["used"].as_u64().is_some_and(|used| used > 0)
        {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "never settled: {usage}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_sdk_waits_as_long_as_it_is_told_and_then_succeeds() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = tenant(&stage, "acme", "slow").await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let output = Command::new("python3")
        .arg(stage.workspace.root().join("tests/system/openai_retry.py"))
        .env("PYTHONPATH", xtask::tools::python_packages::directory(&stage.workspace))
        .env("PERIGEE_URL", stage.edge.url())
        .env("PERIGEE_KEY", client.token())
        .output()
        .context("python3 cannot be run")?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolate_hears_of_another_tier_with_its_next_lease() -> Result<()> {
    let (stage, client) = filled(settings()).await?;
    set_tier(&stage, "acme", "hundred").await?;
    // The isolate hears of the tier with its next lease.
    let began = Instant::now();
    while client.ask("docs", REFUND).await?.header("x-ratelimit-limit-requests") != "100" {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "the tier never arrived");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
