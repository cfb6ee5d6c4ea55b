//! An interrupt leaves no process behind, whatever is being started.
//!
//! The test runs itself once more as the program that is interrupted: see `ROLE`.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::process::{self, Running};

/// Set in the process that plays the interrupted program.
const ROLE: &str = "XTASK_TEST_ROLE";
const INTERRUPTED: i32 = 42;

/// Prints its own process id and its child's, and ends neither by itself. TERM is heard, as by most programs.
/// The child speaks for both once it is a program of its own: a shell's fork can still lose a signal to its parent's trap.
const FAMILY: &str = "sh -c 'echo $PPID $$; exec sleep 600' & wait";
/// One that must be killed would take the whole grace, so this one only dawdles.
const DAWDLING: &str = "trap 'echo heard; exit 3' TERM; sh -c 'echo $PPID $$; exec sleep 600' & wait; wait";

fn play(script: &str) -> ! {
    process::end_children_when_interrupted(|| INTERRUPTED).unwrap();
    let mut family =
        Running::spawn(Command::new("sh").args(["-c", script]).stdout(Stdio::inherit())).unwrap();
    let _ = family.wait();
    process::rest_if_interrupted();
    std::process::exit(1)
}

/// Starts this test again in the role, and reads the process ids that it prints.
fn start(test: &str, script: &str) -> (Child, Vec<Pid>) {
    let mut program = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, script)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let pids = lines
        .find_map(|line| line.unwrap().split(' ').map(|word| word.parse().ok().map(Pid::from_raw)).collect())
        .unwrap();
    (program, pids)
}

fn interrupt(test: &str, script: &str, signal: Signal) {
    let (mut program, family) = start(test, script);
    assert_eq!(family.len(), 2, "a shell and its child");
    kill(Pid::from_raw(i32::try_from(program.id()).unwrap()), signal).unwrap();
    let status = program.wait().unwrap();
    assert_eq!(status.code(), Some(INTERRUPTED));
    for pid in family {
        assert!(kill(pid, None).is_err(), "process {pid} was left behind");
    }
}

#[test]
fn sigterm_ends_children_and_their_children() {
    if let Ok(script) = env::var(ROLE) {
        play(&script);
    }
    interrupt("sigterm_ends_children_and_their_children", FAMILY, Signal::SIGTERM);
}

#[test]
fn sigint_waits_for_children_that_take_their_leave() {
    if let Ok(script) = env::var(ROLE) {
        play(&script);
    }
    interrupt("sigint_waits_for_children_that_take_their_leave", DAWDLING, Signal::SIGINT);
}

#[test]
fn a_child_ends_when_its_handle_is_dropped() {
    let mut child = Running::spawn(Command::new("sleep").arg("600")).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    assert!(child.try_wait().is_none());
    drop(child);
    assert!(kill(pid, None).is_err());
}
