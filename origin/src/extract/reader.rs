//! Reads files for a server. PDF, DOCX and HTML are read by a child process each, of this same program: a file that takes
//! no end of memory or time, or breaks its parser, ends that process and nothing else.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::Signal;
use perigee_shared::document::Format;
use perigee_shared::limits::DOCUMENT_CHARS_MAX;
use std::os::unix::process::ExitStatusExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::{ExtractError, Extracted, extract};

/// How long a file waits for its turn: an upload may be one of many in a row.
const TURN_WAIT: Duration = Duration::from_secs(100);

/// Bytes of what a child answers: every character of the longest text escaped.
const ANSWER_BYTES_MAX: u64 = 6 * DOCUMENT_CHARS_MAX as u64 + (64 << 10);

/// Bytes of what a child complains of that are looked at.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// How files are read apart.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// PDF files read at one time, and as many others; more wait. Each may take `memory_bytes`.
    pub at_once: NonZeroUsize,
    /// Bytes of memory that reading one file may take, some 200 MB of program and stack included.
    pub memory_bytes: NonZeroU64,
    /// How long reading one file may take. A thousand ordinary pages of PDF take about ten seconds.
    pub timeout: Duration,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        let (at_once, memory_bytes) = (NonZeroUsize::MIN.saturating_add(1), 768 << 20);
        Self {
            at_once,
            memory_bytes: NonZeroU64::new(memory_bytes).unwrap_or(NonZeroU64::MAX),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Reads files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    apart: Option<Arc<Apart>>,
}

#[derive(Debug)]
struct Apart {
    options: ReaderOptions,
    program: PathBuf,
    /// PDF may take long, so that others do not wait behind it.
    pdf_places: Semaphore,
    other_places: Semaphore,
}

impl Reader {
    /// Reads every file in this process: for files that can be trusted.
    #[must_use]
    pub const fn here() -> Self {
        Self { apart: None }
    }

    /// Reads complicated formats in child processes. This process must be `perigee`, whose command line knows how.
    ///
    /// # Errors
    /// The system does not tell which program this is.
    pub fn apart(options: ReaderOptions) -> std::io::Result<Self> {
        // The link leads to the very program that runs, even when another release has taken its place on disk.
        let link = Path::new("/proc/self/exe");
        let program = if link.exists() { link.to_owned() } else { std::env::current_exe()? };
        let places = || Semaphore::new(options.at_once.get());
        let (pdf_places, other_places) = (places(), places());
        Ok(Self { apart: Some(Arc::new(Apart { options, program, pdf_places, other_places })) })
    }

    /// Whether files can be read at all with these options: a server finds out when it starts, not with the first file.
    ///
    /// # Errors
    /// They cannot; the log says more.
    pub async fn try_out(&self) -> Result<(), ExtractError> {
        self.read(Format::Html, Bytes::from_static(b"<p>A page.</p>")).await.map(drop)
    }

    /// # Errors
    /// What is wrong with the file, in words for whoever sent it; or that there is no turn for it at the moment.
    pub async fn read(&self, format: Format, content: Bytes) -> Result<Extracted, ExtractError> {
        match (&self.apart, name(format)) {
            (Some(apart), Some(name)) => {
                let read = apart.read(format, name, &content).await;
                let outcome = Outcome::of(&read).name();
                metrics::counter!("perigee_files_read_total", "format" => format.name(), "outcome" => outcome)
                    .increment(1);
                read
            }
            (None, _) | (Some(_), None) => {
                let reading = tokio::task::spawn_blocking(move || extract(format, &content));
                reading.await.unwrap_or_else(|_| Err(ExtractError::broken("text", "it could not be read")))
            }
        }
    }
}

/// The name of a format that is read apart.
const fn name(format: Format) -> Option<&'static str> {
    match format {
        Format::Pdf => Some("PDF"),
        Format::Docx => Some("DOCX"),
        Format::Html => Some("HTML"),
        Format::Markdown | Format::Text | Format::Csv | Format::Json => None,
    }
}

/// What the metric tells.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Read,
    Refused,
    TimedOut,
    TooLarge,
    Busy,
}

