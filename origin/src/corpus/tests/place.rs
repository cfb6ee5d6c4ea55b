//! A data directory with a corpus in it, to be closed properly or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use perigee_shared::caller::Audience;
use perigee_shared::document::Written;
use perigee_shared::filter::Filter;
use perigee_shared::id::{CorpusName, DocumentId, Label, TenantId};
use perigee_shared::search::{Search, SearchMode};
use serde_json::{Map, Value};

use crate::corpus::{Corpora, Corpus, CorpusError, NewDocument, OpenOptions};
use crate::embed::{EmbedOptions, Embedder};
use crate::extract::Reader;
use crate::retrieve::Retrieved;

pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) embedder: Embedder,
    pub(super) corpora: Corpora,
}

pub(super) fn embedder() -> Embedder {
    let model_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2-int8");
    match Embedder::load(EmbedOptions::new(model_dir)) {
        Ok(embedder) => embedder,
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn open(dir: &Path, embedder: &Embedder) -> Result<Corpora, CorpusError> {
    let on_progress = Arc::new(|_: crate::corpus::Progress<'_>| ());
    let (data_dir, embedder, reader) = (dir.to_path_buf(), embedder.clone(), Reader::here());
    Corpora::open(OpenOptions { data_dir, embedder, reader, on_progress }).await
}

impl Place {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let embedder = embedder();
        let corpora = open(dir.path(), &embedder).await.unwrap();
        corpora.create(&tenant("acme"), &name("docs")).await.unwrap();
        Self { dir, embedder, corpora }
    }

    pub(super) fn docs(&self) -> Arc<Corpus> {
        self.corpora.get(&tenant("acme"), &name("docs")).unwrap()
    }

    /// As after an orderly shutdown.
    pub(super) async fn reopen(self) -> Self {
        self.corpora.close().await;
        let Self { dir, embedder, corpora } = self;
        drop(corpora);
        let corpora = open(dir.path(), &embedder).await.unwrap();
        Self { dir, embedder, corpora }
    }

    /// As after `kill -9`: what the process had not written is gone.
    pub(super) async fn crash(self) -> (tempfile::TempDir, Embedder) {
        let Self { dir, embedder, corpora } = self;
        corpora.crash().await;
        (dir, embedder)
    }

    pub(super) async fn crash_and_reopen(self) -> Self {
        let (dir, embedder) = self.crash().await;
        let corpora = open(dir.path(), &embedder).await.unwrap();
        Self { dir, embedder, corpora }
    }

    pub(super) fn views(&self) -> PathBuf {
        self.dir.path().join("views").join(self.docs().incarnation().to_string())
    }
}

pub(super) fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

pub(super) fn name(text: &str) -> CorpusName {
    CorpusName::new(text).unwrap()
}

pub(super) fn id(text: &str) -> DocumentId {
    DocumentId::new(text).unwrap()
}

pub(super) fn text(content: &str) -> NewDocument {
    NewDocument { content: Bytes::copy_from_slice(content.as_bytes()), ..NewDocument::default() }
}

pub(super) fn labelled(content: &str, labels: &[&str]) -> NewDocument {
    NewDocument { audience: labels.iter().map(|l| Label::new(*l).unwrap()).collect(), ..text(content) }
}

pub(super) fn described(content: &str, metadata: Value) -> NewDocument {
    let metadata = match metadata {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    };
    NewDocument { metadata, ..text(content) }
}

pub(super) fn holding(labels: &[&str]) -> Audience {
    Audience::Labels(labels.iter().map(|l| Label::new(*l).unwrap()).collect())
}

pub(super) fn search_for(query: &str, mode: SearchMode) -> Search {
    Search { query: query.to_owned(), k: 10, filter: None, mode }
}

pub(super) fn filtered(query: &str, filter: &Value) -> Search {
    Search { filter: Some(Filter::parse(filter).unwrap()), ..search_for(query, SearchMode::Hybrid) }
}

pub(super) async fn put(corpus: &Corpus, document: &str, content: &str) -> Written {
    corpus.put(id(document), text(content)).await.unwrap()
}

pub(super) async fn found(corpus: &Corpus, query: &str, mode: SearchMode) -> Vec<String> {
    let retrieved = corpus.search(&search_for(query, mode), &Audience::Everything).await.unwrap();
    documents(&retrieved)
}

pub(super) fn documents(retrieved: &Retrieved) -> Vec<String> {
    retrieved.hits.iter().map(|hit| hit.document.to_string()).collect()
}
