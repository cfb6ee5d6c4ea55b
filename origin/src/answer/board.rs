//! Joins the generation that a question can share, or starts one.

use std::sync::Arc;

use perigee_shared::answer::Answer;
use perigee_shared::header::CacheOutcome;

use super::asked::Asked;
use super::evidence::Grounds;
use super::flight::{Boarding, Label, Passenger};
use super::keep::Keeping;
use super::lesson::Lesson;
use super::way::Shared;
use super::wording::{Topic, Wording};

impl Shared {
    /// Joins the generation of this question or starts it.
    pub(super) fn board(
        self: &Arc<Self>,
        asked: &Asked,
        label: Label,
        query: String,
        grounds: Grounds,
        wording: Option<Wording>,
        lesson: Option<Lesson>,
    ) -> Boarding<(Arc<Answer>, CacheOutcome)> {
        let Asked { identity, ref question, control, .. } = *asked;
        let grounds = Arc::new(grounds);
        let terms = self.watches.terms(identity.incarnation, asked.tolerance).now;
        // Whoever is checked, or would have been given another's answer, needs one of its own.
        let is_check = lesson.as_ref().is_some_and(|lesson| lesson.is_check);
        let cached = || {
            let own = self.revalidate(asked, &query, &grounds);
            let own = own.map(|answer| (answer, CacheOutcome::HitRevalidated));
            // The generation of other words may have landed since we looked.
            own.or_else(|| {
                let wording = wording.as_ref().filter(|_| !is_check)?;
                let answer = self.landed(asked, wording, &grounds, &terms)?;
                Some((answer, CacheOutcome::HitParaphrase))
            })
        };
        let topic = wording.clone().map(|wording| Topic { wording, evidence: grounds.evidence() });
        let alike = |topic: &Topic| {
            !is_check && wording.as_ref().is_some_and(|wording| wording.may_share(topic, &grounds, &terms))
        };
        let work = {
            let (generator, question, grounds) = (Arc::clone(self), question.clone(), Arc::clone(&grounds));
            let query = query.clone();
            move |pilot| async move { generator.write(pilot, &question, &query, &grounds).await }
        };
        let prepare = {
            let (cache, grounds, query) = (self.cache.clone(), Arc::clone(&grounds), query.clone());
            let (question, standing) = (question.clone(), Arc::clone(&asked.standing));
            let (watches, embedder) = (self.watches.clone(), self.embedder.clone());
            move |answer: &Arc<Answer>| {
                let keeping = Keeping::prepare(identity, &question, &query, answer, &grounds);
                let answer = Arc::clone(answer);
                move || {
                    if let Some(lesson) = lesson {
                        lesson.learn(answer, watches, embedder);
                    }
                    if let Some(keeping) = keeping {
                        keeping.keep(&cache, &standing);
                    }
                }
            }
        };
        let passenger = Passenger { of: identity, label, topic, keep: !control.no_store };
        self.flights.board(passenger, alike, cached, work, prepare)
    }
}
