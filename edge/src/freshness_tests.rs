//! The decision's table and its properties.

use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { staleness_ms: 10_000, refresh_ms: 3_000 };
const NOW: u64 = 1_000_000;

fn sighting(epoch: u64, seen_ms: u64) -> Sighting {
    Sighting { epoch: Epoch::new(epoch), seen_ms }
}

fn held(epoch: u64, seen_ms: u64) -> Held {
    Held {
        checked: sighting(epoch, seen_ms),
        certified: None,
        born_ms: seen_ms,
        until_ms: seen_ms + 3_600_000,
    }
}

fn knows(epoch: u64, seen_ms: u64) -> Knowledge {
    Knowledge { latest: Some(sighting(epoch, seen_ms)), ..Knowledge::default() }
}

fn place() -> Place {
    Place { tenant: TenantId::new("acme").unwrap(), corpus: CorpusName::new("docs").unwrap() }
}

#[test]
fn an_answer_is_forwarded_for_each_reason_and_served_for_none() {
    use Decision::{Forward, Hit};
    let old = NOW - 60_000;
    let control = |text| CacheControl::parse(Some(text));
    for (name, held, knowledge, text, min_epoch, expected) in [
        ("nothing held", None, knows(5, NOW), "", None, Forward(Reason::Miss)),
        ("past its time", Some(Held { until_ms: NOW, ..held(5, old) }), knows(5, NOW), "", None, {
            Forward(Reason::Miss)
        }),
        ("changed", Some(held(4, old)), knows(5, NOW), "", None, Forward(Reason::Changed)),
        ("changed, though nobody knows to what", Some(held(4, old)), knows(5, old), "", None, {
            Forward(Reason::Changed)
        }),
        ("nothing known", Some(held(5, old)), Knowledge::default(), "", None, Forward(Reason::Unknown)),
        ("known too long ago", Some(held(5, old)), knows(5, NOW - 10_000), "", None, {
            Forward(Reason::Unknown)
        }),
        (
            "known from before a write",
            Some(held(5, old)),
            Knowledge { floor_ms: NOW, ..knows(5, NOW - 1) },
            { "" },
            None,
            Forward(Reason::Unknown),
        ),
        ("known from far in the future", Some(held(5, old)), knows(5, NOW + 60_000), "", None, {
            Forward(Reason::Unknown)
        }),
        ("later than what is known, long ago", Some(held(6, old)), knows(5, NOW), "", None, {
            Forward(Reason::Unknown)
        }),
        ("below the least epoch", Some(held(5, old)), knows(5, NOW), "", Some(6), {
            Forward(Reason::BelowMinEpoch)
        }),
        ("to be checked", Some(held(5, old)), knows(5, NOW), "no-cache", None, Forward(Reason::CallerAsked)),
        ("too old for the caller", Some(held(5, old)), knows(5, NOW), "max-age=59", None, {
            Forward(Reason::CallerAsked)
        }),
        ("known", Some(held(5, old)), knows(5, NOW - 9_999), "no-store, max-age=60", Some(5), {
            Hit { age_s: 60, epoch: Epoch::new(5) }
        }),
        (
            "later than what is known",
            Some(held(6, NOW - 9_000)),
            knows(5, NOW),
            "",
            None,
            Hit { age_s: 9, epoch: Epoch::new(6) },
        ),
        (
            "just checked itself",
            Some(held(5, NOW - 1)),
            Knowledge::default(),
            "",
            None,
            Hit { age_s: 0, epoch: Epoch::new(5) },
        ),
    ] {
        let min_epoch = min_epoch.map(Epoch::new);
        let decision = decide(held, knowledge, control(text), min_epoch, BOUNDS, NOW);
        assert_eq!(decision, expected, "{name}");
    }
}

#[test]
fn without_a_staleness_bound_nothing_is_ever_known() {
    let bounds = Bounds { staleness_ms: 0, refresh_ms: 0 };
    let decision = decide(Some(held(5, NOW)), knows(5, NOW), CacheControl::default(), None, bounds, NOW);
    assert_eq!(decision, Decision::Forward(Reason::Unknown));
}

