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

const PIECE_EVERY: Duration = Duration::from_millis(50);

fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Asks for a stream and waits until its first piece is on the way; the upstream holds the others back.
async fn begin(upstream: &Upstream, client: &Client, question: &str) -> Result<Response> {
    let mut body = chat("docs", question);
    body["stream"] = json!(true);
    let sending = tokio::spawn(client.request(Method::POST, "/v1/chat/completions").json(&body).send());
    upstream.release();
    let response = sending.await??;
    assert_eq!(response.status(), 200);
    Ok(response)
}

/// Lets the upstream go on piece by piece until the stream has come to its end.
async fn read_to_the_end(upstream: &Upstream, stream: Response) -> Result<String> {
    let mut text = std::pin::pin!(stream.text());
    loop {
        tokio::select! {
            text = &mut text => return Ok(text?),
            () = tokio::time::sleep(PIECE_EVERY) => upstream.release(),
        }
    }
}

/// Asks something else until it is admitted. Meanwhile what still runs goes on.
async fn ask_until_admitted(upstream: &Upstream, client: &Client) -> Result<()> {
    let began = Instant::now();
    loop {
        upstream.release();
        let reply = client.ask("docs", OTHER).await?;
        if reply.status == 200 {
            return Ok(());
        }
        reply.expect(429)?;
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "the slot never came back");
        tokio::time::sleep(PIECE_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_means_one_at_a_time_and_the_slot_comes_back_also_after_a_hang_up() -> Result<()> {
    let upstream = Upstream::start(Script::Say(Vec::new())).await?;
    let stage = Stage::with(settings().upstream(&upstream.base_url))?;
    let client = tenant(&stage, "acme", "one").await?;
    for (question, hangs_up) in [(REFUND, false), ("How do I install the program on Linux?", true)] {
        let text = format!("It takes five working days at most, says {hangs_up}. [1]");
        upstream.play(Script::SayWhenReleased(pieces(&text)));
        let stream = begin(&upstream, &client, question).await?;
        upstream.play(Script::Say(pieces("From nine to five. [1]")));
        for _ in 0..3 {
            let refused = client.ask("docs", OTHER).await?.expect(429)?;
            assert!(refused.body.contains("the tenant's limit of concurrent requests"), "{refused:?}");
            assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        }
        if hangs_up {
            drop(stream);
        } else {
            assert!(read_to_the_end(&upstream, stream).await?.ends_with("data: [DONE]\n\n"));
        }
        ask_until_admitted(&upstream, &client).await?;
    }
    assert_eq!(usage(&stage, "acme").await?["data"][0]["limit"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_no_more_run_than_the_limit_says() -> Result<()> {
    let upstream = Upstream::start(Script::SayWhenReleased(pieces("It takes five days. [1]"))).await?;
    let stage = Stage::with(settings().upstream(&upstream.base_url))?;
    let client = tenant(&stage, "acme", "one").await?;
    let first = begin(&upstream, &client, REFUND).await?;
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
