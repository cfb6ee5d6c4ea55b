//! Backup while serving, restore to a point that answers the same.

use std::sync::Arc;

use perigee_shared::caller::Audience;
use perigee_shared::search::SearchMode;

use super::place::*;
use crate::corpus::backup::{RESTORE_EPOCHS, take_the_place};
use crate::corpus::{CorpusError, backup, restore};

#[tokio::test]
async fn a_backup_taken_while_writing_answers_the_same_when_restored() {
    let place = Place::new().await;
    let docs = place.docs();
    for number in 0..20 {
        put(&docs, &format!("d{number}"), &format!("Report {number} on tides, winds and harbour dues."))
            .await;
    }
    let writing = tokio::spawn({
        let docs = Arc::clone(&docs);
        async move {
            for number in 20..60 {
                put(&docs, &format!("d{number}"), &format!("Report {number} on snow and mountain passes."))
                    .await;
            }
        }
    });
    let file = place.dir.path().join("backup.db");
    let (from, to) = (place.dir.path().to_path_buf(), file.clone());
    tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap().unwrap();
    writing.await.unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    restore(&file, elsewhere.path(), false).unwrap();
    let corpora = open(elsewhere.path(), &place.embedder).await.unwrap();
    let restored = corpora.get(&tenant("acme"), &name("docs")).unwrap();
    // Beyond every epoch that somebody may have seen of what is given up.
    let epoch = restored.epoch().get() - RESTORE_EPOCHS;
    assert!((20..=60).contains(&epoch), "{epoch}");
    assert_eq!(restored.summary().documents, epoch);
    // The original, taken back to the same point by deleting what came later, answers the same.
    for number in epoch..60 {
        docs.delete_document(&id(&format!("d{number}"))).await.unwrap();
    }
    for mode in [SearchMode::Hybrid, SearchMode::Vector, SearchMode::Lexical] {
        let search = search_for("harbour dues and tides", mode);
        let ours = docs.search(&search, &Audience::Everything).await.unwrap();
        let theirs = restored.search(&search, &Audience::Everything).await.unwrap();
        let shown = |r: &crate::retrieve::Retrieved| {
            r.hits.iter().map(|h| (h.document.to_string(), h.text.clone(), h.score)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&ours), shown(&theirs), "{mode:?}");
    }
}

#[tokio::test]
async fn a_restore_over_a_newer_state_leaves_nothing_of_it() {
    let place = Place::new().await;
    put(&place.docs(), "a", "Zebras graze.").await;
    let file = place.dir.path().join("backup.db");
    backup(place.dir.path(), &file).unwrap();
    put(&place.docs(), "a", "Lions sleep.").await;
    assert!(
        matches!(restore(&file, place.dir.path(), true), Err(CorpusError::Storage { .. })),
        "it is served"
    );
    let (dir, embedder) = place.crash().await;
    let refused = restore(&file, dir.path(), false).unwrap_err();
    assert!(refused.to_string().contains("already"), "{refused}");
    restore(&file, dir.path(), true).unwrap();
    let corpora = open(dir.path(), &embedder).await.unwrap();
    let docs = corpora.get(&tenant("acme"), &name("docs")).unwrap();
    assert_eq!(docs.epoch().get(), 1 + RESTORE_EPOCHS);
    assert_eq!(found(&docs, "zebras", SearchMode::Lexical).await, ["a"]);
    assert!(found(&docs, "lions", SearchMode::Lexical).await.is_empty());
}

#[test]
fn what_is_no_backup_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("backup.db");
    assert!(backup(&data, &file).is_err());
    assert!(restore(&file, &data, false).is_err());
    for content in [&b""[..], b"not a database", &[0; 9000]] {
        std::fs::write(&file, content).unwrap();
        let error = restore(&file, &data, false).unwrap_err().to_string();
        assert!(error.contains("backup.db"), "{error}");
        assert!(!data.join("perigee.db").exists());
    }
}

#[tokio::test]
async fn a_backup_that_this_version_cannot_serve_is_refused_before_the_database_is_given_up() {
    let place = Place::new().await;
    put(&place.docs(), "a", "Zebras graze.").await;
    let file = place.dir.path().join("backup.db");
    backup(place.dir.path(), &file).unwrap();
    let newer = rusqlite::Connection::open(&file).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let (dir, embedder) = place.crash().await;
    let refused = restore(&file, dir.path(), true).unwrap_err().to_string();
    assert!(refused.contains("backup.db") && refused.contains("version 99"), "{refused}");
    let corpora = open(dir.path(), &embedder).await.unwrap();
    let docs = corpora.get(&tenant("acme"), &name("docs")).unwrap();
    assert_eq!(found(&docs, "zebras", SearchMode::Lexical).await, ["a"]);
}

#[test]
fn a_log_that_cannot_be_folded_is_kept_until_another_database_has_taken_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let (database, log) = (dir.path().join("perigee.db"), dir.path().join("perigee.db-wal"));
    let fresh = dir.path().join("perigee.db.restored");
    // What cannot be opened cannot be folded.
    std::fs::create_dir(&database).unwrap();
    std::fs::write(&log, "what may still be saved").unwrap();
    assert!(take_the_place(&fresh, &database).is_err(), "there is nothing to take the place");
    assert_eq!(std::fs::read(&log).unwrap(), b"what may still be saved");
    std::fs::remove_dir(&database).unwrap();
    std::fs::write(&database, "damaged").unwrap();
    std::fs::write(&fresh, "another").unwrap();
    take_the_place(&fresh, &database).unwrap();
    assert_eq!(std::fs::read(&database).unwrap(), b"another");
    assert!(!log.exists());
}
