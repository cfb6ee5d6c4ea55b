//! Another question's answer, where that is sure enough and its evidence stands.

use perigee_shared::answer::Answer;
use perigee_shared::gate::Reading;
use perigee_shared::search::Search;
use std::sync::Arc;

use super::asked::Asked;
use super::evidence::{Grounds, search};
use super::flight::Identity;
use super::lesson::Lesson;
use super::way::Shared;
use super::wording::{Considered, Wording, support_of};
use super::{AnswerError, keep, stamp};
use crate::paraphrase::{CANDIDATES_MAX, Decision, Mode, Terms};
use crate::retrieve::Retrieved;

/// What came of looking for an answer among others' answers.
pub(super) enum Found {
    /// An answer that stands at the epoch of the question's own retrieval.
    Answer(Arc<Answer>, Lesson),
    /// None; what can be learnt once there is a fresh one.
    Nothing(Option<Lesson>),
}

impl Shared {
    /// The answered questions nearest to the one asked, with what is thought of each: what may be reused first, and the
    /// surest first.
    pub(super) fn consider(
        &self,
        asked: &Asked,
        wording: &Wording,
        grounds: &Grounds,
        terms: &Terms,
    ) -> Vec<Considered> {
        let near = asked.standing.candidates(&wording.context, &wording.vector, CANDIDATES_MAX + 1);
        let others = near.into_iter().filter(|(answered, _)| answered.key != asked.identity.key);
        let considered = others.take(CANDIDATES_MAX).filter_map(|(answered, similarity)| {
            let answer = self.cache.get(&self.identity_of(asked, &answered))?;
            let reading = Reading::of(&answered.query);
            let judgement = wording.judge(&reading, similarity, support_of(&answer, grounds), terms);
            let decision = judgement.decide(terms.threshold());
            Some(Considered { answered, answer, similarity, judgement, decision })
        });
        let mut considered: Vec<Considered> = considered.collect();
        considered.sort_by(|a, b| {
            let surer = b.judgement.probability.get().total_cmp(&a.judgement.probability.get());
            a.decision.cmp(&b.decision).then(surer)
        });
        considered
    }

    fn identity_of(&self, asked: &Asked, answered: &crate::answered::Answered) -> Identity {
        Identity { incarnation: asked.identity.incarnation, key: answered.key }
    }

    /// Looks for an answer among those to questions in other words.
    pub(super) async fn reuse<Work>(
        &self,
        asked: &Asked,
        wording: &Wording,
        grounds: &Grounds,
        retrieve: &impl Fn(Search) -> Work,
    ) -> Found
    where
        Work: Future<Output = Result<Retrieved, AnswerError>>,
    {
        let rules = self.watches.terms(asked.identity.incarnation, asked.tolerance);
        let considered = self.consider(asked, wording, grounds, &rules.now);
        for (place, one) in considered.iter().enumerate() {
            let sure = match one.decision {
                Decision::Reuse => true,
                // Only the surest is worth a question, and only while reuse is trusted.
                Decision::Unsure => {
                    place == 0 && rules.mode != Mode::Stopped && self.verified(asked, wording, one).await
                }
                Decision::Gate | Decision::Evidence => false,
            };
            if sure && let Some(answer) = self.standing_answer(asked, one, grounds, retrieve).await {
                one.answered.used();
                return Found::Answer(answer, Lesson::check(asked, one));
            }
        }
        let open = considered.iter().find(|one| matches!(one.decision, Decision::Reuse | Decision::Unsure));
        Found::Nothing(open.map(|one| {
            let would_be = one.judgement.decide(rules.shadow.threshold()) == Decision::Reuse;
            if would_be { Lesson::check(asked, one) } else { Lesson::label(asked, one) }
        }))
    }

    /// The answer to other words, if one has just been kept that needs no further look.
    pub(super) fn landed(
        &self,
        asked: &Asked,
        wording: &Wording,
        grounds: &Grounds,
        terms: &Terms,
    ) -> Option<Arc<Answer>> {
        let considered = self.consider(asked, wording, grounds, terms);
        let sure = considered.into_iter().find(|one| one.decision == Decision::Reuse)?;
        let age_s = stamp::now_s().saturating_sub(sure.answer.created_s);
        let fits = sure.answer.epoch == grounds.epoch && asked.control.allows_reuse_at(age_s);
        fits.then_some(sure.answer)
    }

    /// The answer, if it stands at the epoch at which the question asked was retrieved, and is not too old.
    pub(super) async fn standing_answer<Work>(
        &self,
        asked: &Asked,
        one: &Considered,
        grounds: &Grounds,
        retrieve: &impl Fn(Search) -> Work,
    ) -> Option<Arc<Answer>>
    where
        Work: Future<Output = Result<Retrieved, AnswerError>>,
    {
        let age_s = stamp::now_s().saturating_sub(one.answer.created_s);
        if !asked.control.allows_reuse_at(age_s) {
            return None;
        }
        let of = self.identity_of(asked, &one.answered);
        let known = self.cache.fresh(&of, grounds.epoch, &asked.standing, asked.control, stamp::now_s());
        if let Some(answer) = known.filter(|answer| answer.epoch == grounds.epoch) {
            return Some(answer);
        }
        // Its own question is retrieved for again: does it still rest on what it rests on?
        let query = &one.answered.query;
        let found = tokio::time::timeout_at(asked.deadline, retrieve(search(query))).await.ok()?.ok()?;
        let own = Grounds::choose(query, found);
        // The corpus has moved on in between: of the question asked, nothing is known at that epoch.
        if own.epoch != grounds.epoch {
            return None;
        }
        let answer = keep::revalidate(&self.cache, &asked.standing, of, &one.answered.question, query, &own)?;
        (answer.epoch == grounds.epoch && answer.id == one.answer.id).then_some(answer)
    }
}
