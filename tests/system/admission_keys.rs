//! Keys as they are made, used, rotated and revoked; who may do that; and what pages of other sites may.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perigee_tests::client::{Client, Reply, chat};
use perigee_tests::stage::{ADMIN_SECRET, EDGE_SECRET, KEY_SECRET, Settings, Stage};
use reqwest::Method;
use serde_json::{Value, json};
use xtask::edge::EdgeShape;

use crate::{GUIDE, REFUND, tiers};

const KEYS: &str = "/v1/admin/tenants/acme/keys";

/// Longer than any isolate uses a lease, and than the bound that revocation has.
const REVOKED_EVERYWHERE_WITHIN: Duration = Duration::from_secs(30);

struct Made {
    id: String,
    key: String,
}

fn made(reply: &Reply) -> Result<Made> {
    let shown = reply.json()?;
    let field = |name: &str| shown[name].as_str().map(str::to_owned).with_context(|| format!("{shown}"));
    Ok(Made { id: field("id")?, key: field("key")? })
}

async fn make(admin: &Client, key: &Value) -> Result<Made> {
    made(&admin.post(KEYS, key).await?.expect(201)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_works_and_does_only_what_it_was_made_for() -> Result<()> {
    let stage = Stage::start()?;
    stage.client("acme")?.fill("docs", GUIDE).await?;
    let admin = stage.admin()?;
    let Made { id, key } = make(&admin, &json!({"name": "the website", "corpora": ["docs"]})).await?;

    let client = Client::new(&stage.edge.url(), Some(&key))?;
    let answer = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(answer.body.contains("five working days"), "{}", answer.body);
    client.put("/v1/corpora/docs/documents/x", &json!({"content": "x"})).await?.expect(403)?;
    client.get(KEYS).await?.expect(403)?;

    let listed = admin.get(KEYS).await?.expect(200)?;
    assert_eq!(listed.json()?["data"][0]["id"], id.as_str());
    assert!(!listed.body.contains(&key), "a list shows no key");
    let shown = admin.get(&format!("{KEYS}/{id}")).await?.expect(200)?;
    assert!(!shown.body.contains(&key) && shown.body.contains(&key[..12]), "{shown:?}");
    admin.get(&format!("{KEYS}/key_of_nobody")).await?.expect(404)?;

    // One character wrong is told from a key that nobody holds.
    let mut slip = key.clone();
    slip.replace_range(20..21, if &key[20..21] == "0" { "1" } else { "0" });
    let slip = Client::new(&stage.edge.url(), Some(&slip))?.ask("docs", REFUND).await?.expect(401)?;
    assert!(slip.body.contains("a character of it is wrong"), "{}", slip.body);

    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 2;
    let short = make(&admin, &json!({"expires_at_s": soon})).await?;
    let short = Client::new(&stage.edge.url(), Some(&short.key))?;
    short.ask("docs", REFUND).await?.expect(200)?;
    wait_for_refusal(&short, Duration::from_secs(10)).await?;
    Ok(())
}

/// Asks until the key is refused; what refuses before was no refusal of the key.
async fn wait_for_refusal(client: &Client, within: Duration) -> Result<()> {
    let began = Instant::now();
    loop {
        let reply = client.ask("docs", REFUND).await?;
        if reply.status == 401 {
            return Ok(());
        }
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(began.elapsed() < within, "it still works after {within:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_by_every_isolate_within_thirty_seconds_and_its_successor_is_not()
-> Result<()> {
    // However long an isolate believes a record: it hears of the end from the ledger.
    let stage = Stage::with(
        Settings::default().edge_shape(EdgeShape::ThreeIsolates).edge_var("KEY_CACHE_S", "3600"),
    )?;
    stage.client("acme")?.fill("docs", GUIDE).await?;
    let admin = stage.admin()?;
    let Made { id, key } = make(&admin, &json!({})).await?;
    let everywhere = |key: &str| -> Result<Vec<Client>> {
        let clients = stage.edge.isolate_urls();
        clients.iter().map(|url| Client::new(url, Some(key))).collect()
    };
    let old = everywhere(&key)?;
    for client in &old {
        client.ask("docs", REFUND).await?.expect(200)?;
    }

    let rotated =
        admin.post(&format!("{KEYS}/{id}:rotate"), &json!({"overlap_s": 3_600})).await?.expect(200)?;
    let new = everywhere(&made(&rotated)?.key)?;
    for client in old.iter().chain(&new) {
        client.ask("docs", REFUND).await?.expect(200)?;
    }
    let again = admin.post(&format!("{KEYS}/{id}:rotate"), &json!({"overlap_s": 0})).await?.expect(200)?;
    let last = everywhere(&made(&again)?.key)?;
    for client in old.iter().chain(&new) {
        wait_for_refusal(client, REVOKED_EVERYWHERE_WITHIN).await?;
    }
    for client in &last {
        client.ask("docs", REFUND).await?.expect(200)?;
    }

    admin.delete(&format!("{KEYS}/{id}")).await?.expect(200)?;
    for client in &last {
        wait_for_refusal(client, REVOKED_EVERYWHERE_WITHIN).await?;
    }
    admin.post(&format!("{KEYS}/{id}:rotate"), &json!({})).await?.expect(404)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_goes_on_for_the_overlap_and_no_longer() -> Result<()> {
    let stage = Stage::with(Settings::default().edge_var("KEY_CACHE_S", "3600"))?;
    stage.client("acme")?.fill("docs", GUIDE).await?;
    let admin = stage.admin()?;
    let Made { id, key } = make(&admin, &json!({})).await?;
    let old = Client::new(&stage.edge.url(), Some(&key))?;
    old.ask("docs", REFUND).await?.expect(200)?;
    let rotated = admin.post(&format!("{KEYS}/{id}:rotate"), &json!({"overlap_s": 5})).await?.expect(200)?;
    old.ask("docs", REFUND).await?.expect(200)?;
    wait_for_refusal(&old, Duration::from_secs(5) + REVOKED_EVERYWHERE_WITHIN).await?;
    let new = Client::new(&stage.edge.url(), Some(&made(&rotated)?.key))?;
    new.ask("docs", REFUND).await?.expect(200)?;
    let shown = admin.get(&format!("{KEYS}/{id}")).await?.expect(200)?.json()?;
    assert!(shown["previous"].is_null() && shown["revoked_at_s"].is_null(), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_tier_of_its_own_has_that_tier_s_limits_and_the_others_keep_theirs() -> Result<()> {
    let stage = Stage::with(tiers::settings())?;
    let plain = tiers::tenant(&stage, "acme", "wide").await?;
    let admin = stage.admin()?;
    let Made { id, key } = make(&admin, &json!({"tier": "key"})).await?;
    let limited = Client::new(&stage.edge.url(), Some(&key))?;
    let first = limited.ask("docs", REFUND).await?.expect(200)?;
    assert!(first.header("ratelimit-policy").contains("\"key-requests\";q=3;w=3600"), "{first:?}");
    for _ in 0..2 {
        limited.ask("docs", REFUND).await?.expect(200)?;
    }
    let refused = limited.ask("docs", REFUND).await?.expect(429)?;
    assert!(refused.body.contains("the key's limit of requests"), "{refused:?}");
    for _ in 0..5 {
        let free = plain.ask("docs", REFUND).await?.expect(200)?;
        assert_eq!(free.header("ratelimit-policy"), "", "{free:?}");
    }
    // A record that was written by hand may name one, too.
    let by_hand =
        json!({"tenant": "acme", "tier": "key", "corpora": ["*"], "audience": [], "scopes": ["ask"]});
    let by_hand = stage.client_with(&by_hand)?;
    let statuses = tiers::statuses(std::slice::from_ref(&by_hand), 12).await?;
    assert_eq!((tiers::count(&statuses, 200), tiers::count(&statuses, 429)), (3, 9), "{statuses:?}");

    // Other digits are the same account.
    let rotated = admin.post(&format!("{KEYS}/{id}:rotate"), &json!({})).await?.expect(200)?;
    Client::new(&stage.edge.url(), Some(&made(&rotated)?.key))?.ask("docs", REFUND).await?.expect(429)?;
    let usage = tiers::usage(&stage, "acme").await?;
    let of_key = usage["data"].as_array().into_iter().flatten().find(|limit| limit["key"] == id.as_str());
    assert_eq!(of_key.map(|limit| &limit["limit"]), Some(&json!(3)), "{usage}");
    assert_eq!(admin.get(&format!("{KEYS}/{id}")).await?.expect(200)?.json()?["tier"], "key");
    let unknown = admin.post(KEYS, &json!({"tier": "gold"})).await?.expect(400)?;
    assert!(unknown.body.contains("there is no such tier"), "{unknown:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_trail_with_who_made_it() -> Result<()> {
    let stage = Stage::start()?;
    let admin = stage.admin()?;
    let Made { id, key } = make(&admin, &json!({"scopes": ["ask", "admin"]})).await?;
    // Who manages a tenant's keys with a key of it does so for that tenant alone, and changes no settings.
    let manager = Client::new(&stage.edge.url(), Some(&key))?;
    let other = made(&manager.post(KEYS, &json!({"name": "another"})).await?.expect(201)?)?;
    manager.post("/v1/admin/tenants/rival/keys", &json!({})).await?.expect(403)?;
    let settings = json!({"tier": "free"});
    manager.put("/v1/admin/tenants/acme", &settings).await?.expect(403)?;
    manager.post(KEYS, &json!({"tier": "enterprise"})).await?.expect(403)?;
    admin.put("/v1/admin/tenants/acme", &settings).await?.expect(200)?;
    admin.delete(&format!("{KEYS}/{}", other.id)).await?.expect(200)?;

    let page = admin.get("/v1/admin/tenants/acme/audit?limit=3").await?.expect(200)?.json()?;
    let entries = |page: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        page["data"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| (text(&entry["action"]), text(&entry["actor"])))
            .collect()
    };
    let operator = |action: &str| (action.to_owned(), "operator".to_owned());
    let expected = [operator("key_created"), ("key_created".to_owned(), id), operator("settings_changed")];
    assert_eq!(entries(&page), expected, "{page}");
    let rest = admin
        .get(&format!("/v1/admin/tenants/acme/audit?after={}", page["next_after"]))
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(entries(&rest), [operator("key_revoked")]);
    assert!(rest["data"][0]["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{rest}");
    assert!(rest["next_after"].is_null());
    assert!(!page.to_string().contains(&key), "no key in the trail");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_manages_without_the_secret_and_bad_requests_change_nothing() -> Result<()> {
    let stage = Stage::start()?;
    let admin = stage.admin()?;
    let asking = stage.client("acme")?;
    let prefix = &ADMIN_SECRET[..ADMIN_SECRET.len() - 1];
    for stranger in ["", "x", prefix, EDGE_SECRET, KEY_SECRET, "pgk_", "eyJhbGciOiJub25lIn0.e30."] {
        let stranger = Client::new(&stage.edge.url(), Some(stranger))?;
        for (method, path) in [
            (Method::GET, KEYS),
            (Method::POST, KEYS),
            (Method::PUT, "/v1/admin/tenants/acme"),
            (Method::DELETE, "/v1/admin/tenants/acme/keys/key_1"),
            (Method::POST, "/v1/admin/tenants/acme/keys/key_1:rotate"),
            (Method::GET, "/v1/admin/tenants/acme/audit"),
            (Method::GET, "/v1/admin/tenants/acme/usage"),
        ] {
            let reply = stranger.request(method.clone(), path).json(&json!({})).send().await?;
            assert_eq!(reply.status(), 401, "{method} {path}");
        }
    }
    asking.clone().anonymous().get(KEYS).await?.expect(401)?;
    asking.get(KEYS).await?.expect(403)?;
    for (what, body) in [
        ("a slip", json!({"scope": ["ask"]})),
        ("no scope", json!({"scopes": []})),
        ("an unknown scope", json!({"scopes": ["everything"]})),
        ("a bad corpus", json!({"corpora": ["../x"]})),
        ("expired", json!({"expires_at_s": 1})),
        (
            "publishable for writing",
            json!({"kind": "publishable", "scopes": ["write"], "web_origins": ["https://a.example"]}),
        ),
        ("publishable everywhere", json!({"kind": "publishable", "web_origins": ["*"]})),
        ("publishable nowhere", json!({"kind": "publishable"})),
    ] {
        let reply = admin.post(KEYS, &body).await?;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
    }
    for settings in
        [json!({"tier": "gold"}), json!({"tier": "free", "limits": {"tenant": {"concurrent": 0}}}), json!({})]
    {
        admin.put("/v1/admin/tenants/acme", &settings).await?.expect(400)?;
    }
    admin.get("/v1/admin/tenants/acme/audit?limit=0").await?.expect(400)?;
    admin.get("/v1/admin/tenants/Not%20A%20Name/keys").await?.expect(404)?;
    assert_eq!(admin.get("/v1/admin/tenants/acme/audit").await?.expect(200)?.json()?["data"], json!([]));
    assert_eq!(admin.get(KEYS).await?.expect(200)?.json()?["data"], json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishable_key_works_on_its_own_sites_and_nowhere_else() -> Result<()> {
    const SITE: &str = "https://app.example.com";
    let stage = Stage::start()?;
    stage.client("acme")?.fill("docs", GUIDE).await?;
    let admin = stage.admin()?;
    let Made { key, .. } = make(&admin, &json!({"kind": "publishable", "web_origins": [SITE]})).await?;
    assert!(key.starts_with("pgp_"));
    let anywhere = Client::new(&stage.edge.url(), Some(&key))?;
    let here = anywhere.clone().with("origin", SITE);

    let preflight = anywhere
        .clone()
        .anonymous()
        .with("origin", SITE)
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "authorization,content-type");
    let path = "/v1/chat/completions";
    let allowed = preflight.request(Method::OPTIONS, path).send().await?;
    assert_eq!(allowed.status(), 204);
    let header = |name: &str| allowed.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    assert_eq!(header("access-control-allow-origin"), SITE);
    assert!(header("access-control-allow-methods").contains("POST"));
    assert!(header("access-control-allow-headers").contains("authorization"));
    assert!(header("access-control-allow-credentials").is_empty());
    for closed in ["/v1/corpora", "/v1/usage", KEYS] {
        let reply = preflight.request(Method::OPTIONS, closed).send().await?;
        assert!(reply.headers().get("access-control-allow-origin").is_none(), "{closed}");
    }

    let answer = here.ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(answer.header("access-control-allow-origin"), SITE);
    assert!(answer.header("access-control-expose-headers").contains("retry-after"));
    assert!(answer.header("vary").contains("Origin"));
    here.post("/v1/corpora/docs/search", &json!({"query": "refund"})).await?.expect(200)?;
    // A page may read why it was refused.
    let refused = here.post(path, &chat("docs", "")).await?.expect(400)?;
    assert_eq!(refused.header("access-control-allow-origin"), SITE);

    here.get("/v1/corpora/docs/documents").await?.expect(403)?;
    here.get("/v1/usage").await?.expect(403)?;
    for stranger in
        ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"]
    {
        let reply = anywhere.clone().with("origin", stranger).ask("docs", REFUND).await?.expect(403)?;
        // Nothing but why.
        assert_eq!(reply.header("access-control-allow-origin"), stranger);
        assert_eq!(reply.json()?["error"]["code"], "wrong_web_origin");
    }
    anywhere.ask("docs", REFUND).await?.expect(403)?;
    // A secret key has no business in a page of another site.
    let secret = stage.client("acme")?.with("origin", SITE).ask("docs", REFUND).await?.expect(200)?;
    assert_eq!(secret.header("access-control-allow-origin"), "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_a_key_or_a_secret() -> Result<()> {
    let stage = Stage::with(Settings::default().edge_shape(EdgeShape::WithFaults))?;
    let writing = stage.client("acme")?;
    writing.fill("docs", GUIDE).await?;
    let admin = stage.admin()?;
    let Made { id, key } = make(&admin, &json!({})).await?;
    let client = Client::new(&stage.edge.url(), Some(&key))?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let rotated = made(&admin.post(&format!("{KEYS}/{id}:rotate"), &json!({})).await?.expect(200)?)?;
    admin.post(KEYS, &json!({"name": 7})).await?.expect(400)?;
    // What fails is what is logged.
    let broken = "pgk_0123456789abcdef0123456789abcdef0123456789abcdef000000";
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl";
    for wrong in [broken, token, "not-the-admin-secret-0123456789"] {
        let stranger = Client::new(&stage.edge.url(), Some(wrong))?;
        stranger.ask("docs", REFUND).await?.expect(401)?;
        stranger.get(KEYS).await?.expect(401)?;
    }
    // A record that nobody can read, and a ledger that fails.
    let unreadable = stage.client_with(&json!({"tenant": "acme", "secret": "a-secret-in-a-record"}))?;
    unreadable.ask("docs", REFUND).await?.expect(500)?;
    stage.edge.put_key("test:ledgers", "fail")?;
    admin.post(KEYS, &json!({})).await?.expect(503)?;
    stage.client("rival")?.ask("docs", REFUND).await?;
    let logs = stage.logs()?;
    for expected in ["can't be read", "the ledger of acme can't be reached", "the ledger of rival"] {
        assert!(logs.contains(expected), "not logged at all: {expected}");
    }
    let secrets = [ADMIN_SECRET, EDGE_SECRET, KEY_SECRET, &key, &rotated.key, writing.token(), broken, token];
    let more = ["not-the-admin-secret", unreadable.token(), "a-secret-in-a-record"];
    for secret in secrets.into_iter().chain(more) {
        assert!(!logs.contains(secret), "a log holds a secret: {}…", &secret[..8]);
    }
    Ok(())
}
