//! The tenants of the simulation, and how their requests come.

/// How a tenant's requests come.
pub(crate) struct Traffic {
    pub(crate) name: &'static str,
    pub(crate) tier: &'static str,
    pub(crate) overrides: &'static str,
    pub(crate) per_s: f64,
    /// Seconds on and off; the mean stays `per_s`.
    pub(crate) bursts_s: Option<(f64, f64)>,
    pub(crate) data_centres: std::ops::Range<usize>,
    pub(crate) users: u64,
    /// One user who sends this part of all requests.
    pub(crate) hot_user: f64,
    pub(crate) below_limit: bool,
}

pub(crate) const TRAFFIC: [Traffic; 6] = [
    Traffic {
        name: "large, steady, 88 % of its limit",
        tier: "enterprise",
        overrides: r#"{"tenant": {"requests": "102000/min"}}"#,
        per_s: 1_500.0,
        bursts_s: None,
        data_centres: 0..12,
        users: 20_000,
        hot_user: 0.0,
        below_limit: true,
    },
    Traffic {
        name: "middling, steady, 80 %",
        tier: "pro",
        overrides: "{}",
        per_s: 80.0,
        bursts_s: None,
        data_centres: 0..1,
        users: 400,
        hot_user: 0.01,
        below_limit: true,
    },
    Traffic {
        name: "middling, in bursts, 60 %",
        tier: "pro",
        overrides: r#"{"tenant": {"concurrent": 2000}, "key": {"requests": "6000/min"}}"#,
        per_s: 60.0,
        bursts_s: Some((5.0, 10.0)),
        data_centres: 2..5,
        users: 400,
        hot_user: 0.0,
        below_limit: true,
    },
    Traffic {
        name: "small, 72 %",
        tier: "free",
        overrides: "{}",
        per_s: 0.2,
        bursts_s: None,
        data_centres: 3..4,
        users: 20,
        hot_user: 0.0,
        below_limit: true,
    },
    Traffic {
        name: "large, 200 % of its limit",
        tier: "enterprise",
        overrides: r#"{"tenant": {"requests": "12000/min burst 2000"}, "hit_percent": 100}"#,
        per_s: 400.0,
        bursts_s: None,
        data_centres: 0..4,
        users: 20_000,
        hot_user: 0.0,
        below_limit: false,
    },
    Traffic {
        name: "one user at 10 times their limit, everywhere",
        tier: "enterprise",
        overrides: r#"{"hit_percent": 100}"#,
        per_s: 100.0,
        bursts_s: None,
        data_centres: 0..12,
        users: 1,
        hot_user: 1.0,
        below_limit: false,
    },
];

/// Requests of the tenant per second at this moment.
pub(crate) fn pace(traffic: &Traffic, now_ms: u64) -> f64 {
    match traffic.bursts_s {
        None => traffic.per_s,
        Some((on, off)) => {
            let at = (now_ms as f64 / 1_000.0) % (on + off);
            if at < on { traffic.per_s * (on + off) / on } else { 0.0 }
        }
    }
}
