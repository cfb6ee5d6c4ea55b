//! What was found out about tokens, so that each is verified once in a while and not with each request.
//!
//! Good tokens are remembered with the caller they make. Of bad ones only those whose signature is wrong, which alone cost
//! something to find out; they are few, soon forgotten, and apart, so that invented tokens drive no real one out. What could
//! not be found out is never remembered.

use std::rc::Rc;

use perigee_shared::id::ContentHash;
use perigee_shared::token::{BadToken, User};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::terms::Terms;
use crate::admit::Admitted;

/// Bytes of good tokens' callers, and how many of usual size that makes.
const GOOD_BYTES_MAX: u64 = 6 << 20;
const GOOD_ESTIMATE: usize = 4_096;

/// Milliseconds after which a token is verified again, however long it lives: a key that its issuer withdraws must end.
const GOOD_MS_MAX: u64 = 600_000;

const BAD_MAX: usize = 1_024;
const BAD_MS: u64 = 10_000;

/// A token under its tenant, that tenant's settings, and the key it came with: SHA-256, from which nobody learns the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenName(ContentHash);

impl TokenName {
    pub(super) fn of(holder: &Admitted, terms: &Terms, token: &str) -> Self {
        let (key, settings) = (holder.hash.as_bytes().as_slice(), terms.tag.as_bytes().as_slice());
        // Neither hash varies in length, and no tenant's name has a zero in it.
        let tenant = holder.caller.tenant.as_str().as_bytes();
        Self(ContentHash::of(&[key, settings, tenant, b"\0", token.as_bytes()].concat()))
    }
}

/// A token that is good.
#[derive(Debug, Clone)]
struct Good {
    user: User,
    /// The key's own caller, and the one that it is for the user.
    holder: Rc<Admitted>,
    admitted: Rc<Admitted>,
    until_ms: u64,
}

impl Good {
    fn new(user: User, holder: Rc<Admitted>, until_ms: u64) -> Self {
        let admitted = Rc::new(holder.as_user(&user));
        Self { user, holder, admitted, until_ms }
    }
}

#[derive(Debug, Clone, Copy)]
struct Weigh;

impl Weighter<TokenName, Good> for Weigh {
    fn weight(&self, _: &TokenName, good: &Good) -> u64 {
        // The user's labels are in the caller as well.
        (2 * good.admitted.bytes() + good.user.name.len()) as u64
    }
}

pub(super) struct Verdicts {
    good: Cache<TokenName, Good, Weigh>,
    /// Until when, in Unix milliseconds.
    bad: Cache<TokenName, u64>,
}

impl Verdicts {
    pub(super) fn new() -> Self {
        Self { good: Cache::with_weighter(GOOD_ESTIMATE, GOOD_BYTES_MAX, Weigh), bad: Cache::new(BAD_MAX) }
    }

    /// What is known of a token that came with this key; `None`: verify it.
    pub(super) fn get(
        &mut self,
        name: &TokenName,
        holder: &Rc<Admitted>,
        now_ms: u64,
    ) -> Option<Result<Rc<Admitted>, BadToken>> {
        let Some(good) = self.good.get(name).filter(|good| now_ms < good.until_ms) else {
            return self
                .bad
                .get(name)
                .filter(|until_ms| now_ms < **until_ms)
                .map(|_| Err(BadToken::Signature));
        };
        if let Err(bad) = good.user.check_time(now_ms / 1_000) {
            return Some(Err(bad));
        }
        if Rc::ptr_eq(&good.holder, holder) {
            return Some(Ok(Rc::clone(&good.admitted)));
        }
        // The key's record was read again, and may be another.
        let good = Good::new(good.user.clone(), Rc::clone(holder), good.until_ms);
        let admitted = Rc::clone(&good.admitted);
        self.good.insert(*name, good);
        Some(Ok(admitted))
    }

    /// The token was verified just now. Gives the caller that it makes of the key's.
    pub(super) fn keep_good(
        &mut self,
        name: TokenName,
        user: User,
        holder: Rc<Admitted>,
        now_ms: u64,
    ) -> Rc<Admitted> {
        let until_ms = user.until_s.saturating_mul(1_000).min(now_ms + GOOD_MS_MAX);
        let good = Good::new(user, holder, until_ms);
        let admitted = Rc::clone(&good.admitted);
        self.good.insert(name, good);
        admitted
    }

