//! The passages that carry one value: most values of a corpus are one document's, and cost no bitmap.

use std::ops::Range;

use roaring::RoaringTreemap;

/// A set of passages, grown and shrunk by whole versions.
#[derive(Debug, Clone, Default)]
pub(crate) enum PassageSet {
    #[default]
    Empty,
    /// One version's passages.
    One(Range<u64>),
    Many(Box<RoaringTreemap>),
}

impl PassageSet {
    pub(crate) fn add(&mut self, passages: &Range<u64>) {
        match self {
            Self::Empty => *self = Self::One(passages.clone()),
            // A version with the same value twice, as in `["a", "a"]`.
            Self::One(one) if one == passages => {}
            Self::One(one) => {
                let mut many = RoaringTreemap::new();
                many.insert_range(one.clone());
                many.insert_range(passages.clone());
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => {
                many.insert_range(passages.clone());
            }
        }
    }

    /// Whether the set is empty afterwards.
    pub(crate) fn remove(&mut self, passages: &Range<u64>) -> bool {
        match self {
            Self::Empty => return true,
            Self::One(one) if one == passages => *self = Self::Empty,
            Self::One(_) => {}
            Self::Many(many) => {
                many.remove_range(passages.clone());
                if many.is_empty() {
                    *self = Self::Empty;
                }
            }
        }
        matches!(self, Self::Empty)
    }

    /// Adds these passages to `set`.
    pub(crate) fn add_to(&self, set: &mut RoaringTreemap) {
        match self {
            Self::Empty => {}
            Self::One(one) => {
                set.insert_range(one.clone());
            }
            Self::Many(many) => *set |= many.as_ref(),
        }
    }
}
