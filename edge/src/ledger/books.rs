//! What a ledger knows, in memory and in its tables: settings, keys, news, audit trail, quota.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use perigee_shared::admin::{
    AuditAction, AuditEntry, AuditPage, KeySummary, LimitUsage, TenantSettings, UsageReport,
};
use perigee_shared::admission::{
    Ask, CounterId, Dimension, Ledger as Quota, Limit, Limits, Measure, Overrides, Subject, Tiers, Usage,
};
use perigee_shared::id::{KeyId, TenantId};
use perigee_shared::key::KeyHash;
use perigee_shared::problem::{Problem, ProblemKind};
use serde::Serialize;

use super::protocol::{By, Lease};
use super::tables::{Tables, Value, json_text, number, to_number};
use crate::admit::account_of;
use crate::config::Config;

/// Seconds for which the end of a key is told to isolates. Longer than any of them believes a record
/// (`KEY_CACHE_S` is at most an hour) or the key-value store takes to forget one.
const NEWS_S: u64 = 2 * 3_600;

/// Ended keys told to an isolate at most; beyond it the oldest are left to the key-value store.
const NEWS_MAX: u64 = 2_000;

/// Entries that the audit trail keeps; the oldest go first.
const AUDIT_ENTRIES_MAX: u64 = 100_000;

pub(super) struct Books {
    pub(super) tenant: TenantId,
    pub(super) tables: Tables,
    pub(super) settings: RefCell<TenantSettings>,
    quota: RefCell<Quota>,
    /// The number of the last piece of news.
    version: Cell<u64>,
    /// When the next overlap of a rotation ends, so that a lease need not look at every key; 0: not known.
    pub(super) overlap_ends_s: Cell<u64>,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Problem),
    Broken(worker::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        Self::Broken(error)
    }
}

impl Books {
    /// Reads what the tenant's tables hold; a new tenant's are empty.
    pub(super) fn open(tenant: TenantId, tables: Tables, config: &Config) -> Result<Self, Failure> {
        let settings: Option<TenantSettings> = tables.fact("settings")?;
        let settings = settings.unwrap_or_else(|| default_settings(config));
        let limits = limits(&settings, config);
        let rows = tables.rows("SELECT name, text FROM quota", Vec::new())?;
        let rows = rows.iter().filter_map(|row| match row.as_slice() {
            [Value::String(name), Value::String(text)] => Some((name.as_str(), text.as_str())),
            _ => None,
        });
        let quota = Quota::restore(limits, rows)
            .map_err(|e| worker::Error::RustError(format!("the ledger of {tenant}: {e}")))?;
        let version = tables.fact("version")?.unwrap_or(1);
        let (settings, quota) = (RefCell::new(settings), RefCell::new(quota));
        Ok(Self {
            tenant,
            tables,
            settings,
            quota,
            version: Cell::new(version),
            overlap_ends_s: Cell::new(0),
        })
    }

    /// Lends quota, and tells what the isolate has not heard.
    pub(super) fn lease(&self, ask: &Ask, known: u64, now_ms: u64) -> Result<Lease, Failure> {
        if now_ms / 1_000 >= self.overlap_ends_s.get() {
            self.end_overlaps(now_ms / 1_000)?;
        }
        let grant = self.quota.borrow_mut().answer(now_ms, ask);
        self.keep_quota()?;
        let version = self.version.get();
        let (settings, revoked) = match known < version {
            true => (Some(self.settings.borrow().clone()), self.revoked_since(known)?),
            false => (None, Vec::new()),
        };
        Ok(Lease { grant, known: version, settings, revoked })
    }

    /// Where the tenant's and its keys' counters stand.
    pub(super) fn usage(&self, now_ms: u64) -> Result<UsageReport, Failure> {
        let ids: BTreeMap<Subject, KeyId> =
            self.keys()?.data.into_iter().map(|key| (account_of(&key.id), key.id)).collect();
        let mut quota = self.quota.borrow_mut();
        quota.lapse(now_ms);
        let tenant = Measure::ALL.into_iter().filter_map(|measure| {
            let counter = CounterId { dimension: Dimension::Tenant, subject: Subject::TENANT, measure };
            quota.usage_of(now_ms, counter)
        });
        let keys = quota.usage(now_ms).filter(|usage| usage.counter.dimension == Dimension::Key);
        let data = tenant.chain(keys).map(|usage| limit_usage(usage, &ids)).collect();
        drop(quota);
        self.keep_quota()?;
        Ok(UsageReport { tenant: self.tenant.clone(), tier: self.settings.borrow().tier.clone(), data })
    }

    /// # Errors
    /// There is no such tier, its limits with these overrides are none, or tokens of users can't be compared with this.
    pub(super) fn set_settings(
        &self,
        settings: TenantSettings,
        by: &By,
        now_s: u64,
        config: &Config,
    ) -> Result<TenantSettings, Failure> {
        let limits = check(&settings, &config.tiers)?;
        if let Some(users) = &settings.users {
            users.check().map_err(|e| Problem::new(ProblemKind::InvalidRequest, e.to_string()))?;
        }
        self.tables.set_fact("settings", &settings)?;
        self.publish(&settings_name(&self.tenant), Some(&settings), None)?;
        self.next_version()?;
        self.quota.borrow_mut().set_limits(limits);
        self.settings.replace(settings.clone());
        self.note(AuditAction::SettingsChanged, None, by, now_s)?;
        Ok(settings)
    }

