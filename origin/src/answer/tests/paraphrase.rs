//! What questions in other words get, and what they never get.

use perigee_shared::caller::Audience;
use perigee_shared::id::{Label as AudienceLabel, TenantId};
use perigee_shared::question::{Options, Speaker, Turn};

use super::*;
use crate::answer::scripted::{Script, Step};

/// As [`asked`], in words that the gate calls the same.
fn reworded() -> Question {
    question("How do I install  uv?")
}

fn waiting() -> Script {
    Script::stream([Step::Say("So it"), Step::Wait, Step::Say(" is. [1]"), Step::Finish("stop"), Step::Done])
}

#[tokio::test]
async fn other_tenants_audiences_options_and_lives_of_a_corpus_never_get_it() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    desk.asked().await;
    let tenant = Question { tenant: TenantId::new("other").unwrap(), ..reworded() };
    let staff = Audience::Labels([AudienceLabel::new("staff").unwrap()].into());
    let staff = Question { audience: staff, ..reworded() };
    let everything = Question { audience: Audience::Everything, ..reworded() };
    let options = Question { options: Options { seed: Some(7), ..Options::default() }, ..reworded() };
    for other in [tenant, staff, everything, options] {
        assert_eq!(desk.whole(other, CacheControl::default()).await.1, CacheOutcome::Miss);
    }
    desk.seen.incarnation += 1;
    assert_eq!(desk.whole(reworded(), CacheControl::default()).await.1, CacheOutcome::Miss);
    assert_eq!(server.count(), 6);
}

#[tokio::test]
async fn others_never_share_a_generation_under_way() {
    let server = Scripted::start([Script::stream([Step::Say("So"), Step::Wait, Step::Done])]).await;
    let mut desk = Desk::new(Some(&server));
    let _first = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    let tenant = Question { tenant: TenantId::new("other").unwrap(), ..reworded() };
    let audience = Question { audience: Audience::Everything, ..reworded() };
    for other in [tenant, audience] {
        let reply = desk.ask(other, CacheControl::default()).await;
        assert!(matches!(reply, Ok(Reply::Stream(_, CacheOutcome::Miss, _))), "{reply:?}");
    }
    desk.seen.epoch = desk.seen.epoch.next();
    let reply = desk.ask(reworded(), CacheControl::default()).await;
    assert!(matches!(reply, Ok(Reply::Stream(_, CacheOutcome::Miss, _))), "{reply:?}");
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn another_wording_gets_the_answer_without_an_upstream_call() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let desk = Desk::new(Some(&server));
    let (answer, _) = desk.asked().await;
    let (again, outcome) = desk.whole(reworded(), CacheControl::default()).await;
    assert_eq!((&again.id, outcome), (&answer.id, CacheOutcome::HitParaphrase));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_question_about_something_else_gets_its_own_answer() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let desk = Desk::new(Some(&server));
    desk.asked().await;
    for other in ["How do I uninstall uv?", "How do I install ruff?", "How do I clean the uv cache?"] {
        assert_eq!(
            desk.whole(question(other), CacheControl::default()).await.1,
            CacheOutcome::Miss,
            "{other}"
        );
    }
}

#[tokio::test]
async fn an_answer_whose_citations_are_not_retrieved_for_the_question_is_not_given() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    desk.asked().await;
    desk.hits.remove(0);
    assert_eq!(desk.whole(reworded(), CacheControl::default()).await.1, CacheOutcome::Miss);
}

