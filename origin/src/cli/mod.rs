//! The command line: reads arguments, loads the configuration, and runs one command.

mod output;

mod read_file;
mod serve;

mod client;
mod corpora;
mod keys;

mod files;
mod ingest;
mod progress;
mod send;
mod tally;

mod ask;
mod search;

mod model;
mod remote;

mod calibrate;
mod eval;
mod explain;
mod replay;

mod backup;
mod purge;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Environment};

/// Answers questions from a team's own documents, with citations.
#[derive(Debug, Parser)]
#[command(name = "perigee", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file [default: perigee.toml, where it exists; environment: PERIGEE_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    #[command(hide = true)]
    ReadFile(read_file::Arguments),
    Ingest(ingest::Arguments),
    Ask(ask::Arguments),
    Search(search::Arguments),
    Corpora(corpora::Arguments),
    Keys(keys::Arguments),
    Eval(eval::Arguments),
    Purge(purge::Arguments),
    Calibrate(calibrate::Arguments),
    Replay(replay::Arguments),
    Explain(explain::Arguments),
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
}

/// How a command ended that ran to its end.
enum End {
    Done,
    /// The command ran, but something in it was refused; it has said what.
    Refused,
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    // It is told everything it needs, and reads neither configuration nor environment.
    if let Command::ReadFile(arguments) = &command {
        return read_file::run(arguments);
    }
    let config =
        Environment::of_process().and_then(|environment| Config::load(config.as_deref(), &environment));
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            output::complain(&error.into());
            return ExitCode::from(2);
        }
    };
    match start(config, command) {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Refused) => ExitCode::FAILURE,
        // Whoever reads our output has enough of it.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(config: Config, command: Command) -> anyhow::Result<End> {
    // Refused only if one is installed, and then TLS works already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        match command {
            Command::Serve(arguments) => serve::run(config, arguments).await,
            // Has been run before anything of this was set up.
            Command::ReadFile(_) => Ok(End::Done),
            Command::Ingest(arguments) => ingest::run(config, arguments).await,
            Command::Ask(arguments) => ask::run(config, arguments).await,
            Command::Search(arguments) => search::run(config, arguments).await,
            Command::Corpora(arguments) => corpora::run(config, arguments).await,
            Command::Keys(arguments) => keys::run(config, arguments).await,
            Command::Eval(arguments) => eval::run(config, arguments).await,
            Command::Purge(arguments) => purge::run(config, arguments).await,
            Command::Calibrate(arguments) => calibrate::run(config, arguments).await,
            Command::Replay(arguments) => replay::run(config, arguments).await,
            Command::Explain(arguments) => explain::run(config, arguments).await,
            Command::Backup(arguments) => backup::backup(arguments),
            Command::Restore(arguments) => backup::restore(arguments),
        }
    });
    // Blocking work that is still under way, such as a start that was interrupted, is not waited for: the log
    // makes good whatever it leaves behind.
    runtime.shutdown_background();
    end
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
