//! `perigee read-file`: what a server runs to read one file. Not for people.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use perigee_shared::document::Format;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::output;
use crate::extract::{Bounds, read_confined};

/// Reads a file from standard input for a server
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[arg(long, value_parser = format)]
    format: Format,
    #[arg(long)]
    memory_bytes: u64,
    #[arg(long, value_parser = humantime::parse_duration)]
    timeout: Duration,
}

fn format(name: &str) -> Result<Format, String> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    Format::deserialize(name).map_err(|error| error.to_string())
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { format, memory_bytes, timeout } = *arguments;
    match read_confined(format, Bounds { memory_bytes, time: timeout }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.into());
            ExitCode::FAILURE
        }
    }
}
