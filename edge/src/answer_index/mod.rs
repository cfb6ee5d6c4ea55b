//! The answer indexes of the corpora that this isolate was asked about: what certifies that an answer still stands, and
//! where other wordings of a question are looked for. Bounded by bytes; what is forgotten is fetched again.

mod fetch;
mod tallies;
mod wording;

use std::rc::Rc;

use perigee_shared::answer_index::{InvalidIndex, Snapshot};
use perigee_shared::cache_key::CacheKey;
use perigee_shared::gate::GATE_VERSION;
use perigee_shared::static_model::StaticModel;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::freshness::{Place, PlaceRef, Sighting};
use crate::memory::Kept;

pub(crate) use self::fetch::{ACCEPT, keep, take_from_data_centre};
pub(crate) use self::tallies::Tallies;
pub(crate) use self::wording::{Considered, answers_to_other_words, consider};

/// Twelve indexes of 10,000 answers, or many more small ones; an isolate has 128 MB.
const BYTES_MAX: u64 = 16 << 20;

/// About `BYTES_MAX` by what an index of a few hundred answers weighs.
const INDEXES_ESTIMATE: usize = 256;

/// A snapshot, and when its epoch was the latest one.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) seen_ms: u64,
}

impl Index {
    pub(crate) fn sighting(&self) -> Sighting {
        Sighting { epoch: self.snapshot.header().epoch, seen_ms: self.seen_ms }
    }

    /// The sighting under which an answer still stands, if it is the very one that is listed.
    pub(crate) fn certify(&self, key: &CacheKey, kept: &Kept) -> Option<Sighting> {
        self.snapshot.covers(key, kept.mark()).then(|| self.sighting())
    }
}

/// Why wordings are not looked for in a snapshot, or a snapshot is not used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Its vectors are another table's. It still certifies.
    OtherModel,
    /// Its signatures are those of another release of the gate. It still certifies.
    OtherGate,
    /// Another format version, damaged, or a change of something else. Nothing of it is used.
    Unreadable,
}

impl Unusable {
    /// Whether wordings can be looked for in a snapshot with this header.
    pub(crate) fn wordings_of(snapshot: &Snapshot) -> Option<Self> {
        let header = snapshot.header();
        if header.model != StaticModel::bundled().id() {
            Some(Self::OtherModel)
        } else if header.gate_version != u16::from(GATE_VERSION) {
            Some(Self::OtherGate)
        } else {
            None
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::OtherModel => "its vectors are another model's; other wordings are not looked for in it",
            Self::OtherGate => "its signatures are another gate's; other wordings are not looked for in it",
            Self::Unreadable => "it can't be read",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<Place, Index> for Weigh {
    fn weight(&self, _: &Place, index: &Index) -> u64 {
        256 + index.snapshot.memory_bytes() as u64
    }
}

/// The indexes that this isolate holds.
pub(crate) struct Indexes {
    indexes: Cache<Place, Index, Weigh>,
    /// Snapshots that were not used, or only half, since the isolate started.
    unusable: u64,
}

impl Indexes {
    pub(crate) fn new() -> Self {
        Self { indexes: Cache::with_weighter(INDEXES_ESTIMATE, BYTES_MAX, Weigh), unusable: 0 }
    }

    pub(crate) fn of(&self, place: PlaceRef<'_>) -> Option<Index> {
        self.indexes.get(&place).cloned()
    }

    /// Keeps an index, unless the one that is there was the latest at a later time.
    pub(crate) fn put(&mut self, place: PlaceRef<'_>, index: Index) {
        if self.indexes.peek(&place).is_none_or(|there| there.seen_ms <= index.seen_ms) {
            self.indexes.insert(place.owned(), index);
        }
    }

    pub(crate) fn forget(&mut self, place: PlaceRef<'_>) {
        self.indexes.remove(&place);
    }

    /// Keeps what was read, if only as a certificate. What can't be read ends what is held, too: a change that doesn't
    /// fit would come again and again; the whole of it will fit.
    pub(crate) fn receive(
        &mut self,
        place: PlaceRef<'_>,
        read: Result<Snapshot, InvalidIndex>,
        seen_ms: u64,
    ) -> Received {
        let (snapshot, why) = match read {
            Ok(snapshot) => {
                let why = Unusable::wordings_of(&snapshot);
                (Some(Rc::new(snapshot)), why)
            }
            Err(_) => (None, Some(Unusable::Unreadable)),
        };
        match &snapshot {
            Some(snapshot) => self.put(place, Index { snapshot: Rc::clone(snapshot), seen_ms }),
            None => self.forget(place),
        }
        let unusable = why.map(|why| {
            self.unusable += 1;
            (why, self.unusable)
        });
        Received { snapshot, unusable }
    }
}

/// What came of a snapshot that was read.
pub(crate) struct Received {
    /// `None`: nothing of it is used.
    pub(crate) snapshot: Option<Rc<Snapshot>>,
    /// Why it is not used, or only half, and how many such there were since the isolate started.
    pub(crate) unusable: Option<(Unusable, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_shared::answer_index::{Entry, Header};
    use perigee_shared::cache_key::ContextTag;
    use perigee_shared::id::{CorpusName, TenantId};
    use perigee_shared::testing::{index_entry, index_header};

    fn index(entries: u16, seen_ms: u64) -> Index {
        let like = index_entry(CacheKey::from_bytes([0; 32]), "How?", ContextTag::from_bytes([0; 4]));
        let entry = |number: u16| {
            let mut entry: Entry = like;
            entry.key = CacheKey::from_bytes(std::array::from_fn(|at| number.to_be_bytes()[at % 2]));
            entry
        };
        Index { snapshot: Rc::new(Snapshot::new(index_header(1), (0..entries).map(entry))), seen_ms }
    }

    fn place(corpus: &str) -> Place {
        Place { tenant: TenantId::new("acme").unwrap(), corpus: CorpusName::new(corpus).unwrap() }
    }

    #[test]
    fn many_corpora_share_a_bounded_memory() {
        let mut indexes = Indexes::new();
        for number in 0..40 {
            indexes.put(place(&format!("docs{number}")).borrowed(), index(10_000, 1));
        }
        assert!(indexes.indexes.weight() <= BYTES_MAX);
        assert!(indexes.indexes.len() >= 10, "{}", indexes.indexes.len());
    }

    #[test]
    fn what_was_the_latest_at_an_earlier_time_replaces_nothing() {
        let (mut indexes, place) = (Indexes::new(), place("docs"));
        let seen = |indexes: &Indexes| indexes.of(place.borrowed()).map(|index| index.seen_ms);
        indexes.put(place.borrowed(), index(1, 5));
        indexes.put(place.borrowed(), index(2, 4));
        assert_eq!(seen(&indexes), Some(5));
        indexes.put(place.borrowed(), index(2, 6));
        assert_eq!(seen(&indexes), Some(6));
        indexes.forget(place.borrowed());
        assert_eq!(seen(&indexes), None);
    }

    #[test]
    fn wordings_are_not_looked_for_where_another_model_or_gate_made_the_entries() {
        let header = *index(0, 0).snapshot.header();
        let of = |header| Unusable::wordings_of(&Snapshot::new(header, []));
        assert_eq!(of(header), None);
        let id = perigee_shared::static_model::ModelId::from_bytes([0; 8]);
        assert_eq!(of(Header { model: id, ..header }), Some(Unusable::OtherModel));
        assert_eq!(of(Header { gate_version: 999, ..header }), Some(Unusable::OtherGate));
    }
}
