//! `perigee keys` against a real edge: what a person types, and what comes of it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perigee_tests::client::Client;
use perigee_tests::stage::{ADMIN_SECRET, Stage, perigee};
use serde_json::Value;

use crate::tiers::settings;
use crate::{GUIDE, REFUND};

/// What a command said, and how it ended.
struct Said {
    out: String,
    err: String,
    is_fine: bool,
}

/// Types `perigee keys …` for the tenant `acme`.
fn keys(stage: &Stage, secret: &str, words: &[&str]) -> Result<Said> {
    let output = Command::new(perigee(&stage.workspace)?)
        .arg("keys")
        .args(words)
        .args(["--tenant", "acme"])
        .env("PERIGEE_URL", stage.edge.url())
        .env("PERIGEE_ADMIN_SECRET", secret)
        .output()
        .context("perigee cannot be run")?;
    Ok(Said {
        out: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        is_fine: output.status.success(),
    })
}

fn fine(stage: &Stage, words: &[&str]) -> Result<Said> {
    let said = keys(stage, ADMIN_SECRET, words)?;
    anyhow::ensure!(said.is_fine, "keys {words:?}: {}{}", said.out, said.err);
    Ok(said)
}

/// The id that a command speaks of.
fn id(said: &Said) -> Result<String> {
    let word = said.err.split_whitespace().find(|word| word.starts_with("key_"));
    word.map(str::to_owned).with_context(|| format!("no id: {}", said.err))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lives_from_its_making_to_its_end_at_a_shell() -> Result<()> {
    let stage = Stage::with(settings())?;
    stage.client("acme")?.fill("docs", GUIDE).await?;
    let made = fine(&stage, &["create", "--name", "the website", "--corpus", "docs", "--tier", "key"])?;
    // On stdout the key alone, so that a script can keep it.
    assert!(made.out.starts_with("pgk_") && made.out.lines().count() == 1, "{}", made.out);
    let (key_id, key) = (id(&made)?, made.out);
    let client = |key: &str| Client::new(&stage.edge.url(), Some(key));
    let answer = client(&key)?.ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "3", "{answer:?}");

    let listed = fine(&stage, &["list"])?.out;
    let of_key = listed.lines().find(|line| line.contains(&key_id)).context("not listed")?;
    assert!(of_key.contains("valid") && of_key.contains("ask,search") && of_key.contains("the website"));
    let shown: Value = serde_json::from_str(&fine(&stage, &["show", &key_id])?.out)?;
    assert_eq!((&shown["tier"], &shown["corpora"][0]), (&"key".into(), &"docs".into()), "{shown}");

    let rotated = fine(&stage, &["rotate", &key_id, "--overlap", "1h"])?;
    assert!(rotated.out != key && rotated.err.contains("stays valid until"), "{}", rotated.err);
    client(&key)?.ask("docs", REFUND).await?.expect(200)?;
    client(&rotated.out)?.ask("docs", REFUND).await?.expect(200)?;

    fine(&stage, &["revoke", &key_id, "--yes"])?;
    let began = Instant::now();
    // Whoever is refused by a limit first has a valid key.
    while client(&rotated.out)?.ask("docs", REFUND).await?.status != 401 {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "it still works");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(fine(&stage, &["list"])?.out.contains("revoked"));

    let trail = fine(&stage, &["audit"])?.out;
    let actions: Vec<String> = trail
        .lines()
        .map(|line| Ok(serde_json::from_str::<Value>(line)?["action"].as_str().unwrap_or("").to_owned()))
        .collect::<Result<_>>()?;
    assert_eq!(actions, ["key_created", "key_rotated", "key_revoked"]);
    for secret in [&key, &rotated.out] {
        assert!(!trail.contains(secret.as_str()) && !listed.contains(secret.as_str()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_and_ends_in_failure() -> Result<()> {
    let stage = Stage::with(settings())?;
    let wrong = "not-the-admin-secret-0123456789";
    for (secret, words, complaint) in [
        (wrong, ["list", "--json"].as_slice(), "neither the admin secret nor a key"),
        (ADMIN_SECRET, &["create", "--tier", "gold"], "there is no such tier"),
        (ADMIN_SECRET, &["create", "--scope", "everything"], "ask, search, read, write and admin"),
        (ADMIN_SECRET, &["show", "key_0123456789abcdef"], "no key of this id"),
        (ADMIN_SECRET, &["rotate", "key_0123456789abcdef"], "no key of this id"),
        (ADMIN_SECRET, &["rotate", "key_0123456789abcdef", "--overlap", "1year"], "overlap_s is at most"),
        (ADMIN_SECRET, &["create", "--publishable"], "--web-origin"),
    ] {
        let said = keys(&stage, secret, words)?;
        assert!(!said.is_fine, "{words:?}: {}", said.out);
        assert!(said.err.contains(complaint), "{words:?}: {}", said.err);
        assert!(!said.err.contains(secret), "{}", said.err);
    }
    assert!(!fine(&stage, &["list"])?.out.contains("key_"), "nothing was made");
    Ok(())
}
