//! `POST /v1/chat/completions`: one question's way through the edge.

use std::rc::Rc;

use futures::future::join;
use perigee_shared::answer::MEDIA_TYPE;
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::caller::Scope;
use perigee_shared::chat::{ChatCompletionRequest, Rendering};
use perigee_shared::header::{CACHE_STATUS, CacheOutcome, EDGE_CACHE, EPOCH};
use perigee_shared::id::Epoch;
use perigee_shared::limits::{
    ANSWER_TOKENS_DEFAULT, BYTES_PER_TOKEN, DEADLINE_MS_DEFAULT, EVIDENCE_TOKENS_MAX, QUESTION_BODY_BYTES_MAX,
};
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::question::Question;
use web_sys::Response;

use crate::Edge;
use crate::admit::{Admitted, admit};
use crate::body::Body;
use crate::choose::{Found, Hit, Wish};
use crate::data_centre;
use crate::error::{platform, unreadable};
use crate::explain::{Explanation, is_wanted};
use crate::fill;
use crate::forward::{Onward, forward};
use crate::freshness::PlaceRef;
use crate::pass_on;
use crate::quota::{Charge, charge};
use crate::refresh::refresh_if_due;
use crate::respond::{Content, Head, JSON_TYPE, SSE_TYPE};
use crate::route::{Method, Route};
use crate::users::check_user;
use crate::visit::{Visit, now_ms};

/// What is wanted of an answer, and how.
pub(crate) struct Ask {
    pub(crate) key: CacheKey,
    pub(crate) question: Question,
    pub(crate) rendering: Rendering,
    pub(crate) control: CacheControl,
    pub(crate) min_epoch: Option<Epoch>,
    pub(crate) admitted: Rc<Admitted>,
    /// Present where it was asked for and may be told.
    pub(crate) explanation: Option<Explanation>,
}

impl Ask {
    pub(crate) fn place(&self) -> PlaceRef<'_> {
        PlaceRef { tenant: &self.admitted.caller.tenant, corpus: &self.question.corpus }
    }

    fn wish(&self, edge: &Edge, now_ms: u64) -> Wish<'_> {
        let Self { question, control, min_epoch, .. } = self;
        Wish { question, control: *control, min_epoch: *min_epoch, bounds: edge.config.bounds, now_ms }
    }
}

/// Answers the last turn from the corpus that `model` names: from memory, from the data centre's cache, with the
/// answer to other words that mean the same, or from an origin.
///
/// # Errors
/// 400 unreadable request; 401 and 403 key or user; 402 and 429 limits; 404 no such corpus for this key; 413; 503 no origin;
/// 504 past the deadline, or not cached where only that was asked for.
pub(crate) async fn create_chat_completion(edge: &Rc<Edge>, visit: &Rc<Visit>) -> Result<Response, Problem> {
    let admitted = admit(edge, visit).await?;
    admitted.check(Scope::Ask, None)?;
    let (control, min_epoch) = (visit.cache_control(), visit.min_epoch()?);
    let body = Body::read(edge, visit, QUESTION_BODY_BYTES_MAX).await?;
    let request: ChatCompletionRequest =
        serde_json::from_slice(&body.to_vec()).map_err(|e| unreadable(&e))?;
    let question = Question::from_chat(&request, &admitted.caller)?;
    let charge = charge(edge, visit, &admitted, tokens_max(&question)).await?;
    check_user(edge, visit, &admitted, Scope::Ask).await?;
    let (key, rendering) = (CacheKey::of(&question), request.rendering());
    let explanation = is_wanted(visit, &admitted.caller).then(|| {
        let place = PlaceRef { tenant: &admitted.caller.tenant, corpus: &question.corpus };
        Explanation::of(&question, &key, edge.indexes.borrow().of(place).as_ref())
    });
    let ask = Ask { key, question, rendering, control, min_epoch, admitted, explanation };

    // Not when the request began: a client may take its time to send it.
    let now_ms = now_ms();
    if let Found::Hit(hit) = look_in_memory(edge, &ask, now_ms) {
        refresh_if_due(edge, visit, &ask.admitted, ask.place());
        charge.hit_and_tell(visit);
        return serve(edge, visit, &ask, &hit, hit.outcome());
    }
    // To its end: what is charged must be settled, and this request is forgotten where it waits if its client leaves.
    visit.to_its_end(answer_from_afar(Rc::clone(edge), Rc::clone(visit), ask, body, charge)).await
}

