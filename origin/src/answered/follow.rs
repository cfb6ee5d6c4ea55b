//! Follows a corpus's changes: each step brings in doubt what it may touch, and what is in doubt is retrieved again.
//!
//! Steps come first. A long queue of doubts never holds the certified epoch back: what is in doubt is only left out of
//! what is published, the most used for the shortest time. One question is retrieved again at a time, so that
//! questions that somebody waits for are not held up.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::standing::Ranking;
use super::{Answered, Standing};
use crate::corpus::{Corpus, CorpusError, Shift};
use crate::retrieve::Basis;

/// Runs until the corpus is deleted or closed.
pub(super) async fn follow<Work>(
    standing: &Standing,
    corpus: &Corpus,
    mut shifts: Receiver<Arc<Shift>>,
    recheck: impl Fn(Arc<Answered>, Arc<Basis>) -> Work,
) where
    Work: Future<Output = Result<(), CorpusError>>,
{
    let (mut queue, mut progress) = (Vec::new(), standing.watch());
    loop {
        if queue.is_empty() {
            queue = standing.in_doubt();
        }
        tokio::select! {
            biased;
            () = corpus.stopped() => break,
            shift = shifts.recv() => match shift {
                Ok(shift) => take(standing, corpus, shift).await,
                // Seen in the next step's beginning, which is not where the last one ended.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            () = std::future::ready(()), if !queue.is_empty() => {
                if let Some((answered, basis)) = queue.pop() {
                    resolve(standing, corpus, answered, basis, &recheck).await;
                }
            }
            // An answer may have come in doubt: one that was made while the corpus changed.
            _ = progress.changed() => {}
        }
        report(standing, corpus);
    }
}

async fn resolve<Work>(
    standing: &Standing,
    corpus: &Corpus,
    answered: Arc<Answered>,
    basis: Arc<Basis>,
    recheck: &impl Fn(Arc<Answered>, Arc<Basis>) -> Work,
) where
    Work: Future<Output = Result<(), CorpusError>>,
{
    if !standing.is_in_doubt(&answered.key) {
        return;
    }
    standing.rechecked.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("perigee_answers_rechecked_total", &labels(corpus)).increment(1);
    if let Err(error) = recheck(answered, basis).await {
        tracing::warn!(corpus = %corpus.name(), %error, "an answer could not be checked again and is dropped");
    }
}

async fn take(standing: &Standing, corpus: &Corpus, shift: Arc<Shift>) {
    let (from, to, at) = (shift.from, shift.to(), shift.at);
    let certified = standing.certified();
    if to <= certified {
        return;
    }
    if from != certified {
        return standing.skip(to, at);
    }
    let rankings = standing.rankings(to);
    let asked =
        rankings.iter().map(|ranking| (ranking.audience.clone(), Arc::clone(&ranking.basis))).collect();
    let touched = match corpus.touched(shift, asked, standing.rules).await {
        Ok(touched) => touched,
        Err(error) => {
            tracing::warn!(corpus = %corpus.name(), %error, "what a change touches is not known");
            None
        }
    };
    let Some(touched) = touched else { return standing.skip(to, at) };
    let mut untouched = HashMap::with_capacity(rankings.len());
    for (Ranking { key, basis, .. }, rule) in rankings.into_iter().zip(touched) {
        match rule {
            None => {
                untouched.insert(key, basis);
            }
            Some(rule) => {
                metrics::counter!("perigee_answers_touched_total", "rule" => rule.name()).increment(1);
            }
        }
    }
    standing.advance(to, at, &untouched);
}

fn report(standing: &Standing, corpus: &Corpus) {
    let tally = standing.tally();
    let lag = corpus.epoch().get().saturating_sub(tally.certified.get());
    let labels = labels(corpus);
    metrics::gauge!("perigee_answered_questions", &labels).set(tally.answers as f64);
    metrics::gauge!("perigee_answers_in_doubt", &labels).set(tally.in_doubt as f64);
    metrics::gauge!("perigee_certified_epoch_lag", &labels).set(lag as f64);
}

fn labels(corpus: &Corpus) -> [(&'static str, String); 2] {
    [("tenant", corpus.tenant().to_string()), ("corpus", corpus.name().to_string())]
}
