//! Prints the API document.
#![expect(clippy::print_stdout, reason = "it is what this program does")]

fn main() -> Result<(), serde_json::Error> {
    print!("{}", perigee_shared::openapi::document_json()?);
    Ok(())
}
