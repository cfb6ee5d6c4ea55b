//! A view's snapshot on disk: the file, and beside it a manifest that says what it is and proves that it is whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use perigee_shared::id::Epoch;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::corpus::{private_file, sync_dir};

/// What a snapshot was taken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The last change in it.
    pub(crate) epoch: Epoch,
    pub(crate) passages: u64,
    /// SHA-256 of the model whose vectors these are.
    pub(crate) model: String,
    /// The database whose view this is; a restored one is another.
    pub(crate) database: String,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    manifest: Manifest,
    bytes: u64,
    sha256: String,
}

/// Reads the manifest of `file` and checks the file against it.
///
/// # Errors
/// What does not fit, in words.
pub(super) fn verify(file: &Path) -> Result<Manifest, String> {
    let beside = manifest_path(file);
    let text = std::fs::read(&beside).map_err(|error| format!("{}: {error}", beside.display()))?;
    let sealed: Sealed =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", beside.display()))?;
    let (bytes, sha256) = digest(file).map_err(|error| error.to_string())?;
    if bytes != sealed.bytes || sha256 != sealed.sha256 {
        return Err("it is not the file that was written".to_owned());
    }
    Ok(sealed.manifest)
}

/// Writes a snapshot through `write`, then its manifest; a crash in between leaves one that is seen not to fit.
pub(super) fn write(
    file: &Path,
    manifest: &Manifest,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let fresh = file.with_extension("new");
    let written = (|| {
        drop(private_file(&fresh)?);
        write(&fresh)?;
        File::open(&fresh)?.sync_all()?;
        let (bytes, sha256) = digest(&fresh)?;
        Ok(Sealed { manifest: manifest.clone(), bytes, sha256 })
    })();
    let sealed = written.inspect_err(|_: &io::Error| remove_quietly(&fresh))?;
    std::fs::rename(&fresh, file)?;
    let beside = manifest_path(file);
    let fresh = beside.with_extension("new");
    let text = serde_json::to_vec(&sealed)?;
    std::fs::write(&fresh, text).and_then(|()| File::open(&fresh)?.sync_all())?;
    std::fs::rename(&fresh, &beside)?;
    file.parent().map_or(Ok(()), sync_dir)
}

/// Half a snapshot only takes room, which may be what there is none of.
fn remove_quietly(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        tracing::warn!(file = %file.display(), %error, "cannot remove an unfinished snapshot");
    }
}

fn manifest_path(file: &Path) -> PathBuf {
    file.with_extension("json")
}

fn digest(file: &Path) -> io::Result<(u64, String)> {
    let mut reader = File::open(file)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex::encode(hash.finalize())));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}
