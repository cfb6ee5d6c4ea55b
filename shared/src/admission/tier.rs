//! Tiers: the limits that configuration gives to tenants, and what a request costs under them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::meter::month_left_ms;
use super::rate::{InvalidRate, Rate};
use super::subject::{Dimension, Measure};

/// Seconds that a network which kept on knocking may be kept out.
const BLOCK_S_MAX: u32 = 86_400;

/// Named tiers, as configuration writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tiers(BTreeMap<String, Tier>);

impl Tiers {
    /// The tiers of a deployment that configures none, in JSON: `free`, `pro` and `enterprise`.
    pub const DEFAULT_JSON: &str = include_str!("tiers.json");

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tier> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// One tier. What it does not limit is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    #[serde(default)]
    pub network: Allowance,
    #[serde(default)]
    pub user: Allowance,
    #[serde(default)]
    pub key: Allowance,
    #[serde(default)]
    pub tenant: Allowance,
    /// Percent of a request that one answered from cache counts for.
    #[serde(default = "whole")]
    pub hit_percent: u8,
    #[serde(default)]
    pub price: Price,
    /// What happens when the tenant's ledger cannot be reached.
    pub unreachable: Unreachable,
    #[serde(default)]
    pub cool_off: Option<CoolOff>,
}

const fn whole() -> u8 {
    100
}

/// What one subject may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(default)]
pub struct Allowance {
    pub requests: Option<Rate>,
    pub tokens: Option<Rate>,
    /// Requests that may run at once.
    pub concurrent: Option<u32>,
    /// Spend units a calendar month (UTC).
    pub spend: Option<u64>,
}

/// What requests cost, in spend units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(default)]
pub struct Price {
    pub hit: u32,
    pub miss: u32,
    pub thousand_tokens: u32,
}

/// What happens when the tenant's ledger cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreachable {
    /// What the isolate holds on lease may be used up; then it is 503.
    Closed,
    /// After that, each isolate admits so many requests on its own, and reports them later.
    Allow(Rate),
}

/// Keeps a network out for a while after it was refused for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoolOff {
    /// More refusals than this are abuse.
    pub refusals: Rate,
    pub block_s: u32,
}

/// What differs for one tenant from its tier.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(default)]
pub struct Overrides {
    pub network: Allowance,
    pub user: Allowance,
    pub key: Allowance,
    pub tenant: Allowance,
    pub hit_percent: Option<u8>,
    pub unreachable: Option<Unreachable>,
    pub cool_off: Option<CoolOff>,
}

impl Allowance {
    fn or(self, tier: Self) -> Self {
        Self {
            requests: self.requests.or(tier.requests),
            tokens: self.tokens.or(tier.tokens),
            concurrent: self.concurrent.or(tier.concurrent),
            spend: self.spend.or(tier.spend),
        }
    }
}

impl Tier {
    /// The limits of a key that has this tier of its own.
    ///
    /// # Errors
    /// A number is out of its range.
    pub fn key_limits(&self) -> Result<KeyLimits, InvalidLimits> {
        limits_of(self.key).map(KeyLimits)
    }
}

/// What one key may use whose tier is not its tenant's. Everything else about it is the tenant's tier's affair: a user or
/// a network may come with several keys, and one counter can't have two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits(pub(super) [Option<Limit>; 4]);

/// One limit, in the counter's units ([`Measure::scale`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Rate(Rate),
    /// So many at once.
    Concurrent(u64),
    /// So many a calendar month (UTC).
    Monthly(u64),
}

impl Limit {
    /// The most that a single request may ever draw.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Rate(rate) => rate.burst(),
            Self::Concurrent(most) | Self::Monthly(most) => most,
        }
    }

    /// Milliseconds until all of it is free again, if `left` is now and nobody draws.
    #[must_use]
    pub fn resets_ms(self, left: u64, now_ms: u64) -> u64 {
        match self {
            Self::Rate(rate) => {
                rate.burst().saturating_sub(left).saturating_mul(rate.period_ms()).div_ceil(rate.units())
            }
            Self::Monthly(_) => month_left_ms(now_ms),
            // It depends on when requests end.
            Self::Concurrent(_) => 0,
        }
    }
}

/// The limits of one tenant, ready to count by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    table: [[Option<Limit>; 4]; 4],
    hit_percent: u8,
    price: Price,
    pub(super) unreachable: Unreachable,
    pub(super) cool_off: Option<CoolOff>,
}

