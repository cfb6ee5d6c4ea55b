//! Says what is being done and how long it took, on stderr, so that stdout carries results only.

use std::time::Instant;

use anyhow::Result;

/// Counts the time since a command began and names its steps.
#[derive(Debug)]
pub struct Steps {
    began: Instant,
}

impl Default for Steps {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Steps {
    /// Runs one step between a line that names it and one that says how it went.
    ///
    /// # Errors
    /// Whatever the step returns.
    pub fn run<T>(&self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("[{:>6.1} s] {name}", self.began.elapsed().as_secs_f64());
        let started = Instant::now();
        let outcome = step();
        let how = if outcome.is_ok() { "done" } else { "FAILED" };
        eprintln!(
            "[{:>6.1} s] {name}: {how} in {:.1} s",
            self.began.elapsed().as_secs_f64(),
            started.elapsed().as_secs_f64()
        );
        outcome
    }

    /// Says one thing with the time.
    pub fn say(&self, line: &str) {
        eprintln!("[{:>6.1} s] {line}", self.began.elapsed().as_secs_f64());
    }
}
