//! A ledger and its isolates: what is lent, spent, settled, refused and lost. The books balance, and no limit is overshot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test stands on must be there")]

mod books;
mod keys;
mod lending;
mod refusing;
mod settling;
mod stage;
mod trouble;
