//! Bytes of a text file to a string.

use super::ExtractError;

/// UTF-8, or UTF-16 that says so with a byte order mark. The mark is not part of the text.
pub(super) fn text(bytes: &[u8]) -> Result<String, ExtractError> {
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest)?,
        [0xFF, 0xFE, rest @ ..] => utf16(encoding_rs::UTF_16LE, rest)?,
        [0xFE, 0xFF, rest @ ..] => utf16(encoding_rs::UTF_16BE, rest)?,
        rest => utf8(rest)?,
    };
    if text.contains('\0') { Err(ExtractError::Binary) } else { Ok(text) }
}

fn utf8(bytes: &[u8]) -> Result<String, ExtractError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if bytes.contains(&0) => Err(ExtractError::Binary),
        Err(error) => Err(ExtractError::NotUtf8 { at: error.valid_up_to() }),
    }
}

fn utf16(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Result<String, ExtractError> {
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(std::borrow::Cow::into_owned)
        .ok_or(ExtractError::NotUtf16)
}
