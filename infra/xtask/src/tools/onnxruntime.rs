//! ONNX Runtime's shared library, which the origin loads at run time (`ORT_DYLIB_PATH`). PyPI
//! carries it inside the wheel `onnxruntime`; no Python is needed to run it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::run;
use crate::workspace::Workspace;

/// `ort` asks for 1.24 at least. The container image takes the same.
pub const VERSION: &str = "1.30.0";
/// The library is the same in the wheel of every CPython; naming one makes the user's irrelevant.
pub const CPYTHON: &str = "3.13";

/// Its name after unpacking, without the version.
const LIBRARY: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

const UNPACK: &str = "\
import pathlib, sys, zipfile
wheel, into = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        file = pathlib.PurePosixPath(name).name
        if name.startswith('onnxruntime/capi/libonnxruntime.'):
            suffix = '.dylib' if file.endswith('.dylib') else '.so'
            (into / ('libonnxruntime' + suffix)).write_bytes(archive.read(name))
        elif name in ('onnxruntime/LICENSE', 'onnxruntime/ThirdPartyNotices.txt'):
            (into / file).write_bytes(archive.read(name))
";

/// The library, once `install` has run.
///
/// # Errors
/// When it isn't installed.
pub fn library(workspace: &Workspace) -> Result<PathBuf> {
    let library = directory(workspace).join(LIBRARY);
    ensure!(library.exists(), "ONNX Runtime is not installed: run `cargo xtask setup` first");
    Ok(library)
}

/// Whether the pinned version is installed.
#[must_use]
pub fn is_ready(workspace: &Workspace) -> bool {
    library(workspace).is_ok()
        && fs::read_to_string(directory(workspace).join("VERSION")).is_ok_and(|version| version == VERSION)
}

/// # Errors
/// When pip can't fetch the wheel for this platform, or it holds no library.
pub fn install(workspace: &Workspace) -> Result<()> {
    let directory = directory(workspace);
    let download = directory.with_file_name("onnxruntime.download");
    let unpacked = directory.with_file_name("onnxruntime.unpacked");
    for fresh in [&download, &unpacked, &directory] {
        if fresh.exists() {
            fs::remove_dir_all(fresh)?;
        }
    }
    fs::create_dir_all(&download)?;
    fs::create_dir_all(&unpacked)?;
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
        .args(["--python-version", CPYTHON, "--dest"])
        .arg(&download)
        .arg(format!("onnxruntime=={VERSION}")))?;
    let wheel = fs::read_dir(&download)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")?;
    run(Command::new("python3").args(["-c", UNPACK]).arg(&wheel).arg(&unpacked))?;
    ensure!(unpacked.join(LIBRARY).exists(), "{} holds no libonnxruntime", wheel.display());
    fs::write(unpacked.join("VERSION"), VERSION)?;
    // The name appears when everything is there: an interrupted install is repeated.
    fs::rename(&unpacked, &directory)?;
    fs::remove_dir_all(&download)?;
    Ok(())
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("onnxruntime")
}
