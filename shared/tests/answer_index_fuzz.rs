//! The snapshot reader's fuzz target: snapshots and changes that are damaged and then sealed again, so that the checksum
//! lets the damage through. Runs briefly with the other tests;
//! `PROPTEST_CASES=1000000 cargo test --release -p perigee-shared --test answer_index_fuzz` runs it for long.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use perigee_shared::answer_index::{AnswerMark, ENTRY_BYTES, Entry, Header, Snapshot};
use perigee_shared::cache_key::{CacheKey, ContextTag};
use perigee_shared::gate::{SIGNATURE_BYTES, Signature};
use perigee_shared::id::{Epoch, Similarity};
use perigee_shared::static_model::{ModelId, StaticVector};
use proptest::prelude::*;

fn snapshot(keys: &[u8], epoch: u64) -> Snapshot {
    let header = Header {
        model: ModelId::from_bytes([1; 8]),
        gate_version: 1,
        epoch: Epoch::new(epoch),
        threshold: Some(Similarity::new(0.5)),
    };
    let entry = |key: &u8| Entry {
        key: CacheKey::from_bytes([*key; 32]),
        context: ContextTag::from_bytes([key & 1; 4]),
        vector: StaticVector::from_bytes(&[*key; 64]),
        signature: [*key; SIGNATURE_BYTES],
        mark: AnswerMark::from_bytes([*key; 4]),
    };
    Snapshot::new(header, keys.iter().map(entry))
}

/// One thing that goes wrong with bytes.
#[derive(Debug, Clone)]
enum Damage {
    Byte(prop::sample::Index, u8),
    /// A count, an offset, a float: four bytes at once, of the kind that breaks arithmetic.
    Word(prop::sample::Index, u32),
    Cut(prop::sample::Index),
    Twice(prop::sample::Index, prop::sample::Index),
    Append(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let word = prop_oneof![
        Just(0),
        Just(1),
        Just(u32::MAX),
        Just(1 << 31),
        Just(1 << 25),
        0..70_000_u32,
        any::<u32>()
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (at(), word).prop_map(|(at, word)| Damage::Word(at, word)),
        at().prop_map(Damage::Cut),
        (at(), at()).prop_map(|(from, to)| Damage::Twice(from, to)),
        proptest::collection::vec(any::<u8>(), 1..200).prop_map(Damage::Append),
    ]
}

fn damaged(bytes: &[u8], damages: &[Damage], sealed: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        if bytes.len() < 8 {
            break;
        }
        match damage {
            Damage::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Word(at, word) => {
                // Where fields begin.
                let at = at.index(bytes.len() / 4) * 4;
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Twice(from, to) => {
                let (a, b) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[a.min(b)..a.max(b)].to_vec();
                bytes.splice(b..b, part);
            }
            Damage::Append(more) => bytes.extend(more),
        }
    }
    if sealed && let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
        *checksum = crc32fast::hash(body).to_le_bytes();
    }
    bytes
}

/// Everything that an edge does with a snapshot that was read.
fn use_it(snapshot: &Snapshot) {
    assert_eq!(&Snapshot::parse(snapshot.as_bytes().to_vec()).unwrap(), snapshot);
    assert_eq!(snapshot.as_bytes().len(), 36 + snapshot.len() * ENTRY_BYTES);
    assert_eq!(snapshot.entries().count(), snapshot.len());
    let asked = StaticVector::from_bytes(&[3; 64]);
    for entry in snapshot.entries() {
        assert!(snapshot.covers(&entry.key, entry.mark));
        assert!(snapshot.scan(&asked, entry.context, Similarity::new(-1.0), 4).len() <= 4);
        if let Ok(signature) = Signature::from_bytes(entry.signature) {
            let _any_verdict = signature.compare(&signature);
        }
    }
    let empty = Snapshot::new(*snapshot.header(), []);
    assert_eq!(&empty.apply(&snapshot.delta_from(&empty)).unwrap(), snapshot);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_048, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_refused_or_read_without_harm(
        old in proptest::collection::vec(any::<u8>(), 0..12),
        new in proptest::collection::vec(any::<u8>(), 0..12),
        damages in proptest::collection::vec(damage(), 1..6),
        sealed in any::<bool>(),
    ) {
        let (old, new) = (snapshot(&old, 1), snapshot(&new, 2));
        if let Ok(read) = Snapshot::parse(damaged(new.as_bytes(), &damages, sealed)) {
            use_it(&read);
        }
        if let Ok(later) = old.apply(&damaged(&new.delta_from(&old), &damages, sealed)) {
            use_it(&later);
        }
    }
}
