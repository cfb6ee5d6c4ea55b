//! What the system tests stand on: a real origin, a real worker in workerd, a scripted upstream and a scripted issuer.

pub mod client;
pub mod issuer;
pub mod stage;
pub mod upstream;
