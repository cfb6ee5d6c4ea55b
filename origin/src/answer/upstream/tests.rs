//! What a model server may do to us, and what comes of it.

use perigee_shared::answer::{Finish, Usage};
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::answer::scripted::{Script, Scripted, Step};
use crate::answer::testing::question;

struct Heard {
    text: String,
    end: Result<(Finish, Option<Usage>), UpstreamError>,
}

fn client(server: &Scripted) -> Upstream {
    Upstream::new(&UpstreamOptions::new(&server.base_url, "m")).unwrap()
}

async fn hear(upstream: &Upstream) -> Heard {
    let mut text = String::new();
    let mut reading = match upstream.ask(&question("How?"), &[]).await {
        Ok(reading) => reading,
        Err(error) => return Heard { text, end: Err(error) },
    };
    loop {
        match reading.next().await {
            Ok(Piece::Text(piece)) => text.push_str(&piece),
            Ok(Piece::End(finish, usage)) => return Heard { text, end: Ok((finish, usage)) },
            Err(error) => return Heard { text, end: Err(error) },
        }
    }
}

async fn heard(script: Script) -> Heard {
    let server = Scripted::start([script]).await;
    hear(&client(&server)).await
}

#[tokio::test]
async fn a_cut_stream_is_a_failure_however_it_is_cut() {
    for steps in [vec![Step::Say("So")], vec![Step::Say("So"), Step::HangUp], vec![Step::HangUp], vec![]] {
        assert_eq!(heard(Script::stream(steps)).await.end, Err(UpstreamError::HungUp));
    }
}

#[tokio::test]
async fn garbage_is_a_failure() {
    let raw =
        |bytes: &[u8]| Script::stream([Step::Say("So"), Step::Raw(bytes.to_vec()), Step::Finish("stop")]);
    assert_eq!(heard(raw(b"data: {\"choices\":\n\n")).await.end, Err(UpstreamError::Unreadable));
    assert_eq!(heard(raw(b"data: \xff\xfe\n\n")).await.end, Err(UpstreamError::Unreadable));
    assert_eq!(
        heard(raw(b"data: {\"error\":{\"message\":\"x\"}}\n\n")).await.end,
        Err(UpstreamError::Reported)
    );
    let page = Script::stream([Step::Raw(b"<html>not a stream</html>".to_vec())]);
    assert_eq!(heard(page).await.end, Err(UpstreamError::HungUp));
}

#[tokio::test]
async fn an_endless_line_is_cut_off() {
    let piece = Step::Raw(vec![b'x'; 256 << 10]);
    let mut steps = vec![Step::Raw(b"data: ".to_vec())];
    steps.extend((0..8).map(|_| piece.clone()));
    steps.push(Step::Stall);
    assert_eq!(heard(Script::stream(steps)).await.end, Err(UpstreamError::TooLong));
}

#[tokio::test]
async fn comments_without_end_are_cut_off() {
    let piece = Step::Raw([vec![b':'; 64 << 10], b"\r\n\r\n".to_vec()].concat());
    let mut steps: Vec<Step> = (0..300).map(|_| piece.clone()).collect();
    steps.push(Step::Stall);
    assert_eq!(heard(Script::stream(steps)).await.end, Err(UpstreamError::TooLong));
}

#[tokio::test]
async fn a_model_that_stops_without_a_word_has_failed_and_a_filter_has_not() {
    assert_eq!(heard(Script::says(&[])).await.end, Err(UpstreamError::Empty));
    let filtered = heard(Script::stream([Step::Finish("content_filter"), Step::Done])).await;
    assert_eq!(filtered.end, Ok((Finish::ContentFilter, None)));
}

#[tokio::test]
async fn text_usage_and_reason_are_read_and_either_ending_will_do() {
    let whole = heard(Script::stream([
        Step::Raw(b": hello\r\n\r\n".to_vec()),
        Step::Say("Gr\u{fc}"),
        Step::Say("\u{df}e"),
        Step::Finish("length"),
        Step::Usage(7, 2),
        Step::Done,
    ]))
    .await;
    assert_eq!(whole.text, "Grüße");
    let usage = Usage { prompt_tokens: 7, completion_tokens: 2 };
    assert_eq!(whole.end, Ok((Finish::Length, Some(usage))));
    let without_done = heard(Script::stream([Step::Say("So"), Step::Finish("stop")])).await;
    assert_eq!(without_done.end, Ok((Finish::Stop, None)));
    let without_reason = heard(Script::stream([Step::Say("So"), Step::Done])).await;
    assert_eq!(without_reason.end, Ok((Finish::Stop, None)));
}

#[tokio::test]
async fn events_may_be_cut_anywhere() {
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"é\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n";
    let bytes = whole.bytes().map(|byte| Step::Raw(vec![byte]));
    assert_eq!(heard(Script::stream(bytes.collect::<Vec<_>>())).await.text, "é");
}

