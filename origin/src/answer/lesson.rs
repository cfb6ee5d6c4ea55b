//! What a fresh answer teaches about reuse: it is compared with the answer that was, or would have been, given instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perigee_shared::answer::Answer;
use perigee_shared::id::{CorpusName, Similarity, TenantId};
use tokio::time::{Duration, Instant};

use super::asked::Asked;
use super::wording::Considered;
use crate::embed::Embedder;
use crate::paraphrase::compare::{Label, compare};
use crate::paraphrase::{Mode, Probability, Terms, Tolerance, Watch};

/// Every so many-th hit is checked against a fresh answer.
const CHECK_EVERY: u64 = 20;

/// Fresh answers that one corpus may cost for the sake of checking, in [`CHECKS_PERIOD`].
const CHECKS_MAX: u32 = 30;
const CHECKS_PERIOD: Duration = Duration::from_secs(60 * 60);

/// What each corpus's traffic has shown. Cheap to clone; forgotten at a restart, and learnt again.
#[derive(Debug, Clone, Default)]
pub(super) struct Watches {
    corpora: Arc<Mutex<HashMap<u64, Watched>>>,
}

#[derive(Debug, Default)]
struct Watched {
    watch: Watch,
    hits: u64,
    /// When the running period began, and the checks in it.
    period: Option<(Instant, u32)>,
}

/// What rules now, and what would if reuse were not stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleSet {
    pub(super) now: Terms,
    pub(super) shadow: Terms,
    pub(super) mode: Mode,
}

impl Watches {
    pub(super) fn terms(&self, incarnation: u64, set: Tolerance) -> RuleSet {
        let mut corpora = self.lock();
        let watch = &corpora.entry(incarnation).or_default().watch;
        let terms = |tolerance| Terms { tolerance, offset: watch.offset() };
        RuleSet {
            now: terms(watch.tolerance(set)),
            shadow: terms(watch.shadow_tolerance(set)),
            mode: watch.mode(),
        }
    }

    pub(super) fn request(&self, incarnation: u64) {
        self.lock().entry(incarnation).or_default().watch.request();
    }

    /// Counts a hit; whether it is one to check.
    pub(super) fn hit(&self, incarnation: u64) -> bool {
        let mut corpora = self.lock();
        let watched = corpora.entry(incarnation).or_default();
        watched.watch.hit();
        watched.hits += 1;
        watched.hits.is_multiple_of(CHECK_EVERY) && watched.may_check(Instant::now())
    }

    /// Counts what would have been a hit.
    pub(super) fn would_be_hit(&self, incarnation: u64) {
        self.lock().entry(incarnation).or_default().watch.hit();
    }

    /// As if a hit had been checked and found wrong.
    #[cfg(test)]
    pub(super) fn found_wrong(&self, incarnation: u64, set: Tolerance) {
        let mut corpora = self.lock();
        let watch = &mut corpora.entry(incarnation).or_default().watch;
        watch.request();
        watch.hit();
        watch.check(false, set);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Watched>> {
        // Nothing that runs under the lock leaves a watch half changed.
        self.corpora.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn may_check(&mut self, now: Instant) -> bool {
        let (begun, count) = match self.period {
            Some((begun, count)) if now.duration_since(begun) < CHECKS_PERIOD => (begun, count),
            Some(_) | None => (now, 0),
        };
        self.period = Some((begun, count + u32::from(count < CHECKS_MAX)));
        count < CHECKS_MAX
    }
}

/// A pair whose answers are to be compared once the asked question has a fresh one.
#[derive(Debug, Clone)]
pub(super) struct Lesson {
    incarnation: u64,
    tenant: TenantId,
    corpus: CorpusName,
    tolerance: Tolerance,
    other: Arc<Answer>,
    expected: Probability,
    /// Whether the other was given, or would have been: then an error counts as one of reuse.
    pub(super) is_check: bool,
}

impl Lesson {
    /// Of a pair that was left open.
    pub(super) fn label(asked: &Asked, one: &Considered) -> Self {
        Self {
            incarnation: asked.identity.incarnation,
            tenant: asked.question.tenant.clone(),
            corpus: asked.question.corpus.clone(),
            tolerance: asked.tolerance,
            other: Arc::clone(&one.answer),
            expected: one.judgement.probability,
            is_check: false,
        }
    }

    /// Of a pair that was reused, or would have been.
    pub(super) fn check(asked: &Asked, one: &Considered) -> Self {
        Self { is_check: true, ..Self::label(asked, one) }
    }

    /// Compares in the background.
    pub(super) fn learn(self, fresh: Arc<Answer>, watches: Watches, embedder: Embedder) {
        tokio::spawn(async move {
            let texts = vec![fresh.text.clone(), self.other.text.clone()];
            // On the bulk lane: nobody waits for it. What cannot be embedded now teaches nothing.
            let Ok(rows) = embedder.passages(texts).await else { return };
            let [a, b] = &*rows else { return };
            let similarity = Similarity::new(a.iter().zip(b).map(|(a, b)| a * b).sum());
            self.record(compare(&fresh, &self.other, similarity), &watches);
        });
    }

    fn record(&self, label: Label, watches: &Watches) {
        let same = match label {
            Label::Same => true,
            Label::Other => false,
            Label::Unclear => return,
        };
        let mut corpora = watches.lock();
        let watch = &mut corpora.entry(self.incarnation).or_default().watch;
        watch.learn(self.expected, same);
        if !self.is_check {
            return;
        }
        let changed = watch.check(same, self.tolerance);
        let (false_hits, mode) = (watch.false_hits(), watch.mode());
        drop(corpora);
        let labels = [("tenant", self.tenant.to_string()), ("corpus", self.corpus.to_string())];
        let with = |name: &'static str, value: &'static str| {
            let [tenant, corpus] = labels.clone();
            [tenant, corpus, (name, value.to_owned())]
        };
        let result = if same { "right" } else { "wrong" };
        metrics::counter!("perigee_reuse_checks_total", &with("result", result)).increment(1);
        for (bound, share) in
            [("low", false_hits.low), ("estimate", false_hits.estimate), ("high", false_hits.high)]
        {
            metrics::gauge!("perigee_reuse_false_hit_ratio", &with("bound", bound)).set(share);
        }
        for known in [Mode::Open, Mode::Tight, Mode::Stopped] {
            let is = f64::from(u8::from(known == mode));
            metrics::gauge!("perigee_reuse_mode", &with("mode", known.name())).set(is);
        }
        if let Some(mode) = changed {
            tracing::warn!(
                tenant = %self.tenant,
                corpus = %self.corpus,
                mode = mode.name(),
                tolerance = self.tolerance.share(),
                "reuse across wordings was changed by its checks"
            );
        }
    }
}
