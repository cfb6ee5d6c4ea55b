//! The process that reads one file for a server: it takes away from itself what a hostile file could use, and then reads.

use std::io::{self, Read, Write};
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use perigee_shared::document::Format;

use super::extract;

/// What reading one file may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of address space, the program itself included.
    pub memory_bytes: u64,
    /// Time on the processor, rounded up to seconds.
    pub time: Duration,
}

/// Reads a file from standard input and writes what came of it to standard output, as JSON of a
/// `Result<Extracted, ExtractError>`. For a process that does nothing else.
///
/// # Errors
/// The bounds cannot be set, or the parent is gone.
pub fn read_confined(format: Format, bounds: Bounds) -> io::Result<()> {
    confine(bounds)?;
    let mut content = Vec::new();
    io::stdin().lock().read_to_end(&mut content)?;
    let outcome = extract(format, &content);
    let mut output = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut output, &outcome)?;
    output.flush()
}

fn confine(bounds: Bounds) -> io::Result<()> {
    let Bounds { memory_bytes, time } = bounds;
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    setrlimit(Resource::RLIMIT_AS, memory_bytes, memory_bytes)?;
    // The first is a signal that ends the process with a reason, the second ends it whatever it does.
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 1)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Where memory runs out all the same, this process goes first, and the server stays. Only Linux has it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}
