//! Answers for other words, and answers that stand while the corpus changes: what the answer index gives an edge.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use perigee_tests::client::{Client, Reply, chat};
use perigee_tests::stage::{Settings, Stage};
use perigee_tests::upstream::{Script, Upstream};
use serde_json::{Value, json};

use crate::{GUIDE, REFUND};

const PARAPHRASE: &str = "perigee-edge; hit; detail=paraphrase";
const OTHER_WORDS: &str = "how long does a refund take";

fn settings() -> Settings {
    Settings::default().edge_var("EPOCH_STALENESS_S", "10").edge_var("EPOCH_REFRESH_S", "1")
}

/// Asks until the edge answers alone; its index comes in the background.
async fn at_the_edge_soon(client: &Client, question: &str) -> Result<Reply> {
    let only_cached = client.clone().with("cache-control", "only-if-cached");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        let reply = only_cached.ask("docs", question).await?;
        if reply.status == 200 {
            return Ok(reply);
        }
        assert_eq!(reply.status, 504, "{reply:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the edge never answered {question:?} alone")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_wording_is_answered_at_the_edge_and_a_near_miss_is_not() -> Result<()> {
    let upstream = Upstream::start(Script::Say(vec!["Five working days. [1]".into()])).await?;
    let mut stage = Stage::with(settings().upstream(&upstream.base_url))?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let first = client.ask("docs", REFUND).await?.expect(200)?;
    let reworded = at_the_edge_soon(&client, OTHER_WORDS).await?;
    assert_eq!(reworded.header("cache-status"), PARAPHRASE);
    assert_eq!(reworded.text()?, first.text()?);
    assert_eq!(reworded.citations()?, first.citations()?);
    assert_eq!(reworded.header("perigee-epoch"), first.header("perigee-epoch"));
    // No hop: the origin may be gone.
    stage.origins[0].service().kill();
    let again = client.ask("docs", OTHER_WORDS).await?.expect(200)?;
    assert_eq!(again.header("cache-status"), PARAPHRASE);
    let only_cached = client.clone().with("cache-control", "only-if-cached");
    for near_miss in [
        "How long does a refund not take?",
        "Why does a refund take long?",
        "How long does a return take?",
        "How long did the refund of March 3 take?",
        "refund",
        "",
    ] {
        let reply = only_cached.ask("docs", near_miss).await?;
        assert!(matches!(reply.status, 400 | 504), "{near_miss:?}: {reply:?}");
    }
    assert_eq!(upstream.calls(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_words_never_cross_a_tenant_an_audience_an_option_or_a_conversation() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    at_the_edge_soon(&client, OTHER_WORDS).await?;
    let only_cached = |client: &Client| client.clone().with("cache-control", "only-if-cached");

    let labelled = stage.client_with(&json!({
        "tenant": "acme", "corpora": ["*"], "audience": ["staff"], "scopes": ["ask"],
    }))?;
    let stranger = stage.client("globex")?;
    for other in [&labelled, &stranger] {
        only_cached(other).ask("docs", OTHER_WORDS).await?.expect(504)?;
    }
    let mut warmer = chat("docs", OTHER_WORDS);
    warmer["temperature"] = json!(0.7);
    let mut told_to = chat("docs", OTHER_WORDS);
    told_to["messages"] = json!([
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": OTHER_WORDS},
    ]);
    for body in [warmer, told_to] {
        only_cached(&client).post("/v1/chat/completions", &body).await?.expect(504)?;
    }
    // And the caller can have it checked.
    let checked = client.with("cache-control", "no-cache").ask("docs", OTHER_WORDS).await?.expect(200)?;
    assert!(!checked.header("cache-status").contains("perigee-edge; hit"), "{checked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_that_changes_all_the_time_keeps_its_edge_hits() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    at_the_edge_soon(&client, OTHER_WORDS).await?;
    // Whoever writes somewhere else: a write through this edge would, rightly, make it ask.
    let writer = stage.operator(0, "acme")?;
    let (mut hits, mut asked, began) = (0, 0, Instant::now());
    for change in 0..10 {
        writer
            .write("docs", "menu", &format!("# Menu\n\nThe canteen serves soup number {change}.\n"))
            .await?;
        while began.elapsed() < Duration::from_secs(change + 1) {
            let reply = client.ask("docs", REFUND).await?.expect(200)?;
            asked += 1;
            hits += usize::from(reply.header("cache-status").contains("perigee-edge; hit"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(hits * 10 >= asked * 9, "{hits} of {asked}");
    // What is wanted at an epoch is not answered from before it.
    let epoch = writer.write("docs", "menu", "# Menu\n\nThe canteen is closed.\n").await?;
    let reply =
        client.with("perigee-min-epoch", &epoch.to_string()).ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.header("perigee-epoch").parse::<u64>()? >= epoch, "{reply:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_corpus_tolerates_rules_the_edge_within_its_refresh() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let tolerate = async |share: f64| -> Result<()> {
        let changed =
            client.patch("/v1/corpora/docs", &json!({"reuse_tolerance": share})).await?.expect(200)?;
        assert_eq!(changed.json()?["reuse_tolerance"].as_f64(), Some(share));
        Ok(())
    };
    tolerate(0.0).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let no_store = client.clone().with("cache-control", "no-store");
    // The index is there by then, as it is what lets exact hits outlive a change elsewhere.
    let epoch = stage.operator(0, "acme")?.write("docs", "menu", "# Menu\n\nSoup on Mondays.\n").await?;
    let began = Instant::now();
    let exact = loop {
        let reply = no_store.ask("docs", REFUND).await?.expect(200)?;
        if reply.header("cache-status").contains("perigee-edge; hit")
            && reply.header("perigee-epoch") == epoch.to_string()
        {
            break reply;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{reply:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let reworded = no_store.ask("docs", OTHER_WORDS).await?.expect(200)?;
    assert!(!reworded.header("cache-status").contains("hit"), "{reworded:?}");
    assert_ne!(reworded.json()?["id"], exact.json()?["id"]);

    tolerate(0.01).await?;
    let reworded = at_the_edge_soon(&client, OTHER_WORDS).await?;
    assert_eq!(reworded.header("cache-status"), PARAPHRASE);
    tolerate(0.0).await?;
    let (began, only_cached) = (Instant::now(), client.clone().with("cache-control", "only-if-cached"));
    while only_cached.ask("docs", OTHER_WORDS).await?.status == 200 {
        // The staleness bound, and as much again for a busy machine.
        assert!(began.elapsed() < Duration::from_secs(20), "the edge goes on taking words for each other");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_write_changes_no_corpus() -> Result<()> {
    let stage = Stage::with(settings())?;
    stage.client("acme")?.fill("docs", GUIDE).await?;
    let reader = stage.client_with(&json!({
        "tenant": "acme", "corpora": ["*"], "audience": [], "scopes": ["ask", "search", "read"],
    }))?;
    let body = json!({"reuse_tolerance": 0.05});
    reader.patch("/v1/corpora/docs", &body).await?.expect(403)?;
    let stranger = stage.client("globex")?;
    stranger.patch("/v1/corpora/docs", &body).await?.expect(404)?;
    let shown = reader.get("/v1/corpora/docs").await?.expect(200)?;
    assert!(shown.json()?.get("reuse_tolerance").is_none(), "{shown:?}");
    let writer = stage.client("acme")?;
    for refused in [json!({"reuse_tolerance": 0.5}), json!({})] {
        writer.patch("/v1/corpora/docs", &refused).await?.expect(400)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edge_answers_counts_at_the_origin_for_its_tenant_and_no_use_twice() -> Result<()> {
    let stage = Stage::with(settings())?;
    for tenant in ["acme", "globex"] {
        let client = stage.client(tenant)?;
        client.fill("docs", GUIDE).await?;
        client.ask("docs", REFUND).await?.expect(200)?;
    }
    let uses = async |tenant| -> Result<u64> {
        let resting = stage
            .operator(0, tenant)?
            .get("/v1/corpora/docs/documents/refunds/answers")
            .await?
            .expect(200)?;
        resting.json()?["data"][0]["uses"].as_u64().context("each answer is listed with its uses")
    };
    assert_eq!((uses("acme").await?, uses("globex").await?), (1, 1));
    let client = stage.client("acme")?;
    let (mut given, began) = (1, Instant::now());
    loop {
        for question in [REFUND, OTHER_WORDS] {
            let reply = client.clone().with("cache-control", "only-if-cached").ask("docs", question).await?;
            given += u64::from(reply.status == 200);
        }
        let known = uses("acme").await?;
        assert!(known <= given, "{known} of {given}");
        if known > 20 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{known} of {given}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(uses("globex").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn why_an_answer_was_reused_or_not_is_told_through_the_edge_to_an_admin_key_alone() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    at_the_edge_soon(&client, OTHER_WORDS).await?;
    let admin = stage
        .client_with(
            &json!({"tenant": "acme", "corpora": ["*"], "audience": [], "scopes": ["ask", "admin"]}),
        )?
        .with("perigee-explain", "1");
    let why = |reply: &Reply| -> Result<Value> { Ok(serde_json::from_str(reply.header("perigee-explain"))?) };

    let reused = admin.ask("docs", OTHER_WORDS).await?.expect(200)?;
    assert_eq!(reused.header("cache-status"), PARAPHRASE);
    let seen = why(&reused)?;
    let candidate = &seen["edge"]["candidates"][0];
    assert_eq!(candidate["gate"], "same", "{seen}");
    assert!(candidate["similarity"].as_f64() >= seen["edge"]["index"]["threshold"].as_f64(), "{seen}");
    assert!(seen.get("origin").is_none(), "it was not asked: {seen}");

    let near_miss = "How long does a refund not take?";
    let forwarded =
        admin.clone().with("cache-control", "no-store").ask("docs", near_miss).await?.expect(200)?;
    let seen = why(&forwarded)?;
    assert!(
        seen["edge"]["candidates"][0]["gate"].as_str().is_some_and(|gate| gate.starts_with("different")),
        "{seen}"
    );
    assert_eq!(seen["origin"]["candidates"][0]["question"], REFUND, "{seen}");
    assert_eq!(seen["origin"]["candidates"][0]["decision"], "gate", "{seen}");
    let streamed =
        admin.clone().with("cache-control", "no-store").ask_streamed("docs", near_miss).await?.expect(200)?;
    assert_eq!(why(&streamed)?["origin"], seen["origin"]);

    // Nobody else is told, and nobody is refused for asking.
    let curious = client.with("perigee-explain", "1").with("cache-control", "no-store");
    for question in [OTHER_WORDS, near_miss] {
        let reply = curious.ask("docs", question).await?.expect(200)?;
        assert!(reply.headers.get("perigee-explain").is_none(), "{reply:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_origin_gave_to_other_words_is_kept_at_the_edge_only_while_the_corpus_allows_it()
-> Result<()> {
    // Words that the edge alone is not sure of.
    const GET_ONE: &str = "How long does it take to get a refund?";
    let stage = Stage::with(settings())?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let tolerate = async |share: f64| {
        client.patch("/v1/corpora/docs", &json!({"reuse_tolerance": share})).await?.expect(200)
    };
    tolerate(0.05).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let reworded = client.ask("docs", GET_ONE).await?.expect(200)?;
    assert!(
        reworded.header("cache-status").contains("perigee-origin; hit; detail=paraphrase"),
        "{reworded:?}"
    );
    let kept = at_the_edge_soon(&client, GET_ONE).await?;
    assert_eq!((kept.header("cache-status"), &kept.body), (PARAPHRASE, &reworded.body));

    tolerate(0.0).await?;
    let began = Instant::now();
    loop {
        let reply = client.ask("docs", GET_ONE).await?.expect(200)?;
        if reply.json()?["id"] != serde_json::from_str::<Value>(&kept.body)?["id"] {
            assert!(!reply.header("cache-status").contains("hit"), "{reply:?}");
            return Ok(());
        }
        // The staleness bound, and as much again for a busy machine.
        assert!(began.elapsed() < Duration::from_secs(20), "the edge goes on giving it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
