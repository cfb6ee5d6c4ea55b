//! What only shows with many passages: the graph, filters that keep little, and changes under load.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use perigee_shared::caller::Audience;
use perigee_shared::filter::Filter;
use perigee_shared::search::{Search, SearchMode};
use serde_json::{Value, json};

use super::place::*;
use crate::corpus::{Corpus, EmbeddedDocument};
use crate::embed::DIMENSIONS;
use crate::retrieve::QueryVector;

/// More than are searched exactly.
const PASSAGES: u64 = 12_000;
const PER_DOCUMENT: u64 = 20;

/// A direction that only `seed` has.
fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..DIMENSIONS).map(|_| next()).collect()
}

async fn fill(docs: &Corpus) {
    let documents = (0..PASSAGES / PER_DOCUMENT).map(|number| {
        let metadata = match json!({"hundredth": number % 100}) {
            Value::Object(metadata) => metadata,
            _ => unreachable!("an object was written"),
        };
        let first = number * PER_DOCUMENT;
        let passages = (first..first + PER_DOCUMENT)
            .map(|passage| (format!("passage number {passage} of the harbour chronicle"), vector(passage)))
            .collect();
        EmbeddedDocument {
            id: id(&format!("d{number}")),
            title: String::new(),
            metadata,
            audience: Vec::new(),
            passages,
        }
    });
    for written in join_all(documents.map(|document| docs.put_embedded(document))).await {
        written.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_keeps_one_in_a_hundred_still_fills_the_page() {
    let place = Place::new().await;
    let docs = place.docs();
    fill(&docs).await;
    assert_eq!(docs.summary().passages, PASSAGES);
    let filter = Filter::parse(&json!({"eq": {"field": "hundredth", "value": 7}})).unwrap();
    for mode in [SearchMode::Vector, SearchMode::Lexical, SearchMode::Hybrid] {
        let search =
            Search { query: "harbour chronicle".to_owned(), k: 100, filter: Some(filter.clone()), mode };
        let query = QueryVector::new(&vector(7 * PER_DOCUMENT + 3));
        let found = docs.search_with(&search, query, &Audience::Everything).await.unwrap();
        assert_eq!(found.hits.len(), 100, "{mode:?}");
        assert!(found.hits.iter().all(|hit| hit.document.as_str()[1..].parse::<u64>().unwrap() % 100 == 7));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_finds_each_passage_by_its_own_vector_and_lets_go_of_deleted_ones() {
    let place = Place::new().await;
    let docs = place.docs();
    fill(&docs).await;
    docs.delete_document(&id("d0")).await.unwrap();
    let nearest = |passage: u64| {
        let docs = Arc::clone(&docs);
        async move {
            let search = Search { k: 10, ..search_for("x", SearchMode::Vector) };
            let query = QueryVector::new(&vector(passage));
            docs.search_with(&search, query, &Audience::Everything).await.unwrap().hits
        }
    };
    let mut missed = 0;
    for passage in (PER_DOCUMENT..PASSAGES).step_by(97) {
        let hits = nearest(passage).await;
        assert_eq!(hits.len(), 10);
        missed += u32::from(!hits[0].text.starts_with(&format!("passage number {passage} ")));
    }
    assert!(missed <= 1, "{missed}");
    for passage in 0..PER_DOCUMENT {
        assert!(nearest(passage).await.iter().all(|hit| hit.document.as_str() != "d0"));
    }
    drop(docs);
    let place = place.crash_and_reopen().await;
    assert_eq!(place.docs().summary().passages, PASSAGES - PER_DOCUMENT);
    assert_eq!(place.docs().core.views.vectors.len() as u64, PASSAGES - PER_DOCUMENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_writer_finds_what_it_wrote_while_others_write() {
    let place = Place::new().await;
    let docs = place.docs();
    let writers = (0..8_u64).map(|writer| {
        let docs = Arc::clone(&docs);
        tokio::spawn(async move {
            for round in 0..6 {
                let content = format!("Writer{writer} came to round{round}.");
                let written = put(&docs, &format!("w{writer}"), &content).await;
                assert!(docs.epoch() >= written.epoch);
                assert!(docs.wait_for(written.epoch, Duration::ZERO).await);
                let search = search_for(&format!("writer{writer}"), SearchMode::Lexical);
                let found = docs.search(&search, &Audience::Everything).await.unwrap();
                assert!(found.epoch >= written.epoch);
                let texts: Vec<&str> = found.hits.iter().map(|hit| hit.text.as_str()).collect();
                assert_eq!(texts, [content.as_str()]);
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!((docs.epoch().get(), docs.summary().documents), (48, 8));
    assert!(!docs.wait_for(docs.epoch().next(), Duration::ZERO).await);
}
