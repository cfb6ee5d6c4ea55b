//! Loads ONNX Runtime's shared library, once per process, and turns each way that can fail into advice.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use super::EmbedError;

/// ONNX Runtime allows one environment per process; all sessions share this one.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The process's ONNX Runtime environment. The first caller's library wins; later paths are not looked at.
pub(super) fn environment(library: Option<&Path>) -> Result<Environment, EmbedError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let built = build(&library.map_or_else(default_library, Path::to_path_buf))?;
    Ok(environment.insert(built).clone())
}

fn build(library: &Path) -> Result<Environment, EmbedError> {
    let refuse = |reason: String| EmbedError::Runtime { library: library.to_path_buf(), reason };
    // A bare name is for the system's own search; anything else is a file that must be there.
    if library.components().count() > 1 && !library.is_file() {
        return Err(refuse("there is no such file".to_owned()));
    }
    ort::init_from(absolute(library))
        .map_err(|error| refuse(error.to_string()))?
        .with_name("perigee")
        .with_telemetry(false)
        .build()
        .map_err(|error| refuse(error.to_string()))
}

/// What `ort` itself would load, asked for here so that a failure is an error and not its panic.
fn default_library() -> PathBuf {
    match std::env::var_os("ORT_DYLIB_PATH") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => PathBuf::from(format!(
            "{}onnxruntime{}",
            std::env::consts::DLL_PREFIX,
            std::env::consts::DLL_SUFFIX
        )),
    }
}

/// `ort` resolves relative paths against the executable; people mean the working directory.
fn absolute(library: &Path) -> PathBuf {
    if library.components().count() > 1 {
        std::path::absolute(library).unwrap_or_else(|_| library.to_path_buf())
    } else {
        library.to_path_buf()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_false_library_is_an_error_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let not_a_library = dir.path().join("libonnxruntime.so");
        std::fs::write(&not_a_library, "#!/bin/sh").unwrap();
        for library in [dir.path().join("missing.so"), dir.path().to_path_buf(), not_a_library] {
            let message = build(&library).unwrap_err().to_string();
            assert!(message.contains("ORT_DYLIB_PATH"), "{message}");
            assert!(message.contains(&*library.to_string_lossy()), "{message}");
        }
    }
}
