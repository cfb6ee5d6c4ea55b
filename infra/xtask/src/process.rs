//! Child processes that never outlive us: each runs in a process group of its own, all groups are
//! known here, and an interrupt ends them, newest first, before this process ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How long a group may take to end by itself: more than the origin needs to drain.
const GRACE: Duration = Duration::from_secs(35);
const POLL: Duration = Duration::from_millis(20);

static GROUPS: Mutex<Groups> = Mutex::new(Groups { live: Vec::new(), interrupted: false });

struct Groups {
    /// In the order of their start.
    live: Vec<Pid>,
    /// Once set, nothing more is started.
    interrupted: bool,
}

fn groups() -> MutexGuard<'static, Groups> {
    // The list is whole after every step, so a panic elsewhere can't have broken it.
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running child and everything that it starts. Ended when dropped.
#[derive(Debug)]
pub struct Group {
    child: Child,
    leader: Pid,
}

impl Group {
    /// Starts `command` in a new process group, with nothing to read.
    ///
    /// # Errors
    /// When the program is missing or can't be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.process_group(0).stdin(Stdio::null());
        // Under the lock, so that an interrupt sees this child or prevents it.
        let mut groups = groups();
        if groups.interrupted {
            bail!("interrupted");
        }
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let leader = Pid::from_raw(i32::try_from(child.id()).context("process id")?);
        groups.live.push(leader);
        Ok(Self { child, leader })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the leader to end by itself.
    ///
    /// # Errors
    /// When the operating system doesn't know the process any more.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait();
        rest_if_interrupted();
        Ok(status?)
    }

    /// The leader's status if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks the group to end, and ends it when it doesn't.
    pub fn stop(&mut self) {
        end(self.leader, GRACE);
        let _ = self.child.wait();
    }

    /// Ends the group at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        let _ = killpg(self.leader, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop();
        groups().live.retain(|leader| *leader != self.leader);
    }
}

/// SIGTERM, then SIGKILL once `grace` has passed.
fn end(leader: Pid, grace: Duration) {
    if killpg(leader, Signal::SIGTERM) == Err(Errno::ESRCH) {
        return;
    }
    let began = Instant::now();
    while is_alive(leader) {
        if began.elapsed() > grace {
            let _ = killpg(leader, Signal::SIGKILL);
            return;
        }
        std::thread::sleep(POLL);
    }
}

fn is_alive(leader: Pid) -> bool {
    // A leader that ended but wasn't waited for still counts as a member of its group.
    let _ = waitpid(leader, Some(WaitPidFlag::WNOHANG));
    killpg(leader, None) != Err(Errno::ESRCH)
}

/// From now on SIGINT, SIGTERM and SIGHUP end every group, newest first, and then this process,
/// with the code that `exit_code` gives.
///
/// # Errors
/// When a handler is already set.
pub fn end_children_when_interrupted(exit_code: impl Fn() -> i32 + Send + 'static) -> Result<()> {
    ctrlc::set_handler(move || {
        let live = {
            let mut groups = groups();
            groups.interrupted = true;
            groups.live.clone()
        };
        for leader in live.into_iter().rev() {
            end(leader, GRACE);
        }
        std::process::exit(exit_code());
    })
    .context("setting the interrupt handler")
}

/// Waits for ever when an interrupt is ending this process, so that its consequences (a child that
/// was killed) are not reported as failures.
pub fn rest_if_interrupted() {
    if groups().interrupted {
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
    let status = Group::spawn(command)?.wait()?;
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
