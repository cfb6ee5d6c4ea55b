//! Perigee's regional origin: corpus, retrieval, generation, HTTP and the command line.
//!
//! The modules stand in the order in which a question meets them.

pub mod cli;
pub mod config;
pub mod telemetry;

pub mod http;

pub mod answer;
mod answered;
pub mod corpus;
pub mod embed;
pub mod eval;
pub mod extract;
pub mod paraphrase;
pub mod retrieve;
pub mod split;
