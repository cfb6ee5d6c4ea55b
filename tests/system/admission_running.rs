//! Requests that run: how many at once, and what becomes of their reservations when clients hang up.

use std::time::{Duration, Instant};

use anyhow::Result;
use perigee_tests::client::{Client, chat};
use perigee_tests::stage::Stage;
use perigee_tests::upstream::{Script, Upstream};
use reqwest::{Method, Response};
use serde_json::json;

use crate::REFUND;
use crate::tiers::{settings, tenant, usage};

const OTHER: &str = "When is the support desk open?";

fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Asks for a stream and waits until its first piece is on the way; the upstream holds the others back.
async fn begin(upstream: &Upstream, client: &Client) -> Result<Response> {
    let mut body = chat("docs", REFUND);
    body["stream"] = json!(true);
    let sending = tokio::spawn(client.request(Method::POST, "/v1/chat/completions").json(&body).send());
    upstream.release();
    let response = sending.await??;
    assert_eq!(response.status(), 200);
    Ok(response)
}

/// Asks something else until it is admitted.
async fn ask_until_admitted(client: &Client) -> Result<()> {
    let began = Instant::now();
    loop {
        let reply = client.ask("docs", OTHER).await?;
        if reply.status == 200 {
            return Ok(());
        }
        reply.expect(429)?;
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "the slot never came back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_means_one_at_a_time_and_the_slot_comes_back_also_after_a_hang_up() -> Result<()> {
    let upstream = Upstream::start(Script::Say(Vec::new())).await?;
    let stage = Stage::with(settings().upstream(&upstream.base_url))?;
    let client = tenant(&stage, "acme", "one").await?;
    for hangs_up in [false, true] {
        let text = format!("It takes five days, says {hangs_up}. [1]");
        let script = pieces(&text);
        let later = script.len();
        upstream.play(Script::SayWhenReleased(script));
        let mut stream = Some(begin(&upstream, &client.clone().with("cache-control", "no-cache")).await?);
        upstream.play(Script::Say(pieces("From nine to five. [1]")));
        for _ in 0..3 {
            let refused = client.ask("docs", OTHER).await?.expect(429)?;
            assert!(refused.body.contains("the tenant's limit of concurrent requests"), "{refused:?}");
            assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        }
        if hangs_up {
            stream = None;
        }
        for _ in 1..later {
            upstream.release();
            tokio::task::yield_now().await;
            // One more may go only when the last one went.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(stream) = stream {
            assert!(stream.text().await?.ends_with("data: [DONE]\n\n"));
        }
        ask_until_admitted(&client).await?;
    }
    assert_eq!(usage(&stage, "acme").await?["data"][0]["limit"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_no_more_run_than_the_limit_says() -> Result<()> {
    let upstream = Upstream::start(Script::SayWhenReleased(pieces("It takes five days. [1]"))).await?;
    let stage = Stage::with(settings().upstream(&upstream.base_url))?;
    let client = tenant(&stage, "acme", "one").await?;
    let first = begin(&upstream, &client).await?;
    let asks = (0..50).map(|number| {
        let client = client.clone();
        async move { client.ask("docs", &format!("{OTHER} Case {number}?")).await }
    });
    for reply in futures::future::join_all(asks).await {
        reply?.expect(429)?;
    }
    assert_eq!(upstream.calls(), 1, "what was refused ran nevertheless");
    drop(first);
    Ok(())
}
