//! No room, and a view that cannot be written: said by name, nothing lost, and well again afterwards.

use perigee_shared::caller::Audience;
use perigee_shared::document::Outcome;
use perigee_shared::search::SearchMode;

use super::place::*;
use crate::corpus::CorpusError;

#[tokio::test]
async fn a_full_disk_refuses_the_write_by_name_and_loses_nothing() {
    let place = Place::new().await;
    let docs = place.docs();
    put(&docs, "a", "Zebras graze.").await;
    docs.core.database.limit_pages(Some(0));
    let long = "A long chronicle of the harbour. ".repeat(3_000);
    let error = docs.put(id("b"), text(&long)).await.unwrap_err();
    assert!(matches!(&error, CorpusError::StorageFull { .. }), "{error}");
    assert!(error.to_string().contains("perigee.db"), "{error}");
    assert_eq!((docs.epoch().get(), docs.summary().documents), (1, 1));
    assert_eq!(found(&docs, "zebras", SearchMode::Hybrid).await, ["a"]);
    docs.core.database.limit_pages(None);
    let written = put(&docs, "b", &long).await;
    assert_eq!((written.outcome, written.epoch.get()), (Outcome::Created, 2));
    assert_eq!(docs.summary().documents, 2);
}

#[tokio::test]
async fn a_view_that_could_not_be_written_catches_up_with_the_next_write() {
    let place = Place::new().await;
    let docs = place.docs();
    put(&docs, "a", "Zebras graze.").await;
    let lexical = place.views().join("lexical");
    let away = place.views().join("away");
    std::fs::rename(&lexical, &away).unwrap();
    let error = docs.put(id("b"), text("Lions sleep.")).await.unwrap_err();
    assert!(error.to_string().contains("lexical"), "{error}");
    // Not acknowledged, and not half there: searches stay where they were.
    assert_eq!(docs.epoch().get(), 1);
    assert!(found(&docs, "lions", SearchMode::Vector).await.iter().all(|document| document == "a"));
    std::fs::rename(&away, &lexical).unwrap();
    put(&docs, "c", "Gulls cry.").await;
    for (query, expected) in [("zebras", "a"), ("lions", "b"), ("gulls", "c")] {
        assert_eq!(found(&docs, query, SearchMode::Lexical).await, [expected]);
        assert_eq!(found(&docs, query, SearchMode::Vector).await[0], expected);
    }
    assert_eq!(docs.documents(&Audience::Everything, None, 10).await.unwrap().data.len(), 3);
    assert_eq!(put(&docs, "b", "Lions sleep.").await.outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn a_corpus_that_cannot_be_opened_is_shut_and_the_others_are_served() {
    let place = Place::new().await;
    put(&place.docs(), "a", "Zebras graze.").await;
    place.corpora.create(&tenant("acme"), &name("other")).await.unwrap();
    let other = place.corpora.get(&tenant("acme"), &name("other")).unwrap();
    put(&other, "b", "Lions sleep.").await;
    let views = place.views();
    drop(other);
    let (dir, embedder) = place.crash().await;
    // No folder can be made where a file is.
    std::fs::remove_dir_all(&views).unwrap();
    std::fs::write(&views, "in the way").unwrap();
    let corpora = open(dir.path(), &embedder).await.unwrap();
    assert!(matches!(corpora.get(&tenant("acme"), &name("docs")), Err(CorpusError::Shut)));
    let taken = corpora.create(&tenant("acme"), &name("docs")).await;
    assert!(matches!(taken, Err(CorpusError::Exists)), "{taken:?}");
    let other = corpora.get(&tenant("acme"), &name("other")).unwrap();
    assert_eq!(found(&other, "lions", SearchMode::Hybrid).await, ["b"]);
    drop(other);
    corpora.close().await;
    drop(corpora);
    std::fs::remove_file(&views).unwrap();
    let corpora = open(dir.path(), &embedder).await.unwrap();
    let docs = corpora.get(&tenant("acme"), &name("docs")).unwrap();
    assert_eq!(found(&docs, "zebras", SearchMode::Hybrid).await, ["a"]);
}

#[tokio::test]
async fn another_model_has_every_passage_embedded_again() {
    let place = Place::new().await;
    put(&place.docs(), "a", "Zebras graze on the savanna.").await;
    put(&place.docs(), "b", "Compilers translate programs.").await;
    let (dir, embedder) = place.crash().await;
    let database = rusqlite::Connection::open(dir.path().join("perigee.db")).unwrap();
    // As if another model had made them.
    database.execute("UPDATE corpora SET model = 'other'", []).unwrap();
    database.execute("UPDATE passages SET vector = ?1", [vec![1_u8; 384]]).unwrap();
    drop(database);
    let corpora = open(dir.path(), &embedder).await.unwrap();
    let docs = corpora.get(&tenant("acme"), &name("docs")).unwrap();
    assert_eq!(found(&docs, "animals in Africa", SearchMode::Vector).await, ["a", "b"]);
    assert_eq!(found(&docs, "software", SearchMode::Vector).await, ["b", "a"]);
}
