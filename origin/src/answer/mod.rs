//! From a question and the passages that retrieval found to an answer with citations.
//!
//! The modules stand in the order in which a question meets them.

mod error;
pub mod follow_up;
pub mod marks;
mod words;

pub use self::error::{AnswerError, UpstreamError};
