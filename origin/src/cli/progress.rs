//! How far an ingestion is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;
use super::tally::Tally;

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    files: u64,
    began: Instant,
    said: Instant,
}

impl Progress {
    pub(super) fn begin(files: u64, quiet: bool) -> Self {
        let bar = (stderr().is_terminal() && !quiet).then(|| ProgressBar::new(files));
        // The template is a constant; a mistake in it shows as the default style.
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {msg}  {elapsed}");
        let bar = bar.map(|bar| bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
        let now = Instant::now();
        Self { bar, files, began: now, said: now }
    }

    pub(super) fn show(&mut self, tally: &Tally) {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let rate = tally.passages as f64 / seconds;
        let message = format!("{} passages, {rate:.0}/s", tally.passages);
        if let Some(bar) = &self.bar {
            bar.set_position(tally.files);
            bar.set_message(message);
        } else if self.said.elapsed() >= LINE_INTERVAL {
            self.said = Instant::now();
            say(&format!("{} of {} files, {message}", tally.files, self.files));
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
