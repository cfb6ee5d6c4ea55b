//! What the system tests stand on: a real origin, a real worker in workerd, and a scripted upstream.

pub mod client;
pub mod stage;
pub mod upstream;
