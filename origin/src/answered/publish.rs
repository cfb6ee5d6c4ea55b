//! What edges are told: the most used answers that stand, as one snapshot, and as the difference from one before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use perigee_shared::answer_index::{AnswerMark, Entry, Header, Snapshot};
use perigee_shared::gate::GATE_VERSION;
use perigee_shared::id::{Epoch, Similarity};
use perigee_shared::static_model::{StaticModel, StaticVector};

use super::standing::Listed;
use super::{Answered, Standing};
use crate::corpus::Corpus;

/// Answers that are published: 1.3 MB, which an edge scans in a fraction of a millisecond.
const ENTRIES_MAX: usize = 10_000;

/// Snapshots that a difference can be told from. Edges ask every second or two.
const SNAPSHOTS_MAX: usize = 8;

/// How long a request waits for the corpus's last change to be followed through.
const PATIENCE: Duration = Duration::from_millis(250);

/// The snapshots made last, the newest at the end.
#[derive(Debug, Default)]
pub(crate) struct Publication {
    snapshots: VecDeque<Arc<Snapshot>>,
    /// The standing's version and the threshold that the newest one is of.
    made_of: Option<(u64, Option<Similarity>)>,
}

/// A snapshot for one who may have an earlier one.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The corpus's latest epoch.
    pub(crate) latest: Epoch,
    /// So long ago the snapshot's own epoch was the latest one.
    pub(crate) age: Duration,
    pub(crate) etag: String,
    pub(crate) body: Body,
}

/// What the one who asks needs.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Nothing: it has this snapshot.
    Same,
    Difference(Bytes),
    Whole(Bytes),
}

impl Body {
    /// Bytes of it.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Same => 0,
            Self::Difference(bytes) | Self::Whole(bytes) => bytes.len(),
        }
    }

    const fn form(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Difference(_) => "difference",
            Self::Whole(_) => "whole",
        }
    }
}

impl Standing {
    /// Publishes the answers that stand. `known` is the snapshot that the one who asks has, if any; `differences`
    /// whether it can read what changed since; `threshold` is how near a stored question must be for its answer to be
    /// served to other words, `None` if none may be.
    pub(crate) async fn publish(
        &self,
        corpus: &Corpus,
        known: Option<&str>,
        differences: bool,
        threshold: Option<Similarity>,
    ) -> Published {
        self.settled(corpus.epoch(), PATIENCE).await;
        let now = Instant::now();
        let latest = corpus.epoch();
        let mut publication = self.publication.lock().await;
        let latest_at = publication.renew(self, threshold, latest, now);
        let (snapshot, base) = publication.newest_and(known);
        drop(publication);
        let etag = snapshot.etag();
        let body = match base {
            Some(base) if base.etag() == etag => Body::Same,
            Some(base) if differences => {
                let difference = snapshot.delta_from(&base);
                // Where nearly all has changed, the difference is no smaller.
                if difference.len() < snapshot.as_bytes().len() {
                    Body::Difference(difference.into())
                } else {
                    Body::Whole(Bytes::copy_from_slice(snapshot.as_bytes()))
                }
            }
            Some(_) | None => Body::Whole(Bytes::copy_from_slice(snapshot.as_bytes())),
        };
        metrics::counter!("perigee_answer_index_bytes_total", "form" => body.form())
            .increment(body.len() as u64);
        metrics::counter!("perigee_answer_index_requests_total", "form" => body.form()).increment(1);
        Published { latest, age: now.saturating_duration_since(latest_at), etag, body }
    }
}

impl Publication {
    /// Makes a snapshot if something has changed; answers an instant at which its epoch was the latest.
    fn renew(
        &mut self,
        standing: &Standing,
        threshold: Option<Similarity>,
        latest: Epoch,
        now: Instant,
    ) -> Instant {
        let listed = standing.listed(latest, now);
        let latest_at = listed.latest_at;
        let made_of = Some((listed.version, threshold));
        if self.made_of != made_of {
            self.made_of = made_of;
            let snapshot = snapshot(listed, threshold);
            metrics::histogram!("perigee_answer_index_build_seconds").record(now.elapsed());
            self.snapshots.push_back(Arc::new(snapshot));
            if self.snapshots.len() > SNAPSHOTS_MAX {
                self.snapshots.pop_front();
            }
        }
        latest_at
    }

    /// The newest snapshot, and the one of the name that somebody has.
    fn newest_and(&self, known: Option<&str>) -> (Arc<Snapshot>, Option<Arc<Snapshot>>) {
        let base = known.and_then(|etag| self.snapshots.iter().find(|snapshot| snapshot.etag() == etag));
        let newest = self.snapshots.back().cloned();
        (
            newest.unwrap_or_else(|| Arc::new(snapshot_of(Epoch::ZERO, None, std::iter::empty()))),
            base.cloned(),
        )
    }
}

fn snapshot(listed: Listed, threshold: Option<Similarity>) -> Snapshot {
    let Listed { certified, mut answers, .. } = listed;
    if answers.len() > ENTRIES_MAX {
        let most_used_first =
            |a: &(Arc<Answered>, AnswerMark), b: &(Arc<Answered>, AnswerMark)| b.0.uses().cmp(&a.0.uses());
        answers.select_nth_unstable_by(ENTRIES_MAX, most_used_first);
        answers.truncate(ENTRIES_MAX);
    }
    snapshot_of(certified, threshold, answers.iter().map(|(answered, mark)| entry(answered, *mark)))
}

fn snapshot_of(
    epoch: Epoch,
    threshold: Option<Similarity>,
    entries: impl Iterator<Item = Entry>,
) -> Snapshot {
    let header = Header {
        model: StaticModel::bundled().id(),
        gate_version: u16::from(GATE_VERSION),
        epoch,
        threshold,
    };
    Snapshot::new(header, entries)
}

fn entry(answered: &Answered, mark: AnswerMark) -> Entry {
    Entry {
        key: answered.key,
        context: answered.context.tag(),
        // A vector of zeros is like nothing: such an entry only says that the answer stands.
        vector: answered.static_vector.unwrap_or_else(|| StaticVector::from_bytes(&[0; 64])),
        signature: answered.signature.to_bytes(),
        mark,
    }
}
