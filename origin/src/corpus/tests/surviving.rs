//! What is acknowledged outlives the process, and a view that is damaged is made anew.

use std::collections::BTreeSet;
use std::path::Path;

use perigee_shared::caller::Audience;
use perigee_shared::search::{Search, SearchMode};
use perigee_shared::tolerance::Tolerance;

use super::place::*;
use crate::corpus::{Corpus, CorpusError};

const NOTES: [&str; 5] = [
    "The ferry leaves at nine.",
    "Bread is baked before dawn.",
    "Lighthouses warn of rocks.",
    "The archive keeps old maps.",
    "Snow closes the pass in winter.",
];

async fn fill(docs: &Corpus) {
    for (index, note) in NOTES.iter().enumerate() {
        put(docs, &format!("n{index}"), note).await;
    }
    put(docs, "n1", "Bread is sold at noon.").await;
    docs.delete_document(&id("n2")).await.unwrap();
}

/// Every document once, in all views, and nothing else.
async fn assert_whole(docs: &Corpus) {
    let expected: BTreeSet<String> = ["n0", "n1", "n3", "n4"].map(str::to_owned).into();
    assert_eq!(docs.epoch().get(), 7);
    let listed = docs.documents(&Audience::Everything, None, 100).await.unwrap().data;
    assert_eq!(listed.iter().map(|d| d.id.to_string()).collect::<BTreeSet<_>>(), expected);
    let all = Search { k: 100, ..search_for("anything at all", SearchMode::Vector) };
    let by_vector = documents(&docs.search(&all, &Audience::Everything).await.unwrap());
    assert_eq!(by_vector.len(), expected.len());
    assert_eq!(by_vector.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(docs.core.views.vectors.len(), expected.len());
    let all = Search { k: 100, ..search_for("ferry bread maps snow lighthouses baked", SearchMode::Lexical) };
    let by_words = documents(&docs.search(&all, &Audience::Everything).await.unwrap());
    assert_eq!(by_words.len(), expected.len());
    assert_eq!(by_words.into_iter().collect::<BTreeSet<_>>(), expected);
    assert!(found(docs, "lighthouses", SearchMode::Lexical).await.is_empty());
}

#[tokio::test]
async fn what_a_corpus_tolerates_is_changed_for_good() {
    let place = Place::new().await;
    let set = |share: Option<f64>| share.map(|share| Tolerance::new(share).unwrap());
    let (tenant, docs) = (tenant("acme"), name("docs"));
    assert_eq!(place.docs().summary().reuse_tolerance, None);
    let changed = place.corpora.set_reuse_tolerance(&tenant, &docs, set(Some(0.002))).await.unwrap();
    assert_eq!((changed.reuse_tolerance, changed.epoch), (set(Some(0.002)), place.docs().epoch()));
    // Whoever had the corpus in hand goes by it, too.
    assert_eq!(place.docs().reuse_tolerance(), set(Some(0.002)));
    let place = place.crash_and_reopen().await;
    assert_eq!(place.docs().summary().reuse_tolerance, set(Some(0.002)));

    let changed = place.corpora.set_reuse_tolerance(&tenant, &docs, None).await.unwrap();
    assert_eq!(changed.reuse_tolerance, None);
    let place = place.reopen().await;
    assert_eq!(place.docs().reuse_tolerance(), None);
    let nobody = place.corpora.set_reuse_tolerance(&tenant, &name("none"), None).await;
    assert!(matches!(nobody, Err(CorpusError::NotFound)));
}

#[tokio::test]
async fn everything_is_there_after_an_orderly_restart() {
    let place = Place::new().await;
    fill(&place.docs()).await;
    let place = place.reopen().await;
    assert_whole(&place.docs()).await;
    let embedded_again = put(&place.docs(), "n0", NOTES[0]).await;
    assert_eq!(embedded_again.outcome, perigee_shared::document::Outcome::Unchanged);
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_crash() {
    let place = Place::new().await;
    fill(&place.docs()).await;
    let place = place.crash_and_reopen().await;
    assert_whole(&place.docs()).await;
    // Again, with a snapshot that is older than the log.
    let place = place.reopen().await;
    put(&place.docs(), "late", "Gulls follow the boats.").await;
    place.docs().delete_document(&id("late")).await.unwrap();
    let place = place.crash_and_reopen().await;
    assert_eq!(place.docs().epoch().get(), 9);
    assert!(found(&place.docs(), "gulls", SearchMode::Lexical).await.is_empty());
    assert_eq!(place.docs().summary().documents, 4);
}

async fn damaged(damage: impl FnOnce(&Path)) {
    let place = Place::new().await;
    fill(&place.docs()).await;
    let views = place.views();
    let place = place.reopen().await;
    assert!(views.join("vectors.usearch").exists());
    let Place { dir, embedder, corpora } = place;
    corpora.close().await;
    drop(corpora);
    damage(&views);
    let corpora = open(dir.path(), &embedder).await.unwrap();
    assert_whole(&corpora.get(&tenant("acme"), &name("docs")).unwrap()).await;
}

#[tokio::test]
async fn missing_views_are_rebuilt() {
    damaged(|views| std::fs::remove_dir_all(views).unwrap()).await;
}

#[tokio::test]
async fn a_vector_view_with_one_wrong_byte_is_rebuilt() {
    damaged(|views| {
        let file = views.join("vectors.usearch");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(&file, bytes).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_torn_vector_view_is_rebuilt() {
    damaged(|views| {
        let file = views.join("vectors.usearch");
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_manifest_of_nonsense_has_the_vector_view_rebuilt() {
    damaged(|views| std::fs::write(views.join("vectors.json"), b"{}").unwrap()).await;
}

#[tokio::test]
async fn a_lexical_view_without_its_list_of_segments_is_rebuilt() {
    damaged(|views| std::fs::remove_file(views.join("lexical/meta.json")).unwrap()).await;
}

#[tokio::test]
async fn a_lexical_view_with_torn_segments_is_rebuilt() {
    damaged(|views| {
        for file in std::fs::read_dir(views.join("lexical")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "store" || e == "idx" || e == "term" || e == "fast") {
                std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(3).unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let place = Place::new().await;
    let Err(error) = open(place.dir.path(), &place.embedder).await else { panic!("two servers") };
    assert!(matches!(&error, CorpusError::Storage { .. }), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_by_name() {
    let place = Place::new().await;
    let (dir, embedder) = place.crash().await;
    let file = dir.path().join("perigee.db");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = open(dir.path(), &embedder).await else { panic!("opened") };
    assert!(error.to_string().contains("perigee.db"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_data() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new().await;
    put(&place.docs(), "a", "Private.").await;
    for file in ["perigee.db", "perigee.db-wal", "perigee.db-shm"] {
        let mode = std::fs::metadata(place.dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}
