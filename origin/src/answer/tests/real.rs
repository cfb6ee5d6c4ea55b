//! The whole way over a real corpus: written, searched, answered, changed, asked again.

use perigee_shared::caller::Audience;
use perigee_shared::id::DocumentId;

use super::library::Library;
use super::*;
use crate::answer::scripted::{Script, Step};
use crate::answered::Registry;

const INSTALL: &str = "Installing uv. Run the standalone installer to install uv. It needs no Python.";

fn everybody() -> Question {
    Question { audience: Audience::Everything, ..asked() }
}

async fn ask(answers: &Answers, library: &Library) -> (Arc<Answer>, CacheOutcome) {
    let deadline = Instant::now() + PATIENCE;
    whole(answers.answer(&library.corpus, everybody(), CacheControl::default(), deadline).await.unwrap())
        .await
}

#[tokio::test]
async fn an_answer_is_reused_until_its_own_document_changes() {
    let server = Scripted::start([Script::says(&["Run the installer. [1]"])]).await;
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    library.put("install", INSTALL).await;
    let upstream = Upstream::new(&UpstreamOptions::new(&server.base_url, "m")).unwrap();
    let answers = Answers::new(&AnswerOptions::default(), Some(upstream), embedder);

    let (first, outcome) = ask(&answers, &library).await;
    assert_eq!(outcome, CacheOutcome::Miss);
    let cited = &first.citations[0];
    let quoted: String = INSTALL.chars().skip(cited.start).take(cited.end - cited.start).collect();
    assert_eq!(
        (cited.quote.as_str(), cited.quote.clone()),
        ("Run the standalone installer to install uv.", quoted)
    );
    assert_eq!(ask(&answers, &library).await.1, CacheOutcome::HitExact);
    let key = CacheKey::of(&everybody());
    let fetched = answers.finished(&library.corpus, key, Instant::now() + PATIENCE).await.unwrap();
    assert!(Arc::ptr_eq(&fetched, &first));

    library
        .put("install", "Installing uv. Use your package manager to install uv. It needs no Python.")
        .await;
    let (second, outcome) = ask(&answers, &library).await;
    // It may have been dropped before it was asked for.
    assert!(matches!(outcome, CacheOutcome::Stale | CacheOutcome::Miss), "{outcome:?}");
    assert_eq!(second.citations[0].quote, "Installing uv.");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn an_empty_corpus_answers_nothing() {
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    let answers = Answers::new(&AnswerOptions::default(), None, embedder);
    assert_eq!(ask(&answers, &library).await.0.generator, Generator::Refusal);
}

/// Keeps an answer to each of so many questions, all of which rest on the document `install`.
async fn fill(answers: &Answers, library: &Library, questions: usize) {
    library.put("install", INSTALL).await;
    let vector = answers.shared.embedder.query(asked().asked()).await.unwrap();
    for number in 0..questions {
        let question =
            Question { audience: Audience::Everything, ..question(&format!("Question {number}?")) };
        answers.adopt(&library.corpus, question, &vector, "So it is.").await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_made_room_for_others_does_not_outlive_its_document() {
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    let answers = Answers::with(Registry::bounded(32), &AnswerOptions::default(), None, embedder);
    fill(&answers, &library, 100).await;
    let install = DocumentId::new("install").unwrap();
    let (looked_at, resting) = answers.resting_on(&library.corpus, &install);
    assert!(resting.len() == looked_at && (20..=32).contains(&looked_at), "{looked_at}");

    library.corpus.delete_document(&install).await.unwrap();
    answers.settled(&library.corpus, PATIENCE).await;
    // Nobody has asked again.
    let (looked_at, resting) = answers.resting_on(&library.corpus, &install);
    assert_eq!((looked_at, resting.len()), (0, 0));
}

#[tokio::test]
async fn nothing_of_a_deleted_corpus_is_kept_nor_what_is_still_being_answered() {
    let server = Scripted::start([Script::stream([
        Step::Say("Run the installer. [1]"),
        Step::Wait,
        Step::Finish("stop"),
        Step::Done,
    ])])
    .await;
    let embedder = embedder();
    let library = Library::new(&embedder).await;
    let upstream = Upstream::new(&UpstreamOptions::new(&server.base_url, "m")).unwrap();
    let answers = Answers::new(&AnswerOptions::default(), Some(upstream), embedder);
    fill(&answers, &library, 3).await;
    let asked =
        answers.answer(&library.corpus, everybody(), CacheControl::default(), Instant::now() + PATIENCE);
    let late = stream(asked.await.unwrap());

    library.delete().await;
    let kept = || {
        answers.shared.cache.resting_on(library.corpus.incarnation(), &DocumentId::new("install").unwrap()).0
    };
    let gone = async {
        while kept() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    server.go();
    assert!(drain(late).await.1.is_ok());
    assert_eq!(kept(), 0, "what was being answered came too late");
}
