//! The answer index: what is written is what is read, what changed is enough to follow, and bytes from elsewhere do no harm.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use perigee_shared::answer::{Answer, Citation, Finish, Generator, Usage};
use perigee_shared::answer_index::{AnswerMark, ENTRY_BYTES, Entry, Header, InvalidIndex, Snapshot, Uses};
use perigee_shared::cache_key::{CacheKey, ContextTag};
use perigee_shared::evidence::Evidence;
use perigee_shared::gate::SIGNATURE_BYTES;
use perigee_shared::id::{CorpusName, DocumentId, Epoch, Similarity};
use perigee_shared::limits::ANSWER_INDEX_ENTRIES_MAX;
use perigee_shared::static_model::{DIMENSIONS, ModelId, StaticVector};
use proptest::prelude::*;

fn header() -> impl Strategy<Value = Header> {
    (any::<[u8; 8]>(), any::<u16>(), any::<u64>(), prop::option::of(-1.0..=1.0_f32)).prop_map(
        |(model, gate_version, epoch, threshold)| Header {
            model: ModelId::from_bytes(model),
            gate_version,
            epoch: Epoch::new(epoch),
            threshold: threshold.map(Similarity::new),
        },
    )
}

/// Few keys and contexts, so that snapshots share some.
fn entry() -> impl Strategy<Value = Entry> {
    (0..24_u8, 0..2_u8, any::<[[i8; 8]; 8]>(), any::<[u8; SIGNATURE_BYTES]>(), 0..3_u8).prop_map(
        |(key, context, vector, signature, mark)| Entry {
            key: CacheKey::from_bytes([key; 32]),
            context: ContextTag::from_bytes([context; 4]),
            vector: vector_of(vector.as_flattened()),
            signature,
            mark: AnswerMark::from_bytes([mark; 4]),
        },
    )
}

fn vector_of(numbers: &[i8]) -> StaticVector {
    let mut bytes = [0; DIMENSIONS];
    for (byte, number) in bytes.iter_mut().zip(numbers) {
        *byte = number.cast_unsigned();
    }
    StaticVector::from_bytes(&bytes)
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    (header(), proptest::collection::vec(entry(), 0..20))
        .prop_map(|(header, entries)| Snapshot::new(header, entries))
}