impl Outcome {
    const fn of(read: &Result<Extracted, ExtractError>) -> Self {
        match read {
            Ok(_) => Self::Read,
            Err(ExtractError::TimedOut { .. }) => Self::TimedOut,
            Err(ExtractError::TooLarge { .. }) => Self::TooLarge,
            Err(ExtractError::Busy) => Self::Busy,
            Err(_) => Self::Refused,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
        }
    }
}

/// How a child ended.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
    complaint: String,
}

impl Apart {
    async fn read(
        &self,
        format: Format,
        name: &'static str,
        content: &[u8],
    ) -> Result<Extracted, ExtractError> {
        let places = if format == Format::Pdf { &self.pdf_places } else { &self.other_places };
        let turn = tokio::time::timeout(TURN_WAIT, places.acquire()).await;
        let Ok(Ok(_place)) = turn else { return Err(ExtractError::Busy) };
        let failed = |error: std::io::Error| {
            tracing::error!(%error, program = %self.program.display(), "a file's reader cannot be run");
            ExtractError::Busy
        };
        // Killed when it is dropped, which is also what happens when the caller hangs up.
        let mut child = self.spawn(format).map_err(failed)?;
        match tokio::time::timeout(self.options.timeout, converse(&mut child, content)).await {
            Ok(ended) => self.judge(name, ended.map_err(failed)?),
            Err(_) => {
                // Its place is free when it is gone, and no sooner.
                child.kill().await.map_err(failed)?;
                Err(self.timed_out(name))
            }
        }
    }

    fn spawn(&self, format: Format) -> std::io::Result<Child> {
        let ReaderOptions { memory_bytes, timeout, at_once: _ } = self.options;
        Command::new(&self.program)
            .arg("read-file")
            .args(["--format", format.name()])
            .args(["--memory-bytes", &memory_bytes.to_string()])
            .args(["--timeout", &humantime::format_duration(timeout).to_string()])
            // It needs no secret, and so it gets none.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the server, which finishes what it has begun.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    fn judge(&self, name: &'static str, ended: Ended) -> Result<Extracted, ExtractError> {
        let Ended { status, answer, complaint } = ended;
        if status.success() {
            let outcome: Result<Result<Extracted, ExtractError>, _> = serde_json::from_slice(&answer);
            return outcome.unwrap_or_else(|_| Err(ExtractError::broken(name, "it could not be read")));
        }
        if status.signal() == Some(Signal::SIGXCPU as i32) {
            return Err(self.timed_out(name));
        }
        // The words of Rust's runtime, before it aborts.
        if complaint.contains("memory allocation of") {
            return Err(ExtractError::TooLarge {
                format: name.into(),
                bytes: self.options.memory_bytes.get(),
            });
        }
        if complaint.contains("has overflowed its stack") {
            return Err(ExtractError::broken(name, "it is nested too deep"));
        }
        if let Some(code) = status.code() {
            // It ended by itself, so it is not the file that ended it.
            tracing::error!(code, complaint, "a file's reader does not work");
            return Err(ExtractError::Busy);
        }
        tracing::warn!(%status, format = name, "a file broke its reader");
        Err(ExtractError::broken(name, "it could not be read"))
    }

    fn timed_out(&self, name: &'static str) -> ExtractError {
        ExtractError::TimedOut { format: name.into(), seconds: self.options.timeout.as_secs() }
    }
}

/// Sends a child the file, and takes what it says until it ends.
async fn converse(child: &mut Child, content: &[u8]) -> std::io::Result<Ended> {
    let (mut input, mut output, mut errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let send = async {
        if let Some(mut input) = input.take() {
            // One that has ended reads no more; how it ended is what counts.
            let _ = input.write_all(content).await;
        }
    };
    let listen = async {
        let mut answer = Vec::new();
        match &mut output {
            Some(output) => output.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map(|_| answer),
            None => Ok(answer),
        }
    };
    let overhear = async {
        let mut complaint = Vec::new();
        if let Some(errors) = &mut errors {
            errors.take(COMPLAINT_BYTES_MAX).read_to_end(&mut complaint).await?;
            // The rest is let go, so that nobody waits for it to be read.
            tokio::io::copy(errors, &mut tokio::io::sink()).await?;
        }
        std::io::Result::Ok(String::from_utf8_lossy(&complaint).into_owned())
    };
    let ((), answer, complaint) = tokio::join!(send, listen, overhear);
    let status = child.wait().await?;
    Ok(Ended { status, answer: answer?, complaint: complaint? })
}
