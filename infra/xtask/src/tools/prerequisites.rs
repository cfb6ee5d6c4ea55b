//! What only the user can install: rustup, Node with npm, Python 3 with pip, a C++ compiler.

use std::process::Command;

use anyhow::{Result, bail};

use super::Purpose;
use crate::process::output;

/// A program that must be there, and where it comes from.
struct Prerequisite {
    /// Any of these will do.
    commands: &'static [&'static [&'static str]],
    what: &'static str,
    how: &'static str,
}

const FOR_THE_WORKER: &[Prerequisite] = &[
    Prerequisite {
        commands: &[&["rustup", "--version"]],
        what: "rustup",
        how: "install it from https://rustup.rs",
    },
    Prerequisite {
        commands: &[&["node", "--version"]],
        what: "Node",
        how: "install it from https://nodejs.org or your distribution (any version with npm 8 or later)",
    },
    Prerequisite {
        commands: &[&["npm", "--version"]],
        what: "npm",
        how: "it comes with Node; some distributions package it apart (Debian: apt install npm)",
    },
];

const FOR_THE_ORIGIN: &[Prerequisite] = &[
    Prerequisite {
        commands: &[&["python3", "--version"]],
        what: "Python 3",
        how: "install it from https://www.python.org or your distribution (Debian: apt install python3)",
    },
    Prerequisite {
        commands: &[&["python3", "-m", "pip", "--version"]],
        what: "pip for Python 3",
        how: "run `python3 -m ensurepip`, or install your distribution's package (Debian: apt install python3-pip)",
    },
    Prerequisite {
        commands: &[&["c++", "--version"], &["g++", "--version"], &["clang++", "--version"]],
        what: "a C++ compiler",
        how: "install g++ or clang++ (Debian: apt install g++), or name it in CXX",
    },
];

/// Finds out what is missing, all of it at once.
///
/// # Errors
/// When anything is: names each thing and how to get it.
pub fn check(purpose: Purpose) -> Result<()> {
    let mut wanted: Vec<&Prerequisite> = FOR_THE_WORKER.iter().collect();
    if purpose != Purpose::Worker {
        wanted.extend(FOR_THE_ORIGIN);
    }
    let missing: Vec<String> = wanted
        .into_iter()
        .filter(|prerequisite| !is_there(prerequisite))
        .map(|Prerequisite { what, how, .. }| format!("  {what}: {how}"))
        .collect();
    if !missing.is_empty() {
        bail!("missing on this machine:\n{}", missing.join("\n"));
    }
    Ok(())
}

fn is_there(prerequisite: &Prerequisite) -> bool {
    if prerequisite.what == "a C++ compiler" && std::env::var_os("CXX").is_some() {
        return true;
    }
    prerequisite.commands.iter().any(|command| {
        command
            .split_first()
            .is_some_and(|(program, arguments)| output(Command::new(program).args(arguments)).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_exist_is_missing() {
        assert!(!is_there(&Prerequisite {
            commands: &[&["perigee-no-such-program", "--version"]],
            what: "nothing",
            how: "",
        }));
    }
}