#[test]
fn the_very_next_question_after_a_write_sees_it() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    let ask = |epochs: &Epochs, held, now| {
        decide(Some(held), epochs.of(place, now), CacheControl::default(), None, BOUNDS, now)
    };
    epochs.learn(place, sighting(5, NOW));
    assert_eq!(ask(&epochs, held(5, NOW), NOW), Decision::Hit { age_s: 0, epoch: Epoch::new(5) });

    let write = epochs.write_begins(place, NOW);
    assert_eq!(ask(&epochs, held(5, NOW), NOW), Decision::Forward(Reason::Unknown), "under way");
    epochs.learn(place, sighting(6, NOW));
    epochs.write_ends(place, write, Wrote::Epoch(Epoch::new(6)), NOW + 5);
    assert_eq!(ask(&epochs, held(5, NOW), NOW + 5), Decision::Forward(Reason::Changed), "done");

    let write = epochs.write_begins(place, NOW + 6);
    epochs.write_ends(place, write, Wrote::Unknown, NOW + 7);
    assert_eq!(ask(&epochs, held(6, NOW + 7), NOW + 7), Decision::Forward(Reason::Unknown), "nobody knows");
    epochs.learn(place, sighting(7, NOW + 8));
    assert_eq!(ask(&epochs, held(7, NOW + 8), NOW + 9), Decision::Hit { age_s: 0, epoch: Epoch::new(7) });
}

#[test]
fn a_write_that_never_comes_back_does_not_close_the_cache_for_ever() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    epochs.write_begins(place, NOW);
    let lost_ms = NOW + WRITE_LOST_MS;
    assert_eq!(epochs.of(place, lost_ms - 1).floor_ms, u64::MAX);
    assert_eq!(epochs.of(place, lost_ms).floor_ms, lost_ms, "it may have been done until now");

    // Those after it close the cache while they are under way, and no longer.
    for after_ms in [lost_ms + 1, lost_ms + WRITE_LOST_MS + 1] {
        let write = epochs.write_begins(place, after_ms);
        assert_eq!(epochs.of(place, after_ms + 1).floor_ms, u64::MAX);
        epochs.write_ends(place, write, Wrote::Epoch(Epoch::new(6)), after_ms + 2);
        assert_eq!(epochs.of(place, after_ms + 2).floor_ms, lost_ms, "at {after_ms}");
    }
}

#[test]
fn each_of_several_writes_under_way_closes_the_cache_until_it_is_back_itself() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    let (lost, first) = (epochs.write_begins(place, NOW), epochs.write_begins(place, NOW + 1));
    let second = epochs.write_begins(place, NOW + 1);
    epochs.write_ends(place, first, Wrote::Nothing, NOW + 2);
    assert_eq!(epochs.of(place, NOW + 2).floor_ms, u64::MAX);
    epochs.write_ends(place, second, Wrote::Nothing, NOW + 3);
    assert_eq!(epochs.of(place, NOW + 3).floor_ms, u64::MAX, "one is missing");
    assert_eq!(epochs.of(place, NOW + WRITE_LOST_MS).floor_ms, NOW + WRITE_LOST_MS);
    // It comes back after all, and what it did is not known.
    let late_ms = NOW + 2 * WRITE_LOST_MS;
    epochs.write_ends(place, lost, Wrote::Unknown, late_ms);
    assert_eq!(epochs.of(place, late_ms).floor_ms, late_ms + 1);
}

#[test]
fn a_refused_write_takes_nothing_from_what_is_known() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    epochs.learn(place, sighting(5, NOW));
    let before = epochs.of(place, NOW);
    let write = epochs.write_begins(place, NOW + 1);
    epochs.write_ends(place, write, Wrote::Nothing, NOW + 2);
    assert_eq!(epochs.of(place, NOW + 2), before);
}

#[test]
fn no_number_of_writes_takes_more_than_its_memory() {
    let (mut epochs, place) = (Epochs::new(), place());
    for _ in 0..3 * WRITES_MAX {
        epochs.write_begins(place.borrowed(), NOW);
    }
    assert_eq!(epochs.states.get(&place).unwrap().writes_ms.len(), WRITES_MAX);
}

#[test]
fn a_corpus_made_again_under_the_same_name_shares_nothing_with_the_old_one() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    epochs.learn(place, sighting(3, NOW));
    epochs.deleted(place, NOW + 1);
    // The new corpus has had as many changes as the old one.
    epochs.learn(place, sighting(3, NOW + 10));
    let ask =
        |held| decide(Some(held), epochs.of(place, NOW), CacheControl::default(), None, BOUNDS, NOW + 10);
    assert_eq!(ask(held(3, NOW)), Decision::Forward(Reason::Miss));
    assert_eq!(ask(held(3, NOW + 10)), Decision::Hit { age_s: 0, epoch: Epoch::new(3) });
}

