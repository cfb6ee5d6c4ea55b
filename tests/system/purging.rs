//! A deleted document is gone from every cache, and a command shows it.

use std::process::Command;

use anyhow::Result;
use perigee_tests::stage::{OPERATOR_TOKEN, Settings, Stage, perigee};

use crate::{GUIDE, REFUND};

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_shows_that_origin_and_edge_have_nothing_left() -> Result<()> {
    let settings = Settings::default().edge_var("EPOCH_STALENESS_S", "2").edge_var("EPOCH_REFRESH_S", "1");
    let stage = Stage::with(settings)?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    client.ask("docs", REFUND).await?.expect(200)?;
    let hit = client.ask("docs", REFUND).await?.expect(200)?;
    assert!(hit.header("cache-status").contains("perigee-edge; hit"), "{hit:?}");

    let mut purge = Command::new(perigee(&stage.workspace)?);
    purge
        .args(["purge", "--document", "refunds", "--corpus", "docs", "--tenant", "acme", "--yes", "--prove"])
        .args(["--within", "30s", "--url", &stage.origins[0].url()])
        .args(["--edge", &stage.edge.url(), "--edge-key", client.token()])
        .env("PERIGEE_OPERATOR_TOKEN", OPERATOR_TOKEN);
    let output = tokio::task::spawn_blocking(move || purge.output()).await??;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("0 rest on it, before: 1"), "{out}");
    assert!(out.contains("1 questions whose answer rested on it: 0 answered from it, before: 1"), "{out}");
    assert!(out.contains("nothing is left of it"), "{out}");
    Ok(())
}
