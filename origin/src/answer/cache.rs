//! Answers kept for the next who asks, each for as long as its evidence stands.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use perigee_shared::answer::{Answer, Citation};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::id::{DocumentId, Epoch};

use super::evidence::Grounds;
use super::flight::Identity;
use crate::answered::Standing;
use crate::retrieve::Hit;

/// What an entry costs beside its texts (estimated), here and among the answered questions: the passages of two
/// candidate lists above all.
const ENTRY_BYTES: usize = 3 << 10;

/// A bounded cache of finished answers.
#[derive(Debug, Clone)]
pub(super) struct AnswerCache {
    entries: Cache<Identity, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    answer: Arc<Answer>,
    /// Where each passage of the evidence began when the citations' offsets were made.
    starts: Arc<[usize]>,
}

impl AnswerCache {
    /// `gone` is told of answers that are kept no longer: too many are, or they have become too old.
    pub(super) fn new(
        bytes_max: u64,
        ttl: Duration,
        gone: impl Fn(&Identity) + Send + Sync + 'static,
    ) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, entry: &Entry| u32::try_from(weight(&entry.answer)).unwrap_or(u32::MAX))
            .time_to_live(ttl)
            .eviction_listener(move |of, _, cause| {
                if cause.was_evicted() {
                    gone(&of);
                }
            })
            .build();
        Self { entries }
    }

    pub(super) fn get(&self, of: &Identity) -> Option<Arc<Answer>> {
        self.entries.get(of).map(|entry| entry.answer)
    }

    /// The answers of one life of a corpus that rest on a document, and how many of that corpus are kept.
    pub(super) fn resting_on(
        &self,
        incarnation: u64,
        document: &DocumentId,
    ) -> (usize, Vec<(CacheKey, Arc<Answer>)>) {
        let mut looked_at = 0;
        let mut resting = Vec::new();
        for (of, entry) in self.entries.iter().filter(|(of, _)| of.incarnation == incarnation) {
            looked_at += 1;
            if entry.answer.evidence.passages().iter().any(|passage| passage.document == *document) {
                resting.push((of.key, entry.answer));
            }
        }
        (looked_at, resting)
    }

    /// The answer, if it is known to stand at `epoch` or later and the caller does not ask for a check.
    pub(super) fn fresh(
        &self,
        of: &Identity,
        epoch: Epoch,
        standing: &Standing,
        control: CacheControl,
        now_s: u64,
    ) -> Option<Arc<Answer>> {
        let entry = self.entries.get(of)?;
        let age_s = now_s.saturating_sub(entry.answer.created_s);
        if !control.allows_reuse_at(age_s) {
            return None;
        }
        if entry.answer.epoch >= epoch {
            return Some(entry.answer);
        }
        // Of the passages that it rests on none has moved: its citations are right as they are.
        let certified = standing.stands(&of.key, &entry.answer.evidence, epoch)?;
        let answer = Arc::new(Answer { epoch: certified, ..Answer::clone(&entry.answer) });
        self.entries.insert(*of, Entry { answer: Arc::clone(&answer), ..entry });
        Some(answer)
    }

    /// The answer, if what was retrieved now is what it rests on: brought up to this epoch and to where the
    /// passages stand now. One that rests on other passages is dropped.
    pub(super) fn revalidate(&self, of: &Identity, grounds: &Grounds) -> Option<Arc<Answer>> {
        let entry = self.entries.get(of)?;
        if entry.answer.epoch > grounds.epoch {
            // Somebody else has checked it against a later state than ours: then ours decides nothing.
            return (entry.answer.evidence == grounds.evidence()).then_some(entry.answer);
        }
        let Some(answer) = anchored(&entry, grounds) else {
            self.entries.invalidate(of);
            return None;
        };
        if answer == *entry.answer {
            return Some(entry.answer);
        }
        let answer = Arc::new(answer);
        self.entries.insert(*of, Entry { answer: Arc::clone(&answer), starts: starts(&grounds.hits) });
        Some(answer)
    }

    /// Keeps an answer, unless a later one is there; whether it did.
    pub(super) fn keep(&self, of: Identity, answer: &Arc<Answer>, evidence: &[Hit]) -> bool {
        let latest = self.entries.get(&of).is_none_or(|entry| entry.answer.epoch <= answer.epoch);
        if latest {
            self.entries.insert(of, Entry { answer: Arc::clone(answer), starts: starts(evidence) });
        }
        latest
    }
}

fn starts(evidence: &[Hit]) -> Arc<[usize]> {
    evidence.iter().map(|hit| hit.start).collect()
}

/// The answer with its citations where the passages stand now; `None` if its evidence does not stand.
fn anchored(entry: &Entry, grounds: &Grounds) -> Option<Answer> {
    if entry.answer.evidence != grounds.evidence() {
        return None;
    }
    let mut answer = Answer::clone(&entry.answer);
    answer.epoch = grounds.epoch;
    for citation in &mut answer.citations {
        let index = citation.mark.checked_sub(1)?;
        move_to(citation, *entry.starts.get(index)?, grounds.hits.get(index)?)?;
    }
    Some(answer)
}

/// Moves a citation with its passage, and makes sure that it still quotes what stands there.
fn move_to(citation: &mut Citation, passage_start: usize, hit: &Hit) -> Option<()> {
    let within = citation.start.checked_sub(passage_start)?;
    let length = citation.end.checked_sub(citation.start)?;
    if !hit.text.chars().skip(within).take(length).eq(citation.quote.chars()) {
        return None;
    }
    citation.start = hit.start + within;
    citation.end = citation.start + length;
    citation.title.clone_from(&hit.title);
    citation.url.clone_from(&hit.url);
    Some(())
}

/// Bytes that an answer takes, about.
fn weight(answer: &Answer) -> usize {
    let cited = |citation: &Citation| {
        size_of::<Citation>()
            + citation.quote.len()
            + citation.title.len()
            + citation.document.as_str().len()
            + citation.url.as_ref().map_or(0, String::len)
    };
    let evidence = answer.evidence.passages().iter().map(|passage| passage.document.as_str().len() + 64);
    ENTRY_BYTES
        + answer.text.len()
        + answer.citations.iter().map(cited).sum::<usize>()
        + evidence.sum::<usize>()
}