    pub(super) fn audit(&self, after: u64, limit: usize) -> Result<AuditPage, Failure> {
        let values = vec![number(after), number(limit as u64 + 1)];
        let query =
            "SELECT json_set(text, '$.number', number) FROM audit WHERE number > ? ORDER BY number LIMIT ?";
        let mut data: Vec<AuditEntry> = self.tables.jsons(query, values)?;
        let more = data.len() > limit;
        data.truncate(limit);
        let next_after = data.last().filter(|_| more).map(|entry| entry.number);
        Ok(AuditPage { data, next_after })
    }

    /// Adds to the audit trail: a key as it is now, or else the settings.
    pub(super) fn note(
        &self,
        action: AuditAction,
        key: Option<&KeySummary>,
        by: &By,
        now_s: u64,
    ) -> Result<(), Failure> {
        let now = match key {
            Some(key) => serde_json::to_value(key),
            None => serde_json::to_value(&*self.settings.borrow()),
        };
        let entry = AuditEntry {
            number: 0,
            at_s: now_s,
            actor: by.actor.clone(),
            action,
            key: key.map(|key| key.id.clone()),
            request_id: by.request_id.clone(),
            now: now.map_err(worker::Error::from)?,
        };
        self.tables.write("INSERT INTO audit (text) VALUES (?)", vec![json_text(&entry)?])?;
        let oldest = "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?";
        Ok(self.tables.write(oldest, vec![number(AUDIT_ENTRIES_MAX)])?)
    }

    /// Tells every isolate, with its next lease, that these digits are not valid any more.
    pub(super) fn revoke(&self, hash: KeyHash, now_s: u64) -> Result<(), Failure> {
        let version = self.next_version()?;
        let values = vec![number(version), hash.to_string().into(), number(now_s)];
        self.tables.write("INSERT INTO revoked VALUES (?, ?, ?)", values)?;
        let old = vec![number(now_s.saturating_sub(NEWS_S)), number(version.saturating_sub(NEWS_MAX))];
        Ok(self.tables.write("DELETE FROM revoked WHERE at_s < ? OR number <= ?", old)?)
    }

    fn revoked_since(&self, known: u64) -> Result<Vec<KeyHash>, Failure> {
        let query = "SELECT json_quote(hash) FROM revoked WHERE number > ?";
        Ok(self.tables.jsons(query, vec![number(known)])?)
    }

    fn next_version(&self) -> Result<u64, Failure> {
        let version = self.version.get() + 1;
        self.tables.set_fact("version", &version)?;
        self.version.set(version);
        Ok(version)
    }

    /// Puts into the outbox what the key-value store must learn.
    pub(super) fn publish<T: Serialize>(
        &self,
        name: &str,
        record: Option<&T>,
        expires_at_s: Option<u64>,
    ) -> Result<(), Failure> {
        let text = record.map(json_text).transpose()?.unwrap_or(Value::Null);
        let expires_at_s = expires_at_s.map_or(Value::Null, number);
        let next = "SELECT coalesce(max(number), 0) + 1 FROM outbox";
        let number = to_number(self.tables.rows(next, Vec::new())?.first().and_then(|row| row.first()));
        let values = vec![name.into(), super::tables::number(number), text, expires_at_s];
        Ok(self.tables.write("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?)", values)?)
    }

    /// Writes down what the quota's arithmetic has changed.
    fn keep_quota(&self) -> Result<(), Failure> {
        for row in self.quota.borrow_mut().take_changes() {
            match row.text {
                Some(text) => self.tables.write(
                    "INSERT OR REPLACE INTO quota VALUES (?, ?)",
                    vec![row.name.into(), text.into()],
                )?,
                None => self.tables.write("DELETE FROM quota WHERE name = ?", vec![row.name.into()])?,
            }
        }
        Ok(())
    }
}

fn limit_usage(usage: Usage, ids: &BTreeMap<Subject, KeyId>) -> LimitUsage {
    let Usage { counter: CounterId { dimension, subject, measure }, limit, spent, on_lease, free, resets_ms } =
        usage;
    let scale = measure.scale();
    let (most, window_s) = match limit {
        Limit::Rate(rate) => (rate.units(), Some(rate.period_ms() / 1_000)),
        Limit::Concurrent(most) | Limit::Monthly(most) => (most, None),
    };
    LimitUsage {
        of: dimension,
        key: ids.get(&subject).cloned(),
        measure,
        limit: most / scale,
        window_s,
        used: spent.div_ceil(scale),
        on_lease: on_lease / scale,
        left: free / scale,
        resets_in_s: resets_ms.div_ceil(1_000),
    }
}

pub(crate) fn default_settings(config: &Config) -> TenantSettings {
    TenantSettings { tier: config.tier_default.clone(), limits: Overrides::default(), users: None }
}

/// The name under which a tenant's settings are published.
pub(crate) fn settings_name(tenant: &TenantId) -> String {
    format!("tenant:{tenant}")
}

/// The limits that settings make, or those of the default tier when the deployment has changed its tiers so that they
/// make none any more.
pub(crate) fn limits(settings: &TenantSettings, config: &Config) -> Limits {
    check(settings, &config.tiers).unwrap_or_else(|problem| {
        worker::console_error!("settings for the tier {} make no limits: {}", settings.tier, problem.detail);
        config.limits_default.clone()
    })
}

fn check(settings: &TenantSettings, tiers: &Tiers) -> Result<Limits, Problem> {
    let invalid = |why: String| Problem::new(ProblemKind::InvalidRequest, why);
    let tier = tiers.get(settings.tier.as_str()).ok_or_else(|| {
        let names: Vec<&str> = tiers.names().collect();
        invalid(format!("there is no such tier, but {}", names.join(", ")))
    })?;
    Limits::resolve(tier, &settings.limits).map_err(|e| invalid(e.to_string()))
}
