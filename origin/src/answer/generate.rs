//! Writes one answer: the upstream's, or sentences of the documents where there is none or it fails, or a refusal where
//! the documents do not answer.

use perigee_shared::answer::{Answer, Finish, Generator, Usage};
use perigee_shared::question::Question;
use tokio::time::Instant;

use super::compose::{Written, asked_tokens, tokens};
use super::error::AnswerError;
use super::evidence::Grounds;
use super::flight::{Label, Pilot};
use super::options::WhenUpstreamFails;
use super::stamp::Stamp;
use super::way::Shared;
use super::{dictate, extractive};

/// What is said instead of a guess.
pub(super) const REFUSAL: &str = "The documents do not answer this question. Other words may find more, or the answer is \
                                  not in this corpus.";

impl Shared {
    pub(super) async fn write(
        &self,
        pilot: Pilot,
        question: &Question,
        query: &str,
        grounds: &Grounds,
    ) -> Result<Answer, AnswerError> {
        let generator = match &self.upstream {
            None => {
                pilot.begin();
                Generator::Extractive
            }
            Some(upstream) => {
                let tokenizer = self.embedder.tokenizer();
                match dictate::write(upstream, &pilot, question, &grounds.hits, &tokenizer).await {
                    Ok(written) => {
                        return Ok(finish(pilot.label().clone(), grounds, written, Generator::Upstream));
                    }
                    Err(AnswerError::Upstream(_)) if self.substitutes() && pilot.is_silent() => {
                        Generator::Substitute
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let begun = Instant::now();
        let written = extractive::write(question, query, &grounds.hits, &self.embedder).await?;
        metrics::histogram!("perigee_stage_duration_seconds", "stage" => "generate").record(begun.elapsed());
        if written.text.is_empty() && written.finish == Finish::Stop {
            // Passages of nothing but markup: there is no sentence to show.
            return Ok(self.refusal(question, pilot.label().clone(), grounds));
        }
        Ok(finish(pilot.label().clone(), grounds, written, generator))
    }

    fn substitutes(&self) -> bool {
        match self.when_upstream_fails {
            WhenUpstreamFails::Substitute => true,
            WhenUpstreamFails::Refuse => false,
        }
    }

    pub(super) fn refusal(&self, question: &Question, label: Label, grounds: &Grounds) -> Answer {
        let tokenizer = self.embedder.tokenizer();
        let completion_tokens = u32::try_from(tokens(REFUSAL, &tokenizer)).unwrap_or(u32::MAX);
        let prompt_tokens = asked_tokens(question, &tokenizer);
        let written = Written {
            text: REFUSAL.to_owned(),
            citations: Vec::new(),
            finish: Finish::Stop,
            usage: Usage { prompt_tokens, completion_tokens },
        };
        finish(label, grounds, written, Generator::Refusal)
    }
}

/// The answer of what was written.
pub(super) fn finish(label: Label, grounds: &Grounds, written: Written, generator: Generator) -> Answer {
    let Label { stamp: Stamp { id, created_s }, corpus, epoch } = label;
    let Written { text, citations, finish, usage } = written;
    let evidence = grounds.evidence();
    Answer { id, created_s, corpus, text, citations, evidence, epoch, finish, usage, generator }
}
