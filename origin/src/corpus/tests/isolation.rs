//! No tenant, corpus or audience ever sees another's documents.

use std::collections::BTreeSet;
use std::sync::Arc;

use perigee_shared::caller::Audience;
use perigee_shared::id::Label;
use perigee_shared::search::{Search, SearchMode};
use proptest::prelude::*;

use super::place::*;
use crate::corpus::CorpusError;
use crate::corpus::commit::What;

#[tokio::test]
async fn a_tenant_sees_only_its_own_corpora() {
    let place = Place::new().await;
    put(&place.docs(), "secret", "The launch code is in the blue folder.").await;
    let other = tenant("other");
    assert!(matches!(place.corpora.get(&other, &name("docs")), Err(CorpusError::NotFound)));
    assert!(matches!(place.corpora.delete(&other, &name("docs")).await, Err(CorpusError::NotFound)));
    assert!(place.corpora.list(&other).await.unwrap().is_empty());
    place.corpora.create(&other, &name("docs")).await.unwrap();
    let theirs = place.corpora.get(&other, &name("docs")).unwrap();
    for mode in [SearchMode::Hybrid, SearchMode::Vector, SearchMode::Lexical] {
        assert!(found(&theirs, "launch code", mode).await.is_empty());
    }
    assert!(theirs.document(&id("secret"), &Audience::Everything).await.is_err());
    assert_eq!(found(&place.docs(), "launch code", SearchMode::Hybrid).await, ["secret"]);
}

#[tokio::test]
async fn a_corpus_made_again_shares_nothing_with_the_one_deleted() {
    let place = Place::new().await;
    put(&place.docs(), "secret", "The launch code is in the blue folder.").await;
    let old = place.docs();
    let search = search_for("launch code", SearchMode::Hybrid);
    assert_eq!(old.search(&search, &Audience::Everything).await.unwrap().hits.len(), 1);
    place.corpora.delete(&tenant("acme"), &name("docs")).await.unwrap();
    assert!(matches!(place.corpora.get(&tenant("acme"), &name("docs")), Err(CorpusError::NotFound)));
    assert!(matches!(old.put(id("late"), text("Too late.")).await, Err(CorpusError::Closed)));
    place.corpora.create(&tenant("acme"), &name("docs")).await.unwrap();
    let new = place.docs();
    assert_ne!(new.incarnation(), old.incarnation());
    // The deletion was a change too; the number of an old epoch must never mean a new state.
    assert_eq!(new.epoch().get(), old.epoch().get() + 1);
    assert!(new.search(&search, &Audience::Everything).await.unwrap().hits.is_empty());
    assert!(new.documents(&Audience::Everything, None, 10).await.unwrap().data.is_empty());
    drop((old, new));
    let place = place.reopen().await;
    assert!(found(&place.docs(), "launch code", SearchMode::Hybrid).await.is_empty());
}

#[tokio::test]
async fn a_label_that_came_while_another_s_write_was_made_ready_protects_the_document() {
    let place = Place::new().await;
    let docs = place.docs();
    let (outsider, document) = (holding(&["sales"]), text("Salaries fall."));
    // Ready before there was anything to protect.
    let hash = document.content_hash();
    let turn = Arc::new(Arc::clone(&docs.preparing).acquire_owned().await.unwrap());
    let ready = docs.preparer.prepare(docs.core.id, id("pay"), document, hash, turn).await.unwrap();
    docs.put(id("pay"), labelled("Salaries rise in May.", &["staff"])).await.unwrap();
    let refused = docs.change(What::Put(Arc::new(ready)), outsider.clone()).await;
    assert!(matches!(refused, Err(CorpusError::DocumentProtected)), "{refused:?}");
    let refused = docs.put_as(&outsider, id("pay"), text("Salaries fall.")).await;
    assert!(matches!(refused, Err(CorpusError::DocumentProtected)), "{refused:?}");
    let refused = docs.delete_document_as(&outsider, &id("pay")).await;
    assert!(matches!(refused, Err(CorpusError::DocumentNotFound)), "{refused:?}");
    assert_eq!(
        docs.document(&id("pay"), &holding(&["staff"])).await.unwrap().text.trim(),
        "Salaries rise in May."
    );
    assert_eq!(docs.epoch().get(), 1);
    docs.delete_document_as(&holding(&["staff"]), &id("pay")).await.unwrap();
}

#[tokio::test]
async fn a_label_that_is_taken_away_hides_the_document_at_once() {
    let place = Place::new().await;
    let docs = place.docs();
    let text = "Salaries rise in May.";
    let search = search_for("salaries", SearchMode::Hybrid);
    docs.put(id("pay"), labelled(text, &["staff"])).await.unwrap();
    assert_eq!(docs.search(&search, &holding(&["staff"])).await.unwrap().hits.len(), 1);
    docs.put(id("pay"), labelled(text, &["hr"])).await.unwrap();
    assert!(docs.search(&search, &holding(&["staff"])).await.unwrap().hits.is_empty());
    assert!(docs.document(&id("pay"), &holding(&["staff"])).await.is_err());
    assert_eq!(docs.search(&search, &holding(&["hr"])).await.unwrap().hits.len(), 1);
}

fn labels() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(proptest::sample::select(vec!["a", "b", "c", "d"]), 0..3)
        .prop_map(|labels| labels.into_iter().map(str::to_owned).collect())
}

fn as_labels(texts: &BTreeSet<String>) -> Vec<Label> {
    texts.iter().map(|text| Label::new(text.clone()).unwrap()).collect()
}

#[test]
fn search_get_and_list_show_exactly_what_a_caller_may_read() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let cases = (proptest::collection::vec(labels(), 1..12), proptest::collection::vec(labels(), 1..6));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    // One corpus lives through all cases, so that documents also change hands.
    let result = runner.run(&cases, |(documents, callers)| {
        runtime.block_on(async {
            let docs = place.docs();
            for (index, labels) in documents.iter().enumerate() {
                let mut document = text(&format!("Note {index} on tides and harbours."));
                document.audience = as_labels(labels);
                docs.put(id(&format!("n{index}")), document).await.unwrap();
            }
            for caller in &callers {
                let audience = Audience::Labels(as_labels(caller).into_iter().collect());
                check(&docs, &audience).await?;
            }
            check(&docs, &Audience::Everything).await
        })
    });
    result.unwrap();
}

async fn check(docs: &crate::corpus::Corpus, audience: &Audience) -> Result<(), TestCaseError> {
    let everything = docs.documents(&Audience::Everything, None, 100).await.unwrap().data;
    let mut readable = BTreeSet::new();
    for document in &everything {
        let may = audience.may_read(&document.audience);
        prop_assert_eq!(docs.document(&document.id, audience).await.is_ok(), may);
        if may {
            readable.insert(document.id.to_string());
        }
    }
    let listed = docs.documents(audience, None, 100).await.unwrap().data;
    let listed: BTreeSet<String> = listed.iter().map(|d| d.id.to_string()).collect();
    prop_assert_eq!(&listed, &readable);
    for mode in [SearchMode::Hybrid, SearchMode::Vector, SearchMode::Lexical] {
        let search = Search { k: 100, ..search_for("tides and harbours", mode) };
        let found = documents(&docs.search(&search, audience).await.unwrap());
        prop_assert_eq!(&found.into_iter().collect::<BTreeSet<_>>(), &readable, "{:?}", mode);
    }
    Ok(())
}
