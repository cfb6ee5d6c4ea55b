//! An answer that is made for nobody: what trials and replays of reuse compare.

use perigee_shared::answer::{Answer, Finish, Generator};
use perigee_shared::question::Question;

use super::evidence::{Grounds, search};
use super::flight::Label;
use super::generate::finish;
use super::stamp::Stamp;
use super::{AnswerError, extractive, follow_up};
use crate::embed::Embedder;
use crate::retrieve::Retrieved;
use perigee_shared::search::Search;

/// The search by which a question is answered.
#[must_use]
pub(crate) fn search_of(question: &Question) -> Search {
    search(&follow_up::query(&question.turns))
}

/// What the documents' own words answer to a question for which this was retrieved; `None` where it would be refused.
///
/// # Errors
/// A sentence cannot be embedded.
pub(crate) async fn rehearse(
    question: &Question,
    retrieved: Retrieved,
    embedder: &Embedder,
) -> Result<Option<Answer>, AnswerError> {
    let query = follow_up::query(&question.turns);
    let grounds = Grounds::choose(&query, retrieved);
    if grounds.strength.is_too_weak() {
        return Ok(None);
    }
    let written = extractive::write(question, &query, &grounds.hits, embedder).await?;
    if written.text.is_empty() || written.finish != Finish::Stop {
        return Ok(None);
    }
    // It is told from no other: nobody ever gets it.
    let stamp = Stamp { id: String::new(), created_s: 0 };
    let label = Label { stamp, corpus: question.corpus.clone(), epoch: grounds.epoch };
    Ok(Some(finish(label, &grounds, written, Generator::Extractive)))
}
