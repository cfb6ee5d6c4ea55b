//! A server's search in the place of retrieval, for commands that judge reuse over a server's corpus.

use anyhow::Context;
use perigee_shared::id::CorpusName;
use perigee_shared::search::{Search, SearchRequest, SearchResponse};
use reqwest::Method;

use super::client::Server;
use crate::retrieve::{Hit, Retrieved};

/// Searches a corpus at a server, again while the server is busy.
///
/// # Errors
/// The server refuses or cannot be reached.
pub(super) async fn retrieve(
    server: &Server,
    corpus: &CorpusName,
    search: Search,
) -> anyhow::Result<Retrieved> {
    let Search { query, k, filter: _, mode } = search;
    let body = SearchRequest { query, k, filter: None, mode };
    let path = format!("/v1/corpora/{corpus}/search");
    let request = || server.request(Method::POST, &path).json(&body);
    let found = server.send_patiently(request).await?;
    Ok(retrieved(found.json().await.context("the answer cannot be read")?))
}

fn retrieved(found: SearchResponse) -> Retrieved {
    let hits = found.data.into_iter().map(|result| Hit {
        // Not on the wire, and nothing here asks for it.
        passage: 0,
        document: result.document_id,
        title: result.title,
        url: result.url,
        headings: result.headings,
        text: result.text,
        start: result.start,
        end: result.end,
        hash: result.hash,
        score: result.score,
        vector: result.vector,
        lexical: result.lexical,
    });
    Retrieved { epoch: found.epoch, hits: hits.collect(), basis: None }
}
