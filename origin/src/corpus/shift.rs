//! What a commit tells those who keep something that rests on the corpus: what went, what came, and how the corpus looks
//! to rankings now.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use perigee_shared::caller::Audience;
use perigee_shared::id::Epoch;

use super::core::Core;
use super::error::CorpusError;
use super::rows::{self, PassageText};
use super::version::{Added, Delta};
use crate::retrieve::{Basis, ChangedPassage, Moved, NewPassage, Rule, Rules, State};

/// Shifts that wait for a listener; one that lags further behind is told that it missed some.
pub(super) const SHIFTS_MAX: usize = 16;

/// Passages of one shift that are looked at one by one. More than that change so much that all is looked at anew.
/// Tests come there sooner.
const PASSAGES_MAX: u64 = if cfg!(test) { 64 } else { 1_024 };

/// One step of the corpus from one epoch that searches saw to the next.
pub(crate) struct Shift {
    pub(crate) from: Epoch,
    /// An instant at which the epoch that it leads to was the latest.
    pub(crate) at: Instant,
    state: State,
    /// `None`: too much, or it is not known.
    change: Option<Change>,
}

struct Change {
    removed: Vec<Range<u64>>,
    gone: Vec<PassageText>,
    added: Vec<Added>,
}

impl Shift {
    pub(crate) const fn to(&self) -> Epoch {
        self.state.epoch
    }

    /// Which of the rankings may come out otherwise after this step, and why; `None` at a place: it stays as it is.
    /// Answers `None` altogether where that cannot be told. Blocking.
    ///
    /// # Errors
    /// The lexical index cannot be read.
    pub(super) fn touched(
        &self,
        core: &Core,
        rankings: &[(Audience, Arc<Basis>)],
        rules: Rules,
    ) -> Result<Option<Vec<Option<Rule>>>, CorpusError> {
        let Some(Change { removed, gone, added }) = &self.change else { return Ok(None) };
        let gone =
            gone.iter().map(|PassageText { title, headings, text }| ChangedPassage { title, headings, text });
        let came = added.iter().flat_map(|added| {
            added.document.passages.iter().map(|passage| NewPassage {
                passage: ChangedPassage {
                    title: &added.document.title,
                    headings: &passage.headings,
                    text: &passage.text,
                },
                vector: &passage.vector,
                audience: &added.document.attributes.audience,
            })
        });
        let moved = Moved::read(&core.views.lexical, &self.state, removed.clone(), gone, came, rankings)?;
        let touched = rankings.iter().map(|(audience, basis)| moved.touches(basis, audience, rules));
        Ok(Some(touched.collect()))
    }
}

impl Core {
    /// Tells what a commit did that led from `from` to what the views show now. `None`: it is not known. To be called
    /// by the writer before its next commit, which clears away what went. Blocking.
    pub(super) fn tell(&self, from: Epoch, delta: Option<Delta>) {
        if self.shifts.receiver_count() == 0 || self.views.epoch() == from {
            return;
        }
        let change = delta.and_then(|delta| self.change(delta));
        // Nobody listens any more: then nobody need know.
        let _ =
            self.shifts.send(Arc::new(Shift { from, at: Instant::now(), state: self.views.state(), change }));
    }

    fn change(&self, delta: Delta) -> Option<Change> {
        let Delta { epoch: _, removed, added } = delta;
        let removed: Vec<Range<u64>> = removed.into_iter().map(|removed| removed.passages).collect();
        let came = added.iter().map(|added| added.document.passages.len() as u64).sum::<u64>();
        let went = removed.iter().map(|range| range.end - range.start).sum::<u64>();
        if came + went > PASSAGES_MAX {
            return None;
        }
        let gone = self.database.read(|connection| {
            let mut gone = Vec::new();
            for range in &removed {
                rows::texts(connection, self.id, range.clone(), &mut gone)?;
            }
            Ok(gone)
        });
        match gone {
            Ok(gone) => Some(Change { removed, gone, added }),
            Err(error) => {
                tracing::warn!(tenant = %self.tenant, corpus = %self.name, %error, "what went cannot be read");
                None
            }
        }
    }
}