#[test]
fn an_origin_that_lags_behind_teaches_nothing_until_it_is_the_only_one_left() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    epochs.learn(place, sighting(5, NOW));
    epochs.learn(place, sighting(4, NOW + 100));
    assert_eq!(epochs.of(place, NOW).latest, Some(sighting(5, NOW)));
    epochs.learn(place, sighting(5, NOW + 200));
    assert_eq!(epochs.of(place, NOW).latest, Some(sighting(5, NOW + 200)));
    epochs.learn(place, sighting(1, NOW + 200 + FORGET_MS));
    assert_eq!(epochs.of(place, NOW).latest, Some(sighting(1, NOW + 200 + FORGET_MS)));
}

#[test]
fn one_question_at_a_time_asks_for_the_index_and_none_before_the_last_one_grew_old() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    assert!(epochs.refresh_is_due(place, None, BOUNDS, NOW));
    assert!(!epochs.refresh_is_due(place, None, BOUNDS, NOW + 1), "under way");
    assert!(epochs.refresh_is_due(place, None, BOUNDS, NOW + REFRESH_LOST_MS), "lost");
    let back = NOW + REFRESH_LOST_MS + 5;
    epochs.refresh_ended(place, back);
    assert!(!epochs.refresh_is_due(place, None, BOUNDS, back + 2_999), "it brought nothing, a moment ago");
    assert!(!epochs.refresh_is_due(place, Some(back + 100), BOUNDS, back + 3_099), "young");
    // A response to a question tells the epoch, but brings no index.
    epochs.learn(place, sighting(5, back + 3_000));
    assert!(epochs.refresh_is_due(place, Some(back), BOUNDS, back + 3_000), "old");
}

#[test]
fn a_listed_answer_is_served_though_the_corpus_has_moved_on_as_long_as_the_list_is_young() {
    let listed = |epoch, seen_ms| Held { certified: Some(sighting(epoch, seen_ms)), ..held(4, NOW - 60_000) };
    let ask = |held, knowledge, min_epoch: Option<u64>| {
        decide(Some(held), knowledge, CacheControl::default(), min_epoch.map(Epoch::new), BOUNDS, NOW)
    };
    let hit = Decision::Hit { age_s: 60, epoch: Epoch::new(7) };
    assert_eq!(ask(listed(7, NOW - 9_999), knows(9, NOW), None), hit);
    assert_eq!(ask(listed(7, NOW), Knowledge::default(), None), hit);
    assert_eq!(ask(listed(7, NOW - 10_000), knows(9, NOW), None), Decision::Forward(Reason::Changed));
    assert_eq!(ask(listed(7, NOW), knows(9, NOW), Some(7)), hit);
    assert_eq!(ask(listed(7, NOW), knows(9, NOW), Some(8)), Decision::Forward(Reason::BelowMinEpoch));
    let deleted = Knowledge { deleted_ms: NOW - 1, ..knows(9, NOW) };
    assert_eq!(ask(listed(7, NOW), deleted, None), Decision::Forward(Reason::Miss), "of the corpus before");
}

#[test]
fn after_a_write_through_this_isolate_only_a_list_that_knows_of_it_counts() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    let ask = |epochs: &Epochs, index: Sighting, now| {
        let held = Held { certified: Some(index), ..held(4, NOW - 1_000) };
        match decide(Some(held), epochs.of(place, now), CacheControl::default(), None, BOUNDS, now) {
            Decision::Hit { .. } => true,
            Decision::Forward(_) => false,
        }
    };
    epochs.learn(place, sighting(5, NOW));
    assert!(ask(&epochs, sighting(5, NOW), NOW));
    let write = epochs.write_begins(place, NOW + 1);
    assert!(!ask(&epochs, sighting(5, NOW + 1), NOW + 1), "under way");
    epochs.learn(place, sighting(8, NOW + 1));
    epochs.write_ends(place, write, Wrote::Epoch(Epoch::new(8)), NOW + 2);
    assert!(!ask(&epochs, sighting(7, NOW + 5), NOW + 5), "somebody else's write, before ours");
    assert!(ask(&epochs, sighting(8, NOW + 5), NOW + 5));
    let write = epochs.write_begins(place, NOW + 6);
    epochs.write_ends(place, write, Wrote::Unknown, NOW + 7);
    assert!(!ask(&epochs, sighting(9, NOW + 7), NOW + 7), "nobody knows which epoch it made");
    assert!(ask(&epochs, sighting(9, NOW + 8), NOW + 8));
}

