//! Tokens as an attacker would write them, and the keys they may be checked against.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perigee_shared::caller::{Audience, Caller, Scope};
use perigee_shared::id::Label;
use perigee_shared::token::{
    BadToken, FETCH_MS_MAX, Found, JWKS_BYTES_MAX, Jwks, JwksUrl, KeyMemory, TOKEN_BYTES_MAX, Token, User,
    UserTokens,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NOW_S: u64 = 1_800_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(header: &Value, claims: &Value, signature_bytes: usize) -> String {
    let signature = encode(vec![7; signature_bytes]);
    format!("{}.{}.{signature}", encode(header.to_string()), encode(claims.to_string()))
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "perigee", "sub": "ada", "exp": NOW_S + 300, "groups": ["staff", "a b"]})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn accepted() -> UserTokens {
    serde_json::from_value(json!({
        "jwks_url": "https://id.example/keys", "issuer": "https://id.example", "audience": "perigee",
        "labels_claim": "groups",
    }))
    .unwrap()
}

fn user(claims: &Value) -> Result<User, BadToken> {
    Token::parse(&token(&json!({"alg": "ES256"}), claims, 64)).unwrap().user(&accepted(), NOW_S)
}

fn ec(id: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": id, "x": encode([1; 32]), "y": encode([2; 32])})
}