    pub(super) fn keep_bad(&mut self, name: TokenName, bad: BadToken, now_ms: u64) {
        match bad {
            BadToken::Signature => self.bad.insert(name, now_ms + BAD_MS),
            // Reading it again says so again; and a key that is unknown may be known in a minute.
            BadToken::TooLong
            | BadToken::Malformed
            | BadToken::Algorithm
            | BadToken::Critical
            | BadToken::UnknownKey
            | BadToken::Issuer
            | BadToken::Audience
            | BadToken::Expired
            | BadToken::NotYet
            | BadToken::Subject
            | BadToken::Labels => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_shared::admission::Subject;
    use perigee_shared::caller::Audience;
    use perigee_shared::id::Label;
    use perigee_shared::key::{Key, KeyKind, KeySecret};
    use perigee_shared::token::UserTokens;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn holder(tenant: &str, key: u8) -> Rc<Admitted> {
        let record =
            format!(r#"{{"tenant":"{tenant}","corpora":["*"],"audience":["key"],"scopes":["ask"]}}"#);
        let hash = KeySecret::new(b"a secret").hash(&Key::from_random(KeyKind::Secret, [key; 24]));
        Rc::new(Admitted::new(serde_json::from_str(&record).unwrap(), KeyKind::Secret, hash))
    }

    fn terms(issuer: &str) -> Terms {
        let json =
            format!(r#"{{"jwks_url":"https://id.example/k","issuer":"{issuer}","audience":"perigee"}}"#);
        Terms::new(Some(serde_json::from_str::<UserTokens>(&json).unwrap()))
    }

    fn user(labels: Option<&[&str]>) -> User {
        let labels = labels.map(|labels| labels.iter().map(|label| Label::new(*label).unwrap()).collect());
        User {
            name: "ada".to_owned(),
            subject: Subject::user("ada"),
            labels,
            from_s: NOW_MS / 1_000 - 5,
            until_s: NOW_MS / 1_000 + 60,
        }
    }

    fn name(number: usize) -> TokenName {
        TokenName::of(&holder("acme", 1), &terms("a"), &number.to_string())
    }

    #[test]
    fn a_verdict_is_of_one_tenant_one_key_one_setting_and_one_token() {
        let of = |tenant, key, issuer, token| TokenName::of(&holder(tenant, key), &terms(issuer), token);
        let same = of("acme", 1, "a", "x.y.z");
        assert_eq!(same, of("acme", 1, "a", "x.y.z"));
        for other in [
            of("rival", 1, "a", "x.y.z"),
            of("acme", 2, "a", "x.y.z"),
            of("acme", 1, "b", "x.y.z"),
            of("acme", 1, "a", "x.y.zz"),
        ] {
            assert_ne!(same, other);
        }
    }

    #[test]
    fn a_good_token_is_believed_for_its_time_and_not_for_ever() {
        let (mut verdicts, holder) = (Verdicts::new(), holder("acme", 1));
        verdicts.keep_good(name(1), user(None), Rc::clone(&holder), NOW_MS);
        let at = |verdicts: &mut Verdicts, ms| verdicts.get(&name(1), &holder, ms);
        assert!(matches!(at(&mut verdicts, NOW_MS + 59_999), Some(Ok(_))));
        assert!(at(&mut verdicts, NOW_MS + 60_000).is_none());
        assert!(
            matches!(at(&mut verdicts, NOW_MS - 6_000), Some(Err(BadToken::NotYet))),
            "a clock that steps back"
        );
        let long = User { until_s: NOW_MS, ..user(None) };
        verdicts.keep_good(name(1), long, Rc::clone(&holder), NOW_MS);
        assert!(at(&mut verdicts, NOW_MS + GOOD_MS_MAX - 1).is_some());
        assert!(at(&mut verdicts, NOW_MS + GOOD_MS_MAX).is_none());
    }

    #[test]
    fn what_a_key_may_do_is_as_new_as_the_key_s_record() {
        let mut verdicts = Verdicts::new();
        let before = verdicts.keep_good(name(1), user(Some(&["staff"])), holder("acme", 1), NOW_MS);
        assert_eq!(before.user, Some(Subject::user("ada")));
        let staff = Audience::Labels([Label::new("staff").unwrap()].into());
        assert_eq!(before.caller.audience, staff, "the user's labels, not the key's");
        assert!(before.header.contains("staff") && !before.header.contains("\"key\""), "{}", before.header);
        let again = holder("acme", 1);
        let after = verdicts.get(&name(1), &again, NOW_MS).unwrap().unwrap();
        assert!(!Rc::ptr_eq(&before, &after) && after.caller.audience == staff);
        let remembered = verdicts.get(&name(1), &again, NOW_MS).unwrap().unwrap();
        assert!(Rc::ptr_eq(&after, &remembered), "it is written once");
    }

    #[test]
    fn invented_tokens_are_soon_forgotten_and_drive_no_real_one_out() {
        let (mut verdicts, holder) = (Verdicts::new(), holder("acme", 1));
        for number in 0..100 {
            verdicts.keep_good(name(number), user(None), Rc::clone(&holder), NOW_MS);
        }
        for number in 100..5_000 {
            verdicts.keep_bad(name(number), BadToken::Signature, NOW_MS);
        }
        for number in 0..100 {
            assert!(matches!(verdicts.get(&name(number), &holder, NOW_MS), Some(Ok(_))), "{number}");
        }
        assert!(verdicts.bad.len() <= BAD_MAX);
        verdicts.keep_bad(name(9_999), BadToken::Signature, NOW_MS);
        assert!(matches!(
            verdicts.get(&name(9_999), &holder, NOW_MS + BAD_MS - 1),
            Some(Err(BadToken::Signature))
        ));
        assert!(verdicts.get(&name(9_999), &holder, NOW_MS + BAD_MS).is_none());
        verdicts.keep_bad(name(10_000), BadToken::UnknownKey, NOW_MS);
        assert!(verdicts.get(&name(10_000), &holder, NOW_MS).is_none(), "its key may come");
    }

    #[test]
    fn real_tokens_stay_within_their_bound_as_well() {
        let (mut verdicts, holder) = (Verdicts::new(), holder("acme", 1));
        let many: Vec<String> = (0..64).map(|n| format!("a-label-of-some-length-{n:040}")).collect();
        let labels: Vec<&str> = many.iter().map(String::as_str).collect();
        for number in 0..2_000 {
            verdicts.keep_good(name(number), user(Some(&labels)), Rc::clone(&holder), NOW_MS);
        }
        assert!(verdicts.good.weight() <= GOOD_BYTES_MAX);
    }
}