/// Answers from the data centre, with the answer to other words, or from an origin.
async fn answer_from_afar(
    edge: Rc<Edge>,
    visit: Rc<Visit>,
    ask: Ask,
    body: Body,
    charge: Charge,
) -> Result<Response, Problem> {
    let (edge, visit, ask) = (&edge, &*visit, &ask);
    let now_ms = now_ms();
    let found = look_up(edge, ask, now_ms).await;
    // Not before: another isolate may have asked a moment ago.
    refresh_if_due(edge, visit, &ask.admitted, ask.place());
    let reason = match found {
        Found::Hit(hit) => {
            charge.hit_and_tell(visit);
            return serve(edge, visit, ask, &hit, hit.outcome());
        }
        Found::Nothing(reason) => reason,
    };
    if let Some(hit) = match_wording(edge, ask, now_ms).await {
        charge.hit_and_tell(visit);
        return serve(edge, visit, ask, &hit, CacheOutcome::HitParaphrase);
    }
    if ask.control.only_if_cached {
        if let Some(explanation) = &ask.explanation {
            explanation.tell(visit, None);
        }
        return Err(Problem::new(ProblemKind::NotCached, "this edge holds no answer that may be served"));
    }
    charge.tell(visit);
    ask_origin(edge, visit, ask, &body, reason.outcome(), charge).await
}

/// The most tokens that answering may take: the conversation at four bytes each, the passages that are put before it, and the
/// answer.
fn tokens_max(question: &Question) -> u64 {
    let bytes: usize = question.turns.iter().map(|turn| turn.text.len()).sum();
    let answer = question.options.max_tokens.map_or(ANSWER_TOKENS_DEFAULT, u64::from);
    (bytes / BYTES_PER_TOKEN) as u64 + EVIDENCE_TOKENS_MAX + answer
}

/// Looks in this isolate's memory. Waits for nothing.
fn look_in_memory(edge: &Edge, ask: &Ask, now_ms: u64) -> Found {
    let in_memory = edge.answers.borrow().get(&ask.key);
    let knowledge = edge.epochs.borrow().of(ask.place(), now_ms);
    let index = || edge.indexes.borrow().of(ask.place());
    ask.wish(edge, now_ms).judge(&ask.key, in_memory.as_ref(), knowledge, index)
}

/// Looks in the data centre: another isolate may hold a later answer, or know more of the epoch.
async fn look_up(edge: &Rc<Edge>, ask: &Ask, now_ms: u64) -> Found {
    let (wish, index) = (ask.wish(edge, now_ms), || edge.indexes.borrow().of(ask.place()));
    let in_memory = edge.answers.borrow().get(&ask.key);
    let knowledge = edge.epochs.borrow().of(ask.place(), now_ms);
    if ask.control.no_cache {
        return wish.judge(&ask.key, in_memory.as_ref(), knowledge, index);
    }
    let shared_answer = data_centre::get_answer(&ask.key);
    let shared_epoch = async {
        match knowledge.is_current(edge.config.bounds, now_ms) {
            true => None,
            false => data_centre::get_epoch(ask.place()).await,
        }
    };
    let (shared_answer, shared_epoch) = join(shared_answer, shared_epoch).await;
    // An answer of another corpus under this key would be a broken cache; it is not believed.
    let shared_answer = shared_answer
        .filter(|kept| kept.answer.corpus == ask.question.corpus && kept.answer.may_be_stored())
        .map(Rc::new);
    if let Some(sighting) = shared_epoch {
        edge.epochs.borrow_mut().learn(ask.place(), sighting);
    }
    let best = match shared_answer {
        Some(kept) => {
            edge.epochs.borrow_mut().learn(ask.place(), kept.held.checked);
            // Memory may hold a later one, which the shared epoch has just made servable.
            Some(edge.answers.borrow_mut().put(ask.key, kept))
        }
        None => in_memory,
    };
    let knowledge = edge.epochs.borrow().of(ask.place(), now_ms);
    wish.judge(&ask.key, best.as_ref(), knowledge, index)
}

/// Looks for an answer to other words that mean the same, in the answer index: it must be listed there, be held in this
/// data centre, and be of the very same context.
async fn match_wording(edge: &Edge, ask: &Ask, now_ms: u64) -> Option<Hit> {
    let (wish, index) = (ask.wish(edge, now_ms), edge.indexes.borrow().of(ask.place())?);
    let knowledge = edge.epochs.borrow().of(ask.place(), now_ms);
    for key in wish.other_words(&ask.key, &index, knowledge) {
        let in_memory = edge.answers.borrow().get(&key);
        let kept = match in_memory {
            Some(kept) => kept,
            None => {
                let Some(kept) = data_centre::get_answer(&key).await.map(Rc::new) else { continue };
                edge.answers.borrow_mut().put(key, kept)
            }
        };
        let hit = wish.judge_other_words(&key, &kept, knowledge, &index);
        if hit.is_some() {
            return hit;
        }
    }
    None
}

