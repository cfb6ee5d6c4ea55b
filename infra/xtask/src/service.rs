//! A long-running child whose output is kept: in a file, and its last lines in memory, so that a
//! failure to start can say why.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Running;

const TAIL_LINES: usize = 400;
/// Lines that wait to be read; what comes when nobody reads is in the log only.
const WAITING_LINES: usize = 4096;

/// A child process that serves until it is dropped.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    running: Running,
    lines: Receiver<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
    log: PathBuf,
}

impl Service {
    /// Starts `command`; everything that it prints is appended to `log`.
    ///
    /// # Errors
    /// When the log can't be written or the program can't be started.
    pub fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        if let Some(parent) = log.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        }
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::spawn(command)?;
        let (sender, lines) = sync_channel(WAITING_LINES);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let file = Arc::new(file);
        if let Some(stdout) = running.child().stdout.take() {
            keep(stdout, sender.clone(), Arc::clone(&tail), Arc::clone(&file));
        }
        if let Some(stderr) = running.child().stderr.take() {
            keep(stderr, sender, Arc::clone(&tail), file);
        }
        Ok(Self { name, running, lines, tail, log })
    }

    /// Reads the output until `wanted` finds something in a line.
    ///
    /// # Errors
    /// When the process ends first, or `limit` passes.
    pub fn wait_for_line<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.running.wait()?;
                    bail!("{} ended ({status}):\n{}", self.name, self.tail());
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} said nothing of being ready within {limit:?}:\n{}", self.name, self.tail())
                }
            }
        }
    }

    /// The last lines that it printed.
    #[must_use]
    pub fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for line in tail.iter() {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Its status if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.running.try_wait()
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    #[must_use]
    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    /// Asks it to end and waits until it has.
    pub fn stop(&mut self) {
        self.running.stop();
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.running.kill();
    }
}

/// Copies lines to the log, the tail and whoever waits, until the process closes its end.
fn keep(
    from: impl Read + Send + 'static,
    to: SyncSender<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
    file: Arc<File>,
) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let _ = (&*file).write_all(&line);
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(text.clone());
            }
            let _ = to.try_send(text);
        }
    });
}
