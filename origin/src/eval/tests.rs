//! The measures against figures worked out by hand, and the bar that retrieval must clear.

use super::*;
use crate::embed::EmbedOptions;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_measures_are_those_of_trec_eval() {
    let relevant: HashMap<String, f64> = [("a".to_owned(), 2.0), ("b".to_owned(), 1.0)].into();
    assert!((ndcg(&names(&["a", "b"]), &relevant, 10) - 1.0).abs() < 1e-9);
    // (1 / log2 3 + 2 / log2 4) / (2 / log2 2 + 1 / log2 3)
    assert!((ndcg(&names(&["x", "b", "a"]), &relevant, 10) - 0.619_906_492).abs() < 1e-6);
    assert_eq!(ndcg(&names(&["x"]), &relevant, 10), 0.0);
    assert_eq!(recall(&names(&["x", "b", "a"]), &relevant, 2), 0.5);
}

#[test]
fn a_judgement_that_is_no_number_is_named_and_a_heading_is_not_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("qrels.tsv");
    std::fs::write(&file, "query-id\tcorpus-id\tscore\nq\td\t1\nq\te\t0\n").unwrap();
    assert_eq!(read_judgements(&file).unwrap()["q"].len(), 1);
    std::fs::write(&file, "q\td\t1\nq\te\tx\n").unwrap();
    assert!(read_judgements(&file).unwrap_err().to_string().contains("line 2"));
}

async fn hybrid(collection: &str) -> Option<f64> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(collection);
    if !dir.exists() {
        println!("skipped: {collection} is not here");
        return None;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2-int8");
    let options = EvalOptions {
        corpus: dir.join("corpus.jsonl"),
        queries: dir.join("queries.jsonl"),
        qrels: dir.join("qrels.tsv"),
        embedder: Embedder::load(EmbedOptions::new(model)).unwrap(),
        on_progress: Arc::new(|_, _| ()),
    };
    let report = evaluate(options).await.unwrap();
    println!("{collection}: {report}");
    report.modes.iter().find(|mode| mode.mode == SearchMode::Hybrid).map(|mode| mode.ndcg_10)
}

#[tokio::test(flavor = "multi_thread")]
async fn retrieval_reaches_its_bar_on_xquad() {
    let Some(ndcg) = hybrid("xquad").await else { return };
    assert!(ndcg >= 0.975, "{ndcg}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retrieval_reaches_its_bar_on_cranfield() {
    let Some(ndcg) = hybrid("cranfield").await else { return };
    assert!(ndcg >= 0.43, "{ndcg}");
}
