//! The `perigee` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    perigee_origin::cli::run()
}
