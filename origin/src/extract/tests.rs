//! What callers may rely on, for each format: hostile files first.

mod docx;
mod html;
mod pdf;
mod text;

use super::*;

fn text_of(format: Format, bytes: impl AsRef<[u8]>) -> String {
    extract(format, bytes.as_ref()).unwrap().text
}

fn refusal(format: Format, bytes: impl AsRef<[u8]>) -> ExtractError {
    extract(format, bytes.as_ref()).unwrap_err()
}

const ALL: [Format; 7] =
    [Format::Markdown, Format::Text, Format::Html, Format::Pdf, Format::Docx, Format::Csv, Format::Json];

#[test]
fn an_empty_file_is_refused_in_every_format() {
    for format in ALL {
        for bytes in ["", " \n\t ", "\u{feff}"] {
            let error = refusal(format, bytes);
            assert!(
                matches!(error, ExtractError::Empty | ExtractError::Broken { .. }),
                "{format:?} {bytes:?}: {error}"
            );
        }
    }
}

#[test]
fn noise_is_refused_or_read_but_never_a_panic() {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for format in ALL {
        for magic in [&b""[..], b"%PDF-1.7\n", b"PK\x03\x04", b"<html>", b"{\"a\":", b"\xFF\xFE"] {
            let mut bytes = magic.to_vec();
            (0..500).for_each(|_| bytes.extend(noise()));
            if let Err(error) = extract(format, &bytes) {
                assert!(!error.to_string().contains('/'), "{error}");
            }
        }
    }
}
