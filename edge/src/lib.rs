//! Perigee's edge: a worker that admits a question, serves what it safely can from cache, and forwards the
//! rest to the nearest origin. The modules stand in the order in which a question meets them.
//!
//! Nothing here may panic on input: a panic ends the isolate and everything it remembers. Everything that an
//! isolate remembers is bounded and keyed with its tenant.

mod config;
mod route;
mod trace;
mod visit;

mod admit;
mod body;

mod ask;
mod freshness;

mod data_centre;
mod memory;

mod forward;
mod refresh;

mod fill;
mod pass_on;

mod models;
mod pages;

mod error;
mod respond;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use perigee_shared::problem::Problem;
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};
use worker::{Context, Env, event};

use crate::admit::{KeyMemory, admit};
use crate::ask::create_chat_completion;
use crate::config::Config;
use crate::freshness::Epochs;
use crate::memory::AnswerMemory;
use crate::models::list_models;
use crate::pass_on::pass_on;
use crate::respond::refusal;
use crate::route::{Method, Route};
use crate::trace::Random;
use crate::visit::Visit;

/// What one isolate knows, from its first request to its last.
struct Edge {
    config: Config,
    keys: RefCell<KeyMemory>,
    answers: RefCell<AnswerMemory>,
    epochs: RefCell<Epochs>,
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
        let edge = Rc::new(Self {
            config,
            keys: RefCell::new(KeyMemory::new()),
            answers: RefCell::new(AnswerMemory::new()),
            epochs: RefCell::new(Epochs::new()),
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
        Route::Chat => create_chat_completion(&Edge::of(&visit.env)?, visit).await,
        Route::Models
        | Route::Corpora
        | Route::Corpus(_)
        | Route::Search(_)
        | Route::Documents(_)
        | Route::Batch(_)
        | Route::Document(..) => {
            let edge = Edge::of(&visit.env)?;
            let admitted = admit(&edge, visit).await?;
            if let Some(scope) = route.scope(method) {
                admitted.check(scope, route.corpus())?;
            }
            if route == Route::Models
                && let Some(response) = list_models(visit, &admitted)
            {
                return response;
            }
            visit.to_its_end(pass_on(edge, Rc::clone(visit), route, method, admitted)).await
        }
    }
}
