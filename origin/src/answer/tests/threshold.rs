//! How near other words must come at an edge: what the corpus tolerates, and what watching reuse has made of it.

use perigee_shared::answer_index::Snapshot;
use perigee_shared::id::Similarity;

use super::library::Library;
use super::*;
use crate::answered::Body;
use crate::paraphrase::{Calibration, Mode};

/// What an edge is told to ask for, and what names the snapshot that says so.
async fn published(answers: &Answers, library: &Library) -> (Option<Similarity>, String) {
    let published = answers.published(&library.corpus, None, true).await;
    let Body::Whole(bytes) = published.body else { panic!("nothing was known before") };
    (Snapshot::parse(bytes.to_vec()).unwrap().header().threshold, published.etag)
}

fn asked_for(share: f64) -> Option<Similarity> {
    Calibration::bundled().edge_threshold(Tolerance::new(share).unwrap())
}

#[tokio::test]
async fn what_a_corpus_tolerates_now_is_what_edges_are_told() {
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    let options = AnswerOptions { reuse_tolerance: Tolerance::NONE, ..AnswerOptions::default() };
    let answers = Answers::new(&options, None, embedder);
    let (by_default, name) = published(&answers, &library).await;
    assert_eq!(by_default, None, "the server's own, which is none");

    library.tolerate(0.01).await;
    let (open, other_name) = published(&answers, &library).await;
    assert!(open.is_some() && open == asked_for(0.01));
    // Nothing else has changed: an edge that has the snapshot before learns of it all the same.
    assert_ne!(name, other_name);
    library.tolerate(0.0).await;
    assert_eq!(published(&answers, &library).await, (None, name));
}

#[tokio::test]
async fn when_checks_tighten_or_stop_reuse_edges_are_told() {
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    let answers = Answers::new(&AnswerOptions::default(), None, embedder);
    // A quarter of it is less than any step of the calibration says something about.
    let set = Tolerance::new(0.002).unwrap();
    library.tolerate(set.share()).await;
    assert!(published(&answers, &library).await.0.is_some());
    let incarnation = library.corpus.incarnation();
    let watches = &answers.shared.watches;
    while watches.terms(incarnation, set).mode == Mode::Open {
        watches.found_wrong(incarnation, set);
    }
    assert_eq!(watches.terms(incarnation, set).mode, Mode::Tight);
    assert_eq!(asked_for(set.share() / 4.0), None);
    assert_eq!(published(&answers, &library).await.0, None);

    // With more patience it is stopped before nothing is tolerated.
    let set = Tolerance::default();
    library.tolerate(set.share()).await;
    assert_eq!(published(&answers, &library).await.0, asked_for(set.share() / 4.0));
    while watches.terms(incarnation, set).mode == Mode::Tight {
        watches.found_wrong(incarnation, set);
    }
    assert_eq!(published(&answers, &library).await.0, None);
}
