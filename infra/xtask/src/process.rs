//! Child processes that never outlive us: all are known here, and once
//! [`end_children_when_interrupted`] was called, each gets a process group of its own, so that an
//! interrupt ends it and all its children, newest first, before this process ends. Before that (in
//! tests) children stay in our group, and whoever kills the group kills them too.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long a child may take to end by itself: more than the origin needs to drain.
const GRACE: Duration = Duration::from_secs(35);
const POLL: Duration = Duration::from_millis(20);

static CHILDREN: Mutex<Children> =
    Mutex::new(Children { live: Vec::new(), interruptible: false, interrupted: false });

struct Children {
    /// In the order of their start.
    live: Vec<Member>,
    /// Whether an interrupt ends them.
    interruptible: bool,
    /// Once set, nothing more is started.
    interrupted: bool,
}

fn children() -> MutexGuard<'static, Children> {
    // The list is whole after every step, so a panic elsewhere can't have broken it.
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child as signals see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    pid: Pid,
    /// It leads a process group, which ends with it.
    leads: bool,
}

impl Member {
    fn signal(self, signal: impl Into<Option<Signal>>) -> Result<(), Errno> {
        if self.leads { killpg(self.pid, signal) } else { kill(self.pid, signal) }
    }

    fn is_alive(self) -> bool {
        if !self.leads {
            return waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive);
        }
        // One that ended but wasn't waited for still counts as a member of its group.
        let group = Pid::from_raw(-self.pid.as_raw());
        while waitpid(group, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status != WaitStatus::StillAlive)
        {
        }
        self.signal(None) != Err(Errno::ESRCH)
    }

    /// SIGTERM, then SIGKILL once `GRACE` has passed.
    fn end(self) {
        if self.signal(Signal::SIGTERM) == Err(Errno::ESRCH) {
            return;
        }
        let began = Instant::now();
        while self.is_alive() {
            if began.elapsed() > GRACE {
                let _ = self.signal(Signal::SIGKILL);
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// A running child. Ended when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    member: Member,
}

impl Running {
    /// Starts `command` with nothing to read.
    ///
    /// # Errors
    /// When the program is missing or can't be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null());
        // Under the lock, so that an interrupt sees this child or prevents it.
        let mut children = children();
        if children.interrupted {
            bail!("interrupted");
        }
        let leads = children.interruptible;
        if leads {
            command.process_group(0);
        }
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("process id")?);
        let member = Member { pid, leads };
        children.live.push(member);
        Ok(Self { child, member })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When the operating system doesn't know the process any more.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait();
        rest_if_interrupted();
        Ok(status?)
    }

    /// Its status if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end, and ends it when it doesn't.
    pub fn stop(&mut self) {
        self.member.end();
        let _ = self.child.wait();
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        let _ = self.member.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.try_wait().is_none() || self.member.leads {
            self.stop();
        }
        children().live.retain(|member| *member != self.member);
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP end every child, newest first, and then this process,
/// with the code that `exit_code` gives.
///
/// # Errors
/// When a handler is already set.
pub fn end_children_when_interrupted(exit_code: impl Fn() -> i32 + Send + 'static) -> Result<()> {
    children().interruptible = true;
    // Where nobody else waits for orphans (a container without an init), we do.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    ctrlc::set_handler(move || {
        let live = {
            let mut children = children();
            children.interrupted = true;
            children.live.clone()
        };
        eprintln!("\ninterrupted: ending what was started");
        for member in live.into_iter().rev() {
            member.end();
        }
        std::process::exit(exit_code());
    })
    .context("setting the interrupt handler")
}

/// Waits for ever when an interrupt is ending this process, so that its consequences (a child that
/// was killed) are not reported as failures.
pub fn rest_if_interrupted() {
    if children().interrupted {
        loop {
            std::thread::park();
        }
    }
}

/// Runs a command to its end; its output goes to stderr.
///
/// # Errors
/// When it can't be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    command.stdout(io::stderr()).stderr(io::stderr());
    let status = Running::spawn(command)?.wait()?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it can't be started or fails; the message carries its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("running {}", shown(command)))?;
    rest_if_interrupted();
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("output that is not UTF-8")
}

/// The command as a person would type it, without paths.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut shown = program
        .file_name()
        .map_or_else(|| program.display().to_string(), |name| name.to_string_lossy().into_owned());
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}
