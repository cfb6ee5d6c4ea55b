//! The tenant's ledger: a Durable Object, one for each tenant, that holds the truth of its settings, keys and counters
//! in SQLite. The arithmetic is `shared`'s; this stores, transports and publishes.
//!
//! No request of a caller waits for it as long as its isolate holds a lease.

mod books;
mod call;
mod keys;
mod outbox;
pub(crate) mod protocol;
mod tables;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use perigee_shared::id::TenantId;
use serde::Serialize;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use self::books::{Books, Failure};
use self::protocol::{Command, Envelope};
use self::tables::Tables;
use crate::Edge;
use crate::visit::now_ms;

pub(crate) use self::books::{default_settings, limits, settings_name};
pub(crate) use self::call::{Unreachable, call};

/// One tenant's ledger.
#[durable_object(alarm)]
#[expect(missing_debug_implementations, reason = "the platform's state shows nothing")]
pub struct Ledger {
    state: State,
    env: Env,
    /// Read from the tables when the first command names the tenant; read anew after a failure.
    books: RefCell<Option<Rc<Books>>>,
    /// Whether somebody carries the outbox to the key-value store.
    publishing: Cell<bool>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, books: RefCell::new(None), publishing: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let envelope: Envelope<Command> = serde_json::from_slice(&request.bytes().await?)?;
        match self.carry_out(envelope).await {
            Ok(answer) => Response::ok(answer),
            Err(Failure::Refused(problem)) => {
                Ok(Response::ok(problem.to_problem_json())?.with_status(problem.kind.status()))
            }
            Err(Failure::Broken(error)) => {
                // What is in memory may be ahead of the tables now.
                self.books.replace(None);
                worker::console_error!("a ledger failed: {error}");
                Err(error)
            }
        }
    }

    /// Publishes what could not be published, and ends what rotations left.
    async fn alarm(&self) -> worker::Result<Response> {
        let tenant = self.state.id().name().and_then(|name| TenantId::new(name).ok());
        let Some(tenant) = tenant else { return Response::ok("") };
        let carried = async {
            let books = self.open(tenant)?;
            books.end_overlaps(now_ms() / 1_000)?;
            self.publish(&books).await
        };
        match carried.await {
            Ok(()) => Response::ok(""),
            Err(Failure::Refused(problem)) => Err(worker::Error::RustError(problem.detail)),
            Err(Failure::Broken(error)) => Err(error),
        }
    }
}

impl Ledger {
    fn open(&self, tenant: TenantId) -> Result<Rc<Books>, Failure> {
        if let Some(books) = &*self.books.borrow() {
            return Ok(Rc::clone(books));
        }
        let edge = Edge::of(&self.env)?;
        let tables = Tables::open(self.state.storage().sql())?;
        let books = Rc::new(Books::open(tenant, tables, &edge.config)?);
        self.books.replace(Some(Rc::clone(&books)));
        Ok(books)
    }

    async fn carry_out(&self, envelope: Envelope<Command>) -> Result<String, Failure> {
        let Envelope { tenant, command } = envelope;
        let books = self.open(tenant)?;
        let (now_ms, edge) = (now_ms(), Edge::of(&self.env)?);
        let now_s = now_ms / 1_000;
        match command {
            Command::Lease { ask, known } => json(&books.lease(&ask, known, now_ms)?),
            Command::Usage => json(&books.usage(now_ms)?),
            Command::Settings => json(&*books.settings.borrow()),
            Command::Keys => json(&books.keys()?),
            Command::Key { id } => json(&books.key(&id)?),
            Command::Audit { after, limit } => json(&books.audit(after, limit)?),
            Command::SetSettings { settings, by } => {
                let changed = books.set_settings(*settings, &by, now_s, &edge.config)?;
                self.published(&books, &changed).await
            }
            Command::CreateKey { id, made_as, digits, by } => {
                let created = books.create_key(id, made_as, digits, &by, now_s)?;
                self.published(&books, &created).await
            }
            Command::RotateKey { id, digits, overlap_s, by } => {
                let rotated = books.rotate_key(&id, digits, overlap_s, &by, now_s)?;
                self.published(&books, &rotated).await
            }
            Command::RevokeKey { id, by } => {
                let revoked = books.revoke_key(&id, &by, now_s)?;
                self.published(&books, &revoked).await
            }
        }
    }

    /// Answers a change after the key-value store has it too, where that can be reached. The change stands either way.
    async fn published(&self, books: &Books, answer: &impl Serialize) -> Result<String, Failure> {
        self.publish(books).await?;
        json(answer)
    }
}

fn json(answer: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer).map_err(|e| Failure::Broken(e.into()))
}
