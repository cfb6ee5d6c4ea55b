//! How often this isolate gave which answer since an origin was last told. Bounded: what finds no room is not counted.

use std::collections::BTreeMap;

use perigee_shared::answer_index::{AnswerMark, Uses};
use quick_cache::unsync::Cache;

use crate::freshness::{Place, PlaceRef};

/// Corpora whose uses are counted.
const CORPORA_MAX: usize = 256;

/// Answers of one corpus that are counted between two reports; a report names the most used of them.
const ANSWERS_MAX: usize = 1_024;

/// Uses of answers, by corpus: a report about one tenant's never tells of another's.
pub(crate) struct Tallies {
    corpora: Cache<Place, BTreeMap<AnswerMark, u32>>,
}

impl Tallies {
    pub(crate) fn new() -> Self {
        Self { corpora: Cache::new(CORPORA_MAX) }
    }

    /// An answer was given once more.
    pub(crate) fn count(&mut self, place: PlaceRef<'_>, mark: AnswerMark) {
        let Some(mut counts) = self.corpora.get_mut(&place) else {
            self.corpora.insert(place.owned(), BTreeMap::from([(mark, 1)]));
            return;
        };
        if let Some(count) = counts.get_mut(&mark) {
            *count = count.saturating_add(1);
        } else if counts.len() < ANSWERS_MAX {
            counts.insert(mark, 1);
        }
    }

    /// What to tell an origin now. It counts as told, whether it arrives or not.
    pub(crate) fn take(&mut self, place: PlaceRef<'_>) -> Uses {
        self.corpora.get_mut(&place).map(|mut counts| Uses::take_from(&mut counts)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_shared::id::{CorpusName, TenantId};

    fn place(tenant: &str) -> Place {
        Place { tenant: TenantId::new(tenant).unwrap(), corpus: CorpusName::new("docs").unwrap() }
    }

    fn mark(number: u32) -> AnswerMark {
        AnswerMark::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn uses_are_told_once_and_to_nobody_but_their_tenant() {
        let (mut tallies, ours, theirs) = (Tallies::new(), place("acme"), place("globex"));
        for number in [1, 1, 1, 2] {
            tallies.count(ours.borrowed(), mark(number));
        }
        tallies.count(theirs.borrowed(), mark(1));
        let told = tallies.take(ours.borrowed());
        assert_eq!((told.of_answer(mark(1)), told.of_answer(mark(2)), told.total()), (3, 1, 4));
        assert!(tallies.take(ours.borrowed()).is_empty());
        assert_eq!(tallies.take(theirs.borrowed()).total(), 1);
    }

    #[test]
    fn counting_takes_bounded_memory() {
        let (mut tallies, docs) = (Tallies::new(), place("acme"));
        for number in 0..5_000 {
            tallies.count(docs.borrowed(), mark(number));
            tallies.count(place(&format!("t{number}")).borrowed(), mark(number));
        }
        assert!(tallies.corpora.len() <= CORPORA_MAX);
        let reports = std::iter::repeat_with(|| tallies.take(docs.borrowed()));
        let told: u64 = reports.take_while(|uses| !uses.is_empty()).map(|uses| uses.total()).sum();
        assert!(told <= ANSWERS_MAX as u64, "{told}");
    }
}
