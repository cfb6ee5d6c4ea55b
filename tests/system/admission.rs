//! Who may ask, and what: keys, corpora, scopes, audiences, tenants.

use anyhow::Result;
use perigee_tests::stage::{Stage, fresh_key};
use serde_json::json;

use crate::{GUIDE, REFUND};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_known_key_nothing_is_told() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;

    let none = client.clone().anonymous().ask("docs", REFUND).await?.expect(401)?;
    assert_eq!(none.json()?["error"]["code"], "missing_api_key");
    for wrong in [fresh_key().reveal(), "sk-something", "", "pgk_"] {
        let stranger = perigee_tests::client::Client::new(&stage.edge.url(), Some(wrong))?;
        stranger.ask("docs", REFUND).await?.expect(401)?;
        stranger.get("/v1/models").await?.expect(401)?;
        let problem = stranger.get("/v1/corpora/docs/documents").await?.expect(401)?;
        assert_eq!(problem.header("content-type"), "application/problem+json");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_that_the_key_does_not_name_is_as_absent_as_one_that_does_not_exist() -> Result<()> {
    let stage = Stage::start()?;
    let all = stage.client("acme")?;
    all.fill("docs", GUIDE).await?;
    all.fill("secret", &[("plan", "# Plan\n\nThe secret plan is to win.\n")]).await?;
    let limited = stage.client_with(
        &json!({"tenant": "acme", "corpora": ["docs"], "audience": [], "scopes": ["ask", "search", "read"]}),
    )?;

    limited.ask("docs", REFUND).await?.expect(200)?;
    let hidden = limited.ask("secret", "What is the plan?").await?.expect(404)?;
    let absent = limited.ask("absent", "What is the plan?").await?.expect(404)?;
    assert_eq!(hidden.body, absent.body);
    let models = limited.get("/v1/models").await?.expect(200)?.json()?;
    let ids: Vec<&str> =
        models["data"].as_array().into_iter().flatten().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(ids, ["docs"]);
    for (client, known) in [(&limited, "docs"), (&all, "secret")] {
        let model = client.get(&format!("/v1/models/{known}")).await?.expect(200)?.json()?;
        assert_eq!((&model["id"], &model["object"]), (&json!(known), &json!("model")));
    }
    for (client, unknown) in [(&limited, "secret"), (&limited, "absent"), (&all, "absent")] {
        let refused = client.get(&format!("/v1/models/{unknown}")).await?.expect(404)?;
        assert_eq!(refused.json()?["error"]["code"], "model_not_found");
    }
    limited.get("/v1/corpora/secret/documents/plan").await?.expect(404)?;
    limited.put("/v1/corpora/docs/documents/x", &json!({"content": "x"})).await?.expect(403)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_crosses_a_tenant_or_an_audience() -> Result<()> {
    let stage = Stage::start()?;
    let acme = stage.client("acme")?;
    let rival = stage.client("rival")?;
    acme.fill("docs", GUIDE).await?;
    rival.fill("docs", &[("refunds", "# Refunds\n\nA refund takes thirty years.\n")]).await?;
    let staff_only = json!({"content": "# Refunds for staff\n\nA refund for staff takes one hour.\n", "audience": ["staff"]});
    acme.put("/v1/corpora/docs/documents/staff", &staff_only).await?;
    let staff = stage.client_with(
        &json!({"tenant": "acme", "corpora": ["*"], "audience": ["staff"], "scopes": ["ask", "search", "read"]}),
    )?;

    // Twice: the second round is answered from caches.
    for _ in 0..2 {
        let ours = acme.ask("docs", "How long does a refund for staff take?").await?.expect(200)?;
        assert!(!ours.body.contains("one hour") && !ours.body.contains("thirty"), "{}", ours.body);
        let theirs = rival.ask("docs", "How long does a refund for staff take?").await?.expect(200)?;
        assert!(!theirs.body.contains("five") && !theirs.body.contains("one hour"), "{}", theirs.body);
        let staffs = staff.ask("docs", "How long does a refund for staff take?").await?.expect(200)?;
        assert!(staffs.body.contains("one hour"), "{}", staffs.body);
    }
    for hidden in ["/v1/corpora/docs/documents/staff"] {
        acme.get(hidden).await?.expect(404)?;
        staff.get(hidden).await?.expect(200)?;
    }
    let found = acme
        .post("/v1/corpora/docs/search", &json!({"query": "refund for staff one hour"}))
        .await?
        .expect(200)?;
    assert!(!found.body.contains("one hour"), "{}", found.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_believes_nothing_that_a_caller_says_of_itself() -> Result<()> {
    let stage = Stage::start()?;
    stage
        .client("rival")?
        .fill("docs", &[("refunds", "# Refunds\n\nA refund takes thirty years.\n")])
        .await?;
    let acme = stage.client("acme")?;
    acme.fill("docs", GUIDE).await?;
    let caller =
        json!({"tenant": "rival", "corpora": ["*"], "audience": "everything", "scopes": ["ask"]}).to_string();
    let forged = acme
        .with("perigee-caller", &caller)
        .with("perigee-tenant", "rival")
        .with("perigee-audience", "staff");
    let reply = forged.ask("docs", REFUND).await?.expect(200)?;
    assert!(reply.body.contains("five working days"), "{}", reply.body);
    // And an origin believes nothing without a signature.
    let direct = forged.at(&stage.origins[0].url());
    direct.ask("docs", REFUND).await?.expect(401)?;
    Ok(())
}
