//! Where exact search ends and approximate search begins: what was found on one side says nothing about the other.

use perigee_shared::caller::Audience;
use perigee_shared::evidence::Evidence;
use perigee_shared::id::DocumentId;

use super::library::Library;
use super::*;
use crate::answer::evidence::Grounds;
use crate::answered::Registry;
use crate::corpus::{Corpus, EmbeddedDocument};
use crate::embed::DIMENSIONS;
use crate::retrieve::{Rule, Rules};

/// Directions out of nothing: a graph does not find all that are near in so many dimensions.
struct Directions(u64);

impl Directions {
    fn next(&mut self) -> Vec<f32> {
        let mut number = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..DIMENSIONS).map(|_| number()).collect()
    }
}

async fn put(corpus: &Corpus, id: &str, passages: usize, directions: &mut Directions) {
    let document = EmbeddedDocument {
        id: DocumentId::new(id).unwrap(),
        title: "Note".to_owned(),
        metadata: serde_json::Map::new(),
        audience: Vec::new(),
        passages: (0..passages).map(|n| (format!("Line {n} of {id}."), directions.next())).collect(),
    };
    corpus.put_embedded(document).await.unwrap();
}

async fn evidence(corpus: &Corpus, query: &str, vector: &[f32]) -> Evidence {
    let (search, vector) = (search(query), QueryVector::new(vector));
    let found = corpus.search_with(&search, vector, &Audience::Everything).await.unwrap();
    Grounds::choose(query, found).evidence()
}

#[tokio::test]
async fn an_answer_found_exactly_is_not_taken_for_one_that_a_graph_would_find() {
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    let (corpus, mut directions) = (&library.corpus, Directions(7));
    for number in 0..50 {
        put(corpus, &format!("d{number}"), 60, &mut directions).await;
    }
    let passages = corpus.summary().passages;
    let question = Question { audience: Audience::Everything, ..question("Why?") };
    // A question to which the two find something else.
    let mut tries = 0;
    let (vector, exact) = loop {
        tries += 1;
        assert!(tries < 200, "the graph finds everything");
        let vector = directions.next();
        corpus.search_exactly_up_to(0);
        let through_the_graph = evidence(corpus, question.asked(), &vector).await;
        corpus.search_exactly_up_to(passages);
        let exact = evidence(corpus, question.asked(), &vector).await;
        if exact != through_the_graph {
            break (vector, exact);
        }
    };
    let key = CacheKey::of(&question);
    let with = |without| {
        let registry = Registry::with(Rules { without });
        Answers::with(registry, &AnswerOptions::default(), None, embedder.clone())
    };
    let (checked, unchecked) = (with(None), with(Some(Rule::Method)));
    for answers in [&checked, &unchecked] {
        answers.adopt(corpus, question.clone(), &vector, "So it is.").await.unwrap();
        let epoch = corpus.epoch();
        assert_eq!(answers.standing(corpus).stands(&key, &exact, epoch), Some(epoch));
    }
    // One passage more, about nothing that was asked.
    put(corpus, "one-more", 1, &mut directions).await;
    let epoch = corpus.epoch();
    assert_ne!(evidence(corpus, question.asked(), &vector).await, exact);
    for (answers, stands) in [(&checked, None), (&unchecked, Some(epoch))] {
        answers.settled(corpus, PATIENCE).await;
        assert_eq!(answers.standing(corpus).stands(&key, &exact, epoch), stands);
    }
    // And back: what the graph found is not taken for what there is.
    checked.adopt(corpus, question, &vector, "So it was.").await.unwrap();
    corpus.delete_document(&DocumentId::new("one-more").unwrap()).await.unwrap();
    let settled = checked.settled(corpus, PATIENCE).await;
    assert_eq!((settled.answers, settled.rechecked), (0, 2));
    println!("{tries} tries");
}
