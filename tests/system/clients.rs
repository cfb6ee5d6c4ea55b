//! OpenAI's own SDK as a client.

use std::process::Command;

use anyhow::{Context, Result};
use perigee_tests::stage::Stage;

use crate::GUIDE;

#[tokio::test(flavor = "multi_thread")]
async fn openais_python_sdk_asks_streams_lists_and_understands_errors() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", GUIDE).await?;
    let output = Command::new("python3")
        .arg(stage.workspace.root().join("tests/system/openai_sdk.py"))
        .env("PYTHONPATH", xtask::tools::python_packages::directory(&stage.workspace))
        .env("PERIGEE_URL", stage.edge.url())
        .env("PERIGEE_KEY", client.token())
        .output()
        .context("python3 cannot be run")?;
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