#[test]
fn what_is_known_of_one_tenant_s_corpus_says_nothing_of_another_s() {
    let (mut epochs, acme) = (Epochs::new(), place());
    epochs.learn(acme.borrowed(), sighting(5, NOW));
    let other = Place { tenant: TenantId::new("other").unwrap(), ..acme };
    assert_eq!(epochs.of(other.borrowed(), NOW), Knowledge::default());
}

#[test]
fn a_moved_epoch_is_shared_at_once_and_the_same_one_only_now_and_then() {
    let (mut epochs, place) = (Epochs::new(), place());
    let place = place.borrowed();
    let mut learn = |epoch, seen_ms| {
        let before = epochs.of(place, seen_ms);
        epochs.learn(place, sighting(epoch, seen_ms));
        epochs.share_is_due(place, before, BOUNDS).is_some()
    };
    assert!(learn(5, NOW));
    assert!(!learn(5, NOW + 2_999));
    assert!(learn(5, NOW + 3_000));
    assert!(learn(6, NOW + 3_001));
}

fn any_held() -> impl Strategy<Value = Option<Held>> {
    let times = (0..6_u64, 0..40_000_u64, 0..40_000_u64, 0..40_000_u64);
    let index = proptest::option::of((0..6_u64, 0..40_000_u64));
    proptest::option::of((times, index).prop_map(|((epoch, seen_ms, born_ms, until_ms), index)| Held {
        checked: sighting(epoch, seen_ms),
        certified: index.map(|(epoch, seen_ms)| sighting(epoch, seen_ms)),
        born_ms,
        until_ms,
    }))
}

fn any_knowledge() -> impl Strategy<Value = Knowledge> {
    let latest = proptest::option::of((0..6_u64, 0..40_000_u64));
    let written = proptest::option::of(0..6_u64);
    (latest, 0..40_000_u64, written).prop_map(|(latest, floor_ms, written)| Knowledge {
        latest: latest.map(|(epoch, seen_ms)| sighting(epoch, seen_ms)),
        floor_ms,
        deleted_ms: 0,
        written: written.map(Epoch::new),
    })
}

fn any_control() -> impl Strategy<Value = CacheControl> {
    (any::<[bool; 3]>(), proptest::option::of(0..40_u64)).prop_map(
        |([no_cache, no_store, only_if_cached], max_age_s)| CacheControl {
            no_cache,
            no_store,
            only_if_cached,
            max_age_s,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// I2: what is served has the latest epoch that anybody told, or is listed at one that was the latest, and
    /// somebody told so within the bound.
    #[test]
    fn nothing_is_served_from_the_unknown(
        held in any_held(),
        knowledge in any_knowledge(),
        control in any_control(),
        min_epoch in proptest::option::of((0..6_u64).prop_map(Epoch::new)),
        now in 0..40_000_u64,
    ) {
        if let Decision::Hit { epoch, .. } = decide(held, knowledge, control, min_epoch, BOUNDS, now) {
            let held = held.unwrap();
            prop_assert!(now < held.until_ms);
            prop_assert!(min_epoch.is_none_or(|min| epoch >= min));
            let counts = |witness: &Sighting| {
                witness.seen_ms >= knowledge.floor_ms && now.abs_diff(witness.seen_ms) < BOUNDS.staleness_ms
            };
            let listed = held.certified.filter(counts);
            let listed = listed.is_some_and(|index| knowledge.written.is_none_or(|written| index.epoch >= written));
            let latest = knowledge.latest.is_none_or(|latest| latest.epoch <= held.checked.epoch)
                && [knowledge.latest, Some(held.checked)]
                    .into_iter()
                    .flatten()
                    .any(|witness| witness.epoch == held.checked.epoch && counts(&witness));
            prop_assert!(listed || latest);
            let told = [Some(held.checked), held.certified].into_iter().flatten().any(|told| told.epoch == epoch);
            prop_assert!(told);
        }
    }

    /// A caller's wishes never make a hit of what would be none without them.
    #[test]
    fn a_caller_can_only_tighten(
        held in any_held(),
        knowledge in any_knowledge(),
        control in any_control(),
        min_epoch in proptest::option::of((0..6_u64).prop_map(Epoch::new)),
        now in 0..40_000_u64,
    ) {
        let asked = decide(held, knowledge, control, min_epoch, BOUNDS, now);
        let plain = decide(held, knowledge, CacheControl::default(), None, BOUNDS, now);
        if let Decision::Hit { .. } = asked {
            prop_assert_eq!(asked, plain);
        }
    }
}
