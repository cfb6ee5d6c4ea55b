//! Users of a tenant: whose token is believed and whose is not, what a user sees, and how users are counted.

use std::process::Command;

use anyhow::{Context, Result};
use futures::future::join_all;
use perigee_tests::client::{Client, Reply};
use perigee_tests::issuer::{Issuer, SigningKey, now_s, signed_part};
use perigee_tests::stage::{Settings, Stage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{GUIDE, REFUND};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "perigee";

const TIERS: &str = r#"{
    "wide": {"unreachable": "closed"},
    "three": {"user": {"requests": "3/h burst 3"}, "unreachable": "closed"}
}"#;

pub(crate) fn settings() -> Settings {
    Settings::default().edge_var("TIERS", TIERS).edge_var("TIER_DEFAULT", "wide")
}

/// What a token of `name` claims that is right in every way.
pub(crate) fn claims(name: &str) -> Result<Value> {
    Ok(json!({"iss": ISSUER, "aud": AUDIENCE, "sub": name, "exp": now_s()? + 300}))
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// Makes `tenant` take the tokens of an issuer, in a tier that no isolate has heard of before.
pub(crate) async fn take_tokens(
    stage: &Stage,
    tenant: &str,
    tier: &str,
    issuer: &Issuer,
    more: &Value,
) -> Result<()> {
    let mut users = json!({"jwks_url": issuer.jwks_url, "issuer": ISSUER, "audience": AUDIENCE});
    for (name, value) in more.as_object().into_iter().flatten() {
        users[name] = value.clone();
    }
    let path = format!("/v1/admin/tenants/{tenant}");
    stage.admin()?.put(&path, &json!({"tier": tier, "users": users})).await?.expect(200)?;
    Ok(())
}

/// The tenant `acme` with documents that came past the edge, and a fresh key that sees what is for `partners`.
async fn acme(stage: &Stage, tier: &str, issuer: &Issuer, more: &Value) -> Result<Client> {
    let documents = stage.operator(0, "acme")?;
    documents.fill("docs", GUIDE).await?;
    for (label, says) in [("staff", "one hour"), ("partners", "two weeks")] {
        let content = format!("# Refunds for {label}\n\nA refund for {label} takes {says}.\n");
        let document = json!({"content": content, "audience": [label]});
        documents.put(&format!("/v1/corpora/docs/documents/{label}"), &document).await?.expect(201)?;
    }
    take_tokens(stage, "acme", tier, issuer, more).await?;
    stage.client_with(&json!({
        "tenant": "acme", "corpora": ["*"], "audience": ["partners"],
        "scopes": ["ask", "search", "read", "write"],
    }))
}

pub(crate) fn as_user(client: &Client, token: &str) -> Client {
    client.clone().with("perigee-user", token)
}

/// Whether the edge believed no such token, and said why without repeating it.
fn assert_refused(what: &str, reply: &Reply, token: &str, why: &str) {
    assert_eq!(reply.status, 401, "{what}: {reply:?}");
    assert!(reply.body.contains("invalid_user_token"), "{what}: {reply:?}");
    assert!(reply.body.contains(why), "{what} should be refused because {why}: {reply:?}");
    assert!(token.len() < 40 || !reply.body.contains(&token[..40]), "{what}: {reply:?}");
    assert_eq!(reply.header("www-authenticate"), "Bearer", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_right_in_every_way_is_refused_and_nothing_logs_it() -> Result<()> {
    let stage = Stage::with(settings())?;
    let (ec, rsa) = (SigningKey::es256("one")?, SigningKey::rs256("two")?);
    let issuer = Issuer::of(&[&ec, &rsa]).await?;
    let client = acme(&stage, "wide", &issuer, &json!({})).await?;
    let good = ec.token(&claims("ada")?)?;
    let (now_s, right) = (now_s()?, claims("ada")?);
    let part = |header: Value| signed_part(&header, &right);
    let (signed, signature) = good.rsplit_once('.').context("a token has a signature")?;
    let flipped = if signature.starts_with('A') { "B" } else { "A" };

    let cases: Vec<(&str, String, &str)> = vec![
        ("nothing", String::new(), "malformed"),
        ("a word", "ada".to_owned(), "malformed"),
        ("two parts", signed.to_owned(), "malformed"),
        ("a truncated token", good[..good.len() - 10].to_owned(), "malformed"),
        ("two tokens", format!("{good}, {good}"), "malformed"),
        ("a bearer", format!("Bearer {good}"), "malformed"),
        ("an oversized token", ec.token(&with(right.clone(), "x", json!("x".repeat(9_000))))?, "longer than"),
        ("no algorithm", format!("{}.", part(json!({"alg": "none"}))), "algorithm"),
        (
            "no algorithm, but a signature",
            format!("{}.{signature}", part(json!({"alg": "none"}))),
            "algorithm",
        ),
        ("the public key as a secret", ec.token_with_public_secret(&right), "algorithm"),
        (
            "critical extensions",
            ec.token_with(&json!({"alg": "ES256", "crit": ["x"], "x": 1}), &right)?,
            "critical",
        ),
        (
            "RS256 with the name of an EC key",
            rsa.token_with(&json!({"alg": "RS256", "kid": "one"}), &right)?,
            "publish",
        ),
        (
            "ES256 with the name of an RSA key",
            ec.token_with(&json!({"alg": "ES256", "kid": "two"}), &right)?,
            "publish",
        ),
        ("a key that nobody publishes", SigningKey::es256("three")?.token(&right)?, "publish"),
        ("another's key of the same name", SigningKey::es256("one")?.token(&right)?, "signature"),
        ("a changed signature", format!("{signed}.{flipped}{}", &signature[1..]), "signature"),
        (
            "other claims under a signature",
            format!("{}.{signature}", signed_part(&json!({"alg": "ES256", "kid": "one"}), &claims("eve")?)),
            "signature",
        ),
        ("an expired token", ec.token(&with(right.clone(), "exp", json!(now_s - 61)))?, "expired"),
        ("a token for later", ec.token(&with(right.clone(), "nbf", json!(now_s + 200)))?, "not valid yet"),
        (
            "another issuer",
            ec.token(&with(right.clone(), "iss", json!("https://id.example.evil")))?,
            "issuer",
        ),
        ("another audience", ec.token(&with(right.clone(), "aud", json!(["perigee2"])))?, "audience"),
        ("no user", ec.token(&with(right.clone(), "sub", json!("")))?, "no user"),
        ("no end", ec.token(&with(right.clone(), "exp", json!(null)))?, "malformed"),
    ];
    // Twice: the second round meets what the first one left.
    for _ in 0..2 {
        for (what, token, why) in &cases {
            let refused = as_user(&client, token).ask("docs", REFUND).await?;
            assert_refused(what, &refused, token, why);
            assert_eq!(refused.json()?["error"]["type"], "authentication_error", "{what}");
        }
        as_user(&client, &good).ask("docs", REFUND).await?.expect(200)?;
    }
    let (_, token, why) = &cases[cases.len() - 1];
    let problem = as_user(&client, token).get("/v1/corpora/docs/documents").await?;
    assert_refused("elsewhere", &problem, token, why);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert_eq!(issuer.hits(), 1, "whatever is sent, keys are fetched once a minute at most");

    let logs = stage.logs()?;
    for token in cases.iter().map(|(_, token, _)| token).chain([&good]).filter(|token| token.len() > 40) {
        let (head, tail) = (&token[..40], &token[token.len() - 30..]);
        assert!(!logs.contains(head) && !logs.contains(tail), "a log holds a token");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_all_three_algorithms_are_believed_and_many_at_once_fetch_keys_once() -> Result<()> {
    let stage = Stage::with(settings())?;
    let keys = [SigningKey::es256("ec")?, SigningKey::rs256("rsa")?, SigningKey::ed25519("ed")?];
    let issuer = Issuer::of(&keys.iter().collect::<Vec<_>>()).await?;
    let client = acme(&stage, "three", &issuer, &json!({})).await?;
    let jwks = keys.iter().map(SigningKey::jwk).collect();
    issuer.publish(perigee_tests::issuer::Publish::Late(jwks, std::time::Duration::from_millis(500)));
    let asks = (0..30).map(|number| {
        let (client, key) = (&client, &keys[number % 3]);
        async move {
            let token = key.token(&claims(&format!("user-{number}"))?)?;
            as_user(client, &token).ask("docs", REFUND).await?.expect(200)
        }
    });
    for reply in join_all(asks).await {
        let reply = reply?;
        assert!(reply.header("ratelimit-policy").contains("\"user-requests\";q=3"), "{reply:?}");
    }
    assert_eq!(issuer.hits(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_tenant_s_issuer_signs_says_nothing_to_another_tenant() -> Result<()> {
    let stage = Stage::with(settings())?;
    let (ours, theirs) = (SigningKey::es256("key")?, SigningKey::es256("key")?);
    let (our_issuer, their_issuer) = (Issuer::of(&[&ours]).await?, Issuer::of(&[&theirs]).await?);
    let acme = acme(&stage, "wide", &our_issuer, &json!({})).await?;
    // Even if the other one's settings say the same of issuer and audience, and its key has the same name.
    stage.operator(0, "rival")?.fill("docs", GUIDE).await?;
    take_tokens(&stage, "rival", "wide", &their_issuer, &json!({})).await?;
    let rival = stage.client("rival")?;
    let (of_acme, of_rival) = (ours.token(&claims("ada")?)?, theirs.token(&claims("ada")?)?);
    for _ in 0..2 {
        as_user(&acme, &of_acme).ask("docs", REFUND).await?.expect(200)?;
        as_user(&rival, &of_rival).ask("docs", REFUND).await?.expect(200)?;
        let refused = as_user(&rival, &of_acme).ask("docs", REFUND).await?;
        assert_refused("acme's at rival's", &refused, &of_acme, "signature");
        let refused = as_user(&acme, &of_rival).ask("docs", REFUND).await?;
        assert_refused("rival's at acme's", &refused, &of_rival, "signature");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_s_labels_stand_in_place_of_the_key_s_in_answers_searches_and_documents() -> Result<()> {
    const QUESTION: &str = "How long does a refund for staff and partners take?";
    // So that what is cached is not asked for again while this runs.
    let stage = Stage::with(settings().edge_var("EPOCH_STALENESS_S", "3600"))?;
    let key = SigningKey::ed25519("key")?;
    let issuer = Issuer::of(&[&key]).await?;
    let alone = acme(&stage, "wide", &issuer, &json!({"labels_claim": "groups"})).await?;
    let user = |name: &str, groups: Value| -> Result<Client> {
        Ok(as_user(&alone, &key.token(&with(claims(name)?, "groups", groups))?))
    };
    let viewers = [
        ("the key alone", alone.clone(), ["partners"].as_slice()),
        ("staff", user("ada", json!(["staff"]))?, &["staff"]),
        ("both", user("bob", json!("partners staff"))?, &["staff", "partners"]),
        ("no labels", user("cy", json!([]))?, &[]),
        ("no claim", as_user(&alone, &key.token(&claims("dee")?)?), &[]),
        ("another one of the staff", user("eve", json!(["staff"]))?, &["staff"]),
    ];
    // The second round is answered from caches, and from nobody else's.
    for round in 0..2 {
        for (who, client, labels) in &viewers {
            let answer = client.ask("docs", QUESTION).await?.expect(200)?;
            let search = json!({"query": QUESTION, "k": 10});
            let found = client.post("/v1/corpora/docs/search", &search).await?.expect(200)?;
            for (label, says) in [("staff", "one hour"), ("partners", "two weeks")] {
                let sees = labels.contains(&label);
                let document = client.get(&format!("/v1/corpora/docs/documents/{label}")).await?;
                assert_eq!(document.status, if sees { 200 } else { 404 }, "{who}, {label}: {document:?}");
                assert_eq!(found.body.contains(says), sees, "{who}, {label}: {}", found.body);
                assert!(
                    sees || !answer.body.contains(says),
                    "{who}, {label}, round {round}: {}",
                    answer.body
                );
            }
            if labels.len() == 1 {
                let says = if labels[0] == "staff" { "one hour" } else { "two weeks" };
                assert!(answer.body.contains(says), "{who}: {}", answer.body);
            }
            if *labels == ["staff"] {
                // Who sees the same may share an answer.
                let was_hit = answer.header("cache-status").contains("perigee-edge; hit");
                let shares = round == 1 || *who == "another one of the staff";
                assert_eq!(was_hit, shares, "{who}: {answer:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_claim_is_named_a_user_sees_what_the_key_sees() -> Result<()> {
    let stage = Stage::with(settings())?;
    let key = SigningKey::es256("key")?;
    let issuer = Issuer::of(&[&key]).await?;
    let client = acme(&stage, "wide", &issuer, &json!({})).await?;
    let ada = as_user(&client, &key.token(&with(claims("ada")?, "groups", json!(["staff"])))?);
    ada.get("/v1/corpora/docs/documents/partners").await?.expect(200)?;
    ada.get("/v1/corpora/docs/documents/staff").await?.expect(404)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_has_a_limit_of_their_own_whatever_token_names_them() -> Result<()> {
    let stage = Stage::with(settings())?;
    let key = SigningKey::es256("key")?;
    let issuer = Issuer::of(&[&key]).await?;
    let client = acme(&stage, "three", &issuer, &json!({})).await?;
    let ada = || -> Result<Client> { Ok(as_user(&client, &key.token(&claims("ada")?)?)) };
    // A user may be ahead of what the ledger knows by two requests in each isolate.
    let mut admitted = 0;
    let refused = loop {
        let reply = ada()?.ask("docs", REFUND).await?;
        if reply.status != 200 {
            break reply.expect(429)?;
        }
        admitted += 1;
        anyhow::ensure!(admitted <= 5, "the user is not limited");
    };
    assert!(admitted >= 3, "{admitted}");
    let error = refused.json()?["error"].clone();
    assert!(error["message"].as_str().is_some_and(|m| m.contains("the user's limit of requests")), "{error}");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");

    let bob = as_user(&client, &key.token(&claims("bob")?)?);
    let served = bob.ask("docs", REFUND).await?.expect(200)?;
    assert!(served.header("ratelimit").contains("\"user-requests\";r=2"), "{served:?}");
    // Without a user, only what the key has is drawn on.
    let alone = client.ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(alone.header("ratelimit"), "", "{alone:?}");
    ada()?.ask("docs", REFUND).await?.expect(429)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_user_is_required_a_key_alone_shows_no_document_but_writes_them() -> Result<()> {
    // Also where nothing is counted.
    for quotas in ["on", "off"] {
        let stage = Stage::with(settings().edge_var("QUOTAS", quotas))?;
        let key = SigningKey::es256("key")?;
        let issuer = Issuer::of(&[&key]).await?;
        let client = acme(&stage, "wide", &issuer, &json!({"required": true})).await?;
        let ada = as_user(&client, &key.token(&claims("ada")?)?);
        let missing = client.ask("docs", REFUND).await?.expect(401)?;
        assert_eq!(missing.json()?["error"]["code"], "missing_user_token", "{missing:?}");
        let search = json!({"query": "refund"});
        for reply in [
            client.post("/v1/corpora/docs/search", &search).await?,
            client.get("/v1/models").await?,
            client.get("/v1/corpora").await?,
            client.get("/v1/corpora/docs/documents/refunds").await?,
        ] {
            assert!(reply.expect(401)?.body.contains("missing_user_token"));
        }
        ada.ask("docs", REFUND).await?.expect(200)?;
        ada.post("/v1/corpora/docs/search", &search).await?.expect(200)?;
        client.write("docs", "new", "# New\n\nThis is new.\n").await?;
        client.get("/v1/usage").await?.expect(200)?;
        client.ask("docs", REFUND).await?.expect(401)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_names_no_issuer_takes_no_tokens_and_says_so() -> Result<()> {
    let stage = Stage::with(settings())?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let token = SigningKey::es256("key")?.token(&claims("ada")?)?;
    let refused = as_user(&client, &token).ask("docs", REFUND).await?.expect(400)?;
    assert!(refused.body.contains("Perigee-User"), "{}", refused.body);
    client.ask("docs", REFUND).await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_names_the_issuer_and_the_audit_trail_keeps_it() -> Result<()> {
    let stage = Stage::with(settings())?;
    let (admin, path) = (stage.admin()?, "/v1/admin/tenants/acme");
    let right = json!({"jwks_url": "https://id.example/keys", "issuer": ISSUER, "audience": AUDIENCE});
    for (what, name, value) in [
        ("plain http", "jwks_url", json!("http://id.example/keys")),
        ("no issuer", "issuer", json!("")),
        ("no audience", "audience", json!(null)),
        ("a slip", "labels", json!("groups")),
    ] {
        let settings = json!({"tier": "wide", "users": with(right.clone(), name, value)});
        let refused = admin.put(path, &settings).await?;
        assert_eq!(refused.status, 400, "{what}: {refused:?}");
    }
    admin.put(path, &json!({"tier": "wide", "users": right})).await?.expect(200)?;
    let shown = admin.get(path).await?.expect(200)?.json()?;
    assert_eq!((&shown["users"]["issuer"], &shown["users"]["required"]), (&json!(ISSUER), &json!(false)));
    let trail = admin.get(&format!("{path}/audit")).await?.expect(200)?.json()?;
    assert_eq!(trail["data"][0]["now"]["users"]["jwks_url"], right["jwks_url"], "{trail}");
    assert_eq!(trail["data"].as_array().map(Vec::len), Some(1), "what was refused changed nothing: {trail}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_may_send_a_user_s_token_beside_a_publishable_key() -> Result<()> {
    const SITE: &str = "https://app.example.com";
    let stage = Stage::with(settings())?;
    let key = SigningKey::rs256("key")?;
    let issuer = Issuer::of(&[&key]).await?;
    acme(&stage, "wide", &issuer, &json!({"labels_claim": "groups"})).await?;
    let made = json!({"kind": "publishable", "web_origins": [SITE]});
    let made = stage.admin()?.post("/v1/admin/tenants/acme/keys", &made).await?.expect(201)?.json()?;
    let page = Client::new(&stage.edge.url(), made["key"].as_str())?.with("origin", SITE);
    let preflight = page.clone().anonymous().with("access-control-request-method", "POST");
    let preflight = preflight.with("access-control-request-headers", "authorization,perigee-user");
    let allowed = preflight.request(Method::OPTIONS, "/v1/chat/completions").send().await?;
    let headers = allowed.headers().get("access-control-allow-headers").context("none is allowed")?;
    assert!(headers.to_str()?.split(", ").any(|name| name == "perigee-user"), "{headers:?}");

    let token = key.token(&with(claims("ada")?, "groups", json!(["staff"])))?;
    let question = "How long does a refund for staff take?";
    let answer = as_user(&page, &token).ask("docs", question).await?.expect(200)?;
    assert!(answer.body.contains("one hour"), "{}", answer.body);
    // A page may read why it was refused.
    let refused = as_user(&page, "x").ask("docs", question).await?.expect(401)?;
    assert_eq!(refused.header("access-control-allow-origin"), SITE);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_sdk_sends_a_user_s_token_as_a_header() -> Result<()> {
    let stage = Stage::with(settings())?;
    let key = SigningKey::es256("key")?;
    let issuer = Issuer::of(&[&key]).await?;
    let client = acme(&stage, "wide", &issuer, &json!({"labels_claim": "groups"})).await?;
    let output = Command::new("python3")
        .arg(stage.workspace.root().join("tests/system/openai_user.py"))
        .env("PYTHONPATH", xtask::tools::python_packages::directory(&stage.workspace))
        .env("PERIGEE_URL", stage.edge.url())
        .env("PERIGEE_KEY", client.token())
        .env("PERIGEE_USER", key.token(&with(claims("ada")?, "groups", json!(["staff"])))?)
        .output()
        .context("python3 cannot be run")?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(())
}