#[tokio::test]
async fn a_stall_before_the_first_word_ends_with_its_timeout() {
    let server = Scripted::start([Script::stream([Step::Raw(b": wait\n\n".to_vec()), Step::Stall])]).await;
    let upstream = client(&server);
    let (heard, ()) = tokio::join!(hear(&upstream), async {
        server.asked().await;
        tokio::time::pause();
    });
    assert_eq!(heard.end, Err(UpstreamError::FirstTokenTimeout));
}

#[tokio::test]
async fn a_stall_in_the_middle_ends_with_the_whole_timeout() {
    let server = Scripted::start([Script::stream([Step::Say("So"), Step::Stall])]).await;
    let upstream = client(&server);
    let mut reading = upstream.ask(&question("How?"), &[]).await.unwrap();
    assert_eq!(reading.next().await, Ok(Piece::Text("So".to_owned())));
    tokio::time::pause();
    assert_eq!(reading.next().await, Err(UpstreamError::WholeTimeout));
}

#[tokio::test]
async fn a_stall_after_the_last_word_costs_nothing_but_the_usage() {
    let server =
        Scripted::start([Script::stream([Step::Say("So"), Step::Finish("stop"), Step::Stall])]).await;
    let upstream = client(&server);
    let mut reading = upstream.ask(&question("How?"), &[]).await.unwrap();
    assert_eq!(reading.next().await, Ok(Piece::Text("So".to_owned())));
    tokio::time::pause();
    assert_eq!(reading.next().await, Ok(Piece::End(Finish::Stop, None)));
}

#[tokio::test]
async fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    for status in [429, 502, 503] {
        let busy = Script::status(status, &[("retry-after", "0")]);
        let server = Scripted::start([busy.clone(), busy, Script::says(&["So."])]).await;
        assert_eq!(hear(&client(&server)).await.text, "So.");
        assert_eq!(server.count(), 3);
    }
}

#[tokio::test]
async fn what_may_have_generated_or_never_will_is_not_asked_again() {
    for status in [400, 401, 404, 500, 504, 302] {
        let server = Scripted::start([Script::status(status, &[("location", "/v1/elsewhere")])]).await;
        assert_eq!(hear(&client(&server)).await.end, Err(UpstreamError::Status(status)));
        assert_eq!(server.count(), 1, "{status}");
    }
    let server = Scripted::start([Script::stream([Step::Say("So"), Step::HangUp])]).await;
    assert_eq!(hear(&client(&server)).await.end, Err(UpstreamError::HungUp));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn retries_end_and_a_long_pause_is_not_waited_for() {
    let server = Scripted::start([Script::status(503, &[("retry-after", "0")])]).await;
    assert_eq!(hear(&client(&server)).await.end, Err(UpstreamError::Status(503)));
    assert_eq!(server.count(), 3);
    for pause in ["3600", "18446744073709551615"] {
        let server = Scripted::start([Script::status(429, &[("retry-after", pause)])]).await;
        assert_eq!(hear(&client(&server)).await.end, Err(UpstreamError::Status(429)), "{pause}");
        assert_eq!(server.count(), 1, "{pause}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let upstream = Upstream::new(&UpstreamOptions::new(url, "m")).unwrap();
    assert_eq!(hear(&upstream).await.end, Err(UpstreamError::Unreachable));
}

#[tokio::test]
async fn the_request_carries_key_model_and_options_and_nothing_unset() {
    let server = Scripted::start([Script::says(&["So."])]).await;
    let mut options = UpstreamOptions::new(format!("{}/", server.base_url), "m");
    options.api_key = Some(SecretString::from("sk-1"));
    let upstream = Upstream::new(&options).unwrap();
    let mut question = question("How?");
    question.options.max_tokens = Some(5);
    question.options.stop = vec!["\n".to_owned()];
    let messages = [Message { role: "user", content: "How?".to_owned() }];
    drop(upstream.ask(&question, &messages).await.unwrap());
    let (headers, body) = server.requests().remove(0);
    assert_eq!(headers["authorization"], "Bearer sk-1");
    assert_eq!(
        body,
        json!({"model": "m", "messages": [{"role": "user", "content": "How?"}], "stream": true,
            "stream_options": {"include_usage": true}, "max_tokens": 5, "stop": ["\n"]})
    );
    assert!(!format!("{options:?}{upstream:?}").contains("sk-1"));
}

#[test]
fn a_base_url_is_checked() {
    for bad in ["", "x", "ftp://x/v1", "http://", "http://user:pw@x/v1", "http://x/v1?a=b", "http://x/#y"] {
        let error = Upstream::new(&UpstreamOptions::new(bad, "m")).unwrap_err();
        assert_eq!(error, InvalidUpstream::BaseUrl, "{bad}");
    }
}