/// Any change of the header, too, is followed.
fn two_snapshots() -> impl Strategy<Value = (Snapshot, Snapshot)> {
    (snapshot(), snapshot(), any::<bool>()).prop_map(|(old, new, alike)| {
        let entries = if alike {
            old.entries().skip(1).chain(new.entries().take(2)).collect()
        } else {
            new.entries().collect::<Vec<_>>()
        };
        let new = Snapshot::new(*new.header(), entries);
        (old, new)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(snapshot in snapshot()) {
        let read = Snapshot::parse(snapshot.as_bytes().to_vec()).unwrap();
        prop_assert_eq!(&read, &snapshot);
        prop_assert_eq!(read.etag(), snapshot.etag());
        prop_assert_eq!(snapshot.as_bytes().len(), 36 + snapshot.len() * ENTRY_BYTES);
        prop_assert_eq!(ENTRY_BYTES, 128);
    }

    #[test]
    fn entries_stand_in_the_order_of_their_keys_and_the_last_of_one_key_counts(
        header in header(),
        entries in proptest::collection::vec(entry(), 0..30),
    ) {
        let snapshot = Snapshot::new(header, entries.clone());
        let expected: std::collections::BTreeMap<_, _> = entries.into_iter().map(|entry| (entry.key, entry)).collect();
        prop_assert!(snapshot.entries().eq(expected.into_values()));
    }

    #[test]
    fn a_change_applied_makes_the_later_snapshot((old, new) in two_snapshots()) {
        let delta = new.delta_from(&old);
        prop_assert_eq!(old.apply(&delta).unwrap(), new.clone());
        // It is as long as what changed, not as the index.
        let changed = new.entries().filter(|entry| !old.entries().any(|other| other == *entry)).count();
        let gone = old.entries().filter(|entry| !new.entries().any(|other| other.key == entry.key)).count();
        prop_assert_eq!(delta.len(), 52 + changed * ENTRY_BYTES + gone * 32);
    }

    #[test]
    fn a_change_of_another_snapshot_is_refused((old, new) in two_snapshots(), other in snapshot()) {
        prop_assume!(other != old);
        prop_assert_eq!(other.apply(&new.delta_from(&old)), Err(InvalidIndex::OtherBase));
    }

    /// Every bit counts: a damaged signature could make a near miss look like a match.
    #[test]
    fn one_flipped_bit_or_one_byte_less_or_more_is_refused(
        (old, new) in two_snapshots(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let delta = new.delta_from(&old);
        for bytes in [new.as_bytes(), &delta] {
            let read = |bytes: &[u8]| old.apply(bytes).is_ok() || Snapshot::parse(bytes.to_vec()).is_ok();
            let at = at.index(bytes.len());
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << bit;
            prop_assert!(!read(&flipped));
            prop_assert!(!read(&bytes[..at]));
            prop_assert!(!read(&[bytes, &[0]].concat()));
        }
    }

    #[test]
    fn bytes_from_elsewhere_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), snapshot in snapshot()) {
        prop_assert!(Snapshot::parse(bytes.clone()).is_err());
        prop_assert!(snapshot.apply(&bytes).is_err());
    }

    #[test]
    fn a_scan_finds_what_comparing_every_entry_finds(
        snapshot in snapshot(),
        asked in any::<[[i8; 8]; 8]>(),
        context in 0..2_u8,
        at_least in -1.0..=1.0_f32,
        most in 1..5_usize,
    ) {
        let (asked, context) = (vector_of(asked.as_flattened()), ContextTag::from_bytes([context; 4]));
        let found = snapshot.scan(&asked, context, Similarity::new(at_least), most);
        let mut plain: Vec<(f32, CacheKey)> = snapshot
            .entries()
            .filter(|entry| entry.context == context)
            .map(|entry| (asked.similarity(&entry.vector).get(), entry.key))
            .filter(|(similarity, _)| *similarity >= at_least)
            .collect();
        plain.sort_by(|a, b| b.0.total_cmp(&a.0));
        plain.truncate(most);
        prop_assert_eq!(found.iter().map(|c| (c.similarity.get(), c.key)).collect::<Vec<_>>(), plain);
    }

    #[test]
    fn the_cosine_of_two_vectors_is_what_plain_arithmetic_says(a in any::<[[i8; 8]; 8]>(), b in any::<[[i8; 8]; 8]>()) {
        let (x, y) = (a.as_flattened(), b.as_flattened());
        let dot = |x: &[i8], y: &[i8]| -> f64 { x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
        let lengths = (dot(x, x) * dot(y, y)).sqrt();
        let plain = if lengths > 0.0 { dot(x, y) / lengths } else { 0.0 };
        prop_assert!((f64::from(vector_of(x).similarity(&vector_of(y)).get()) - plain).abs() < 1e-5);
    }
}

fn example() -> Snapshot {
    let header = Header {
        model: ModelId::from_bytes(*b"a model!"),
        gate_version: 3,
        epoch: Epoch::new(1_000),
        threshold: Some(Similarity::new(0.9)),
    };
    let entry = |number: u8, mark: u8| Entry {
        key: CacheKey::from_bytes([number; 32]),
        context: ContextTag::from_bytes([7; 4]),
        vector: vector_of(&[1, 2, 3]),
        signature: [number; SIGNATURE_BYTES],
        mark: AnswerMark::from_bytes([mark; 4]),
    };
    Snapshot::new(header, [entry(2, 20), entry(1, 10)])
}

/// As the header's last field, with a checksum that fits.
fn claiming(count: u32) -> Vec<u8> {
    let mut bytes = example().as_bytes().to_vec();
    bytes[28..32].copy_from_slice(&count.to_le_bytes());
    reseal(&mut bytes);
    bytes
}

fn reseal(bytes: &mut [u8]) {
    let (sealed, checksum) = bytes.split_last_chunk_mut::<4>().unwrap();
    *checksum = crc32fast::hash(sealed).to_le_bytes();
}

#[test]
fn a_snapshot_that_claims_billions_of_entries_is_refused_before_anything_is_allocated() {
    assert_eq!(Snapshot::parse(claiming(u32::MAX)), Err(InvalidIndex::TooMany));
    assert_eq!(
        Snapshot::parse(claiming(u32::try_from(ANSWER_INDEX_ENTRIES_MAX).unwrap())),
        Err(InvalidIndex::Damaged)
    );
    assert_eq!(Snapshot::parse(claiming(1)), Err(InvalidIndex::Damaged));
    assert!(Snapshot::parse(claiming(2)).is_ok());
}

#[test]
fn a_threshold_that_is_no_similarity_is_refused_though_the_checksum_fits() {
    for threshold in [f32::NAN, f32::INFINITY, 1.1, 2.1, -2.0] {
        let mut bytes = example().as_bytes().to_vec();
        bytes[24..28].copy_from_slice(&threshold.to_le_bytes());
        reseal(&mut bytes);
        assert_eq!(Snapshot::parse(bytes), Err(InvalidIndex::Damaged));
    }
}

#[test]
fn keys_out_of_order_are_refused_though_the_checksum_fits() {
    let mut bytes = example().as_bytes().to_vec();
    let keys = 32 + 2 * DIMENSIONS;
    bytes[keys..keys + 32].fill(9);
    reseal(&mut bytes);
    assert_eq!(Snapshot::parse(bytes), Err(InvalidIndex::Damaged));
}

#[test]
fn another_format_version_is_named() {
    let mut bytes = example().as_bytes().to_vec();
    bytes[4..6].copy_from_slice(&2_u16.to_le_bytes());
    assert_eq!(Snapshot::parse(bytes), Err(InvalidIndex::Version(2)));
    assert_eq!(Snapshot::parse(b"<html>".to_vec()), Err(InvalidIndex::NotAnIndex));
    assert_eq!(Snapshot::parse(Vec::new()), Err(InvalidIndex::NotAnIndex));
}

#[test]
fn a_snapshot_covers_the_very_answer_that_it_lists_under_a_key_and_nothing_else() {
    let snapshot = example();
    let covers = |key: u8, mark: u8| {
        snapshot.covers(&CacheKey::from_bytes([key; 32]), AnswerMark::from_bytes([mark; 4]))
    };
    assert!(covers(2, 20) && covers(1, 10));
    assert!(!covers(2, 10), "another answer of the same question");
    assert!(!covers(3, 10), "not listed");
}

#[test]
fn an_answer_checked_again_keeps_its_mark_and_one_that_reads_otherwise_has_another() {
    let answer = Answer {
        id: "chatcmpl-1".to_owned(),
        created_s: 1,
        corpus: CorpusName::new("docs").unwrap(),
        text: "It is on [1].".to_owned(),
        citations: vec![Citation {
            mark: 1,
            mark_start: 9,
            mark_end: 12,
            document: DocumentId::new("switch").unwrap(),
            title: "Switch".to_owned(),
            url: None,
            start: 100,
            end: 110,
            quote: "It is on.".to_owned(),
        }],
        evidence: Evidence::default(),
        epoch: Epoch::new(5),
        finish: Finish::Stop,
        usage: Usage::default(),
        generator: Generator::Extractive,
    };
    let mark = AnswerMark::of(&answer);
    assert_eq!(AnswerMark::of(&Answer { epoch: Epoch::new(6), ..answer.clone() }), mark);
    // Generated anew, even to the same words; and the same answer after text was put in before its passage.
    assert_ne!(AnswerMark::of(&Answer { id: "chatcmpl-2".to_owned(), ..answer.clone() }), mark);
    let mut moved = answer;
    moved.citations[0].start += 7;
    assert_ne!(AnswerMark::of(&moved), mark);
}

fn mark(number: u16) -> AnswerMark {
    let [a, b] = number.to_be_bytes();
    AnswerMark::from_bytes([a, 0, 0xff, b])
}

proptest! {
    /// However many answers were used: each report names some, the most used first, and every use is told once.
    #[test]
    fn every_use_is_told_once_in_reports_of_bounded_length(
        counts in proptest::collection::btree_map(0..500_u16, 1..1_000_u32, 0..300),
    ) {
        let mut left: std::collections::BTreeMap<_, _> =
            counts.iter().map(|(number, count)| (mark(*number), *count)).collect();
        let mut told = std::collections::BTreeMap::<u16, u32>::new();
        let mut least = u32::MAX;
        while !left.is_empty() {
            let report = Uses::take_from(&mut left);
            let text = report.to_string();
            prop_assert!(!report.is_empty() && text.len() <= 1_100, "{}", text);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)));
            let read = Uses::parse(&text);
            prop_assert_eq!(&read, &report);
            let named: Vec<u16> = counts.keys().copied().filter(|number| read.of_answer(mark(*number)) > 0).collect();
            let (lowest, highest) =
                named.iter().map(|number| counts[number]).fold((u32::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
            prop_assert!(highest <= least, "{} before {}", least, highest);
            least = lowest;
            told.extend(named.iter().map(|number| (*number, read.of_answer(mark(*number)))));
            prop_assert_eq!(read.total(), named.iter().map(|number| u64::from(counts[number])).sum::<u64>());
        }
        prop_assert_eq!(told, counts);
    }

    #[test]
    fn a_report_from_elsewhere_does_no_harm(text in "([0-9a-f]{8}\\.[0-9]{1,12}-?|.){0,80}") {
        let read = Uses::parse(&text);
        prop_assert!(read.total() <= 64 * 1_000_000);
        prop_assert_eq!(Uses::parse(&read.to_string()), read);
    }
}
