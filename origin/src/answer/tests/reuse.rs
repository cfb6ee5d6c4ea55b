//! What is kept and served again, and what is not.

use perigee_shared::caller::Audience;
use perigee_shared::id::{Label as AudienceLabel, Similarity, TenantId};

use super::*;
use crate::answer::scripted::{Script, Step};

#[tokio::test]
async fn changed_evidence_is_never_answered_from_what_was_kept() {
    let server = Scripted::start([Script::says(&["Old. [1]"]), Script::says(&["New. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    assert_eq!(desk.asked().await.0.text, "Old. [1]");
    desk.change_evidence();
    let (answer, outcome) = desk.asked().await;
    assert_eq!((answer.text.as_str(), outcome), ("New. [1]", CacheOutcome::Stale));
    assert_eq!(answer.epoch, Epoch::new(6));
    assert_eq!(desk.asked().await.1, CacheOutcome::HitExact);
}

#[tokio::test]
async fn evidence_in_another_order_is_other_evidence() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    desk.asked().await;
    desk.hits.swap(0, 1);
    desk.hits[0].score = 1.0;
    assert_eq!(desk.whole(asked(), control("no-cache")).await.1, CacheOutcome::Bypass);
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn other_tenants_audiences_and_lives_of_a_corpus_share_nothing() {
    let server = Scripted::start([Script::says(&["So."])]).await;
    let mut desk = Desk::new(Some(&server));
    desk.asked().await;
    let tenant = Question { tenant: TenantId::new("other").unwrap(), ..asked() };
    let audience = Audience::Labels([AudienceLabel::new("staff").unwrap()].into());
    let audience = Question { audience, ..asked() };
    for other in [tenant, audience, Question { audience: Audience::Everything, ..asked() }] {
        assert_eq!(desk.whole(other, CacheControl::default()).await.1, CacheOutcome::Miss);
    }
    desk.seen.incarnation += 1;
    assert_eq!(desk.asked().await.1, CacheOutcome::Miss);
    assert_eq!(server.count(), 5);
}

#[tokio::test]
async fn nothing_of_the_upstreams_words_is_in_an_error() {
    let server = Scripted::start([Script::status(500, &[])]).await;
    let desk = Desk::new(Some(&server));
    let error = desk.ask(asked(), CacheControl::default()).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(!shown.contains("secret") && !shown.contains("127.0.0.1"), "{shown}");
}

#[tokio::test]
async fn cut_and_filtered_answers_are_served_and_not_kept() {
    for (reason, finish) in [("length", Finish::Length), ("content_filter", Finish::ContentFilter)] {
        let server = Scripted::start([Script::stream([Step::Say("So"), Step::Finish(reason)])]).await;
        let desk = Desk::new(Some(&server));
        assert_eq!(desk.asked().await.0.finish, finish);
        assert_eq!(desk.asked().await.1, CacheOutcome::Miss);
    }
}

#[tokio::test]
async fn weak_evidence_is_refused_without_asking_the_upstream_and_the_refusal_is_not_kept() {
    let server = Scripted::start([Script::says(&["A guess."])]).await;
    let mut desk = Desk::new(Some(&server));
    for hit in &mut desk.hits {
        if let Some(vector) = &mut hit.vector {
            vector.similarity = Similarity::new(0.05);
        }
    }
    let unknown = || question("Who won the cup in 1998?");
    for _ in 0..2 {
        let (answer, outcome) = desk.whole(unknown(), CacheControl::default()).await;
        assert_eq!((answer.generator, outcome), (Generator::Refusal, CacheOutcome::Miss));
        assert_eq!((answer.text.as_str(), answer.citations.len()), (REFUSAL, 0));
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn marks_of_passages_that_were_not_shown_are_removed_and_the_others_cited() {
    let pieces = &["Use the standalone installer [", "1] or guess [9", "]. Then clean the cache [2, 7]."];
    let server = Scripted::start([Script::says(pieces)]).await;
    let desk = Desk::new(Some(&server));
    let reply = desk.ask(asked(), CacheControl::default()).await.unwrap();
    let (text, answer) = drain(stream(reply)).await;
    let answer = answer.unwrap();
    assert_eq!(text, "Use the standalone installer [1] or guess. Then clean the cache [2].");
    assert_eq!(answer.text, text);
    let quotes: Vec<&str> = answer.citations.iter().map(|citation| citation.quote.as_str()).collect();
    assert_eq!(quotes, ["Install uv with the standalone installer.", "Clean it with `uv cache clean`."]);
    assert_eq!((answer.citations[0].start, answer.citations[0].mark_start), (107, 29));
    assert!(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
}

#[tokio::test]
async fn the_same_evidence_at_a_later_epoch_is_reused_and_cited_where_it_stands_now() {
    let server = Scripted::start([Script::says(&["Use the standalone installer. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    let (before, _) = desk.asked().await;
    desk.seen.epoch = Epoch::new(9);
    desk.hits[0].start += 50;
    desk.hits[0].end += 50;
    desk.hits[0].url = Some("https://docs.example/moved".to_owned());
    let (after, outcome) = desk.asked().await;
    assert_eq!(outcome, CacheOutcome::HitRevalidated);
    assert_eq!((after.epoch, &after.id, &after.text), (Epoch::new(9), &before.id, &before.text));
    assert_eq!(after.citations[0].start, before.citations[0].start + 50);
    assert_eq!(after.citations[0].end, before.citations[0].end + 50);
    assert_eq!(after.citations[0].url.as_deref(), Some("https://docs.example/moved"));
    assert_eq!(desk.asked().await.1, CacheOutcome::HitExact);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn an_exact_hit_searches_nothing_and_no_cache_searches_again() {
    let server = Scripted::start([Script::says(&["So."])]).await;
    let desk = Desk::new(Some(&server));
    desk.asked().await;
    assert_eq!(desk.asked().await.1, CacheOutcome::HitExact);
    assert_eq!(desk.searches.load(Ordering::Relaxed), 1);
    assert_eq!(desk.whole(asked(), control("no-cache")).await.1, CacheOutcome::HitRevalidated);
    assert_eq!(desk.searches.load(Ordering::Relaxed), 2);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn only_if_cached_generates_nothing() {
    let server = Scripted::start([Script::says(&["So."])]).await;
    let mut desk = Desk::new(Some(&server));
    let only = control("only-if-cached");
    assert!(matches!(desk.ask(asked(), only).await, Err(AnswerError::NotCached)));
    desk.asked().await;
    assert_eq!(desk.whole(asked(), only).await.1, CacheOutcome::HitExact);
    desk.seen.epoch = desk.seen.epoch.next();
    assert_eq!(desk.whole(asked(), only).await.1, CacheOutcome::HitRevalidated);
    desk.change_evidence();
    assert!(matches!(desk.ask(asked(), only).await, Err(AnswerError::NotCached)));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn an_answer_carries_the_epoch_of_its_retrieval_however_long_it_takes() {
    let server =
        Scripted::start([Script::stream([Step::Say("So."), Step::Wait, Step::Finish("stop"), Step::Done])])
            .await;
    let mut desk = Desk::new(Some(&server));
    let reply = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    desk.seen.epoch = Epoch::new(8);
    server.go();
    assert_eq!(drain(reply).await.1.unwrap().epoch, Epoch::new(5));
    assert_eq!(desk.asked().await.1, CacheOutcome::HitRevalidated);
}

#[tokio::test]
async fn without_an_upstream_the_documents_own_words_answer_and_are_kept() {
    let desk = Desk::new(None);
    let Ok(Reply::Ready(answer, CacheOutcome::Miss)) = desk.ask(asked(), CacheControl::default()).await
    else {
        panic!()
    };
    assert_eq!(answer.generator, Generator::Extractive);
    assert!(answer.text.starts_with("Install uv with the standalone installer. [1]"), "{}", answer.text);
    assert_eq!(desk.asked().await.1, CacheOutcome::HitExact);
}
