//! `POST /v1/chat/completions`: one question's way through the edge.

use std::rc::Rc;

use futures::future::join;
use perigee_shared::answer::MEDIA_TYPE;
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::{CacheKey, ContextKey};
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
use crate::answer_index::answers_to_other_words;
use crate::body::Body;
use crate::data_centre;
use crate::error::{invalid_question, platform, unreadable};
use crate::fill;
use crate::forward::{Onward, forward};
use crate::freshness::{Decision, Held, Knowledge, PlaceRef, Reason, decide};
use crate::memory::Kept;
use crate::pass_on;
use crate::quota::{Charge, charge};
use crate::refresh::refresh_if_due;
use crate::respond::{Content, Head, JSON_TYPE, SSE_TYPE};
use crate::route::{Method, Route};
use crate::visit::{Visit, now_ms};

/// What is wanted of an answer, and how.
pub(crate) struct Ask {
    pub(crate) key: CacheKey,
    pub(crate) question: Question,
    pub(crate) rendering: Rendering,
    pub(crate) control: CacheControl,
    pub(crate) min_epoch: Option<Epoch>,
    pub(crate) admitted: Rc<Admitted>,
}

impl Ask {
    pub(crate) fn place(&self) -> PlaceRef<'_> {
        PlaceRef { tenant: &self.admitted.caller.tenant, corpus: &self.question.corpus }
    }
}

/// Answers the last turn from the corpus that `model` names: from memory, from the data centre's cache, with the
/// answer to other words that mean the same, or from an origin.
///
/// # Errors
/// 400 unreadable request; 401 and 403 key; 402 and 429 limits; 404 no such corpus for this key; 413; 503 no origin;
/// 504 past the deadline, or not cached where only that was asked for.
pub(crate) async fn create_chat_completion(edge: &Rc<Edge>, visit: &Rc<Visit>) -> Result<Response, Problem> {
    let admitted = admit(edge, visit).await?;
    admitted.check(Scope::Ask, None)?;
    let (control, min_epoch) = (visit.cache_control(), visit.min_epoch()?);
    let body = Body::read(edge, visit, QUESTION_BODY_BYTES_MAX).await?;
    let request: ChatCompletionRequest =
        serde_json::from_slice(&body.to_vec()).map_err(|e| unreadable(&e))?;
    let question = Question::from_chat(&request, &admitted.caller).map_err(|e| invalid_question(&e))?;
    let charge = charge(edge, visit, &admitted, tokens_max(&question)).await?;
    let (key, rendering) = (CacheKey::of(&question), request.rendering());
    let ask = Ask { key, question, rendering, control, min_epoch, admitted };

    // Not when the request began: a client may take its time to send it.
    let now_ms = now_ms();
    let found = look_up(edge, &ask, now_ms).await;
    refresh_if_due(edge, visit, &ask.admitted, ask.place());
    let reason = match found {
        Found::Hit(hit) => {
            charge.hit_and_tell(visit);
            return serve(visit, &ask, &hit, CacheOutcome::HitExact);
        }
        Found::Nothing(reason) => reason,
    };
    if let Some(hit) = match_wording(edge, &ask, now_ms).await {
        charge.hit_and_tell(visit);
        return serve(visit, &ask, &hit, CacheOutcome::HitParaphrase);
    }
    if control.only_if_cached {
        return Err(Problem::new(ProblemKind::NotCached, "this edge holds no answer that may be served"));
    }
    charge.tell(visit);
    let forwarding = ask_origin(Rc::clone(edge), Rc::clone(visit), ask, body, reason.outcome(), charge);
    visit.to_its_end(forwarding).await
}

/// The most tokens that answering may take: the conversation at four bytes each, the passages that are put before it, and the
/// answer.
fn tokens_max(question: &Question) -> u64 {
    let bytes: usize = question.turns.iter().map(|turn| turn.text.len()).sum();
    let answer = question.options.max_tokens.map_or(ANSWER_TOKENS_DEFAULT, u64::from);
    (bytes / BYTES_PER_TOKEN) as u64 + EVIDENCE_TOKENS_MAX + answer
}

enum Found {
    Hit(Hit),
    Nothing(Reason),
}

/// An answer that may be served.
struct Hit {
    kept: Rc<Kept>,
    age_s: u64,
    /// Its evidence was seen to stand at this epoch.
    epoch: Epoch,
}

