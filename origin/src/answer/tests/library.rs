//! Real corpora for tests, and the development data to fill them with.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use perigee_shared::document::Format;
use perigee_shared::id::{CorpusName, DocumentId, TenantId};
use serde_json::Value;

use crate::corpus::{Corpora, Corpus, NewDocument, OpenOptions, Progress};
use crate::embed::Embedder;
use crate::extract::Reader;
use crate::paraphrase::Tolerance;

/// A data directory with one corpus.
pub(super) struct Library {
    pub(super) corpus: std::sync::Arc<Corpus>,
    pub(super) corpora: Corpora,
    _dir: tempfile::TempDir,
}

impl Library {
    pub(super) async fn new(embedder: &Embedder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let on_progress = std::sync::Arc::new(|_: Progress<'_>| ());
        let (data_dir, embedder) = (dir.path().to_path_buf(), embedder.clone());
        let options = OpenOptions { data_dir, embedder, reader: Reader::here(), on_progress };
        let corpora = Corpora::open(options).await.unwrap();
        let (tenant, name) = (TenantId::new("acme").unwrap(), CorpusName::new("docs").unwrap());
        corpora.create(&tenant, &name).await.unwrap();
        Self { corpus: corpora.get(&tenant, &name).unwrap(), corpora, _dir: dir }
    }

    /// With the documents of a JSON Lines file.
    pub(super) async fn of(file: &Path, embedder: &Embedder) -> Self {
        let library = Self::new(embedder).await;
        let put = |line: Value| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let (id, content, title) = (text("_id"), text("text"), text("title"));
            let corpus = &library.corpus;
            async move {
                let title = Some(title).filter(|title| !title.is_empty());
                let document = NewDocument { title, ..plain(&content) };
                corpus.put(DocumentId::new(id).unwrap(), document).await.map(drop)
            }
        };
        futures::stream::iter(lines(file)).map(put).buffer_unordered(16).try_collect::<()>().await.unwrap();
        library
    }

    /// Deletes the corpus.
    pub(super) async fn delete(&self) {
        self.corpora.delete(self.corpus.tenant(), self.corpus.name()).await.unwrap();
    }

    /// What the corpus tolerates of reuse from now on.
    pub(super) async fn tolerate(&self, share: f64) {
        let (tenant, name) = (self.corpus.tenant(), self.corpus.name());
        let tolerance = Some(Tolerance::new(share).unwrap());
        self.corpora.set_reuse_tolerance(tenant, name, tolerance).await.unwrap();
    }

    pub(super) async fn put(&self, id: &str, content: &str) {
        self.corpus.put(DocumentId::new(id).unwrap(), plain(content)).await.unwrap();
    }
}

fn plain(content: &str) -> NewDocument {
    NewDocument {
        format: Format::Text,
        content: Bytes::copy_from_slice(content.as_bytes()),
        ..NewDocument::default()
    }
}

/// Development data beside the checkout; `None`, said aloud, where it is absent.
pub(super) fn data(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: ../shared/data/{path} is not there");
    None
}

/// The lines of a JSON Lines file.
pub(super) fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
