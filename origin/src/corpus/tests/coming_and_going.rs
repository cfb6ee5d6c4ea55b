//! Corpora are made and deleted whole, whoever stops waiting and whatever fails.

use std::time::Duration;

use futures::FutureExt;
use perigee_shared::search::SearchMode;

use super::place::*;
use crate::corpus::{Corpora, CorpusError};

/// What goes on without anybody waiting for it is there in the end.
async fn in_the_end(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok());
}

fn is_there(corpora: &Corpora, corpus: &str) -> bool {
    corpora.get(&tenant("acme"), &name(corpus)).is_ok()
}

#[tokio::test]
async fn a_corpus_is_made_even_if_nobody_waits_for_it() {
    let place = Place::new().await;
    assert!(place.corpora.create(&tenant("acme"), &name("left")).now_or_never().is_none());
    in_the_end(|| is_there(&place.corpora, "left")).await;
    let left = place.corpora.get(&tenant("acme"), &name("left")).unwrap();
    put(&left, "a", "Zebras graze.").await;
    let again = place.corpora.create(&tenant("acme"), &name("left")).await;
    assert!(matches!(again, Err(CorpusError::Exists)), "{again:?}");
}

#[tokio::test]
async fn a_corpus_is_gone_even_if_nobody_waits_for_it() {
    let place = Place::new().await;
    let docs = place.docs();
    put(&docs, "a", "Zebras graze.").await;
    assert!(place.corpora.delete(&tenant("acme"), &name("docs")).now_or_never().is_none());
    in_the_end(|| !is_there(&place.corpora, "docs")).await;
    // The whole of it: its writer has stopped, and its name is free.
    docs.stopped().await;
    place.corpora.create(&tenant("acme"), &name("docs")).await.unwrap();
    assert!(found(&place.docs(), "zebras", SearchMode::Hybrid).await.is_empty());
}

#[tokio::test]
async fn a_corpus_whose_views_cannot_be_made_is_not_there_and_its_name_stays_free() {
    let place = Place::new().await;
    let next = place.docs().incarnation() + 1;
    let views = place.dir.path().join("views");
    // A file where the corpus's folder would be.
    std::fs::write(views.join(next.to_string()), "in the way").unwrap();
    let refused = place.corpora.create(&tenant("acme"), &name("late")).await;
    assert!(matches!(refused, Err(CorpusError::Storage { .. })), "{refused:?}");
    assert!(!is_there(&place.corpora, "late"));
    std::fs::remove_file(views.join(next.to_string())).unwrap();
    let created = place.corpora.create(&tenant("acme"), &name("late")).await.unwrap();
    assert_eq!(created.documents, 0);
    let late = place.corpora.get(&tenant("acme"), &name("late")).unwrap();
    put(&late, "a", "Zebras graze.").await;
    drop(late);
    let place = place.reopen().await;
    let mut names: Vec<_> = place.corpora.list(&tenant("acme")).await.unwrap();
    names.retain(|summary| summary.name == name("late"));
    assert_eq!(names.iter().map(|summary| summary.documents).collect::<Vec<_>>(), [1]);
}
