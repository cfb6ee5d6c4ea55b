//! Putting, replacing and deleting documents, and seeing it.

use perigee_shared::caller::Audience;
use perigee_shared::document::Outcome;
use perigee_shared::id::Epoch;
use perigee_shared::search::SearchMode;

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
