//! An edge's isolate, with answer indexes that take their time.

use std::collections::BTreeSet;
use std::time::Duration;

use perigee_edge::testing::{IndexReply, Isolate};
use perigee_shared::id::Epoch;

use super::{REFRESH_MS, STALENESS_MS};
use crate::answer::Answers;
use crate::answered::{Body, Published};
use crate::corpus::Corpus;

pub(super) struct LaggingEdge {
    pub(super) isolate: Isolate,
    /// What an origin, asked at the first of these times, answers at the second.
    under_way: Option<(u64, u64, Published)>,
    /// The last epoch that was written through it.
    pub(super) written: Epoch,
    /// The forms in which indexes came.
    pub(super) forms: BTreeSet<&'static str>,
}

impl LaggingEdge {
    pub(super) fn new() -> Self {
        let isolate = Isolate::new(STALENESS_MS, REFRESH_MS);
        Self { isolate, under_way: None, written: Epoch::ZERO, forms: BTreeSet::new() }
    }

    /// Asks for the index, unless it has asked; what comes, comes after `lag_ms`.
    pub(super) async fn refresh(
        &mut self,
        answers: &Answers,
        corpus: &Corpus,
        now_ms: u64,
        lag_ms: u64,
        differences: bool,
    ) {
        if self.under_way.is_none() {
            let known = self.isolate.index_etag(corpus.tenant(), corpus.name());
            let published = answers.published(corpus, known.as_deref(), differences).await;
            self.under_way = Some((now_ms, now_ms + lag_ms, published));
        }
    }

    /// Takes in the index that has arrived by now.
    pub(super) fn receive(&mut self, corpus: &Corpus, now_ms: u64) {
        let Some((sent_ms, _, published)) = self.under_way.take_if(|(_, due_ms, _)| *due_ms <= now_ms) else {
            return;
        };
        let Published { latest, age, etag, body } = published;
        // Between steps nothing changes: the snapshot is of the latest epoch.
        assert_eq!(age, Duration::ZERO);
        let (form, reply) = match body {
            Body::Same => ("same", IndexReply::Same),
            Body::Difference(bytes) => ("difference", IndexReply::Change(bytes.to_vec())),
            Body::Whole(bytes) => ("whole", IndexReply::Whole(bytes.to_vec())),
        };
        self.forms.insert(form);
        let (tenant, name) = (corpus.tenant(), corpus.name());
        assert!(self.isolate.take_index(tenant, name, reply, sent_ms), "an index that can't be read");
        assert_eq!(self.isolate.index_etag(tenant, name), Some(etag));
        self.isolate.learn(tenant, name, latest, sent_ms);
    }
}