#[tokio::test]
async fn after_a_change_the_answers_own_evidence_is_retrieved_again() {
    let server = Scripted::start([Script::says(&["Old. [1]"]), Script::says(&["New. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    desk.asked().await;
    desk.seen.epoch = Epoch::new(9);
    let (answer, outcome) = desk.whole(reworded(), CacheControl::default()).await;
    assert_eq!((answer.epoch, outcome), (Epoch::new(9), CacheOutcome::HitParaphrase));
    // What it cites is still found, but it rests on another passage, too.
    desk.seen.epoch = Epoch::new(10);
    desk.hits[1].hash = ContentHash::of(b"edited");
    let (answer, outcome) = desk.whole(reworded(), CacheControl::default()).await;
    assert_eq!((answer.text.as_str(), outcome), ("New. [1]", CacheOutcome::Miss));
}

#[tokio::test]
async fn callers_steer_it_with_the_words_of_http() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let desk = Desk::new(Some(&server));
    let only = control("only-if-cached");
    assert!(matches!(desk.ask(reworded(), only).await, Err(AnswerError::NotCached)));
    desk.asked().await;
    assert_eq!(desk.whole(reworded(), only).await.1, CacheOutcome::HitParaphrase);
    assert_eq!(desk.whole(reworded(), control("no-store")).await.1, CacheOutcome::HitParaphrase);
    assert_eq!(desk.whole(reworded(), control("max-age=60")).await.1, CacheOutcome::HitParaphrase);
    assert!(matches!(
        desk.ask(reworded(), control("no-cache, only-if-cached")).await,
        Err(AnswerError::NotCached)
    ));
    assert_eq!(server.count(), 1);
    assert_eq!(desk.whole(reworded(), control("no-cache, no-store")).await.1, CacheOutcome::Bypass);
}

#[tokio::test]
async fn a_corpus_that_tolerates_no_error_compares_no_wordings() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let mut desk = Desk::new(Some(&server));
    desk.seen.tolerance = Some(Tolerance::NONE);
    desk.asked().await;
    assert_eq!(desk.whole(reworded(), CacheControl::default()).await.1, CacheOutcome::Miss);
}

#[tokio::test]
async fn a_question_within_a_conversation_is_never_taken_for_another() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let desk = Desk::new(Some(&server));
    let within = |question: Question| {
        let before = Turn { speaker: Speaker::Assistant, text: "uv is a package manager.".to_owned() };
        Question { turns: [vec![before], question.turns].concat(), ..question }
    };
    desk.whole(within(asked()), CacheControl::default()).await;
    assert_eq!(desk.whole(within(reworded()), CacheControl::default()).await.1, CacheOutcome::Miss);
    assert_eq!(desk.whole(reworded(), CacheControl::default()).await.1, CacheOutcome::Miss);
}

#[tokio::test]
async fn wordings_asked_at_one_time_share_the_call_and_its_stream_from_the_beginning() {
    let server = Scripted::start([waiting()]).await;
    let desk = Desk::new(Some(&server));
    let mut first = stream(desk.ask(asked(), CacheControl::default()).await.unwrap());
    assert!(matches!(first.next().await, Some(AnswerEvent::Text(text)) if text == "So it"));
    let Ok(Reply::Stream(second, outcome, key)) = desk.ask(reworded(), CacheControl::default()).await else {
        panic!()
    };
    // The finished answer is found under the key of the question that it was made for.
    assert_eq!((outcome, key), (CacheOutcome::CollapsedParaphrase, CacheKey::of(&asked())));
    drop(first);
    server.go();
    assert_eq!(drain(second).await.0, "So it is. [1]");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_thousand_wordings_of_three_questions_make_three_upstream_calls() {
    let server = Scripted::start([waiting(), waiting(), waiting()]).await;
    let desk = Desk::new(Some(&server));
    let questions = ["How do I install uv?", "How do I clean the uv cache?", "Does uv need Python?"];
    let ask = |n: usize| {
        // Each with a number of spaces of its own before its last word.
        let text = questions[n % 3];
        let (head, tail) = text.rsplit_once(' ').unwrap();
        let worded = question(&format!("{head}{}{tail}", " ".repeat(1 + n / 3 % 20)));
        let desk = &desk;
        async move { (n, desk.ask(worded, CacheControl::default()).await.unwrap()) }
    };
    let replies = futures::future::join_all((0..1_000).map(ask)).await;
    // Whoever was first hangs up halfway.
    let (left, stay): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|(_, reply)| matches!(reply, Reply::Stream(_, CacheOutcome::Miss, _)));
    assert_eq!(left.len(), 3);
    drop(left);
    (0..3).for_each(|_| server.go());
    let whole = stay.into_iter().map(|(n, reply)| async move { (n, whole(reply).await) });
    let all = async {
        let all = futures::future::join_all(whole);
        tokio::pin!(all);
        loop {
            tokio::select! {
                all = &mut all => return all,
                // One permit is kept at a time: each generation needs one of its own.
                () = tokio::task::yield_now() => server.go(),
            }
        }
    };
    let all = all.await;
    assert_eq!(server.count(), 3);
    assert!(all.iter().all(|(_, (answer, _))| answer.text == "So it is. [1]"));
    for kind in 0..3 {
        let mut ids = all.iter().filter(|(n, _)| n % 3 == kind).map(|(_, (answer, _))| &answer.id);
        let first = ids.next().unwrap();
        assert!(ids.all(|id| id == first));
    }
}

#[tokio::test]
async fn every_twentieth_hit_is_checked_against_an_answer_of_its_own() {
    let server = Scripted::start([Script::says(&["So. [1]"])]).await;
    let desk = Desk::new(Some(&server));
    desk.asked().await;
    for n in 1..=20 {
        let outcome = desk.whole(reworded(), CacheControl::default()).await.1;
        assert_eq!(outcome, CacheOutcome::HitParaphrase, "{n}");
    }
    // The check's answer is kept for the wording that it was made for.
    let of = Identity { incarnation: 1, key: CacheKey::of(&reworded()) };
    assert!(desk.answers.finished_of(of, Instant::now() + PATIENCE).await.is_some());
    assert_eq!(desk.whole(reworded(), CacheControl::default()).await.1, CacheOutcome::HitExact);
    assert_eq!(server.count(), 2);
}
