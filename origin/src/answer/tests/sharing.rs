//! One generation for all who ask the same, and who never shares one.

use perigee_shared::caller::Audience;
use perigee_shared::id::TenantId;

use super::*;
use crate::answer::scripted::{Script, Step};

#[tokio::test]
async fn others_never_join_a_generation_under_way() {
    let server = Scripted::start([Script::stream([Step::Say("So"), Step::Wait, Step::Done])]).await;
    let mut desk = Desk::new(Some(&server));
    let first = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    let tenant = Question { tenant: TenantId::new("other").unwrap(), ..asked() };
    let audience = Question { audience: Audience::Everything, ..asked() };
    for other in [tenant, audience] {
        let Ok(Reply::Stream(_, outcome, _)) = desk.ask(other, CacheControl::default()).await else {
            panic!()
        };
        assert_eq!(outcome, CacheOutcome::Miss);
    }
    // A question asked after a change does not join what was begun before it.
    desk.seen.epoch = desk.seen.epoch.next();
    let Ok(Reply::Stream(later, outcome, _)) = desk.ask(asked(), CacheControl::default()).await else {
        panic!()
    };
    assert_eq!(outcome, CacheOutcome::Miss);
    assert_eq!((first.epoch(), later.epoch()), (Epoch::new(5), Epoch::new(6)));
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_failure_in_the_middle_ends_every_stream_and_is_not_kept() {
    let failing = Script::stream([Step::Say("So"), Step::Wait, Step::HangUp]);
    let server = Scripted::start([failing, Script::says(&["Whole."])]).await;
    let desk = Desk::new(Some(&server));
    let first = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    let second = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    server.go();
    for reader in [first, second] {
        let (text, end) = drain(reader).await;
        assert_eq!(text, "So");
        assert!(matches!(end, Err(AnswerError::Upstream(UpstreamError::HungUp))), "{end:?}");
    }
    assert_eq!(desk.asked().await.0.text, "Whole.");
}

#[tokio::test]
async fn where_the_upstream_fails_before_its_first_word_the_documents_speak_and_that_is_not_kept() {
    let failing = Script::stream([Step::Wait, Step::HangUp]);
    let server = Scripted::start([failing, Script::says(&["Whole."])]).await;
    let options = UpstreamOptions::new(&server.base_url, "m");
    let desk = Desk::when(WhenUpstreamFails::Substitute, Some(options));
    let ask = || desk.ask(asked(), CacheControl::default());
    let (first, second, ()) = tokio::join!(ask(), ask(), async {
        server.asked().await;
        server.go();
    });
    for reply in [first, second] {
        let Ok(Reply::Ready(answer, outcome)) = reply else { panic!("no whole answer: {reply:?}") };
        assert_eq!((answer.generator, outcome), (Generator::Substitute, CacheOutcome::Substitute));
        assert!(answer.text.contains("standalone installer") && !answer.citations.is_empty(), "{answer:?}");
    }
    assert_eq!(desk.asked().await.0.text, "Whole.");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_failure_before_the_first_word_is_an_error_for_all_who_wait() {
    let server = Scripted::start([Script::stream([Step::Wait, Step::HangUp])]).await;
    let desk = Desk::new(Some(&server));
    let ask = || desk.ask(asked(), CacheControl::default());
    let (first, second, ()) = tokio::join!(ask(), ask(), async {
        server.asked().await;
        server.go();
    });
    for reply in [first, second] {
        let error = reply.unwrap_err();
        assert!(matches!(error, AnswerError::Upstream(UpstreamError::HungUp)), "{error:?}");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_thousand_equal_questions_make_one_upstream_call() {
    let server = Scripted::start([Script::stream([
        Step::Wait,
        Step::Say("So it"),
        Step::Say(" is. [1]"),
        Step::Finish("stop"),
        Step::Done,
    ])])
    .await;
    let desk = Desk::new(Some(&server));
    let all = futures::future::join_all(
        (0..1_000).map(|_| async { whole(desk.ask(asked(), CacheControl::default()).await.unwrap()).await }),
    );
    let (all, ()) = tokio::join!(all, async {
        server.asked().await;
        server.go();
    });
    assert_eq!(server.count(), 1);
    assert!(all.iter().all(|(answer, _)| Arc::ptr_eq(answer, &all[0].0) && answer.text == "So it is. [1]"));
    let missed = all.iter().filter(|(_, outcome)| *outcome == CacheOutcome::Miss);
    assert_eq!(missed.count(), 1);
}

#[tokio::test]
async fn the_first_caller_leaves_halfway_and_the_others_get_everything() {
    let server = Scripted::start([Script::stream([
        Step::Say("One. "),
        Step::Wait,
        Step::Say("Two."),
        Step::Finish("stop"),
        Step::Done,
    ])])
    .await;
    let desk = Desk::new(Some(&server));
    let mut first = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    assert!(matches!(first.next().await, Some(AnswerEvent::Text(text)) if text == "One."));
    let second = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    drop(first);
    let third = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    server.go();
    for reader in [second, third] {
        assert_eq!(drain(reader).await.0, "One. Two.");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn when_all_have_left_the_answer_is_finished_and_kept() {
    let server =
        Scripted::start([Script::stream([Step::Say("One."), Step::Wait, Step::Finish("stop"), Step::Done])])
            .await;
    let desk = Desk::new(Some(&server));
    let Ok(Reply::Stream(only, _, key)) = desk.ask(asked(), CacheControl::default()).await else { panic!() };
    drop(only);
    let of = |incarnation| Identity { incarnation, key };
    let fetched = desk.answers.finished_of(of(1), Instant::now() + PATIENCE);
    let (fetched, ()) = tokio::join!(fetched, async { server.go() });
    assert_eq!(fetched.unwrap().text, "One.");
    assert_eq!(desk.asked().await.1, CacheOutcome::HitExact);
    assert!(desk.answers.finished_of(of(2), Instant::now()).await.is_none());
}

#[tokio::test]
async fn no_store_keeps_nothing_unless_somebody_else_asks_too() {
    let waiting = Script::stream([Step::Say("Two."), Step::Wait, Step::Finish("stop"), Step::Done]);
    let server = Scripted::start([Script::says(&["One."]), waiting]).await;
    let desk = Desk::new(Some(&server));
    let (_, outcome) = desk.whole(asked(), control("no-store")).await;
    assert_eq!(outcome, CacheOutcome::Miss);
    let shy = stream(desk.ask(asked(), control("no-store")).await.unwrap());
    let open = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    server.go();
    assert_eq!((drain(shy).await.0, drain(open).await.0), ("Two.".to_owned(), "Two.".to_owned()));
    // What is kept may be served to whoever does not want theirs kept.
    assert_eq!(desk.whole(asked(), control("no-store")).await.1, CacheOutcome::HitExact);
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn whoever_waits_for_a_turn_past_the_deadline_is_shed_and_costs_nothing() {
    let server = Scripted::start([Script::stream([Step::Say("So."), Step::Stall])]).await;
    let mut options = UpstreamOptions::new(&server.base_url, "m");
    options.concurrency = std::num::NonZeroUsize::MIN;
    let desk = Desk::with(Some(options));
    let first = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    let waiting = question("How do I clean the uv cache?");
    // Paused time runs on while the model works: it must have nothing left to do.
    desk.answers.shared.embedder.query(waiting.asked()).await.unwrap();
    tokio::time::pause();
    let deadline = Instant::now() + Duration::from_secs(3);
    let shed = desk.ask_by(waiting, CacheControl::default(), deadline).await;
    assert!(matches!(shed, Err(AnswerError::Shed)), "{shed:?}");
    drop(first);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn no_word_before_the_deadline_is_an_error_of_ours() {
    let server = Scripted::start([Script::stream([Step::Stall])]).await;
    let desk = Desk::new(Some(&server));
    let deadline = Instant::now() + Duration::from_secs(3);
    let (reply, ()) = tokio::join!(desk.ask_by(asked(), CacheControl::default(), deadline), async {
        server.asked().await;
        tokio::time::pause();
    });
    assert!(matches!(reply, Err(AnswerError::Deadline)), "{reply:?}");
}
