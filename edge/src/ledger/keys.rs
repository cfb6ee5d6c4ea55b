//! The tenant's keys in its ledger: made, listed, rotated, revoked. Every change is written with its entry in the audit
//! trail, what the key-value store must learn of it and, where a key ends, the news for every isolate.

use perigee_shared::admin::{AuditAction, CreateKey, KeyList, KeySummary, PreviousKey};
use perigee_shared::admission::{Subject, Tiers};
use perigee_shared::id::KeyId;
use perigee_shared::key::{KeyHash, KeyRecord};
use perigee_shared::limits::KEYS_PER_TENANT_MAX;
use perigee_shared::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

use super::books::{Books, Failure, find_tier};
use super::protocol::{By, Digits};
use super::tables::{json_text, number, to_number};
use crate::admit::account_of;

/// How long a key that has ended stays in the list.
const ENDED_S_MAX: u64 = 90 * 24 * 3_600;

/// A key as the ledger keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    summary: KeySummary,
    hash: KeyHash,
    previous: Option<KeyHash>,
}

impl Books {
    pub(super) fn create_key(
        &self,
        id: KeyId,
        made_as: CreateKey,
        digits: Digits,
        by: &By,
        now_s: u64,
        tiers: &Tiers,
    ) -> Result<KeySummary, Failure> {
        made_as.check(now_s).map_err(|e| Problem::new(ProblemKind::InvalidRequest, e.to_string()))?;
        if let Some(tier) = &made_as.tier {
            find_tier(tier, tiers)?;
        }
        self.forget_ended(now_s)?;
        let valid = "SELECT count(*) FROM keys WHERE is_live = 1 AND \
             coalesce(json_extract(text, '$.summary.expires_at_s') > ?, 1)";
        let live = self.tables.rows(valid, vec![number(now_s)])?;
        if to_number(live.first().and_then(|row| row.first())) >= KEYS_PER_TENANT_MAX as u64 {
            let detail = format!("it has {KEYS_PER_TENANT_MAX}: revoke some");
            return Err(Problem::new(ProblemKind::TooManyKeys, detail).into());
        }
        let Digits { hash, begins } = digits;
        let summary =
            KeySummary { id, begins, made_as, created_at_s: now_s, previous: None, revoked_at_s: None };
        let kept = Kept { summary, hash, previous: None };
        self.publish_key(hash, &kept, kept.summary.made_as.expires_at_s)?;
        self.keep(&kept)?;
        self.note(AuditAction::KeyCreated, Some(&kept.summary), by, now_s)?;
        Ok(kept.summary)
    }

    pub(super) fn keys(&self) -> Result<KeyList, Failure> {
        let kept: Vec<Kept> = self.tables.jsons("SELECT text FROM keys ORDER BY id", Vec::new())?;
        let mut data: Vec<KeySummary> = kept.into_iter().map(|kept| kept.summary).collect();
        data.sort_by_key(|summary| summary.created_at_s);
        Ok(KeyList { data })
    }

    pub(super) fn key(&self, id: &KeyId) -> Result<KeySummary, Failure> {
        self.find(id).map(|kept| kept.summary)
    }

    /// Gives a key new digits. The old ones go on for a while; those of the rotation before end now.
    pub(super) fn rotate_key(
        &self,
        id: &KeyId,
        digits: Digits,
        overlap_s: u64,
        by: &By,
        now_s: u64,
    ) -> Result<KeySummary, Failure> {
        let mut kept = self.find_live(id)?;
        if let Some(hash) = kept.previous.take() {
            self.end(hash, now_s)?;
        }
        let old = std::mem::replace(&mut kept.hash, digits.hash);
        let begins = std::mem::replace(&mut kept.summary.begins, digits.begins);
        kept.summary.previous = None;
        if overlap_s == 0 {
            self.end(old, now_s)?;
        } else {
            let valid_until_s = now_s + overlap_s;
            let expires_at_s =
                kept.summary.made_as.expires_at_s.map_or(valid_until_s, |at| at.min(valid_until_s));
            kept.previous = Some(old);
            self.overlap_ends_s.set(self.overlap_ends_s.get().min(valid_until_s));
            kept.summary.previous = Some(PreviousKey { begins, valid_until_s });
            self.publish_key(old, &kept, Some(expires_at_s))?;
        }
        self.publish_key(kept.hash, &kept, kept.summary.made_as.expires_at_s)?;
        self.keep(&kept)?;
        self.note(AuditAction::KeyRotated, Some(&kept.summary), by, now_s)?;
        Ok(kept.summary)
    }

