//! A closed-loop load generator for HTTP/1.1 on loopback: each connection sends its next request when the
//! last one is answered.
//!
//! It parses no more than it must, so that the server, not the client, is what is measured.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of a load.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) requests_per_s: f64,
    /// Milliseconds, sorted.
    latencies_ms: Vec<f64>,
}

impl Outcome {
    pub(crate) const fn requests(&self) -> usize {
        self.latencies_ms.len()
    }

    /// The latency below which this share of the requests stayed, in milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let at = (self.latencies_ms.len() as f64 * share) as usize;
        self.latencies_ms.get(at.min(self.latencies_ms.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// A POST request as bytes on the wire.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    request.into_bytes()
}

/// Sends the request over and over on `connections` connections for as long as `time`.
///
/// # Errors
/// A connection breaks, or a response is not 200.
pub(crate) async fn run(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Result<Outcome> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let request = request.to_vec();
        tasks.push(tokio::spawn(async move { one_connection(address, &request, began + time).await }));
    }
    let mut latencies_ms = Vec::new();
    for task in tasks {
        latencies_ms.extend(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    latencies_ms.sort_by(f64::total_cmp);
    Ok(Outcome { requests_per_s: latencies_ms.len() as f64 / seconds, latencies_ms })
}

/// One response, as far as it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Replied {
    pub(crate) ms: f64,
    /// What `Cache-Status` said; empty where there was none.
    pub(crate) cache_status: String,
}

/// Sends each request once, on one connection, in order.
///
/// # Errors
/// The connection breaks, or a response is not 200.
pub(crate) async fn each(address: SocketAddr, requests: &[Vec<u8>]) -> Result<Vec<Replied>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 16];
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        let sent = Instant::now();
        stream.write_all(request).await?;
        let head = read_response(&mut stream, &mut buffer).await?;
        let ms = sent.elapsed().as_secs_f64() * 1e3;
        let cache_status = header(&buffer[..head], "cache-status").unwrap_or_default();
        replies.push(Replied { ms, cache_status });
    }
    Ok(replies)
}

/// The body of what is at an address.
///
/// # Errors
/// The connection breaks, or the response is not 200.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    ensure!(response.starts_with(b"HTTP/1.1 200"), "GET {path} was not answered with 200");
    let head = response.windows(4).position(|w| w == b"\r\n\r\n").context("a response without an end")?;
    Ok(response.split_off(head + 4))
}

async fn one_connection(address: SocketAddr, request: &[u8], until: Instant) -> Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 16];
    let mut latencies_ms = Vec::new();
    while Instant::now() < until {
        let sent = Instant::now();
        stream.write_all(request).await?;
        read_response(&mut stream, &mut buffer).await?;
        latencies_ms.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies_ms)
}

/// Reads one response whole; its head is what the buffer begins with, so many bytes.
async fn read_response(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    let head = loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the server closed the connection, or its response is too long");
        filled += read;
        if let Some(at) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200") {
        bail!("not 200: {}", String::from_utf8_lossy(&buffer[..filled]));
    }
    let length = header(&buffer[..head], "content-length").context("a response without a length")?;
    let length: usize = length.parse()?;
    let mut left = (head + length).saturating_sub(filled);
    while left > 0 {
        let room = left.min(buffer.len() - head);
        let read = stream.read(&mut buffer[head..head + room]).await?;
        ensure!(read > 0, "the server closed the connection inside a body");
        left -= read;
    }
    Ok(head)
}

/// A header of a response, by its name in small letters.
fn header(head: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(head).ok()?;
    text.lines().find_map(|line| {
        let (given, value) = line.split_once(':')?;
        given.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
