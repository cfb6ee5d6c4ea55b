//! What callers may rely on; run against the bundled model.

use std::path::{Path, PathBuf};

use super::lane::{Model, Rows};
use super::*;

const LIMITS: LaneLimits =
    LaneLimits { queue_jobs_max: 2, together_texts_max: 8, batch_texts_max: 2, batch_tokens_max: 100 };

fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2-int8")
}

fn embedder() -> Embedder {
    match Embedder::load(EmbedOptions::new(model_dir())) {
        Ok(embedder) => embedder,
        Err(error) => panic!("{error}"),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn assert_normalised(row: &[f32]) {
    assert_eq!(row.len(), DIMENSIONS);
    assert!((cosine(row, row) - 1.0).abs() < 1e-4, "length {}", cosine(row, row));
}

/// A model whose rows say which text they are for, and which fails on demand.
struct Scripted {
    /// Model calls wait here, so that a test decides when work proceeds.
    gate: std::sync::mpsc::Receiver<()>,
    calls: std::sync::mpsc::Sender<Vec<String>>,
}

impl Model for Scripted {
    fn tokens(&self, text: &str) -> usize {
        text.len()
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Rows, String> {
        let _ = self.calls.send(texts.iter().map(|text| (*text).to_owned()).collect());
        let _ = self.gate.recv();
        assert!(!texts.contains(&"panic"), "asked to");
        if texts.contains(&"fail") {
            return Err("asked to".to_owned());
        }
        Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
    }
}

struct Script {
    lane: Lane,
    gate: std::sync::mpsc::Sender<()>,
    calls: std::sync::mpsc::Receiver<Vec<String>>,
}

fn scripted(limits: LaneLimits) -> Script {
    let (gate, gate_receiver) = std::sync::mpsc::channel();
    let (calls_sender, calls) = std::sync::mpsc::channel();
    let model = Scripted { gate: gate_receiver, calls: calls_sender };
    Script { lane: Lane::start("scripted", model, limits).unwrap(), gate, calls }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_missing_model_file_is_named_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"] {
        std::fs::copy(model_dir().join(name), dir.path().join(name)).unwrap();
    }
    let message = Embedder::load(EmbedOptions::new(dir.path())).unwrap_err().to_string();
    assert!(message.contains("model.onnx"), "{message}");
    assert!(message.contains("restore"), "{message}");
}

#[test]
fn a_damaged_model_file_is_named() {
    for damaged in
        ["model.onnx", "tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"]
    {
        for content in ["not what it should be", "{}", ""] {
            // An empty object is all that these two files need to be.
            if content == "{}" && matches!(damaged, "config.json" | "special_tokens_map.json") {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            for entry in std::fs::read_dir(model_dir()).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
            }
            // Copying keeps permissions, and the original may be read-only.
            std::fs::remove_file(dir.path().join(damaged)).unwrap();
            std::fs::write(dir.path().join(damaged), content).unwrap();
            match Embedder::load(EmbedOptions::new(dir.path())).unwrap_err() {
                EmbedError::ModelFile { file, .. } => {
                    assert_eq!(file, dir.path().join(damaged), "{content:?}")
                }
                other => panic!("{damaged} with {content:?}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn hostile_texts_get_a_vector_and_no_panic() {
    let long_word = "a".repeat(1_000_000);
    let emoji = "👩‍👩‍👧‍👦🏳️‍🌈".repeat(10_000);
    let spaces = " ".repeat(1_000_000);
    let hostile = ["", "\0", "a\0b", "\u{202e}\u{feff}", "[CLS] [SEP] [PAD]", &long_word, &emoji, &spaces];
    let embedder = embedder();
    let rows = embedder.passages(texts(&hostile)).await.unwrap();
    assert_eq!(rows.len(), hostile.len());
    rows.iter().for_each(|row| assert_normalised(row));
    for text in hostile {
        assert_normalised(&embedder.query(text).await.unwrap());
    }
    assert!(embedder.sentences(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failing_or_panicking_batch_fails_only_its_own_texts() {
    let Script { lane, gate, calls } = scripted(LaneLimits { queue_jobs_max: 8, ..LIMITS });
    for word in ["fail", "panic"] {
        let working = lane.admit(texts(&["working"])).unwrap();
        assert_eq!(calls.recv().unwrap(), ["working"]);
        // Taken together once the first is done, longest first, two in each model call.
        let good = lane.admit(texts(&["longest", "longer"])).unwrap();
        let bad = lane.admit(texts(&[word, "abc"])).unwrap();
        (0..3).for_each(|_| gate.send(()).unwrap());
        assert!(working.await.is_ok());
        assert_eq!(good.await.unwrap(), [[7.0], [6.0]]);
        assert!(matches!(bad.await, Err(EmbedError::Failed(_))));
        assert_eq!(calls.recv().unwrap(), ["longest", "longer"]);
        assert_eq!(calls.recv().unwrap(), [word, "abc"]);
    }
    let after = lane.admit(texts(&["ok"])).unwrap();
    drop(gate);
    assert_eq!(after.await.unwrap(), [[2.0]]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let Script { lane, gate, calls } = scripted(LIMITS);
    let working = lane.admit(texts(&["working"])).unwrap();
    calls.recv().unwrap();
    let waiting = [lane.admit(texts(&["a"])).unwrap(), lane.admit(texts(&["b"])).unwrap()];
    assert!(matches!(lane.admit(texts(&["c"])), Err(EmbedError::Busy)));
    drop(gate);
    assert!(working.await.is_ok());
    for reply in waiting {
        assert!(reply.await.is_ok());
    }
}

#[tokio::test]
async fn what_waits_shares_a_model_call_and_nobody_works_for_a_caller_who_left() {
    let Script { lane, gate, calls } = scripted(LaneLimits { queue_jobs_max: 8, ..LIMITS });
    let working = lane.admit(texts(&["working"])).unwrap();
    assert_eq!(calls.recv().unwrap(), ["working"]);
    let here = lane.admit(texts(&["a"])).unwrap();
    drop(lane.admit(texts(&["gone"])).unwrap());
    let here_too = lane.admit(texts(&["bb"])).unwrap();
    drop(gate);
    assert!(working.await.is_ok());
    assert_eq!(calls.recv().unwrap(), ["bb", "a"]);
    assert_eq!(here.await.unwrap(), [[1.0]]);
    assert_eq!(here_too.await.unwrap(), [[2.0]]);
    drop(lane);
    assert!(calls.recv().is_err(), "nothing else was embedded");
}

#[tokio::test]
async fn a_batch_stays_within_its_word_pieces() {
    let Script { lane, gate, calls } = scripted(LIMITS);
    drop(gate);
    let long = "x".repeat(60);
    let reply = lane.admit(texts(&["a", &long, "b", &long])).unwrap();
    assert_eq!(reply.await.unwrap(), [[1.0], [60.0], [1.0], [60.0]]);
    drop(lane);
    let sizes: Vec<usize> = calls.iter().map(|call| call.len()).collect();
    assert_eq!(sizes, [1, 1, 2]);
}

#[tokio::test]
async fn rows_come_in_the_order_of_the_texts() {
    let embedder = embedder();
    let many: Vec<String> = (0..PASSAGES_TURN + 40)
        .map(|n| format!("Passage {n} {}", "is about ducks. ".repeat(n % 7)))
        .collect();
    let together = embedder.passages(many.clone()).await.unwrap();
    assert_eq!(together.len(), many.len());
    for index in [0, 1, 100, PASSAGES_TURN - 1, PASSAGES_TURN, many.len() - 1] {
        let alone = embedder.query(&many[index]).await.unwrap();
        let best = (0..many.len())
            .max_by(|a, b| cosine(&together[*a], &alone).total_cmp(&cosine(&together[*b], &alone)))
            .unwrap();
        assert_eq!(many[best], many[index]);
    }
}

#[tokio::test]
async fn a_text_means_the_same_alone_and_in_company() {
    let embedder = embedder();
    let company: Vec<String> = [
        "How do I rotate the signing secret?",
        "ok",
        "Prometheus collects and stores its metrics as time series data.",
        "The quick brown fox jumps over the lazy dog while the band plays on and on, until late at night.",
        "🦆🦆🦆",
        "SELECT * FROM users WHERE id = 1; -- drop table",
    ]
    .map(str::to_owned)
    .to_vec();
    let together = embedder.sentences(company.clone()).await.unwrap();
    for (text, row) in company.iter().zip(&together) {
        let alone = embedder.query(text).await.unwrap();
        assert!(cosine(&alone, row) > 0.99999, "{text}: {}", cosine(&alone, row));
    }
}

#[tokio::test]
async fn like_meanings_are_nearer_than_unlike_ones() {
    let embedder = embedder();
    let question = embedder.query("How can I make my password safe?").await.unwrap();
    let rows = embedder
        .passages(texts(&[
            "Choose a long passphrase and keep it secret.",
            "Ducks swim on the lake in the morning.",
        ]))
        .await
        .unwrap();
    assert!(cosine(&question, &rows[0]) > cosine(&question, &rows[1]) + 0.2);
}

#[tokio::test]
async fn equal_questions_at_one_time_and_later_share_one_vector() {
    let embedder = embedder();
    let (first, second) =
        tokio::join!(embedder.query("Where are the ducks?"), embedder.query("Where are the ducks?"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &embedder.query("Where are the ducks?").await.unwrap()));
}

#[tokio::test]
async fn the_text_beyond_the_old_limit_of_128_word_pieces_counts() {
    let embedder = embedder();
    let start = "duck ".repeat(150);
    let rows = embedder
        .passages(vec![start.clone(), format!("{start}{}", "volcano eruption lava ".repeat(20))])
        .await
        .unwrap();
    assert!(cosine(&rows[0], &rows[1]) < 0.95, "{}", cosine(&rows[0], &rows[1]));
}

#[test]
fn the_tokenizer_measures_without_cutting_or_padding() {
    let tokenizer = embedder().tokenizer();
    assert_eq!(tokenizer.encode("duck ".repeat(1000), false).unwrap().len(), 1000);
    assert_eq!(tokenizer.encode("duck", true).unwrap().len(), 3);
}