    /// Ends a key, and what a rotation left of it. Twice is as good as once.
    pub(super) fn revoke_key(&self, id: &KeyId, by: &By, now_s: u64) -> Result<KeySummary, Failure> {
        let mut kept = self.find(id)?;
        if kept.summary.revoked_at_s.is_some() {
            return Ok(kept.summary);
        }
        self.end(kept.hash, now_s)?;
        if let Some(previous) = kept.previous.take() {
            self.end(previous, now_s)?;
        }
        kept.summary.previous = None;
        kept.summary.revoked_at_s = Some(now_s);
        self.keep(&kept)?;
        self.note(AuditAction::KeyRevoked, Some(&kept.summary), by, now_s)?;
        Ok(kept.summary)
    }

    /// Ends what rotations left valid until now. Gives the second at which the next one ends.
    pub(super) fn end_overlaps(&self, now_s: u64) -> Result<Option<u64>, Failure> {
        let rotated =
            "SELECT text FROM keys WHERE is_live = 1 AND json_extract(text, '$.previous') IS NOT NULL";
        let mut next_s: Option<u64> = None;
        for mut kept in self.tables.jsons::<Kept>(rotated, Vec::new())? {
            let until_s = kept.summary.previous.as_ref().map_or(0, |previous| previous.valid_until_s);
            if until_s > now_s {
                next_s = Some(next_s.map_or(until_s, |next_s| next_s.min(until_s)));
                continue;
            }
            if let Some(previous) = kept.previous.take() {
                self.end(previous, now_s)?;
            }
            kept.summary.previous = None;
            self.keep(&kept)?;
        }
        self.overlap_ends_s.set(next_s.unwrap_or(u64::MAX));
        Ok(next_s)
    }

    fn find(&self, id: &KeyId) -> Result<Kept, Failure> {
        let kept = self.tables.json("SELECT text FROM keys WHERE id = ?", vec![id.as_str().into()])?;
        kept.ok_or_else(|| Problem::new(ProblemKind::KeyNotFound, "the tenant has no key of this id").into())
    }

    fn find_live(&self, id: &KeyId) -> Result<Kept, Failure> {
        let kept = self.find(id)?;
        if kept.summary.revoked_at_s.is_some() {
            return Err(Problem::new(ProblemKind::KeyNotFound, "this key was revoked").into());
        }
        Ok(kept)
    }

    fn keep(&self, kept: &Kept) -> Result<(), Failure> {
        let is_live = u64::from(kept.summary.revoked_at_s.is_none());
        let values = vec![kept.summary.id.as_str().into(), number(is_live), json_text(kept)?];
        self.tables.write("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", values)?;
        let account =
            vec![String::from(account_of(&kept.summary.id)).into(), kept.summary.id.as_str().into()];
        Ok(self.tables.write("INSERT OR REPLACE INTO accounts VALUES (?, ?)", account)?)
    }

    /// The key whose account this is, if it is one of the ledger's.
    pub(super) fn id_of(&self, account: Subject) -> Result<Option<KeyId>, Failure> {
        let query = "SELECT json_quote(id) FROM accounts WHERE subject = ?";
        Ok(self.tables.json(query, vec![String::from(account).into()])?)
    }

    /// Keys that ended long ago leave the list; the audit trail still tells of them.
    fn forget_ended(&self, now_s: u64) -> Result<(), Failure> {
        let ended = "coalesce(json_extract(text, '$.summary.revoked_at_s'), json_extract(text, '$.summary.expires_at_s'))";
        let before = now_s.saturating_sub(ENDED_S_MAX);
        self.tables.write(&format!("DELETE FROM keys WHERE {ended} < ?"), vec![number(before)])?;
        Ok(self.tables.write("DELETE FROM accounts WHERE id NOT IN (SELECT id FROM keys)", Vec::new())?)
    }

    fn publish_key(&self, hash: KeyHash, kept: &Kept, expires_at_s: Option<u64>) -> Result<(), Failure> {
        let KeySummary { id, made_as, .. } = &kept.summary;
        let CreateKey { name: _, kind: _, tier, corpora, audience, scopes, expires_at_s: _, web_origins } =
            made_as;
        let record = KeyRecord {
            id: Some(id.clone()),
            tenant: self.tenant.clone(),
            tier: tier.clone(),
            corpora: corpora.clone(),
            audience: audience.clone(),
            scopes: scopes.clone(),
            expires_at_s,
            web_origins: web_origins.clone(),
        };
        self.publish(&hash.record_name(), Some(&record), expires_at_s)
    }

    /// Nobody may use these digits any more: the store forgets them, and every isolate hears of it.
    fn end(&self, hash: KeyHash, now_s: u64) -> Result<(), Failure> {
        self.publish::<KeyRecord>(&hash.record_name(), None, None)?;
        self.revoke(hash, now_s)
    }
}
