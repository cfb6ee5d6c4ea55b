//! Whether a caller has quota left: the arithmetic of limits, and of lending quota to isolates.
//!
//! One *ledger* per tenant holds the truth of every counter. Each isolate that serves the tenant holds a
//! *purse*, which draws on what the ledger lent it without asking, and reports what was spent when it asks
//! for more. What is out on lease is reserved, so lending never admits more than the limit allows.
//!
//! Nothing here does IO or knows a clock: times are milliseconds that the caller passes in. Transport,
//! storage and the request path are the edge's.

mod gcra;
mod rate;
mod tier;

mod network;
mod subject;

mod lease;

mod ledger;
mod meter;
mod rows;

mod pot;
mod purse;

mod headers;

pub use gcra::Gcra;
pub use headers::{Field, fields};
pub use lease::{Ask, AskLine, Blocked, Grant, GrantLine, IsolateId, LAPSE_MS, LEASE_MS};
pub use ledger::{Ledger, Usage};
pub use network::{InvalidAddress, NetworkPrefix};
pub use purse::{Draw, Listening, Purse, Reason, Refusal, Standing, TICKET_MS_MAX, Ticket};
pub use rate::{InvalidRate, Rate};
pub use rows::Row;
pub use subject::{CounterId, Dimension, InvalidSubject, Measure, Subject, Who};
pub use tier::{
    Allowance, CoolOff, Cost, InvalidLimits, KeyLimits, Limit, Limits, Outcome, Overrides, Price, Tier,
    Tiers, Unreachable,
};
