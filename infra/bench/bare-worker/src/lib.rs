//! The least that a Rust worker can do with a question: read the body, answer with a fixed one.

use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(mut request: Request, _env: Env, _context: Context) -> Result<Response> {
    let body = request.bytes().await?;
    let mut response = Response::ok(format!("{{\"bytes\":{}}}", body.len()))?;
    response.headers_mut().set("content-type", "application/json")?;
    Ok(response)
}
