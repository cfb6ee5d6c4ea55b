//! Who may read which passages.

use std::collections::HashMap;
use std::ops::Range;

use perigee_shared::caller::Audience;
use perigee_shared::id::Label;
use roaring::RoaringTreemap;

use super::passage_set::PassageSet;

/// Every published passage of a corpus, by the labels that its readers need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readers {
    unlabelled: RoaringTreemap,
    labels: HashMap<Label, PassageSet>,
}

impl Readers {
    pub(super) fn add(&mut self, passages: &Range<u64>, audience: &[Label]) {
        if audience.is_empty() {
            self.unlabelled.insert_range(passages.clone());
        }
        for label in audience {
            self.labels.entry(label.clone()).or_default().add(passages);
        }
    }

    pub(super) fn remove(&mut self, passages: &Range<u64>, audience: &[Label]) {
        self.unlabelled.remove_range(passages.clone());
        for label in audience {
            if let Some(set) = self.labels.get_mut(label)
                && set.remove(passages)
            {
                self.labels.remove(label);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.unlabelled.is_empty() && self.labels.is_empty()
    }

    /// What an audience may read. `None`: everything.
    pub(super) fn readable(&self, audience: &Audience) -> Option<RoaringTreemap> {
        match audience {
            Audience::Everything => None,
            Audience::Labels(_) if self.labels.is_empty() => None,
            Audience::Labels(held) => {
                let mut readable = self.unlabelled.clone();
                for set in held.iter().filter_map(|label| self.labels.get(label)) {
                    set.add_to(&mut readable);
                }
                Some(readable)
            }
        }
    }
}
