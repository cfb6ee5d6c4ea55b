//! DOCX: a zip archive whose `word/document.xml` becomes Markdown.

mod body;
mod styles;

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;
use zip::result::ZipError;

use self::styles::Styles;
use super::contain::contained;
use super::{ExtractError, Extracted, Markup};

/// Files in the archive. Word writes about twenty and one for each picture.
const ENTRIES_MAX: u64 = 10_000;

/// Bytes of `word/document.xml` when unpacked. Markup is ten times the text: enough for the longest document.
const BODY_BYTES_MAX: u64 = 96 << 20;

/// Bytes of `docProps/core.xml` when unpacked: title, author, dates.
const PROPERTIES_BYTES_MAX: u64 = 1 << 20;

/// Bytes of `word/styles.xml` when unpacked; Word's own templates take up to half of one.
const STYLES_BYTES_MAX: u64 = 4 << 20;

/// How an OLE compound file begins: an old `.doc`, or a `.docx` under a password.
const OLE_MAGIC: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0];

pub(super) fn extract(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    if bytes.starts_with(OLE_MAGIC) {
        return Err(ExtractError::Encrypted);
    }
    // Before the archive's directory is read into memory.
    if declared_entries(bytes) > ENTRIES_MAX {
        return Err(ExtractError::too_much("files in its archive", ENTRIES_MAX));
    }
    contained("DOCX", || {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken_zip)?;
        let styles = unpack(&mut archive, "word/styles.xml", STYLES_BYTES_MAX).ok();
        let styles = styles.map(|xml| Styles::read(&xml)).unwrap_or_default();
        let text = body::to_markdown(&unpack(&mut archive, "word/document.xml", BODY_BYTES_MAX)?, &styles)?;
        // A file without properties, or with broken ones, is still a document.
        let properties = unpack(&mut archive, "docProps/core.xml", PROPERTIES_BYTES_MAX).ok();
        let title = properties.as_deref().and_then(title_of);
        let title = title.or_else(|| super::markdown::first_heading(&text));
        Ok(Extracted { title, text, markup: Markup::Markdown })
    })
}

/// Entries that the end of the archive declares; 65,535 stands for "more".
fn declared_entries(bytes: &[u8]) -> u64 {
    let tail = &bytes[bytes.len().saturating_sub(66_000)..];
    let Some(at) = memchr::memmem::rfind(tail, b"PK\x05\x06") else { return 0 };
    match tail.get(at + 10..at + 12) {
        Some(&[low, high]) => u64::from(u16::from_le_bytes([low, high])),
        _ => 0,
    }
}

/// One file of the archive. What it declares about its size is not believed.
fn unpack(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, max: u64) -> Result<String, ExtractError> {
    let file = archive.by_name(name).map_err(broken_zip)?;
    let mut text = String::new();
    let read = file.take(max + 1).read_to_string(&mut text).map_err(|e| ExtractError::broken("DOCX", e))?;
    if read as u64 > max {
        return Err(ExtractError::too_much("bytes when unpacked", max));
    }
    Ok(text)
}

fn broken_zip(error: ZipError) -> ExtractError {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            ExtractError::Encrypted
        }
        ZipError::FileNotFound => ExtractError::broken("DOCX", "it has no document inside"),
        other => ExtractError::broken("DOCX", other),
    }
}

/// `dc:title` of the properties.
fn title_of(properties: &str) -> Option<String> {
    let mut reader = Reader::from_str(properties);
    let mut title = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.local_name().as_ref() == "title" => title = Some(String::new()),
            Event::Text(part) => {
                if let Some(title) = title.as_mut() {
                    title.push_str(&part.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                if let Some(title) = title.as_mut() {
                    title.push_str(body::resolve(&reference).as_deref().unwrap_or_default());
                }
            }
            Event::End(tag) if tag.local_name().as_ref() == "title" => {
                return title.filter(|title| !title.trim().is_empty());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}
