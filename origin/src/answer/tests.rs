//! What callers may rely on when they ask.

mod border;
mod library;
mod measured;
mod oracle;
mod paraphrase;
mod real;
mod reuse;
mod sharing;
mod threshold;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perigee_shared::answer::{Answer, Finish, Generator};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::header::CacheOutcome;
use perigee_shared::id::{ContentHash, Epoch};
use perigee_shared::question::Question;
use perigee_shared::search::Search;
use tokio::time::Instant;

use super::asked::Seen;
use super::evidence::search;
use super::flight::Identity;
use super::generate::REFUSAL;
use super::scripted::Scripted;
use super::testing::{embedder, hit, question};
use super::*;
use crate::paraphrase::Tolerance;
use crate::retrieve::{Basis, Hit, QueryVector, Retrieved};

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers over passages that the test lays out.
struct Desk {
    answers: Answers,
    hits: Vec<Hit>,
    seen: Seen,
    searches: AtomicUsize,
}

impl Desk {
    fn new(upstream: Option<&Scripted>) -> Self {
        let options = |server: &Scripted| UpstreamOptions::new(&server.base_url, "m");
        Self::with(upstream.map(options))
    }

    /// Whose failing upstream is a failure.
    fn with(upstream: Option<UpstreamOptions>) -> Self {
        Self::when(WhenUpstreamFails::Refuse, upstream)
    }

    fn when(when_upstream_fails: WhenUpstreamFails, upstream: Option<UpstreamOptions>) -> Self {
        let options = AnswerOptions { when_upstream_fails, ..AnswerOptions::default() };
        let upstream = upstream.map(|options| Upstream::new(&options).unwrap());
        let hits = vec![
            hit(1, "Installing uv", "Intro. Install uv with the standalone installer. It needs no Python."),
            hit(2, "Cache", "uv keeps wheels in a cache. Clean it with `uv cache clean`."),
        ];
        Self {
            answers: Answers::new(&options, upstream, embedder()),
            hits,
            seen: Seen { incarnation: 1, epoch: Epoch::new(5), tolerance: None },
            searches: AtomicUsize::new(0),
        }
    }

    async fn ask(&self, question: Question, control: CacheControl) -> Result<Reply, AnswerError> {
        self.ask_by(question, control, Instant::now() + PATIENCE).await
    }

    async fn ask_by(
        &self,
        question: Question,
        control: CacheControl,
        deadline: Instant,
    ) -> Result<Reply, AnswerError> {
        let retrieve = |search: Search| async move {
            self.searches.fetch_add(1, Ordering::Relaxed);
            let row = self.answers.shared.embedder.query(&search.query).await.unwrap();
            let basis = QueryVector::new(&row).map(|vector| Arc::new(Basis::open(vector)));
            Ok(Retrieved { epoch: self.seen.epoch, hits: self.hits.clone(), basis })
        };
        self.answers.answer_from(self.seen, retrieve, question, control, deadline).await
    }

    async fn whole(&self, question: Question, control: CacheControl) -> (Arc<Answer>, CacheOutcome) {
        whole(self.ask(question, control).await.unwrap()).await
    }

    async fn asked(&self) -> (Arc<Answer>, CacheOutcome) {
        self.whole(asked(), CacheControl::default()).await
    }

    fn change_evidence(&mut self) {
        self.seen.epoch = self.seen.epoch.next();
        self.hits[0].hash = ContentHash::of(b"edited");
    }
}

fn asked() -> Question {
    question("How do I install uv?")
}

async fn whole(reply: Reply) -> (Arc<Answer>, CacheOutcome) {
    match reply {
        Reply::Ready(answer, outcome) => (answer, outcome),
        Reply::Stream(stream, outcome, _) => {
            (stream.finished(Instant::now() + PATIENCE).await.unwrap(), outcome)
        }
    }
}

fn stream(reply: Reply) -> AnswerStream {
    match reply {
        Reply::Stream(stream, _, _) => stream,
        Reply::Ready(answer, _) => panic!("not streamed: {answer:?}"),
    }
}

/// The text and how the stream ended.
async fn drain(mut stream: AnswerStream) -> (String, Result<Arc<Answer>, AnswerError>) {
    let mut text = String::new();
    loop {
        match stream.next().await {
            Some(AnswerEvent::Text(piece)) => text.push_str(&piece),
            Some(AnswerEvent::Finished(answer)) => {
                assert!(stream.next().await.is_none());
                return (text, Ok(answer));
            }
            Some(AnswerEvent::Failed(error)) => {
                assert!(stream.next().await.is_none());
                return (text, Err(error));
            }
            None => panic!("the stream ended without an end"),
        }
    }
}

fn control(header: &str) -> CacheControl {
    CacheControl::parse(Some(header))
}
