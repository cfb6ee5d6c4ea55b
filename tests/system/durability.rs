//! A document that was acknowledged survives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use perigee_tests::stage::{Settings, Stage, has_small_disks};
use serde_json::{Value, json};

const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_document_is_there_once_after_each_kill() -> Result<()> {
    let mut stage = Stage::start()?;
    stage.operator(0, "acme")?.fill("docs", &[]).await?;
    // Document to the version that was acknowledged last, and the one that was sent last.
    let acknowledged: Arc<Mutex<BTreeMap<String, (usize, usize)>>> = Arc::default();
    let mut version = 0;
    for round in 0..ROUNDS {
        let operator = stage.operator(0, "acme")?;
        let mut writers = Vec::new();
        for writer in 0..4 {
            let (operator, acknowledged) = (operator.clone(), Arc::clone(&acknowledged));
            let first = version;
            writers.push(tokio::spawn(async move {
                for n in 0.. {
                    let id = format!("doc-{writer}-{}", n % 7);
                    let sent = first + n + 1;
                    lock(&acknowledged).entry(id.clone()).or_default().1 = sent;
                    let body = json!({"content": format!("# Note {id}\n\nThe note {id} says version{sent}x of itself.\n")});
                    let Ok(reply) = operator.put(&format!("/v1/corpora/docs/documents/{id}"), &body).await else { return };
                    if reply.status >= 300 {
                        return;
                    }
                    lock(&acknowledged).entry(id).or_default().0 = sent;
                }
            }));
        }
        // A different moment each round.
        tokio::time::sleep(Duration::from_millis(400 + 170 * round as u64)).await;
        stage.origins[0].service().kill();
        for writer in writers {
            writer.await?;
        }
        version += 1_000;
        stage.restart_origin(0)?;
        let so_far = lock(&acknowledged).clone();
        check(&stage, &so_far).await?;
    }
    assert!(lock(&acknowledged).values().filter(|(written, _)| *written > 0).count() > 10);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Each acknowledged document has the version acknowledged last or the one sent last, in the store and in both views.
async fn check(stage: &Stage, acknowledged: &BTreeMap<String, (usize, usize)>) -> Result<()> {
    let operator = stage.operator(0, "acme")?;
    for (id, (written, sent)) in acknowledged.iter().filter(|(_, (written, _))| *written > 0) {
        let document =
            operator.get(&format!("/v1/corpora/docs/documents/{id}")).await?.expect(200)?.json()?;
        let text = document["text"].as_str().unwrap_or("");
        let version = [written, sent].into_iter().find(|v| text.contains(&format!("version{v}x")));
        let Some(version) = version else { anyhow::bail!("{id} lost version {written}: {text}") };
        for mode in ["vector", "lexical"] {
            let query = format!("the note {id} says version{version}x of itself");
            let body = json!({"query": query, "k": 100, "mode": mode});
            let found = operator.post("/v1/corpora/docs/search", &body).await?.expect(200)?.json()?;
            let results = found["data"].as_array().cloned().unwrap_or_default();
            let ours: Vec<&Value> = results.iter().filter(|r| r["document_id"] == id.as_str()).collect();
            anyhow::ensure!(ours.len() == 1, "{id} is {} times in the {mode} view", ours.len());
            anyhow::ensure!(
                ours[0]["text"].as_str().is_some_and(|t| t.contains(&format!("version{version}x"))),
                "{id} in the {mode} view: {}",
                ours[0]
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_acknowledged_is_lost_and_room_is_all_it_takes_to_go_on() -> Result<()> {
    if !has_small_disks() {
        eprintln!("skipped: this machine does not let a test mount a disk of its own (unshare)");
        return Ok(());
    }
    let mut stage = Stage::with(Settings::default().disk_mb(24))?;
    let operator = stage.operator(0, "acme")?;
    operator.fill("docs", &[]).await?;
    // Long words that are no words: each document takes much room and few passages.
    let filler = format!("{} ", "x".repeat(200)).repeat(400);
    let document =
        |n: usize| json!({"content": format!("# Note {n}\n\nThe note {n} is about number{n}x.\n\n{filler}")});
    let mut acknowledged = 0;
    let refused = loop {
        let path = format!("/v1/corpora/docs/documents/note-{acknowledged}");
        let reply = operator.put(&path, &document(acknowledged)).await?;
        if reply.status != 201 {
            break reply;
        }
        acknowledged += 1;
        anyhow::ensure!(acknowledged < 200, "24 MB are never full");
    };
    anyhow::ensure!(refused.status == 507, "{refused:?}\n{}", stage.logs()?);
    assert_eq!(refused.json()?["code"], "storage_full");
    assert!(!refused.header("retry-after").is_empty());
    assert!(!refused.body.contains('/'), "a path of the server: {}", refused.body);
    assert!(acknowledged > 3, "{acknowledged}");
    for n in 0..acknowledged {
        operator.get(&format!("/v1/corpora/docs/documents/note-{n}")).await?.expect(200)?;
    }
    // Whoever operates it learns the file and what to do.
    assert!(stage.logs()?.contains("no room to write"), "{}", stage.logs()?);

    let ballast = format!(
        "/proc/{}/root{}",
        stage.origins[0].service().id(),
        stage.data_dir(0).join("ballast").display()
    );
    std::fs::remove_file(ballast)?;
    operator.write("docs", "after", "# After\n\nThere is room again.\n").await?;
    let found = operator
        .post("/v1/corpora/docs/search", &json!({"query": "is there room again", "k": 100}))
        .await?
        .expect(200)?;
    assert!(found.body.contains("There is room again"), "{}", found.body);
    Ok(())
}
