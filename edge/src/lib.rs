//! Perigee's edge: a worker that admits a question, serves what it safely can from cache, and forwards the
//! rest to the nearest origin. The modules stand in the order in which a question meets them.
//!
//! Nothing here may panic on input: a panic ends the isolate and everything it remembers. Everything that an
//! isolate remembers is bounded and keyed with its tenant.

mod config;
mod route;
mod trace;
mod visit;

mod admin;
mod admit;
mod body;
mod body_room;
mod ledger;
mod quota;
mod users;

mod ask;
mod choose;
mod freshness;

mod answer_index;
mod explain;

mod data_centre;
mod memory;

mod circuit;
mod forward;
mod refresh;

mod fill;
mod pass_on;

mod models;
mod pages;

mod error;
mod respond;

#[cfg(feature = "testing")]
pub mod testing;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use perigee_shared::problem::Problem;
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};
use worker::{Context, Env, event};

use crate::admin::{PACES_MAX, Paces, manage};
use crate::admit::{KeyMemory, admit};
use crate::answer_index::{Indexes, Tallies};
use crate::ask::create_chat_completion;
use crate::body_room::BodyRoom;
use crate::circuit::Circuits;
use crate::config::{Config, FLOOD_GUARD};
use crate::freshness::Epochs;
use crate::memory::AnswerMemory;
use crate::models::show_models;
use crate::pass_on::pass_on;
use crate::quota::{Holdings, REPORTS_MAX, Reports, charge, flood_guard, show_usage};
use crate::respond::refusal;
use crate::route::{Method, Route};
use crate::trace::Random;
use crate::users::{Users, check_user};
use crate::visit::Visit;

/// What one isolate knows, from its first request to its last.
struct Edge {
    config: Config,
    /// Whether the platform's own rate limit is bound.
    has_flood_guard: bool,
    keys: RefCell<KeyMemory>,
    holdings: RefCell<Holdings>,
    users: Users,
    usage: RefCell<Reports>,
    managed: RefCell<Paces>,
    answers: RefCell<AnswerMemory>,
    epochs: RefCell<Epochs>,
    indexes: RefCell<Indexes>,
    tallies: RefCell<Tallies>,
    circuits: RefCell<Circuits>,
    body_room: RefCell<BodyRoom>,
}

thread_local! {
    static EDGE: OnceCell<Rc<Edge>> = const { OnceCell::new() };
    static RANDOM: Rc<Random> = Rc::new(Random::new());
}

impl Edge {
    /// The isolate's edge, set up by its first request.
    ///
    /// # Errors
    /// 500 when the configuration is not valid.
    fn of(env: &Env) -> Result<Rc<Self>, Problem> {
        if let Some(edge) = EDGE.with(|edge| edge.get().cloned()) {
            return Ok(edge);
        }
        let config = Config::parse(|name| env.var(name).ok().map(|value| value.to_string()))
            .map_err(|e| error::misconfigured(&e))?;
        let circuits = RefCell::new(Circuits::new(config.origins.len()));
        let edge = Rc::new(Self {
            config,
            has_flood_guard: env.rate_limiter(FLOOD_GUARD).is_ok(),
            keys: RefCell::new(KeyMemory::new()),
            holdings: RefCell::new(Holdings::new()),
            users: Users::new(),
            usage: RefCell::new(Reports::new(REPORTS_MAX)),
            managed: RefCell::new(Paces::new(PACES_MAX)),
            answers: RefCell::new(AnswerMemory::new()),
            epochs: RefCell::new(Epochs::new()),
            indexes: RefCell::new(Indexes::new()),
            tallies: RefCell::new(Tallies::new()),
            circuits,
            body_room: RefCell::default(),
        });
        Ok(EDGE.with(|cell| Rc::clone(cell.get_or_init(|| edge))))
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, worker::Error> {
    let random = RANDOM.with(Rc::clone);
    let visit = Rc::new(Visit::begin(request, env, context, &random));
    let response = match answer(&visit).await {
        Ok(response) => Ok(response),
        Err(problem) => refusal(&visit, &problem),
    };
    response.map_err(|cause: JsValue| worker::Error::from(cause))
}

async fn answer(visit: &Rc<Visit>) -> Result<Response, Problem> {
    let route = Route::find(&visit.path)?;
    let method = route.check_method(visit.method)?;
    if method == Method::Options {
        return pages::options(visit, &route);
    }
    match &route {
        Route::Page => pages::page(visit),
        Route::Health => pages::health(visit),
        Route::OpenApi => pages::openapi(visit),
        Route::Chat => create_chat_completion(&guarded(visit).await?, visit).await,
        Route::Usage => show_usage(&guarded(visit).await?, visit).await,
        Route::Admin(tenant, what) => manage(&guarded(visit).await?, visit, tenant, what, method).await,
        Route::Models
        | Route::Model(_)
        | Route::Corpora
        | Route::Corpus(_)
        | Route::Search(_)
        | Route::Documents(_)
        | Route::Batch(_)
        | Route::Document(..) => at_the_origin(guarded(visit).await?, visit, route, method).await,
    }
}

/// The isolate's edge, behind the flood guard. The first request that gets here names the second cache.
async fn guarded(visit: &Visit) -> Result<Rc<Edge>, Problem> {
    let edge = Edge::of(&visit.env)?;
    if data_centre::begin(|| visit.request.url(), edge.config.secret.as_bytes()) {
        visit.context.wait_until(data_centre::probe());
    }
    flood_guard(&edge, visit).await?;
    Ok(edge)
}

async fn at_the_origin(
    edge: Rc<Edge>,
    visit: &Rc<Visit>,
    route: Route,
    method: Method,
) -> Result<Response, Problem> {
    let admitted = admit(&edge, visit).await?;
    let scope = route.scope(method);
    if let Some(scope) = scope {
        admitted.check(scope, route.corpus())?;
    }
    let charge = charge(&edge, visit, &admitted, 0).await?;
    if let Some(scope) = scope {
        check_user(&edge, visit, &admitted, scope).await?;
    }
    charge.tell(visit);
    if let Route::Models | Route::Model(_) = route
        && let Some(response) = show_models(visit, &admitted, route.corpus())
    {
        charge.hit();
        return response;
    }
    visit.to_its_end(pass_on(edge, Rc::clone(visit), route, method, admitted, charge)).await
}