fn serve(
    edge: &Edge,
    visit: &Visit,
    ask: &Ask,
    hit: &Hit,
    outcome: CacheOutcome,
) -> Result<Response, Problem> {
    let Hit { kept, age_s, epoch } = hit;
    edge.tallies.borrow_mut().count(ask.place(), kept.mark());
    if let Some(explanation) = &ask.explanation {
        explanation.tell(visit, None);
    }
    let epoch = if *epoch == kept.answer.epoch { kept.epoch.clone() } else { epoch.to_string() };
    Head::new(200)
        .with("content-type", content_type(ask.rendering))
        .with(CACHE_STATUS, outcome.member(EDGE_CACHE))
        .with("age", age_s.to_string())
        .with(EPOCH, epoch)
        .signed_off(visit, None, 0)
        .respond(Content::Bytes(kept.rendered(ask.rendering)))
        .map_err(|cause| platform("an answer can't be sent", &cause))
}

async fn ask_origin(
    edge: &Rc<Edge>,
    visit: &Visit,
    ask: &Ask,
    body: &Body,
    outcome: CacheOutcome,
    charge: Charge,
) -> Result<Response, Problem> {
    let onward = Onward {
        method: Method::Post,
        path_and_query: Route::Chat.path(),
        admitted: &ask.admitted,
        body: Some(body),
        // A stream that must be generated comes as one; everything else comes canonical, to be kept.
        accept: concat!("application/vnd.perigee.answer+json", ", text/event-stream"),
        content_type: Some(JSON_TYPE.to_owned()),
        held: None,
        control: ask.control,
        min_epoch: ask.min_epoch,
        explains: ask.explanation.is_some(),
        trace: &visit.trace,
        deadline_ms: now_ms() + DEADLINE_MS_DEFAULT,
        is_write: false,
        place: visit.place(),
    };
    let reply = match forward(edge, &onward).await {
        Ok(reply) => reply,
        Err(problem) => return Err(given_up(charge, problem)),
    };
    let told = pass_on::Told::by(&reply.response);
    pass_on::learn_from(edge, visit, ask.place(), &reply, &told);
    if let Some(explanation) = &ask.explanation {
        explanation.tell(visit, told.explanation.as_deref());
    }
    match reply.response.status() {
        200 => {}
        // The answer is finished without them, and kept.
        504 if !ask.control.no_store => {
            fill::later(edge, visit, ask, ask.key, reply.origin, reply.sent_ms, charge);
            return pass_on::respond(visit, &reply, told, outcome);
        }
        504 => {
            charge.reserved();
            return pass_on::respond(visit, &reply, told, outcome);
        }
        _ => {
            pass_on::settle(charge, &reply);
            return pass_on::respond(visit, &reply, told, outcome);
        }
    }
    if !told.is(MEDIA_TYPE) {
        return match told.answer_key.filter(|_| !ask.control.no_store) {
            Some(key) => {
                fill::later(edge, visit, ask, key, reply.origin, reply.sent_ms, charge);
                pass_on::respond(visit, &reply, told, outcome)
            }
            // It is kept nowhere, so nobody will say what it took.
            None => pass_on::respond_until(visit, &reply, told, outcome, || charge.reserved()),
        };
    }
    let sent_ms = reply.sent_ms;
    let kept = match fill::receive(reply, &told, ask, onward.deadline_ms).await {
        Ok(kept) => kept,
        Err(problem) => return Err(given_up(charge, problem)),
    };
    charge.miss(told.tokens_of(&kept.kept.answer));
    let head = Head::new(200)
        .with("content-type", content_type(ask.rendering))
        .with(CACHE_STATUS, told.cache_status_with(outcome))
        .with_some("age", told.age.clone())
        .with(EPOCH, kept.kept.epoch.clone())
        .signed_off(visit, told.server_timing.as_deref(), now_ms().saturating_sub(sent_ms));
    let response = head
        .respond(Content::Bytes(kept.kept.rendered(ask.rendering)))
        .map_err(|cause| platform("an answer can't be sent", &cause))?;
    if !ask.control.no_store {
        fill::store(edge, visit, ask, kept);
    }
    Ok(response)
}

/// Settles what has no answer in time: the origin goes on with it, and its tokens are paid for.
fn given_up(charge: Charge, problem: Problem) -> Problem {
    if problem.kind == ProblemKind::DeadlineExceeded {
        charge.reserved();
    }
    problem
}

const fn content_type(rendering: Rendering) -> &'static str {
    match rendering {
        Rendering::Json => JSON_TYPE,
        Rendering::Sse { .. } => SSE_TYPE,
    }
}
