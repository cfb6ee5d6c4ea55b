//! Whether a request may run under its tenant's limits, and what it cost in the end.
//!
//! The isolate draws from what it holds on lease without waiting for anybody. Only where it holds nothing, a request waits
//! for the tenant's ledger; everything else is asked for in the background.

mod charge;
mod flood;
mod holding;
mod keeper;
mod usage;

pub(crate) use self::charge::{Charge, charge, holding_of};
pub(crate) use self::flood::flood_guard;
pub(crate) use self::holding::Holdings;
pub(crate) use self::usage::{REPORTS_MAX, Reports, report, show_usage};
