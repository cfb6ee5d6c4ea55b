//! The commands that talk to a server, as people and scripts run them.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{Stage, perigee};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(stage: &Stage, arguments: &[&str]) -> Ran {
    let url = format!("http://{}", stage.address);
    let output = perigee().args(arguments).env("PERIGEE_URL", url).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_ingested_asked_and_ingested_again_for_nothing() {
    let stage = Stage::start().await;
    let dir = TempDir::new().unwrap();
    write(dir.path(), "guide/refunds.md", "# Refunds\n\nA refund takes five working days.\n");
    write(dir.path(), "odd name, ü.html", "<h1>Trains</h1><p>Trains leave hourly.</p>");
    write(dir.path(), "latin.txt", b"\xff\xfeA\x00p\x00p\x00l\x00e\x00s\x00.\x00");
    write(
        dir.path(),
        "notes.jsonl",
        "{\"_id\": \"n1\", \"title\": \"N\", \"text\": \"Norway is north.\"}\n{\"id\": 2, \"text\": \"Two.\"}\n",
    );
    write(dir.path(), "picture.png", "x");
    let folder = dir.path().to_str().unwrap();

    let ran = run(&stage, &["ingest", folder, "--corpus", "docs"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out, "docs: 5 created, 0 updated, 0 unchanged, 0 refused; 5 passages written, epoch 5\n");
    assert!(
        ran.err.contains("created the corpus docs") && ran.err.contains("1 files of other formats"),
        "{}",
        ran.err
    );
    let again = run(&stage, &["ingest", folder, "--corpus", "docs", "--json"]).await;
    let tally: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&tally["unchanged"], &tally["epoch"]), (&json!(5), &json!(5)));

    let asked = run(&stage, &["ask", "How long does a refund take?", "--corpus", "docs"]).await;
    assert_eq!(asked.code, Some(0), "{}", asked.err);
    assert!(asked.out.contains("five working days") && asked.out.contains("[1] "), "{}", asked.out);
    assert!(asked.out.contains("(guide:refunds.md)"), "{}", asked.out);
    let found = run(&stage, &["search", "trains", "--corpus", "docs", "-k", "1", "--json"]).await;
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert!(found["data"][0]["text"].as_str().unwrap().contains("Trains leave hourly"), "{found}");
    let listed = run(&stage, &["corpora", "list"]).await;
    assert!(listed.out.contains("docs"), "{}", listed.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named_and_shows_in_the_exit_status() {
    let stage = Stage::start().await;
    let dir = TempDir::new().unwrap();
    write(dir.path(), "fine.md", "# Fine\n\nAll is well.\n");
    write(dir.path(), "broken.pdf", "%PDF nonsense");
    write(
        dir.path(),
        "lines.jsonl",
        "{\"id\": \"ok\", \"text\": \"Fine.\"}\nnonsense\n{\"id\": \"a/b\", \"text\": \"x\"}\n",
    );
    let ran = run(&stage, &["ingest", dir.path().to_str().unwrap(), "--corpus", "docs"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.starts_with("docs: 2 created, 0 updated, 0 unchanged, 3 refused;"), "{}", ran.out);
    for name in ["refused broken.pdf: ", "refused lines.jsonl, line 2: ", "refused lines.jsonl, line 3: "] {
        assert!(ran.err.contains(name), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_is_deleted_only_when_asked() {
    let stage = Stage::start().await;
    let dir = TempDir::new().unwrap();
    write(dir.path(), "a.md", "# A\n\nApples.\n");
    write(dir.path(), "b.md", "# B\n\nBerries.\n");
    let folder = dir.path().to_str().unwrap();
    run(&stage, &["ingest", folder, "--corpus", "docs"]).await;
    std::fs::remove_file(dir.path().join("b.md")).unwrap();
    let kept = run(&stage, &["ingest", folder, "--corpus", "docs"]).await;
    assert!(kept.out.contains("1 unchanged, 0 refused"), "{}", kept.out);
    assert_eq!(stage.operator().get("/v1/corpora/docs").await.json()["documents"], 2);
    let pruned = run(&stage, &["ingest", folder, "--corpus", "docs", "--prune"]).await;
    assert!(pruned.out.contains("1 deleted"), "{}", pruned.out);
    assert_eq!(stage.operator().get("/v1/corpora/docs/documents/b.md").await.status, 404);
    assert_eq!(stage.operator().get("/v1/corpora/docs/documents/a.md").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_done_says_why() {
    let stage = Stage::start().await;
    for (arguments, code, said) in [
        (vec!["ask"], 2, "Usage:"),
        (vec!["ask", "x", "--corpus", "Not A Name"], 2, "a corpus name must be"),
        (vec!["ask", "Is it?", "--corpus", "nothing"], 1, "There is no such corpus for this key"),
        (vec!["ingest", "/nothing/here", "--corpus", "docs"], 1, "/nothing/here cannot be read"),
        (vec!["corpora", "delete", "docs"], 1, "needs --yes"),
        (vec!["search", "x", "--corpus", "docs", "--url", "http://127.0.0.1:1"], 1, "cannot be reached"),
        (vec!["search", "x", "--corpus", "docs", "--key", "pgk_wrong"], 1, "neither signed by an edge"),
    ] {
        let ran = run(&stage, &arguments).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
    for command in [
        "serve",
        "ingest",
        "ask",
        "search",
        "corpora",
        "eval",
        "replay",
        "explain",
        "calibrate",
        "backup",
        "restore",
    ] {
        let help = run(&stage, &[command, "--help"]).await;
        assert_eq!(help.code, Some(0));
        assert!(help.out.contains("Example"), "{command}: {}", help.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_serving_directory_answers_the_same_when_restored() {
    let stage = Stage::start().await;
    stage.operator().fill().await;
    let dir = TempDir::new().unwrap();
    let (file, restored) = (dir.path().join("backup.db"), dir.path().join("restored"));
    let (file, restored) = (file.to_str().unwrap(), restored.to_str().unwrap());
    let data = stage.data().to_str().unwrap().to_owned();
    let ran = run(&stage, &["backup", "--data", &data, "--out", file]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let ran = run(&stage, &["restore", "--from", file, "--data", restored]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let twice = run(&stage, &["restore", "--from", file, "--data", restored]).await;
    assert_eq!(twice.code, Some(1), "{}", twice.err);

    let mut program = crate::stage::Program::serve(Path::new(restored), &[]).await;
    program.line_with("\"ready\"").await;
    let again = crate::stage::Caller::operator(program.address);
    let search = r#"{"query": "how long does a refund take"}"#;
    let path = "/v1/corpora/docs/search";
    let (restored, original) = (again.post(path, search).await, stage.operator().post(path, search).await);
    assert_eq!(restored.json()["data"], original.json()["data"]);
    // Epochs go on counting, beyond all that anybody may have seen.
    assert!(restored.json()["epoch"].as_u64() > original.json()["epoch"].as_u64(), "{}", restored.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn retrieval_is_measured_without_a_server() {
    let dir = TempDir::new().unwrap();
    let documents = "{\"_id\": \"a\", \"title\": \"Refunds\", \"text\": \"A refund takes five working days.\"}\n\
                     {\"_id\": \"b\", \"text\": \"Parcels to Norway leave on Tuesdays.\"}\n";
    write(dir.path(), "corpus.jsonl", documents);
    write(dir.path(), "queries.jsonl", "{\"_id\": \"q\", \"text\": \"When do parcels leave?\"}\n");
    write(dir.path(), "qrels.tsv", "query-id\tcorpus-id\tscore\nq\tb\t1\n");
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (corpus, queries, qrels) = (file("corpus.jsonl"), file("queries.jsonl"), file("qrels.tsv"));
    let mut eval = perigee();
    eval.args(["eval", "--corpus", &corpus, "--queries", &queries, "--qrels", &qrels, "--json"]);
    let output = eval.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["modes"][2]["mode"], "hybrid", "{report}");
    assert_eq!(report["modes"][2]["ndcg@10"], 1.0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_shows_what_it_looked_at_and_that_nothing_is_left() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    operator.ask("docs", "How long does a refund take?").await;
    let purge = ["purge", "--document", "refunds", "--corpus", "docs", "--prove", "--within", "30s"];
    let unasked = run(&stage, &purge).await;
    assert_eq!(unasked.code, Some(1), "a terminal is needed to say yes: {}", unasked.out);
    let ran = run(&stage, &[&purge[..], &["--yes"]].concat()).await;
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("deleted refunds at epoch 3"), "{}", ran.out);
    assert!(ran.out.contains("the document: not there, before: there"), "{}", ran.out);
    assert!(ran.out.contains("2 pieces of its text searched for: 0 found in it, before: 2"), "{}", ran.out);
    assert!(ran.out.contains("0 rest on it, before: 1"), "{}", ran.out);
    assert!(ran.out.contains("no edge was looked at"), "{}", ran.out);
    let again = run(&stage, &[&purge[..], &["--yes"]].concat()).await;
    assert!(again.code == Some(0) && again.out.contains("there is no document refunds"), "{}", again.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_is_made_changed_and_listed_with_what_it_tolerates() {
    let stage = Stage::start().await;
    assert_eq!(run(&stage, &["corpora", "create", "docs", "--reuse-tolerance", "0.005"]).await.code, Some(0));
    let listed = async || run(&stage, &["corpora", "list"]).await.out;
    assert!(listed().await.contains("0.5 %"), "{}", listed().await);
    for (share, shown) in [("0", "0 %"), ("0.02", "2 %"), ("default", "default")] {
        let ran = run(&stage, &["corpora", "set", "docs", "--reuse-tolerance", share]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(listed().await.contains(shown), "{}", listed().await);
    }
    let refused = run(&stage, &["corpora", "set", "docs", "--reuse-tolerance", "0.2"]).await;
    assert!(refused.code == Some(2) && refused.err.contains("between 0 and 0.05"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_replayed_over_a_corpus_and_nobody_is_served() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let dir = TempDir::new().unwrap();
    let refund = "How long does a refund take?";
    let line = |question: &str, label: &str| format!("{}\n", json!({"question": question, "label": label}));
    let log: String = [
        line(refund, "refund"),
        line(refund, "refund"),
        line("how long does a refund take", "refund"),
        line("When do parcels to Norway leave?", "parcels"),
        // As if it meant something else: then it is answered wrongly.
        line("when do parcels to norway leave", "norway"),
    ]
    .concat();
    write(dir.path(), "log.jsonl", log);
    let file = dir.path().join("log.jsonl");
    let replay = ["replay", file.to_str().unwrap(), "--corpus", "docs"];
    let ran = run(&stage, &[&replay[..], &["--json"]].concat()).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let outcomes: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert!(outcomes.is_sorted_by_key(|outcome| outcome["paraphrase"].as_u64()), "{outcomes:#?}");
    let mildest = outcomes.last().unwrap();
    for (what, count) in
        [("questions", 5), ("exact", 1), ("paraphrase", 2), ("judged", 2), ("wrong", 1), ("refused", 0)]
    {
        assert_eq!(mildest[what], json!(count), "{what}: {mildest}");
    }
    let shares = ["low", "estimate", "high"].map(|bound| mildest["false_hits"][bound].as_f64().unwrap());
    assert!(
        shares[0] > 0.0 && shares[0] < 0.2 && (shares[1] - 0.2).abs() < 1e-9 && shares[2] < 0.4,
        "{shares:?}"
    );
    let table = run(&stage, &replay).await;
    assert!(
        table.out.contains("| 5.0 % | 20.0 % | 40.0 % | 1 of 2 |") && table.out.contains("3 of 5"),
        "{}",
        table.out
    );
    // Nothing of it was answered, and so nothing is kept.
    let resting = operator.get("/v1/corpora/docs/documents/refunds/answers").await.json();
    assert_eq!(resting["looked_at"], 0);

    write(dir.path(), "log.jsonl", format!("{}{{\"questions\": 1}}\n", line(refund, "refund")));
    let ran = run(&stage, &replay).await;
    assert!(ran.code == Some(1) && ran.err.contains("log.jsonl, line 2"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_questions_are_judged_by_their_words_and_by_the_evidence_where_there_is_a_corpus() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let refund = "How long does a refund take?";
    let explain = async |asked: &str, answered: &str, more: &[&str]| {
        let ran = run(&stage, &[&["explain", asked, answered, "--json"], more].concat()).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let same = explain("how long does a refund take", refund, &[]).await;
    assert_eq!((&same["decision"], &same["gate"]), (&json!("reuse"), &json!("same")));
    let opposite = explain("How long does a refund not take?", refund, &[]).await;
    assert_eq!(opposite["decision"], "gate");
    let at_no_tolerance = explain("how long does a refund take", refund, &["--tolerance", "0"]).await;
    assert_eq!(at_no_tolerance["decision"], "unsure");

    let corpus = ["--corpus", "docs"];
    let same = explain("how long does a refund take", refund, &corpus).await;
    assert_eq!(
        (&same["decision"], &same["evidence"]),
        (&json!("reuse"), &json!({"cited": true, "overlap": 1.0}))
    );
    // Enough about refunds that the passages for the one are not all there is.
    for number in 0..12 {
        let path = format!("/v1/corpora/docs/documents/rule-{number}");
        let content = format!(
            "# Refund rule {number}\n\nRule {number}: a refund of kind {number} takes {number} working days.\n"
        );
        operator.put(&path, &json!({"content": content})).await;
    }
    let other = explain("When do parcels to Norway leave?", refund, &corpus).await;
    assert_eq!(other["evidence"]["cited"], false, "{other}");
    assert!(other["evidence"]["overlap"].as_f64().unwrap() < 1.0, "{other}");
    let ran = run(&stage, &["explain", "how long does a refund take", refund, "--corpus", "docs"]).await;
    assert!(
        ran.out.contains("decision     reuse") && ran.out.contains("100 % of what it rests on"),
        "{}",
        ran.out
    );
    let nowhere = run(&stage, &["explain", refund, refund, "--corpus", "none"]).await;
    assert!(nowhere.code == Some(1) && nowhere.err.contains("no such corpus"), "{}", nowhere.err);
}
