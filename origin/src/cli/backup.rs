//! `perigee backup` and `perigee restore`: on the files themselves, without a server.

use std::path::PathBuf;

use clap::Args;

use super::End;
use super::output::say;
use crate::corpus;

/// Copies a data directory's documents to one file, also while a server uses it
#[derive(Debug, Args)]
#[command(after_long_help = "\
The file holds the log, documents, passages and their vectors, all as of one moment. The indexes are rebuilt from it.

Example:
  perigee backup --data /var/lib/perigee --out perigee-2026-11-20.db")]
pub(super) struct BackupArguments {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes a data directory from a backup
#[derive(Debug, Args)]
#[command(after_long_help = "\
The next start of a server on it rebuilds the indexes; nothing is embedded again.

Example:
  perigee restore --from perigee-2026-11-20.db --data /var/lib/perigee-new")]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The data directory to make; no server may be using it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Give up what the data directory holds now
    #[arg(long)]
    replace: bool,
}

pub(super) fn backup(arguments: BackupArguments) -> anyhow::Result<End> {
    let BackupArguments { data, out } = arguments;
    corpus::backup(&data, &out)?;
    say(&format!("{} is a backup of {}", out.display(), data.display()));
    Ok(End::Done)
}

pub(super) fn restore(arguments: RestoreArguments) -> anyhow::Result<End> {
    let RestoreArguments { from, data, replace } = arguments;
    corpus::restore(&from, &data, replace)?;
    say(&format!("{} holds what {} does", data.display(), from.display()));
    Ok(End::Done)
}
