//! Putting, replacing and deleting documents, and seeing it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use perigee_shared::caller::Audience;
use perigee_shared::document::{Format, Outcome};
use perigee_shared::id::Epoch;
use perigee_shared::search::SearchMode;
use tokio::runtime::Builder;

use super::place::*;
use crate::corpus::CorpusError;

const MODES: [SearchMode; 3] = [SearchMode::Hybrid, SearchMode::Vector, SearchMode::Lexical];

#[tokio::test]
async fn a_document_is_found_in_every_mode_as_soon_as_its_write_is_answered() {
    let place = Place::new().await;
    let docs = place.docs();
    let written = put(&docs, "harbour", "# Harbour\n\nThe ferry leaves at nine.").await;
    assert_eq!((written.outcome, written.epoch, written.passages), (Outcome::Created, Epoch::new(1), 1));
    for mode in MODES {
        assert_eq!(found(&docs, "when does the ferry leave?", mode).await, ["harbour"], "{mode:?}");
    }
}

#[tokio::test]
async fn replacing_a_document_leaves_nothing_of_the_old_one() {
    let place = Place::new().await;
    let docs = place.docs();
    put(&docs, "a", "Zebras graze on the savanna.").await;
    let written = put(&docs, "a", "Compilers translate programs.").await;
    assert_eq!((written.outcome, written.epoch), (Outcome::Updated, Epoch::new(2)));
    assert_eq!(docs.summary().passages, 1);
    assert!(found(&docs, "zebras", SearchMode::Lexical).await.is_empty());
    let hits =
        docs.search(&search_for("zebras", SearchMode::Vector), &Audience::Everything).await.unwrap().hits;
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].text, "Compilers translate programs.");
}

#[tokio::test]
async fn deleting_a_document_takes_it_out_of_every_view() {
    let place = Place::new().await;
    let docs = place.docs();
    put(&docs, "a", "Zebras graze.").await;
    assert_eq!(docs.delete_document(&id("a")).await.unwrap().outcome, Outcome::Deleted);
    for mode in MODES {
        assert!(found(&docs, "zebras", mode).await.is_empty());
    }
    assert!(matches!(docs.delete_document(&id("a")).await, Err(CorpusError::DocumentNotFound)));
    assert!(matches!(
        docs.document(&id("a"), &Audience::Everything).await,
        Err(CorpusError::DocumentNotFound)
    ));
    assert_eq!(docs.epoch(), Epoch::new(2));
}

#[tokio::test]
async fn the_same_again_is_unchanged_and_spends_no_epoch() {
    let place = Place::new().await;
    let docs = place.docs();
    put(&docs, "a", "Zebras graze.").await;
    put(&docs, "b", "Lions sleep.").await;
    let again = put(&docs, "a", "Zebras graze.").await;
    assert_eq!((again.outcome, again.epoch, again.passages), (Outcome::Unchanged, Epoch::new(1), 1));
    assert_eq!(docs.epoch(), Epoch::new(2));
}

/// What splits a document can't be stopped; were its place free before it ends, clients that leave could have any number
/// of documents in memory.
#[test]
fn a_client_that_leaves_does_not_free_the_place_of_what_is_still_worked_on() {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let place = Place::new().await;
        let docs = place.docs();
        let places = docs.preparing.available_permits();
        let turn = Arc::new(Arc::clone(&docs.preparing).acquire_owned().await.unwrap());
        // The only thread is busy until it is told to go on.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let extracted = crate::extract::extract(Format::Text, b"Zebras graze.").unwrap();
        let splitting = docs.preparer.split(docs.core.id, None, id("a"), extracted, turn);
        assert!(splitting.now_or_never().is_none());
        assert_eq!(docs.preparing.available_permits(), places - 1);
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        let all = docs.preparing.acquire_many(u32::try_from(places).unwrap());
        assert!(tokio::time::timeout(Duration::from_secs(30), all).await.is_ok());
    });
}
