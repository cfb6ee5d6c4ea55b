//! Numbers over real questions. Each test prints what it measured.

use perigee_shared::caller::Audience;

use super::library::{Library, data, lines};
use super::*;
use crate::answer::evidence::Grounds;

/// A question and the texts of which its answer must hold one.
struct Known {
    question: String,
    answers: Vec<String>,
}

fn known(file: &std::path::Path) -> Vec<Known> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let read = |line: serde_json::Value| Known {
        question: text(&line["text"]),
        answers: line["answers"].as_array().into_iter().flatten().map(text).collect(),
    };
    lines(file).into_iter().map(read).collect()
}

async fn grounds(library: &Library, question: &str) -> Grounds {
    let found = library.corpus.search(&search(question), &Audience::Everything).await.unwrap();
    Grounds::choose(question, found)
}

async fn refused(library: &Library, questions: &[String]) -> f64 {
    let mut refused = 0;
    for question in questions {
        refused += usize::from(grounds(library, question).await.strength.is_too_weak());
    }
    refused as f64 / questions.len() as f64
}

#[tokio::test]
async fn what_the_documents_answer_is_answered_and_most_other_questions_are_refused() {
    let (Some(corpus), Some(queries)) = (data("xquad/corpus.jsonl"), data("xquad/queries.jsonl")) else {
        return;
    };
    let (Some(abstracts), Some(manuals)) = (data("cranfield/queries.jsonl"), data("paraphrases.jsonl"))
    else {
        return;
    };
    let embedder = embedder();
    let library = Library::of(&corpus, &embedder).await;
    let own: Vec<String> = known(&queries).into_iter().step_by(4).map(|known| known.question).collect();
    let field = |file: &std::path::Path, name: &str| -> Vec<String> {
        lines(file).iter().filter_map(|line| line[name].as_str().map(str::to_owned)).collect()
    };
    let own = refused(&library, &own).await;
    let abstracts = refused(&library, &field(&abstracts, "text")).await;
    let manuals = refused(&library, &field(&manuals, "question")).await;
    println!(
        "refused: {own:.3} of its own questions, {abstracts:.3} of Cranfield's, {manuals:.3} of the manuals'"
    );
    assert!(own <= 0.02, "{own}");
    assert!(abstracts >= 0.8 && manuals >= 0.9, "{abstracts} {manuals}");
}

#[tokio::test]
async fn the_documents_own_sentences_hold_the_answer() {
    let (Some(corpus), Some(queries)) = (data("xquad/corpus.jsonl"), data("xquad/queries.jsonl")) else {
        return;
    };
    let embedder = embedder();
    let library = Library::of(&corpus, &embedder).await;
    let (mut asked, mut held, mut chars) = (0, 0, 0);
    for known in known(&queries).into_iter().step_by(8) {
        let grounds = grounds(&library, &known.question).await;
        let asked_now = question(&known.question);
        let written = extractive::write(&asked_now, &known.question, &grounds.hits, &embedder).await.unwrap();
        asked += 1;
        held += usize::from(known.answers.iter().any(|answer| written.text.contains(answer)));
        chars += written.text.chars().count();
        for citation in &written.citations {
            let hit = &grounds.hits[citation.mark - 1];
            let skipped = citation.start - hit.start;
            let quoted: String = hit.text.chars().skip(skipped).take(citation.end - citation.start).collect();
            assert_eq!(quoted, citation.quote);
            let mark: String = written.text.chars().skip(citation.mark_start).take(3).collect();
            assert_eq!(mark, format!("[{}]", citation.mark));
        }
    }
    println!("{held} of {asked} texts hold the answer; {} characters on average", chars / asked);
    assert!(held * 10 >= asked * 9, "{held} of {asked}");
}
