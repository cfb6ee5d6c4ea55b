//! Bodies that are large, slow or broken off: an edge holds only so many bytes of them, and waits only so long.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perigee_tests::client::Client;
use perigee_tests::stage::Stage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

/// Where documents go. A body of spaces is none: the origin reads all of it and says 400, and so whoever gets that was let in.
const DOCUMENT: &str = "PUT /v1/corpora/docs/documents/a";

/// A request whose body is sent by hand.
struct Sending {
    connection: TcpStream,
}

impl Sending {
    /// Declares a body of so many bytes.
    async fn begin(client: &Client, method_and_path: &str, length: usize) -> Result<Self> {
        let host = client.base_url().strip_prefix("http://").context("a plain address")?;
        let mut connection = TcpStream::connect(host).await?;
        let key = client.token();
        let head = format!(
            "{method_and_path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await?;
        Ok(Self { connection })
    }

    async fn send(&mut self, bytes: usize) -> Result<()> {
        Ok(self.connection.write_all(&vec![b' '; bytes]).await?)
    }

    /// Status line, headers and body.
    async fn answer(mut self) -> Result<String> {
        let mut answer = Vec::new();
        let read = self.connection.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), read).await.context("no answer within a minute")??;
        Ok(String::from_utf8_lossy(&answer).to_ascii_lowercase())
    }
}

/// Sends a whole upload of 20 MiB.
async fn upload(client: &Client) -> Result<String> {
    let mut sending = Sending::begin(client, DOCUMENT, 20 * MIB).await?;
    sending.send(20 * MIB).await?;
    sending.answer().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_room_is_told_to_come_back_and_who_leaves_makes_room() -> Result<()> {
    let stage = Stage::start()?;
    let client = stage.client("acme")?;
    client.fill("docs", &[]).await?;
    let mut first = Sending::begin(&client, DOCUMENT, 30 * MIB).await?;
    // What has been sent has been read, but for what the connection's own buffers hold: some megabytes.
    first.send(28 * MIB).await?;
    let refused = upload(&client).await?;
    assert!(refused.starts_with("http/1.1 503") && refused.contains("overloaded"), "{refused}");
    assert!(refused.contains("\r\nretry-after:"), "{refused}");
    // Questions pass all the same.
    client.ask("nowhere", "Is anybody there?").await?.expect(404)?;

    first.send(2 * MIB).await?;
    let let_in = first.answer().await?;
    assert!(let_in.starts_with("http/1.1 400"), "{let_in}");
    let let_in = upload(&client).await?;
    assert!(let_in.starts_with("http/1.1 400"), "{let_in}");

    let mut abandoned = Sending::begin(&client, DOCUMENT, 30 * MIB).await?;
    abandoned.send(28 * MIB).await?;
    drop(abandoned);
    for _ in 0..20 {
        let answer = upload(&client).await?;
        if answer.starts_with("http/1.1 400") {
            return Ok(());
        }
        ensure!(answer.starts_with("http/1.1 503"), "{answer}");
    }
    anyhow::bail!("who left still takes up room")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_comes_too_slowly_is_refused_with_408() -> Result<()> {
    let stage = Stage::start()?;
    let mut slow = Sending::begin(&stage.client("acme")?, "POST /v1/chat/completions", 100_000).await?;
    slow.send(99_999).await?;
    let refused = slow.answer().await?;
    assert!(refused.starts_with("http/1.1 408") && refused.contains("request_timeout"), "{refused}");
    Ok(())
}
