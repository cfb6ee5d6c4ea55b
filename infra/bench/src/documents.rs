//! Real Markdown for the measurements that need real text, and questions made of it.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use perigee_origin::corpus::NewDocument;
use perigee_origin::extract::extract;
use perigee_origin::split::{Splitter, embedding_text};
use perigee_shared::document::Format;
use perigee_shared::id::DocumentId;
use xtask::workspace::Workspace;

/// Bytes of Markdown that are used: about 400 passages.
const BYTES_MAX: usize = 300_000;

/// Words of a question.
const QUESTION_WORDS: usize = 8;

/// Documents in a fixed order.
pub(crate) struct Documents {
    sources: Vec<PathBuf>,
    pub(crate) documents: Vec<(DocumentId, String)>,
}

impl Documents {
    /// The project's own, and those of a data directory beside the project if there is one.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let candidates = ["README.md", "docs", "../shared/data/docs"];
        let mut read = Self { sources: Vec::new(), documents: Vec::new() };
        let mut bytes = 0;
        for candidate in candidates {
            let path = workspace.root().join(candidate);
            if !path.exists() {
                continue;
            }
            for file in markdown_files(&path)? {
                let text =
                    std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
                // A page of nothing but a placeholder has no passages.
                if bytes + text.len() > BYTES_MAX || extract(Format::Markdown, text.as_bytes()).is_err() {
                    continue;
                }
                bytes += text.len();
                let id = DocumentId::new(format!("d{}", read.documents.len()))?;
                read.documents.push((id, text));
            }
            read.sources.push(path);
        }
        ensure!(!read.documents.is_empty(), "no documents to measure with");
        Ok(read)
    }

    /// As [`perigee_origin::corpus::Corpus::put`] takes them.
    pub(crate) fn new_documents(&self) -> impl Iterator<Item = (DocumentId, NewDocument)> {
        self.documents.iter().map(|(id, text)| {
            let content = Bytes::copy_from_slice(text.as_bytes());
            (id.clone(), NewDocument { format: Format::Markdown, content, ..NewDocument::default() })
        })
    }

    /// The texts that Perigee embeds of them, in order.
    pub(crate) fn passages(&self, splitter: &Splitter) -> Result<Vec<String>> {
        let mut passages = Vec::new();
        for (id, text) in &self.documents {
            let extracted = extract(Format::Markdown, text.as_bytes())?;
            let title = extracted.title.clone().unwrap_or_else(|| id.to_string());
            for piece in splitter.split(&extracted)? {
                passages.push(embedding_text(&title, &piece.headings, &piece.text));
            }
        }
        Ok(passages)
    }

    /// So many different questions: eight words that stand together somewhere.
    pub(crate) fn questions(&self, count: usize) -> Vec<String> {
        let words: Vec<&str> = self
            .documents
            .iter()
            .flat_map(|(_, text)| text.split(|c: char| !c.is_alphanumeric()))
            .filter(|word| !word.is_empty())
            .collect();
        let mut seen = HashSet::new();
        let step = (words.len() / (count * 2)).max(1);
        words
            .windows(QUESTION_WORDS)
            .step_by(step)
            .map(|window| window.join(" "))
            .filter(|question| seen.insert(question.clone()))
            .take(count)
            .collect()
    }
}

impl fmt::Display for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.documents.iter().map(|(_, text)| text.len()).sum();
        write!(f, "{} with {} KiB, from", self.documents.len(), bytes / 1024)?;
        self.sources.iter().try_for_each(|source| write!(f, " {}", source.display()))
    }
}

/// A file itself, or the Markdown files below a folder, sorted.
fn markdown_files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(markdown_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
