//! Twelve data centres, two hundred isolates, six tenants, a minute: isolates die, ledgers answer late, and every
//! limit holds. `cargo test -p perigee-shared --test admission_simulation -- --nocapture` prints the
//! table that docs/admission.md shows.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a simulation"
)]

mod random;
mod traffic;
mod world;

use perigee_shared::admission::Dimension;

use crate::world::{Tenant, World};

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[test]
fn limits_hold_across_the_world_without_a_hop_per_request() {
    let mut world = World::new(20_261_124);
    world.run();
    println!(
        "| tenant | offered | admitted ÷ allowed | overshoot | wrongly refused | waited | calls per 100 |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (mut calls, mut offered) = (0, 0);
    for Tenant { traffic, isolates, count, .. } in &world.tenants {
        let excess = |dimension| count.excess.get(&dimension).copied().unwrap_or(0);
        let wrongly_refused = percent(count.wrongly_refused, count.offered);
        let admitted = percent(count.admitted, count.ideal);
        let overshoot = excess(Dimension::User).max(excess(Dimension::Network)).div_ceil(100);
        let calls_per_100 = percent(count.steady_calls, count.steady_offered);
        println!(
            "| {} | {} | {admitted:.1} % | {} | {} | {:.1} % | {calls_per_100:.1} |",
            traffic.name,
            count.offered,
            if overshoot > 0 { format!("{overshoot} requests of one user") } else { "none".to_owned() },
            if traffic.below_limit { format!("{wrongly_refused:.2} %") } else { "–".to_owned() },
            percent(count.waited, count.offered),
        );
        // What tenants and keys may use is never overshot; of users and networks an isolate trusts two requests.
        assert_eq!((excess(Dimension::Tenant), excess(Dimension::Key)), (0, 0), "{}", traffic.name);
        assert!(overshoot <= 2 * isolates.len() as u64, "{}: {overshoot}", traffic.name);
        if traffic.below_limit {
            assert!(wrongly_refused <= 0.5, "{}: {wrongly_refused} %", traffic.name);
        } else {
            assert!((90.0..=104.0).contains(&admitted), "{}: {admitted} %", traffic.name);
        }
        if traffic.below_limit && traffic.bursts_s.is_none() {
            calls += count.steady_calls;
            offered += count.steady_offered;
        }
    }
    let calls_per_100 = percent(calls, offered);
    println!("\nSteady, below the limit: {calls_per_100:.2} calls per 100 requests.");
    assert!(calls_per_100 <= 2.0, "{calls_per_100}");
}
