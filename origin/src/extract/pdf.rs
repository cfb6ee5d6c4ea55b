//! PDF: the text of its pages.

use std::fmt;

use pdf_extract::{ConvertToFmt, Document, PlainTextOutput};

use super::contain::contained;
use super::{Bounded, ExtractError, Extracted, Markup, pdf_check};

pub(super) fn extract(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    if !bytes[..bytes.len().min(1024)].windows(5).any(|five| five == b"%PDF-") {
        return Err(ExtractError::broken("PDF", "it does not begin like one"));
    }
    contained("PDF", || {
        pdf_check::streams(bytes)?;
        let mut document = Document::load_mem(bytes).map_err(broken)?;
        if document.is_encrypted() {
            // Many files are encrypted with the empty password, only to forbid printing.
            document.decrypt("").map_err(|_| ExtractError::Encrypted)?;
        } else if document.was_encrypted() && document.get_pages().is_empty() {
            return Err(ExtractError::Encrypted);
        }
        pdf_check::structure(&mut document)?;
        let mut text = Text::default();
        pdf_extract::output_doc(&document, &mut PlainTextOutput::new(&mut text)).map_err(|error| {
            if text.full { ExtractError::TooLong } else { ExtractError::broken("PDF", error) }
        })?;
        Ok(Extracted { title: title(&document), text: text.out.text, markup: Markup::Plain })
    })
}

fn broken(error: pdf_extract::Error) -> ExtractError {
    match error {
        pdf_extract::Error::Decryption(_) | pdf_extract::Error::UnsupportedSecurityHandler(_) => {
            ExtractError::Encrypted
        }
        other => ExtractError::broken("PDF", other),
    }
}

/// The title in the document's information dictionary.
fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let (_, info) = document.dereference(info).ok()?;
    let title = info.as_dict().ok()?.get(b"Title").ok()?;
    pdf_extract::decode_text_string(title).ok().filter(|title| !title.trim().is_empty())
}

/// Collects the text up to its limit; fonts without a good map yield control characters, which nobody can read.
#[derive(Default)]
struct Text {
    out: Bounded,
    full: bool,
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let kept: String = part.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        self.out.push(&kept).map_err(|_| {
            self.full = true;
            fmt::Error
        })
    }
}

impl<'a> ConvertToFmt for &'a mut Text {
    type Writer = &'a mut Text;

    fn convert(self) -> Self::Writer {
        self
    }
}
