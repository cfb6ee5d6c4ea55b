//! Which format a file is in, by its name and its declared type. Content is never guessed at.

use perigee_shared::document::Format;

/// The format of a file; the name's ending wins, as browsers declare types carelessly.
pub fn sniff(file_name: &str, content_type: Option<&str>) -> Option<Format> {
    let by_name = extension(file_name).and_then(|extension| match extension.as_str() {
        "md" | "markdown" | "mdown" | "mkd" | "mdx" => Some(Format::Markdown),
        "txt" | "text" | "log" | "rst" | "adoc" => Some(Format::Text),
        "html" | "htm" | "xhtml" => Some(Format::Html),
        "pdf" => Some(Format::Pdf),
        "docx" => Some(Format::Docx),
        "csv" | "tsv" => Some(Format::Csv),
        "json" => Some(Format::Json),
        _ => None,
    });
    by_name.or_else(|| match media_type(content_type?).as_str() {
        "text/markdown" | "text/x-markdown" => Some(Format::Markdown),
        "text/plain" => Some(Format::Text),
        "text/html" | "application/xhtml+xml" => Some(Format::Html),
        "application/pdf" => Some(Format::Pdf),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Some(Format::Docx),
        "text/csv" | "text/tab-separated-values" => Some(Format::Csv),
        "application/json" => Some(Format::Json),
        _ => None,
    })
}

/// Whether a file holds one document on each line.
pub fn is_json_lines(file_name: &str, content_type: Option<&str>) -> bool {
    match extension(file_name).as_deref() {
        Some("jsonl" | "ndjson") => true,
        Some("json") => false,
        _ => content_type.is_some_and(|declared| {
            matches!(
                media_type(declared).as_str(),
                "application/jsonl" | "application/x-ndjson" | "application/ndjson"
            )
        }),
    }
}

fn extension(file_name: &str) -> Option<String> {
    let (stem, extension) = file_name.rsplit_once('.')?;
    (!stem.is_empty()).then(|| extension.to_ascii_lowercase())
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
