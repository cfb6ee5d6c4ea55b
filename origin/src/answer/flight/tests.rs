//! Panics, bounds and late comers.

use std::time::Duration;

use super::*;
use crate::answer::testing::question;

fn at() -> Identity {
    Identity { incarnation: 1, key: CacheKey::of(&question("How?")) }
}

fn label() -> Label {
    let corpus = CorpusName::new("docs").unwrap();
    Label { stamp: Stamp::new().unwrap(), corpus, epoch: Epoch::new(1) }
}

fn answer(pilot: &Pilot) -> Answer {
    let Label { stamp: Stamp { id, created_s }, corpus, epoch } = pilot.label().clone();
    Answer { id, created_s, corpus, ..perigee_shared::testing::answer(&pilot.text(), epoch.get()) }
}

fn start<Work>(flights: &Flights, generate: impl FnOnce(Pilot) -> Work) -> AnswerStream
where
    Work: Future<Output = Result<Answer, AnswerError>> + Send + 'static,
{
    let passenger = Passenger { of: at(), label: label(), topic: None, keep: true };
    match flights.board(passenger, |_| false, || None::<()>, generate, |_| || ()) {
        Boarding::Started(stream) => stream,
        other => panic!("{other:?}"),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn a_panic_ends_all_streams_and_makes_room_for_the_next_generation() {
    let flights = Flights::default();
    let panics = |pilot: Pilot| async move {
        pilot.say("So")?;
        if pilot.text() == "So" {
            panic!("asked to");
        }
        Ok(answer(&pilot))
    };
    let mut first = start(&flights, panics);
    let second = flights.join((at(), Epoch::new(1)), true).unwrap();
    assert!(matches!(first.next().await, Some(AnswerEvent::Text(_))));
    assert!(matches!(first.next().await, Some(AnswerEvent::Failed(AnswerError::Interrupted))));
    assert!(matches!(second.finished(soon()).await, Err(AnswerError::Interrupted)));
    assert!(flights.join((at(), Epoch::new(1)), true).is_none());
}

#[tokio::test]
async fn text_beyond_the_bound_ends_the_generation() {
    let flights = Flights::default();
    let stream = start(&flights, |pilot| async move {
        loop {
            pilot.say(&"x".repeat(1000))?;
        }
    });
    let end = stream.finished(soon()).await;
    assert!(matches!(end, Err(AnswerError::Upstream(UpstreamError::TooLong))), "{end:?}");
}

#[tokio::test]
async fn one_who_joins_late_reads_from_the_beginning() {
    let flights = Flights::default();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let mut first = start(&flights, |pilot| async move {
        pilot.say("One. ")?;
        let _ = wait.await;
        pilot.say("Two.")?;
        Ok(answer(&pilot))
    });
    first.begun(soon()).await.unwrap();
    let mut late = flights.join((at(), Epoch::new(1)), true).unwrap();
    assert!(matches!(late.next().await, Some(AnswerEvent::Text(text)) if text == "One. "));
    go.send(()).unwrap();
    assert!(matches!(late.next().await, Some(AnswerEvent::Text(text)) if text == "Two."));
    assert!(matches!(late.next().await, Some(AnswerEvent::Finished(answer)) if answer.text == "One. Two."));
    assert!(late.next().await.is_none());
    assert_eq!(first.finished(soon()).await.unwrap().text, "One. Two.");
}
