//! The language Perigee's edge and origin both speak.
//!
//! Pure by rule: no IO, no clock, no randomness, no async. Time is an argument. The modules stand in the
//! order in which a question meets them.

pub mod limits;

pub mod admin;
pub mod cache_control;
pub mod caller;
pub mod id;
pub mod key;
pub mod signature;
pub mod web_origin;

pub mod admission;
pub mod token;

pub mod cache_key;
pub mod chat;
pub mod gate;
pub mod question;
pub mod region;

pub mod static_model;

pub mod answer_index;

pub mod document;
pub mod filter;
pub mod search;
pub mod tolerance;

pub mod answer;
pub mod evidence;
pub mod header;
pub mod problem;
pub mod render;

#[cfg(feature = "openapi")]
pub mod openapi;

#[cfg(feature = "testing")]
pub mod testing;
