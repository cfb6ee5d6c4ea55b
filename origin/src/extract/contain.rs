//! Runs a parser of a complicated format where its failures stay its own: a panic is an error of this file, and there is
//! room for a deep recursion. What takes no end of time or memory is for [`super::Reader`] to stop.

use super::ExtractError;

/// Stack of a parser's thread; untouched pages cost nothing. Recursion over nested elements is the reason.
pub(super) const STACK_BYTES: usize = 128 << 20;

/// Runs `parse` on a thread of its own.
pub(super) fn contained<T: Send>(
    format: &'static str,
    parse: impl FnOnce() -> Result<T, ExtractError> + Send,
) -> Result<T, ExtractError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(format!("extract-{format}"))
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, parse)
            .map_err(|_| ExtractError::Busy)?;
        // The parsers index and unwrap on what a file says.
        thread.join().unwrap_or_else(|_| Err(ExtractError::broken(format, "its structure is damaged")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_files_fault() {
        let outcome: Result<(), _> = contained("PDF", || panic!("on purpose"));
        assert!(matches!(outcome, Err(ExtractError::Broken { .. })));
    }
}
