//! Which files an ingestion takes, and under which document ids.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ignore::WalkBuilder;
use perigee_shared::document::Format;
use perigee_shared::id::DocumentId;

use super::tally::Refusal;
use crate::extract::{is_json_lines, sniff};

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Below the path that was named; what its document is called.
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One document.
    One { id: DocumentId, format: Format },
    /// One document a line.
    Lines,
}

/// What was found below the named paths.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<File>,
    pub(super) refused: Vec<Refusal>,
    /// Files of other formats, in folders.
    pub(super) passed_over: usize,
}

/// Finds all files of known formats, in the order of their names. Hidden files are left out; what a
/// `.gitignore` names is not, as generated documentation is often among it.
///
/// # Errors
/// A named path is not there.
pub(super) fn find(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for path in paths {
        let metadata =
            std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
        if metadata.is_dir() {
            find_in_folder(path, &mut found);
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            match kind(&name) {
                Some(kind) => found.files.push(File { path: path.clone(), name, kind }),
                None => found.refused.push(Refusal::new(
                    path.display(),
                    "its format is not known; md, txt, html, pdf, docx, csv, json and jsonl are",
                )),
            }
        }
    }
    refuse_doubles(&mut found);
    Ok(found)
}

fn find_in_folder(folder: &Path, found: &mut Found) {
    let walk =
        WalkBuilder::new(folder).standard_filters(false).hidden(true).sort_by_file_path(Ord::cmp).build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.refused.push(Refusal::new(folder.display(), error));
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let name = below.to_string_lossy().into_owned();
        match kind(&name) {
            Some(kind) => found.files.push(File { path: entry.into_path(), name, kind }),
            None => found.passed_over += 1,
        }
    }
}

fn kind(name: &str) -> Option<Kind> {
    if is_json_lines(name, None) {
        return Some(Kind::Lines);
    }
    Some(Kind::One { format: sniff(name, None)?, id: DocumentId::from_path(name).ok()? })
}

/// Two files below different paths can have one name; the second would overwrite the first.
fn refuse_doubles(found: &mut Found) {
    let mut first: BTreeMap<DocumentId, PathBuf> = BTreeMap::new();
    let Found { files, refused, .. } = found;
    files.retain(|file| {
        let Kind::One { id, .. } = &file.kind else { return true };
        match first.get(id) {
            None => {
                first.insert(id.clone(), file.path.clone());
                true
            }
            Some(other) => {
                let reason = format!("it would be the same document as {}", other.display());
                refused.push(Refusal::new(file.path.display(), reason));
                false
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_formats_are_found_in_order_and_hidden_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["b.md", "a/c.html", ".hidden/x.md", ".x.md", "target.bin", "lines.jsonl", ".gitignore", "z.txt"]
        {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "z.txt").unwrap();
        }
        let found = find(&[dir.path().to_path_buf()]).unwrap();
        let names: Vec<&str> = found.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a/c.html", "b.md", "lines.jsonl", "z.txt"]);
        assert_eq!((found.passed_over, found.refused.len()), (1, 0));
    }

    #[test]
    fn two_files_that_would_be_one_document_are_not_both_taken() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/x.md", "b/x.md"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let found = find(&[dir.path().join("a"), dir.path().join("b")]).unwrap();
        assert_eq!((found.files.len(), found.refused.len()), (1, 1));
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error_and_an_unknown_format_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(&[dir.path().join("nothing")]).is_err());
        std::fs::write(dir.path().join("x.exe"), "x").unwrap();
        assert_eq!(find(&[dir.path().join("x.exe")]).unwrap().refused.len(), 1);
    }
}
