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

/// The same question ten times, as ten people would put it.
fn wordings(what: &str) -> [String; 10] {
    [
        format!("How do I {what}?"),
        format!("How can I {what}?"),
        format!("How to {what}"),
        format!("Is there a way to {what}?"),
        format!("Could you tell me how to {what}?"),
        format!("hi, how do i {what}, please?"),
        format!("How can we {what}?"),
        format!("I want to know how to {what}"),
        format!("What are the steps to {what}?"),
        format!("How do I {what}? Thanks!"),
    ]
}

#[tokio::test]
async fn a_thousand_askers_of_three_questions_in_ten_wordings_make_three_upstream_calls() {
    let server = Scripted::start([waiting(), waiting(), waiting()]).await;
    let desk = Desk::new(Some(&server));
    let questions = ["install uv", "clean the uv cache", "update Python"].map(wordings);
    let ask = |n: usize| {
        let (desk, worded) = (&desk, question(&questions[n % 3][n / 3 % 10]));
        async move { (n % 3, stream(desk.ask(worded, CacheControl::default()).await.unwrap())) }
    };
    let mut all = futures::future::join_all((0..1_000).map(ask)).await;
    assert_eq!(server.count(), 3);
    // Everybody reads the first words; then whoever came first to each question, and for whom it is asked, hangs up.
    let mut first = [true; 3];
    let mut stay = Vec::new();
    for (which, mut reader) in all.drain(..) {
        assert!(matches!(reader.next().await, Some(AnswerEvent::Text(text)) if text == "So it"));
        if !std::mem::take(&mut first[which]) {
            stay.push((which, reader));
        }
    }
    let ids: Vec<String> = stay.iter().map(|(_, reader)| reader.id().to_owned()).collect();
    let rest = futures::future::join_all(stay.into_iter().map(|(which, reader)| async move {
        let (text, end) = drain(reader).await;
        (which, text, end.unwrap())
    }));
    tokio::pin!(rest);
    let rest = loop {
        tokio::select! {
            rest = &mut rest => break rest,
            // One permit is kept at a time: each generation needs one of its own.
            () = tokio::task::yield_now() => server.go(),
        }
    };
    assert_eq!((rest.len(), server.count()), (997, 3));
    for ((which, text, answer), id) in rest.iter().zip(&ids) {
        assert_eq!((text.as_str(), answer.text.as_str()), (" is. [1]", "So it is. [1]"));
        assert_eq!(&answer.id, id);
        let others = rest.iter().zip(&ids).filter(|((other, ..), _)| other == which);
        assert!(others.into_iter().all(|(_, other)| other == id), "two answers to one question");
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
