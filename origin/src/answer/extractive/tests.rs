//! What the documents' own sentences look like as an answer.

use perigee_shared::answer::Finish;

use super::*;
use crate::answer::testing::{embedder, hit, question};

const INSTALL: &str = "# Installation\n\nuv is written in Rust. The standalone installer needs no Python. To install uv \
                       on Windows, run:\n\n```powershell\nirm https://astral.sh/uv/install.ps1 | iex\n```\n\nA cache \
                       keeps wheels.\n";

async fn answer(question: &Question, evidence: &[Hit], embedder: &Embedder) -> Written {
    write(question, question.asked(), evidence, embedder).await.unwrap()
}

#[tokio::test]
async fn a_command_comes_with_the_sentence_that_announces_it() {
    let evidence = [hit(1, "Installation", INSTALL)];
    let written = answer(&question("How do I install uv on Windows?"), &evidence, &embedder()).await;
    let expected = "To install uv on Windows, run: [1]\n\n```powershell\nirm https://astral.sh/uv/install.ps1 | \
                    iex\n```";
    assert!(written.text.contains(expected), "{}", written.text);
    let quote = &written.citations[0].quote;
    assert!(quote.starts_with("To install uv") && quote.ends_with("```"), "{quote}");
    assert_eq!(written.finish, Finish::Stop);
}

#[tokio::test]
async fn the_same_question_gets_the_same_text() {
    let evidence =
        [hit(1, "Installation", INSTALL), hit(2, "Cache", "The cache keeps wheels. Wheels are built once.")];
    let embedder = embedder();
    let question = question("Where are wheels kept?");
    let first = answer(&question, &evidence, &embedder).await;
    for _ in 0..3 {
        assert_eq!(answer(&question, &evidence, &embedder).await, first);
    }
}

#[tokio::test]
async fn no_more_than_the_tokens_asked_for() {
    let evidence = [hit(1, "Installation", INSTALL)];
    let embedder = embedder();
    let mut question = question("How do I install uv on Windows?");
    for max_tokens in 1..60 {
        question.options.max_tokens = Some(max_tokens);
        let written = answer(&question, &evidence, &embedder).await;
        assert!(written.usage.completion_tokens <= max_tokens, "{max_tokens}: {}", written.text);
        let chars = written.text.chars().count();
        assert!(written.citations.iter().all(|citation| citation.mark_end <= chars));
        if written.finish == Finish::Stop {
            assert!(!written.citations.is_empty());
        }
    }
    question.options.max_tokens = Some(2);
    assert_eq!(answer(&question, &evidence, &embedder).await.finish, Finish::Length);
}

#[tokio::test]
async fn a_stop_sequence_ends_the_text_before_it() {
    let evidence = [hit(1, "Installation", INSTALL)];
    let mut question = question("How do I install uv on Windows?");
    question.options.stop = vec!["Windows".to_owned()];
    let written = answer(&question, &evidence, &embedder()).await;
    assert!(!written.text.contains("Windows"), "{}", written.text);
    assert!(written.citations.iter().all(|citation| citation.mark_end <= written.text.chars().count()));
}

#[tokio::test]
async fn passages_without_a_sentence_give_an_empty_text_and_no_panic() {
    let written = answer(&question("How?"), &[hit(1, "x", "---"), hit(2, "y", "")], &embedder()).await;
    assert_eq!((written.text.as_str(), written.citations.len()), ("", 0));
}