/// Why a tier and its overrides make no limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimits {
    #[error("a rate of requests is too high to be counted")]
    Rate(#[from] InvalidRate),
    #[error("hit_percent is at most 100")]
    HitPercent,
    #[error("a limit of 0 would refuse everything; take the key's scope away instead")]
    Zero,
    #[error("block_s is 1 to {BLOCK_S_MAX}")]
    BlockSeconds,
}

impl Limits {
    /// # Errors
    /// A number is out of its range.
    pub fn resolve(tier: &Tier, overrides: &Overrides) -> Result<Self, InvalidLimits> {
        let hit_percent = overrides.hit_percent.unwrap_or(tier.hit_percent);
        if hit_percent > 100 {
            return Err(InvalidLimits::HitPercent);
        }
        let cool_off = overrides.cool_off.or(tier.cool_off);
        if cool_off.is_some_and(|cool_off| !(1..=BLOCK_S_MAX).contains(&cool_off.block_s)) {
            return Err(InvalidLimits::BlockSeconds);
        }
        let allowances = [
            overrides.network.or(tier.network),
            overrides.user.or(tier.user),
            overrides.key.or(tier.key),
            overrides.tenant.or(tier.tenant),
        ];
        let mut table = [[None; 4]; 4];
        for (row, allowance) in table.iter_mut().zip(allowances) {
            *row = limits_of(allowance)?;
        }
        let unreachable = overrides.unreachable.unwrap_or(tier.unreachable);
        Ok(Self { table, hit_percent, price: tier.price, unreachable, cool_off })
    }

    /// What is limited for a subject of this dimension, by these limits or by its own.
    pub(super) fn of<'a>(
        &'a self,
        dimension: Dimension,
        own: Option<&'a KeyLimits>,
    ) -> impl Iterator<Item = (Measure, Limit)> + use<'a> {
        let row = own.map_or(&self.table[dimension as usize], |KeyLimits(row)| row);
        Measure::ALL.into_iter().zip(row).filter_map(|(measure, limit)| Some((measure, (*limit)?)))
    }

    #[must_use]
    pub const fn get(&self, dimension: Dimension, measure: Measure) -> Option<Limit> {
        self.table[dimension as usize][measure as usize]
    }

    /// What to reserve for a request that may use this many tokens.
    #[must_use]
    pub fn cost(&self, tokens_max: u64) -> Cost {
        self.amounts(Measure::Requests.scale(), self.price.miss, tokens_max, 1)
    }

    /// What a request has cost in the end.
    #[must_use]
    pub fn actual(&self, outcome: Outcome) -> Cost {
        match outcome {
            Outcome::Hit => {
                let requests = Measure::Requests.scale() * u64::from(self.hit_percent) / 100;
                self.amounts(requests, self.price.hit, 0, 0)
            }
            Outcome::Miss { tokens } => self.amounts(Measure::Requests.scale(), self.price.miss, tokens, 0),
            Outcome::Nothing => Cost::default(),
        }
    }

    fn amounts(&self, requests: u64, price: u32, tokens: u64, concurrent: u64) -> Cost {
        let per_token = tokens.saturating_mul(u64::from(self.price.thousand_tokens)).div_ceil(1_000);
        Cost([requests, tokens, concurrent, u64::from(price).saturating_add(per_token)])
    }
}

fn limits_of(allowance: Allowance) -> Result<[Option<Limit>; 4], InvalidLimits> {
    let Allowance { requests, tokens, concurrent, spend } = allowance;
    if concurrent == Some(0) || spend == Some(0) {
        return Err(InvalidLimits::Zero);
    }
    let requests = requests.map(|rate| rate.scaled(Measure::Requests.scale())).transpose()?;
    Ok([
        requests.map(Limit::Rate),
        tokens.map(Limit::Rate),
        concurrent.map(|most| Limit::Concurrent(u64::from(most))),
        spend.map(Limit::Monthly),
    ])
}

/// How a request that was admitted ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// From cache; costs the tier's part of a request and no tokens.
    Hit,
    /// From the origin, which says how many tokens it took (0 for a search).
    Miss { tokens: u64 },
    /// Refused or broken on our side: costs nothing.
    Nothing,
}

/// Units per [`Measure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost([u64; 4]);

impl Cost {
    /// The same, of a request that runs no more.
    pub(super) fn without_slot(mut self) -> Self {
        self.0[Measure::Concurrent as usize] = 0;
        self
    }

    #[must_use]
    pub const fn of(&self, measure: Measure) -> u64 {
        self.0[measure as usize]
    }
}
