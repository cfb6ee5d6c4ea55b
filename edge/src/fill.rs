//! Fills both caches: at once from an answer that came whole, and after a stream from the origin that
//! generated it. A stream itself is never read here.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use perigee_shared::answer::{Answer, MEDIA_TYPE};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::id::CorpusName;
use perigee_shared::limits::DEADLINE_MS_MAX;
use perigee_shared::problem::{Problem, ProblemKind};
use worker::Delay;

use crate::Edge;
use crate::admit::Admitted;
use crate::ask::Ask;
use crate::data_centre::{held, put_answer};
use crate::forward::{Onward, Reply, forward_to};
use crate::memory::Kept;
use crate::pass_on::Told;
use crate::quota::Charge;
use crate::route::Method;
use crate::trace::Trace;
use crate::visit::{Visit, now_ms};

/// An answer that came whole, with the bytes it came in.
pub(crate) struct Received {
    pub(crate) kept: Rc<Kept>,
    canonical: Vec<u8>,
}

/// Reads the canonical answer out of an origin's reply.
///
/// # Errors
/// 502 when it is none, or one of another corpus; 504 when it does not end in time.
pub(crate) async fn receive(
    reply: Reply,
    told: &Told,
    ask: &Ask,
    deadline_ms: u64,
) -> Result<Received, Problem> {
    read(reply, told, &ask.question.corpus, ContextKey::of(&ask.question), deadline_ms).await
}

async fn read(
    reply: Reply,
    told: &Told,
    corpus: &CorpusName,
    context: ContextKey,
    deadline_ms: u64,
) -> Result<Received, Problem> {
    let unusable = || Problem::new(ProblemKind::UpstreamFailed, "the origin's answer can't be used");
    let (mut response, sent_ms) = (worker::Response::from(reply.response), reply.sent_ms);
    let left = Delay::from(Duration::from_millis(deadline_ms.saturating_sub(now_ms())));
    let canonical = match select(Box::pin(response.bytes()), left).await {
        Either::Left((bytes, _)) => bytes.map_err(|_| unusable())?,
        Either::Right(((), _)) => {
            return Err(Problem::new(ProblemKind::DeadlineExceeded, "the answer did not arrive in time"));
        }
    };
    let answer: Answer = serde_json::from_slice(&canonical).map_err(|_| unusable())?;
    if answer.corpus != *corpus {
        return Err(unusable());
    }
    let born_ms = sent_ms.saturating_sub(told.age_s().saturating_mul(1_000));
    let held = held(&answer, sent_ms, born_ms);
    let kept = Rc::new(Kept::new(answer, context, held, told.is_of_other_words(), canonical.len()));
    Ok(Received { kept, canonical })
}

/// Keeps an answer here and, in the background, for the data centre.
pub(crate) fn store(edge: &Edge, visit: &Visit, ask: &Ask, received: Received) {
    if received.kept.answer.may_be_stored() {
        let (key, Received { kept, canonical }) = (ask.key, received);
        edge.answers.borrow_mut().put(key, Rc::clone(&kept));
        visit.context.wait_until(async move { put_answer(key, &kept, canonical).await });
    }
}

/// After a stream: gets the finished answer from the same origin, in the background, and keeps it. Whether
/// it finished and may be kept is for the origin to say.
pub(crate) fn later(
    edge: &Rc<Edge>,
    visit: &Visit,
    ask: &Ask,
    named: CacheKey,
    origin: usize,
    sent_ms: u64,
    charge: Charge,
) {
    if named != ask.key {
        // Both sides make the key from the question; if they differ, one of them is of another release.
        worker::console_warn!("{}: the origin names another key", visit.trace.request_id);
        charge.reserved();
        return;
    }
    let (edge, admitted, corpus) = (Rc::clone(edge), Rc::clone(&ask.admitted), ask.question.corpus.clone());
    let (key, context) = (ask.key, ContextKey::of(&ask.question));
    let trace = visit.trace.clone();
    visit.context.wait_until(async move {
        let fetched = fetch(&edge, &admitted, &corpus, (key, context), &trace, origin, sent_ms).await;
        let Some(received) = fetched else {
            charge.reserved();
            return;
        };
        charge.miss(received.kept.answer.usage.total());
        let Received { kept, canonical } = received;
        edge.answers.borrow_mut().put(key, Rc::clone(&kept));
        put_answer(key, &kept, canonical).await;
    });
}

async fn fetch(
    edge: &Edge,
    admitted: &Admitted,
    corpus: &CorpusName,
    (key, context): (CacheKey, ContextKey),
    trace: &Trace,
    origin: usize,
    sent_ms: u64,
) -> Option<Received> {
    let deadline_ms = now_ms() + DEADLINE_MS_MAX;
    let onward = Onward {
        method: Method::Get,
        path_and_query: format!("/v1/corpora/{corpus}/answers/{key}"),
        admitted,
        body: None,
        accept: MEDIA_TYPE,
        content_type: None,
        held: None,
        control: CacheControl::default(),
        min_epoch: None,
        explains: false,
        trace,
        deadline_ms,
        is_write: false,
        place: None,
    };
    let mut reply = forward_to(edge, &onward, origin).await.ok()?;
    if reply.response.status() != 200 {
        return None;
    }
    // Its epoch was the latest one when the question was asked; that is all that is certain.
    reply.sent_ms = sent_ms;
    let told = Told::by(&reply.response);
    let received = read(reply, &told, corpus, context, deadline_ms).await.ok()?;
    received.kept.answer.may_be_stored().then_some(received)
}
