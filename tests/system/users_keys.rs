//! The keys of users' issuers: fetched rarely, in bounded time and size, from nowhere but where the settings say; and what
//! becomes of users while they can't be had.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use perigee_tests::client::Client;
use perigee_tests::issuer::{Issuer, Publish, SigningKey};
use perigee_tests::stage::Stage;
use serde_json::json;

use crate::users::{as_user, claims, settings, take_tokens};
use crate::{GUIDE, REFUND};

/// Longer than a fetch may take, and than a test should wait for a refusal.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// A key of a tenant with documents that came past the edge.
async fn tenant(stage: &Stage, name: &str, issuer: &Issuer) -> Result<Client> {
    stage.operator(0, name)?.fill("docs", GUIDE).await?;
    take_tokens(stage, name, "wide", issuer, &json!({})).await?;
    stage.client(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_slow_huge_elsewhere_or_none_are_503_and_asked_for_once() -> Result<()> {
    let stage = Stage::with(settings())?;
    let key = SigningKey::es256("key")?;
    let elsewhere = Issuer::of(&[&key]).await?;
    let token = key.token(&claims("ada")?)?;
    let many = vec![key.jwk(); 33];
    for (tenant_name, publish) in [
        ("fails", Publish::Status(500)),
        ("absent", Publish::Status(404)),
        ("redirects", Publish::Redirect(elsewhere.jwks_url.clone())),
        ("page", Publish::Text("<html>sign in</html>".to_owned())),
        ("nothing", Publish::Text(String::new())),
        ("crowded", Publish::Keys(many)),
        ("padded", Publish::Text(format!("{}{}", json!({"keys": [key.jwk()]}), " ".repeat(64 << 10)))),
        ("endless", Publish::Endless),
        ("stalled", Publish::Stalled),
        ("silent", Publish::Silent),
    ] {
        let issuer = Issuer::start(publish).await?;
        let client = tenant(&stage, tenant_name, &issuer).await?;
        let user = as_user(&client, &token);
        for _ in 0..2 {
            let asked = tokio::time::timeout(REFUSED_WITHIN, user.ask("docs", REFUND)).await;
            let refused = asked.with_context(|| format!("{tenant_name}: no answer"))??;
            assert_eq!(refused.status, 503, "{tenant_name}: {refused:?}");
            assert_eq!(refused.json()?["error"]["code"], "user_keys_unknown", "{tenant_name}");
            let wait_s: u64 =
                refused.header("retry-after").parse().with_context(|| format!("{refused:?}"))?;
            assert!((1..=60).contains(&wait_s), "{tenant_name}: {wait_s}");
            assert!(!refused.body.contains("127.0.0.1"), "{tenant_name}: {}", refused.body);
        }
        assert_eq!(issuer.hits(), 1, "{tenant_name}");
        // Who asks for nobody is not held up.
        client.ask("docs", REFUND).await?.expect(200)?;
    }
    assert_eq!(elsewhere.hits(), 0, "a redirect was followed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_can_verify_nothing_are_left_out_and_the_rest_is_used() -> Result<()> {
    let stage = Stage::with(settings())?;
    let (good, off_curve) = (SigningKey::es256("good")?, SigningKey::es256("off")?);
    let mut broken = off_curve.jwk();
    broken["y"] = good.jwk()["x"].clone();
    let secret = json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0"});
    let issuer = Issuer::start(Publish::Keys(vec![secret, broken, json!({"kty": "?"}), good.jwk()])).await?;
    let client = tenant(&stage, "acme", &issuer).await?;
    as_user(&client, &good.token(&claims("ada")?)?).ask("docs", REFUND).await?.expect(200)?;
    // The platform itself refuses a point that is not on the curve.
    let refused =
        as_user(&client, &off_curve.token(&claims("ada")?)?).ask("docs", REFUND).await?.expect(401)?;
    assert!(refused.body.contains("invalid_user_token"), "{}", refused.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_within_a_minute_and_known_ones_outlive_their_issuer() -> Result<()> {
    /// Keys are fetched no more often than this.
    const FETCH_EVERY: Duration = Duration::from_secs(60);
    let stage = Stage::with(settings())?;
    let (old, new, never) =
        (SigningKey::es256("old")?, SigningKey::ed25519("new")?, SigningKey::es256("never")?);
    let (rotating, failing) = (Issuer::of(&[&old]).await?, Issuer::of(&[&old]).await?);
    let began = Instant::now();
    let (acme, rival) = (tenant(&stage, "acme", &rotating).await?, tenant(&stage, "rival", &failing).await?);
    for client in [&acme, &rival] {
        as_user(client, &old.token(&claims("ada")?)?).ask("docs", REFUND).await?.expect(200)?;
    }
    rotating.publish(Publish::Keys(vec![old.jwk(), new.jwk()]));
    failing.publish(Publish::Status(500));

    // A request that asks for an unknown key makes the edge look for it once a minute, and once only.
    let token = new.token(&claims("ada")?)?;
    let mut refusals = 0;
    loop {
        let reply = as_user(&acme, &token).ask("docs", REFUND).await?;
        if reply.status == 200 {
            break;
        }
        assert!(reply.expect(401)?.body.contains("does not publish"));
        refusals += 1;
        anyhow::ensure!(began.elapsed() < 2 * FETCH_EVERY, "the new key is never found");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(refusals > 10 && began.elapsed() >= FETCH_EVERY, "{refusals} refusals in {:?}", began.elapsed());
    assert_eq!(rotating.hits(), 2);
    as_user(&acme, &old.token(&claims("bob")?)?).ask("docs", REFUND).await?.expect(200)?;

    // The other one's issuer is down by now; what it published before is still believed, and nothing else.
    let (unknown, known) = (never.token(&claims("eve")?)?, old.token(&claims("bob")?)?);
    while failing.hits() < 2 {
        as_user(&rival, &unknown).ask("docs", REFUND).await?.expect(401)?;
        anyhow::ensure!(began.elapsed() < 2 * FETCH_EVERY, "it is never tried again");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for _ in 0..3 {
        let refused = as_user(&rival, &unknown).ask("docs", REFUND).await?.expect(401)?;
        assert!(refused.body.contains("does not publish"), "{}", refused.body);
        as_user(&rival, &known).ask("docs", REFUND).await?.expect(200)?;
    }
    assert_eq!(failing.hits(), 2, "it was tried once more");
    Ok(())
}
