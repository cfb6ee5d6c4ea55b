//! An edge as far as freshness goes: answers that it keeps, and snapshots that it gets now and then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::{AnswerMark, Snapshot};
use perigee_shared::cache_key::CacheKey;
use perigee_shared::id::Epoch;

use super::STALENESS_STEPS;
use crate::answered::{Body, Published, Standing};
use crate::corpus::Corpus;

#[derive(Default)]
pub(super) struct ModelEdge {
    kept: HashMap<CacheKey, (Arc<Answer>, usize)>,
    /// With the step at which it was got.
    snapshot: Option<(Snapshot, usize)>,
}

impl ModelEdge {
    /// What the edge serves by itself: an answer that was the latest when it was got, a moment ago, or that a snapshot
    /// certifies. With the epoch that it is served for.
    pub(super) fn serve(&self, key: &CacheKey, now: usize) -> Option<(Arc<Answer>, Epoch)> {
        let (answer, got) = self.kept.get(key)?;
        let (snapshot, seen) = self.snapshot.as_ref()?;
        let epoch = snapshot.header().epoch;
        if now - seen < STALENESS_STEPS && snapshot.covers(key, AnswerMark::of(answer)) {
            return Some((Arc::clone(answer), epoch));
        }
        // Without a certificate only what is as new as all that is known.
        let newest = answer.epoch >= epoch && now - got < STALENESS_STEPS;
        newest.then(|| (Arc::clone(answer), answer.epoch))
    }

    pub(super) fn keep(&mut self, key: CacheKey, answer: Arc<Answer>, now: usize) {
        if answer.may_be_stored() {
            self.kept.insert(key, (answer, now));
        }
    }

    pub(super) async fn refresh(
        &mut self,
        standing: &Standing,
        corpus: &Corpus,
        now: usize,
        differences: bool,
    ) {
        let known = self.snapshot.as_ref().map(|(snapshot, _)| snapshot.etag());
        let Published { latest, age, etag, body } =
            standing.publish(corpus, known.as_deref(), differences, None).await;
        let snapshot = match (body, self.snapshot.take()) {
            (Body::Same, Some((snapshot, _))) => snapshot,
            (Body::Difference(bytes), Some((snapshot, _))) => snapshot.apply(&bytes).unwrap(),
            (Body::Whole(bytes), _) => Snapshot::parse(bytes.to_vec()).unwrap(),
            (Body::Same | Body::Difference(_), None) => panic!("a difference from nothing"),
        };
        assert_eq!(snapshot.etag(), etag);
        // Between steps nothing changes: the snapshot is of the latest epoch.
        assert_eq!((snapshot.header().epoch, age), (latest, Duration::ZERO));
        self.snapshot = Some((snapshot, now));
    }
}
