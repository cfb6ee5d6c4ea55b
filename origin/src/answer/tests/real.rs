//! The whole way over a real corpus: written, searched, answered, changed, asked again.

use perigee_shared::caller::Audience;

use super::library::Library;
use super::*;
use crate::answer::scripted::Script;

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
