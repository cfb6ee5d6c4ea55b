//! The arithmetic of a rate: equal to the algorithm as the textbook writes it, never more than the bound.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use perigee_shared::admission::{Gcra, Rate};
use proptest::prelude::*;

/// Virtual scheduling as ITU-T I.371 writes it, for draws of several cells: a theoretical arrival time, an
/// increment and a tolerance, in fractions of a millisecond that are as small as the rate needs.
struct Textbook {
    rate: Rate,
    /// In ticks of 1/units ms.
    arrival: u128,
}

impl Textbook {
    fn draw(&mut self, now_ms: u64, cost: u64) -> bool {
        let now = u128::from(now_ms) * u128::from(self.rate.units());
        let increment = u128::from(self.rate.period_ms());
        let arrival = self.arrival.max(now) + u128::from(cost) * increment;
        let admitted = arrival <= now + u128::from(self.rate.burst()) * increment;
        if admitted {
            self.arrival = arrival;
        }
        admitted
    }
}

fn rate() -> impl Strategy<Value = Rate> {
    let units = prop_oneof![1..20_u64, 1..1_000_000_u64, Just(10_000_000_000)];
    let burst = prop_oneof![1..20_u64, 1..1_000_000_u64, Just(10_000_000_000)];
    let period = prop_oneof![Just(1_000), Just(60_000), Just(3_600_000), Just(86_400_000)];
    (units, period, burst).prop_map(|(units, period, burst)| Rate::new(units, period, burst).unwrap())
}

/// Pauses and costs that meet the rate's edges: some a multiple of its increment, some next to it.
fn arrivals(rate: Rate) -> impl Strategy<Value = Vec<(u64, u64)>> {
    let increment_ms = (rate.period_ms() / rate.units()).max(1);
    let pause = prop_oneof![
        4 => 0..3_u64,
        4 => (0..5_u64, 0..3_u64).prop_map(move |(n, slip)| (n * increment_ms + slip).saturating_sub(1)),
        1 => 0..rate.period_ms() * 2,
    ];
    let cost = prop_oneof![4 => 0..3_u64, 2 => 0..=rate.burst(), 1 => rate.burst()..rate.burst() + 2];
    proptest::collection::vec((pause, cost), 1..200)
}

fn rate_and_arrivals() -> impl Strategy<Value = (Rate, Vec<(u64, u64)>)> {
    rate().prop_flat_map(|rate| (Just(rate), arrivals(rate)))
}

proptest! {
    #[test]
    fn it_admits_exactly_what_the_textbook_admits((rate, arrivals) in rate_and_arrivals(), start_ms: u32) {
        let mut gcra = Gcra::default();
        let mut textbook = Textbook { rate, arrival: 0 };
        let mut now_ms = u64::from(start_ms);
        for (pause_ms, cost) in arrivals {
            now_ms += pause_ms;
            prop_assert_eq!(gcra.draw(rate, now_ms, cost), textbook.draw(now_ms, cost));
        }
    }

    #[test]
    fn it_never_admits_more_than_the_burst_and_the_rate_times_the_time(
        (rate, arrivals) in rate_and_arrivals(),
    ) {
        let mut gcra = Gcra::default();
        let mut now_ms = 0;
        let mut admitted = Vec::new();
        for (pause_ms, cost) in arrivals {
            now_ms += pause_ms;
            if gcra.draw(rate, now_ms, cost) {
                admitted.push((now_ms, cost));
            }
        }
        for (first, &(from_ms, _)) in admitted.iter().enumerate() {
            let mut sum = 0_u128;
            for &(to_ms, cost) in &admitted[first..] {
                sum += u128::from(cost);
                let paid = u128::from(rate.units()) * u128::from(to_ms - from_ms);
                prop_assert!(sum * u128::from(rate.period_ms()) <= u128::from(rate.burst()) * u128::from(rate.period_ms()) + paid);
            }
        }
    }

    /// However the clock jumps, what is admitted is paid for by time that went forward; and what a step back
    /// leaves is what was there before it.
    #[test]
    fn a_clock_that_steps_back_gives_nothing_and_takes_nothing(
        (rate, arrivals) in rate_and_arrivals(),
        steps in proptest::collection::vec(prop_oneof![3 => Just(0_u64), 1 => 0..10_000_000_u64], 200),
    ) {
        let mut gcra = Gcra::default();
        let mut now_ms = 1_000_000_000_000_u64;
        let (mut forward_ms, mut sum) = (0_u128, 0_u128);
        for ((pause_ms, cost), back_ms) in arrivals.into_iter().zip(steps) {
            let before = gcra.free(rate, now_ms);
            now_ms -= back_ms;
            if back_ms > 0 {
                gcra.charge(rate, now_ms, 0);
                prop_assert!(gcra.free(rate, now_ms) <= before);
                let mut later = gcra;
                later.charge(rate, now_ms + rate.period_ms() * 2, 0);
                prop_assert!(later.free(rate, now_ms + rate.period_ms() * 2) > before || before == rate.burst());
            }
            now_ms += pause_ms;
            forward_ms += u128::from(pause_ms);
            if gcra.draw(rate, now_ms, cost) {
                sum += u128::from(cost);
            }
            let paid = u128::from(rate.units()) * forward_ms;
            prop_assert!(sum * u128::from(rate.period_ms()) <= u128::from(rate.burst()) * u128::from(rate.period_ms()) + paid);
        }
    }

    #[test]
    fn a_refused_draw_would_pass_after_the_wait_and_not_before((rate, arrivals) in rate_and_arrivals()) {
        let mut gcra = Gcra::default();
        let mut now_ms = 0;
        for (pause_ms, cost) in arrivals {
            now_ms += pause_ms;
            match gcra.wait_ms(rate, now_ms, cost) {
                None => prop_assert!(cost > rate.burst()),
                Some(wait_ms) => {
                    prop_assert!(gcra.clone().draw(rate, now_ms + wait_ms, cost));
                    prop_assert!(wait_ms == 0 || !gcra.clone().draw(rate, now_ms + wait_ms - 1, cost));
                }
            }
            gcra.draw(rate, now_ms, cost);
        }
    }

    #[test]
    fn another_rate_leaves_drawn_what_was_drawn(old in rate(), new in rate(), part in 0.0..1.0_f64) {
        let mut gcra = Gcra::default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of the burst, roughly")]
        let drawn = (old.burst() as f64 * part) as u64;
        gcra.charge(old, 5, drawn);
        prop_assert_eq!(gcra.free(new, 5), new.burst().saturating_sub(drawn));
    }

    #[test]
    fn no_number_overflows(rate in rate(), charges in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..50)) {
        let mut gcra = Gcra::default();
        for (now_ms, cost) in charges {
            gcra.charge(rate, now_ms, cost);
            gcra.draw(rate, now_ms, cost);
            let _ = (gcra.free(rate, now_ms), gcra.wait_ms(rate, now_ms, cost));
        }
    }
}

/// Seven units a minute come back every 8,571 3/7 ms, which no whole number of milliseconds says. After 700,000
/// draws, each waited for in whole milliseconds, not a single one has been lost.
#[test]
fn a_rate_without_a_round_fraction_does_not_drift() {
    let rate = Rate::new(7, 60_000, 2).unwrap();
    let mut gcra = Gcra::default();
    let mut now_ms = 0;
    for _ in 0..700_002 {
        now_ms += gcra.wait_ms(rate, now_ms, 1).unwrap();
        assert!(gcra.draw(rate, now_ms, 1));
    }
    assert_eq!(now_ms, 100_000 * 60_000);
}