fn set(keys: Vec<Value>) -> Jwks {
    Jwks::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

#[test]
fn a_token_names_its_user_with_the_labels_that_are_labels() {
    let user = user(&claims()).unwrap();
    assert_eq!((user.name.as_str(), user.from_s, user.until_s), ("ada", 0, NOW_S + 360));
    assert_eq!(user.labels.unwrap(), labels(&["staff"]));
}

fn labels(names: &[&str]) -> BTreeSet<Label> {
    names.iter().map(|name| Label::new(*name).unwrap()).collect()
}

/// A key that sees what is for `partners`.
fn key() -> Caller {
    serde_json::from_value(json!({
        "tenant": "acme", "corpora": ["docs"], "audience": {"labels": ["partners"]}, "scopes": ["ask"],
    }))
    .unwrap()
}

#[test]
fn a_user_sees_what_the_user_s_labels_show_and_does_what_the_key_may() {
    for (groups, expected) in [
        (json!(["staff", "partners"]), labels(&["staff", "partners"])),
        (json!("staff  board"), labels(&["staff", "board"])),
        (json!([]), labels(&[])),
        (json!(null), labels(&[])),
        (json!({"staff": true}), labels(&[])),
    ] {
        let caller = user(&with("groups", groups.clone())).unwrap().caller(&key());
        assert_eq!(caller, Caller { audience: Audience::Labels(expected), ..key() }, "{groups}");
        assert!(caller.may(Scope::Ask) && !caller.may(Scope::Admin));
    }
    let mut without = claims();
    without.as_object_mut().unwrap().remove("groups");
    assert_eq!(user(&without).unwrap().caller(&key()).audience, Audience::public());
}

#[test]
fn where_no_claim_is_named_for_labels_the_key_s_count() {
    let accepted = UserTokens { labels_claim: None, ..accepted() };
    let text = token(&json!({"alg": "ES256"}), &claims(), 64);
    let user = Token::parse(&text).unwrap().user(&accepted, NOW_S).unwrap();
    assert_eq!((user.labels.clone(), user.caller(&key())), (None, key()));
}

#[test]
fn a_token_that_was_believed_is_still_only_good_for_its_time() {
    let user: User = user(&with("nbf", json!(NOW_S))).unwrap();
    assert_eq!(user.check_time(NOW_S - 61), Err(BadToken::NotYet));
    assert_eq!(user.check_time(NOW_S - 60), Ok(()));
    assert_eq!(user.check_time(NOW_S + 359), Ok(()));
    assert_eq!(user.check_time(NOW_S + 360), Err(BadToken::Expired));
}

#[test]
fn settings_that_nothing_could_be_compared_with_are_refused() {
    let with = |name: &str, value: Value| {
        let mut settings = serde_json::to_value(accepted()).unwrap();
        settings[name] = value;
        serde_json::from_value::<UserTokens>(settings)
    };
    assert_eq!(accepted().check(), Ok(()));
    assert!(!accepted().required, "a key works on its own unless settings say otherwise");
    for name in ["issuer", "audience", "labels_claim"] {
        assert!(with(name, json!("")).unwrap().check().is_err(), "{name}");
        assert!(with(name, json!("x".repeat(2_001))).unwrap().check().is_err(), "{name}");
    }
    for (name, value) in
        [("jwks_url", json!("http://id.example/keys")), ("issuer", json!(null)), ("require", json!(true))]
    {
        assert!(with(name, value).is_err(), "{name}");
    }
}

#[test]
fn an_algorithm_that_is_not_one_of_three_is_refused_whatever_it_is() {
    for alg in ["none", "None", "", "HS256", "HS512", "RS512", "PS256", "ES384", "es256", "ES256K"] {
        let refused = Token::parse(&token(&json!({"alg": alg}), &claims(), 64)).unwrap_err();
        assert_eq!(refused, BadToken::Algorithm, "{alg}");
    }
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims().to_string()));
    assert_eq!(Token::parse(&unsigned).unwrap_err(), BadToken::Algorithm);
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let good = token(&json!({"alg": "ES256", "typ": "JWT"}), &claims(), 64);
    assert!(Token::parse(&good).is_ok());
    let header = encode(r#"{"alg":"ES256"}"#);
    for bad in [
        String::new(),
        "a.b".to_owned(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}.AAAA"),
        format!("{good}="),
        good.replacen('.', " .", 1),
        format!("{header}.{}.{}", encode("{}"), encode([7; 63])),
        format!("{}.{}.{}", encode("[]"), encode("{}"), encode([7; 64])),
        format!("{}.{}.{}", encode(r#"{"alg":"ES256","alg":"none"}"#), encode("{}"), encode([7; 64])),
        token(&json!({"alg": "ES256", "typ": "dpop+jwt"}), &claims(), 64),
        token(&json!({"alg": "RS256"}), &claims(), 128),
    ] {
        assert_eq!(Token::parse(&bad).unwrap_err(), BadToken::Malformed, "{bad}");
    }
    let critical = token(&json!({"alg": "ES256", "crit": ["b64"], "b64": false}), &claims(), 64);
    assert_eq!(Token::parse(&critical).unwrap_err(), BadToken::Critical);
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(Token::parse(&long).unwrap_err(), BadToken::TooLong);
}

#[test]
fn claims_for_others_or_for_another_time_are_refused() {
    for (name, value, expected) in [
        ("iss", json!("https://id.example.evil"), BadToken::Issuer),
        ("aud", json!("perigee2"), BadToken::Audience),
        ("aud", json!(["other"]), BadToken::Audience),
        ("exp", json!(NOW_S - 60), BadToken::Expired),
        ("exp", json!(-1), BadToken::Expired),
        ("nbf", json!(NOW_S + 61), BadToken::NotYet),
        ("sub", json!(""), BadToken::Subject),
        ("sub", json!("a\nb"), BadToken::Subject),
        ("sub", json!("a".repeat(257)), BadToken::Subject),
        ("exp", json!("soon"), BadToken::Malformed),
        ("exp", json!(null), BadToken::Malformed),
        ("groups", json!((0..65).map(|n| format!("g{n}")).collect::<Vec<_>>()), BadToken::Labels),
    ] {
        assert_eq!(user(&with(name, value.clone())).unwrap_err(), expected, "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!(["other", "perigee"])),
        ("exp", json!(NOW_S - 59)),
        ("exp", json!(1.9e9)),
        ("nbf", json!(NOW_S + 60)),
        ("groups", json!(null)),
    ] {
        assert!(user(&with(name, value.clone())).is_ok(), "{name} {value}");
    }
    for name in ["iss", "aud", "sub", "exp"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(user(&without).unwrap_err(), BadToken::Malformed, "{name}");
    }
}

#[test]
fn a_key_verifies_its_own_algorithm_only() {
    let rsa = json!({"kty": "RSA", "kid": "k", "n": encode([1; 256]), "e": "AQAB"});
    let mut memory = KeyMemory::default();
    memory.begin_fetch(0);
    memory.keep(set(vec![rsa]), 0);
    let confused = token(&json!({"alg": "ES256", "kid": "k"}), &claims(), 64);
    assert!(matches!(memory.find(&Token::parse(&confused).unwrap(), 1), Found::Nowhere { known: true, .. }));
    let right = token(&json!({"alg": "RS256", "kid": "k"}), &claims(), 256);
    assert!(matches!(memory.find(&Token::parse(&right).unwrap(), 1), Found::Key { refresh: false, .. }));
}

#[test]
fn keys_that_are_weak_private_or_for_other_uses_are_left_out() {
    let with = |name: &str, value: Value| {
        let mut key = ec("k");
        key[name] = value;
        key
    };
    for key in [
        json!({"kty": "RSA", "n": encode([1; 128]), "e": "AQAB"}),
        json!({"kty": "RSA", "n": encode([1; 1_025]), "e": "AQAB"}),
        json!({"kty": "oct", "k": encode([1; 32])}),
        json!({"kty": "EC", "crv": "P-384", "x": encode([1; 48]), "y": encode([1; 48])}),
        with("use", json!("enc")),
        with("alg", json!("ECDH-ES")),
        with("x", json!("not base64!")),
        with("x", json!(null)),
        json!("a key"),
    ] {
        assert_eq!(set(vec![key.clone()]), set(vec![]), "{key}");
    }
    let private = with("d", json!(encode([3; 32])));
    assert_eq!(
        set(vec![private]),
        set(vec![ec("k")]),
        "of a private key nothing but its public part is kept"
    );
}

#[test]
fn what_is_no_key_set_or_too_large_is_refused() {
    let many = json!({"keys": vec![ec("k"); 33]}).to_string();
    let huge = format!("{}{}", json!({"keys": []}), " ".repeat(JWKS_BYTES_MAX));
    for bad in ["", "[]", "{}", r#"{"keys": {}}"#, "<html>", many.as_str(), huge.as_str()] {
        assert!(Jwks::parse(bad.as_bytes()).is_err());
    }
}

#[test]
fn an_unknown_key_is_looked_for_once_a_minute_and_known_ones_outlive_a_failure() {
    let known = token(&json!({"alg": "ES256", "kid": "old"}), &claims(), 64);
    let unknown = token(&json!({"alg": "ES256", "kid": "new"}), &claims(), 64);
    let (known, unknown) = (Token::parse(&known).unwrap(), Token::parse(&unknown).unwrap());
    let mut memory = KeyMemory::default();
    assert_eq!(memory.find(&known, 1_000), Found::Fetch);
    memory.begin_fetch(1_000);
    assert_eq!(memory.find(&known, 1_500), Found::Wait, "it may be in what is being fetched");
    memory.fail();
    assert_eq!(memory.find(&known, 2_000), Found::Nowhere { known: false, retry_ms: 59_000 });
    memory.keep(set(vec![ec("old")]), 3_000);
    assert!(matches!(memory.find(&known, 3_000), Found::Key { refresh: false, .. }));
    assert_eq!(memory.find(&unknown, 3_000), Found::Nowhere { known: true, retry_ms: 58_000 });
    assert_eq!(memory.find(&unknown, 61_000), Found::Fetch);
    // That fetch fails: what was known is still known, and refreshed when it is old.
    memory.begin_fetch(61_000);
    assert!(matches!(memory.find(&known, 61_000), Found::Key { .. }), "what is known waits for nothing");
    memory.fail();
    assert_eq!(memory.find(&unknown, 61_001), Found::Nowhere { known: true, retry_ms: 59_999 });
    assert!(matches!(memory.find(&known, 603_000), Found::Key { refresh: true, .. }));
    assert!(matches!(memory.find(&known, 3_000 + 86_399_999), Found::Key { .. }));
    assert_eq!(memory.find(&known, 3_000 + 86_400_000), Found::Fetch, "a day without its issuer is too long");
}

#[test]
fn a_fetch_that_never_ends_is_not_waited_for_for_ever() {
    let text = token(&json!({"alg": "ES256", "kid": "k"}), &claims(), 64);
    let token = Token::parse(&text).unwrap();
    let mut memory = KeyMemory::default();
    memory.begin_fetch(0);
    assert_eq!(memory.find(&token, FETCH_MS_MAX), Found::Wait);
    assert!(matches!(memory.find(&token, 2 * FETCH_MS_MAX), Found::Nowhere { known: false, .. }));
    assert_eq!(memory.find(&token, 60_000), Found::Fetch);
}

#[test]
fn a_clock_that_steps_back_puts_no_fetch_off_until_it_is_where_it_was() {
    let text = token(&json!({"alg": "ES256", "kid": "k"}), &claims(), 64);
    let token = Token::parse(&text).unwrap();
    let mut memory = KeyMemory::default();
    memory.begin_fetch(7_200_000);
    memory.fail();
    assert!(matches!(memory.find(&token, 7_199_000), Found::Nowhere { known: false, retry_ms: 59_000 }));
    assert_eq!(memory.find(&token, 3_600_000), Found::Fetch);
}

#[test]
fn a_token_without_a_key_id_fits_a_single_key_only() {
    let nameless = token(&json!({"alg": "ES256"}), &claims(), 64);
    let nameless = Token::parse(&nameless).unwrap();
    let mut memory = KeyMemory::default();
    memory.begin_fetch(0);
    memory.keep(set(vec![ec("a")]), 0);
    assert!(matches!(memory.find(&nameless, 1), Found::Key { .. }));
    memory.keep(set(vec![ec("a"), ec("b")]), 1);
    assert!(matches!(memory.find(&nameless, 2), Found::Nowhere { .. }));
}

#[test]
fn keys_come_over_https_or_from_this_machine() {
    for good in [
        "https://id.example/keys",
        "https://id.example:8443/k?x=1",
        "http://127.0.0.1:9/k",
        "http://localhost/k",
        "http://[::1]/k",
        "http://[::1]:8080/k",
    ] {
        assert!(JwksUrl::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "id.example",
        "http://id.example/keys",
        "http://127.0.0.1.evil.example/",
        "https://",
        "https:///k",
        "https://user@id.example/",
        "http://localhost@evil.example/",
        "https://id.example/#a",
        "https://id.example/ a",
        "ftp://id.example/",
        "http://localhost\\@evil.example/",
        "http://[::1].evil.example/",
        "http://[::1]evil.example:80/",
        "http://[::2]/",
        "https://id.example:port/",
        "https://id.example:/",
    ] {
        assert!(JwksUrl::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_refused(text in ".{0,200}", parts in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Token::parse(&text);
        let _ = Jwks::parse(&parts);
        let strange = format!("{}.{}.{}", encode(&parts), encode(&parts), encode(&parts));
        prop_assert!(Token::parse(&strange).is_err());
    }
}
