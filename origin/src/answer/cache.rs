//! Answers kept for the next who asks, each for as long as its evidence stands.

use std::sync::Arc;
use std::time::Duration;

use moka::ops::compute::Op;
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
    /// Bytes of the question's texts, which the answered questions keep as long as this is kept: up to a megabyte where
    /// a conversation went before.
    question_bytes: usize,
}

impl AnswerCache {
    /// `gone` is told of answers that are kept no longer: too many are, or they have become too old.
    pub(super) fn new(
        bytes_max: u64,
        ttl: Duration,
        gone: impl Fn(&Identity, &Answer) + Send + Sync + 'static,
    ) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, entry: &Entry| u32::try_from(entry.weight()).unwrap_or(u32::MAX))
            .time_to_live(ttl)
            .eviction_listener(move |of, entry, cause| {
                if cause.was_evicted() {
                    gone(&of, &entry.answer);
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
        self.change(of, |there| {
            // Unless it was dropped or replaced meanwhile.
            let same = there.filter(|there| Arc::ptr_eq(&there.answer, &entry.answer));
            same.map_or(Op::Nop, |there| Op::Put(Entry { answer: Arc::clone(&answer), ..there }))
        });
        Some(answer)
    }

    /// The answer, if what was retrieved now is what it rests on: brought up to this epoch and to where the
    /// passages stand now. One that rests on other passages is dropped. `told` is told of either while nobody else
    /// changes the answer to this question.
    pub(super) fn revalidate(
        &self,
        of: &Identity,
        grounds: &Grounds,
        told: impl FnOnce(Option<&Arc<Answer>>),
    ) -> Option<Arc<Answer>> {
        let mut stands = None;
        self.change(of, |there| {
            let Some(there) = there else {
                told(None);
                return Op::Nop;
            };
            if there.answer.epoch > grounds.epoch {
                // Somebody else has checked it against a later state than ours: then ours decides nothing.
                stands = (there.answer.evidence == grounds.evidence()).then_some(there.answer);
                return Op::Nop;
            }
            let Some(answer) = anchored(&there, grounds) else {
                told(None);
                return Op::Remove;
            };
            told(Some(&answer));
            stands = Some(Arc::clone(&answer));
            if Arc::ptr_eq(&answer, &there.answer) {
                return Op::Nop;
            }
            Op::Put(Entry { answer, starts: starts(&grounds.hits), ..there })
        });
        stands
    }

    /// Keeps an answer, unless a later one is there. If it did, what `told` answers, which is called while nobody else
    /// changes the answer to this question.
    pub(super) fn keep<T>(
        &self,
        of: Identity,
        answer: &Arc<Answer>,
        evidence: &[Hit],
        question_bytes: usize,
        told: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut kept = None;
        self.change(&of, |there| {
            if there.is_some_and(|there| there.answer.epoch > answer.epoch) {
                return Op::Nop;
            }
            kept = Some(told());
            Op::Put(Entry { answer: Arc::clone(answer), starts: starts(evidence), question_bytes })
        });
        kept
    }

    /// Drops an answer; `told` is called while nobody else changes the answer to this question.
    pub(super) fn remove(&self, of: &Identity, told: impl FnOnce()) {
        self.change(of, |_| {
            told();
            Op::Remove
        });
    }

    /// Changes the answer to one question; for each question one change after the other.
    fn change(&self, of: &Identity, change: impl FnOnce(Option<Entry>) -> Op<Entry>) {
        let there = |entry: moka::Entry<Identity, Entry>| entry.into_value();
        let _done = self.entries.entry_by_ref(of).and_compute_with(|entry| change(entry.map(there)));
    }
}

fn starts(evidence: &[Hit]) -> Arc<[usize]> {
    evidence.iter().map(|hit| hit.start).collect()
}

/// The answer with its citations where the passages stand now; `None` if its evidence does not stand.
fn anchored(entry: &Entry, grounds: &Grounds) -> Option<Arc<Answer>> {
    if entry.answer.evidence != grounds.evidence() {
        return None;
    }
    let mut answer = Answer::clone(&entry.answer);
    answer.epoch = grounds.epoch;
    for citation in &mut answer.citations {
        let index = citation.mark.checked_sub(1)?;
        move_to(citation, *entry.starts.get(index)?, grounds.hits.get(index)?)?;
    }
    let same = answer == *entry.answer;
    Some(if same { Arc::clone(&entry.answer) } else { Arc::new(answer) })
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

impl Entry {
    /// Bytes that it takes, about.
    fn weight(&self) -> usize {
        self.question_bytes + weight(&self.answer)
    }
}

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
