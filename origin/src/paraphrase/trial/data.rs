//! The questions of a trial: groups of wordings about documents, and questions sorted by intent.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// One question with other wordings of it, and with questions that look like it and mean something else.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    /// Names the folder of the documents that it is about.
    pub(super) corpus: String,
    /// The document that answers it.
    pub(super) doc: String,
    pub(super) question: String,
    /// From those that keep the question's words to those that keep none.
    pub(super) paraphrases: Vec<String>,
    pub(super) near_misses: Vec<NearMiss>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NearMiss {
    pub(super) q: String,
    /// In a word, what differs.
    pub(super) why: String,
}

/// Which half of the groups: what is learnt from, or what is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Half {
    Learnt,
    Reported,
}

impl Group {
    /// By document, so that no question about a document that was learnt from is reported. By its name's hash:
    /// neither the file's order nor its size matters.
    pub(super) fn half(&self) -> Half {
        half_of(&format!("{}/{}", self.corpus, self.doc))
    }
}

pub(super) fn half_of(name: &str) -> Half {
    match Sha256::digest(name.as_bytes()).first() {
        Some(byte) if byte % 2 == 0 => Half::Learnt,
        Some(_) | None => Half::Reported,
    }
}

/// The groups of a JSON Lines file, by corpus.
pub(super) fn groups(file: &Path) -> Result<BTreeMap<String, Vec<Group>>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut groups = BTreeMap::<String, Vec<Group>>::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let group: Group =
            serde_json::from_str(line).with_context(|| format!("{}, line {}", file.display(), index + 1))?;
        groups.entry(group.corpus.clone()).or_default().push(group);
    }
    ensure!(!groups.is_empty(), "{} holds no questions", file.display());
    Ok(groups)
}

/// A question and what it wants.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Intended {
    pub(super) text: String,
    #[serde(rename = "category")]
    pub(super) intent: String,
}

/// The questions of a CSV file with the columns `text` and `category`; the same text counts once.
pub(super) fn intended(file: &Path) -> Result<Vec<Intended>> {
    let mut reader =
        csv::Reader::from_path(file).with_context(|| format!("cannot read {}", file.display()))?;
    let rows: Result<Vec<Intended>, _> = reader.deserialize().collect();
    let mut rows = rows.with_context(|| format!("{} is not a table of text and category", file.display()))?;
    for row in &mut rows {
        row.text = row.text.trim().to_owned();
    }
    rows.sort_by(|a, b| a.text.cmp(&b.text));
    rows.dedup_by(|a, b| a.text == b.text);
    Ok(rows)
}

/// The Markdown and text files under a folder, with their names in it.
pub(super) fn documents(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut documents = Vec::new();
    for entry in ignore::WalkBuilder::new(folder).standard_filters(false).sort_by_file_path(Ord::cmp).build()
    {
        let path = entry?.into_path();
        let readable = path.extension().is_some_and(|extension| extension == "md" || extension == "txt");
        if readable && path.is_file() {
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            documents.push((name, std::fs::read(&path)?));
        }
    }
    ensure!(!documents.is_empty(), "{} holds no Markdown or text files", folder.display());
    Ok(documents)
}
