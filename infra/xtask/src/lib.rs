//! Perigee's own tooling, shared by `cargo xtask` and the system tests: installs the tools,
//! builds the worker, and runs the two halves as child processes that never outlive their owner.
//!
//! It knows how to build and start the product and nothing of what the product does.
#![expect(clippy::print_stderr, reason = "a command line: telling people what happens is its job")]

pub mod credentials;
pub mod edge;
pub mod http;
pub mod origin;
pub mod part;
pub mod process;
pub mod service;
pub mod steps;
pub mod tools;
pub mod worker;
pub mod workerd;
pub mod workspace;
