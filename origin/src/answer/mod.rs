//! From a question and the passages that retrieval found to an answer with citations.
//!
//! The modules stand in the order in which a question meets them: the front, its way, the answers kept, what to
//! retrieve with, the evidence, what others were told, the generation that all who ask the same share, and two
//! generators.

mod adopt;
mod answers;
mod asked;
mod error;
mod options;
mod stamp;
mod words;

mod way;

mod cache;
pub mod follow_up;
mod keep;

mod evidence;

pub mod explain;
mod lesson;
mod reuse;
mod verifier;
mod wording;

mod board;
mod flight;

mod generate;

mod compose;
mod extractive;
mod sentence;

mod dictate;
mod prompt;
mod upstream;

mod cite;
pub mod marks;

mod publish;

mod rehearse;

pub use self::adopt::{IndexSize, Standings};
pub use self::answers::{Answers, Reply, RestingAnswer};
pub use self::error::{AnswerError, UpstreamError};
pub use self::flight::{AnswerEvent, AnswerStream};
pub use self::options::{AnswerOptions, WhenUpstreamFails};
pub(crate) use self::rehearse::{rehearse, search_of};
pub use self::stamp::Stamp;
pub use self::upstream::{InvalidUpstream, TokenLimit, Upstream, UpstreamOptions};
pub use self::verifier::{Verifier, VerifierOptions};

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