/// Looks in this isolate's memory and, only where that is not enough, in the data centre.
async fn look_up(edge: &Rc<Edge>, ask: &Ask, now_ms: u64) -> Found {
    let in_memory = edge.answers.borrow().get(&ask.key);
    let knowledge = edge.epochs.borrow().of(ask.place(), now_ms);
    match judge(edge, ask, &ask.key, in_memory.as_ref(), knowledge, now_ms) {
        Found::Hit(hit) => return Found::Hit(hit),
        Found::Nothing(reason) if ask.control.no_cache => return Found::Nothing(reason),
        // Another isolate may hold a later answer, or know more of the epoch.
        Found::Nothing(_) => {}
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
    judge(edge, ask, &ask.key, best.as_ref(), knowledge, now_ms)
}

/// Looks for an answer to other words that mean the same, in the answer index: it must be listed there, be held in this
/// data centre, and be of the very same context.
async fn match_wording(edge: &Edge, ask: &Ask, now_ms: u64) -> Option<Hit> {
    if ask.control.no_cache {
        return None;
    }
    let index = edge.indexes.borrow().of(ask.place())?;
    let knowledge = edge.epochs.borrow().of(ask.place(), now_ms);
    let too_early = ask.min_epoch.is_some_and(|min| index.sighting().epoch < min);
    if too_early || !knowledge.admits(index.sighting(), edge.config.bounds, now_ms) {
        return None;
    }
    let context = ContextKey::of(&ask.question);
    for key in answers_to_other_words(&index.snapshot, &ask.question, &context) {
        let in_memory = edge.answers.borrow().get(&key);
        let kept = match in_memory {
            Some(kept) => kept,
            None => {
                let Some(kept) = data_centre::get_answer(&key).await.map(Rc::new) else { continue };
                edge.answers.borrow_mut().put(key, kept)
            }
        };
        let of_asker = kept.context == context && kept.answer.corpus == ask.question.corpus;
        if of_asker
            && kept.answer.may_be_stored()
            && let Found::Hit(hit) = judge(edge, ask, &key, Some(&kept), knowledge, now_ms)
        {
            return Some(hit);
        }
    }
    None
}

/// Whether an answer may be served by what is known of the epoch, and if not so, by the answer index.
fn judge(
    edge: &Edge,
    ask: &Ask,
    key: &CacheKey,
    kept: Option<&Rc<Kept>>,
    knowledge: Knowledge,
    now_ms: u64,
) -> Found {
    let decide =
        |held: Option<Held>| decide(held, knowledge, ask.control, ask.min_epoch, edge.config.bounds, now_ms);
    let mut decision = decide(kept.map(|kept| kept.held));
    if let (Decision::Forward(_), Some(kept)) = (decision, kept)
        && let Some(index) = edge.indexes.borrow().of(ask.place())
    {
        decision = decide(Some(Held { certified: index.certify(key, kept), ..kept.held }));
    }
    match (decision, kept) {
        (Decision::Hit { age_s, epoch }, Some(kept)) => {
            Found::Hit(Hit { kept: Rc::clone(kept), age_s, epoch })
        }
        (Decision::Hit { .. }, None) => Found::Nothing(Reason::Miss),
        (Decision::Forward(reason), _) => Found::Nothing(reason),
    }
}

fn serve(visit: &Visit, ask: &Ask, hit: &Hit, outcome: CacheOutcome) -> Result<Response, Problem> {
    let Hit { kept, age_s, epoch } = hit;
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
    edge: Rc<Edge>,
    visit: Rc<Visit>,
    ask: Ask,
    body: Body,
    outcome: CacheOutcome,
    charge: Charge,
) -> Result<Response, Problem> {
    let (edge, visit, ask) = (&edge, &*visit, &ask);
    let onward = Onward {
        method: Method::Post,
        path_and_query: Route::Chat.path(),
        admitted: &ask.admitted,
        body: Some(&body),
        // A stream that must be generated comes as one; everything else comes canonical, to be kept.
        accept: concat!("application/vnd.perigee.answer+json", ", text/event-stream"),
        content_type: Some(JSON_TYPE.to_owned()),
        held: None,
        control: ask.control,
        min_epoch: ask.min_epoch,
        trace: &visit.trace,
        deadline_ms: now_ms() + DEADLINE_MS_DEFAULT,
        is_write: false,
        place: visit.place(),
    };
    let reply = forward(edge, &onward).await?;
    let told = pass_on::Told::by(&reply.response);
    pass_on::learn_from(edge, visit, ask.place(), &reply, &told);
    if reply.response.status() != 200 {
        pass_on::settle(charge, &reply);
        return pass_on::respond(visit, &reply, told, outcome);
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
    let kept = fill::receive(reply, &told, ask, onward.deadline_ms).await?;
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

const fn content_type(rendering: Rendering) -> &'static str {
    match rendering {
        Rendering::Json => JSON_TYPE,
        Rendering::Sse { .. } => SSE_TYPE,
    }
}
