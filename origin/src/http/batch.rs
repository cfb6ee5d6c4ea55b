//! `POST documents:batch`: NDJSON in, NDJSON out, one result line per document as each is done.
//!
//! Lines are read as fast as they are worked on. A client must read results while it sends, as a client of a
//! stream does: results that nobody takes hold up the reading.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use perigee_shared::document::{BatchLine, WriteResult};
use perigee_shared::limits::{BATCH_BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};
use perigee_shared::problem::ProblemKind;
use serde::Deserialize;

use super::admit::Write;
use super::documents::new_document;
use super::error::Refused;
use super::opened::Opened;
use super::{App, body, json};

/// Documents under way at one time: enough to fill a group commit, few enough that their text fits in memory.
const IN_FLIGHT: usize = 8;

/// Bytes of a line.
const LINE_BYTES_MAX: usize = UPLOAD_BODY_BYTES_MAX;

/// Writes many documents. The results come in the order in which the documents are done.
///
/// # Errors
/// 404 no such corpus. What is wrong with a line is said in its result.
pub(super) async fn batch(State(app): State<App>, opened: Opened<Write>, body: Body) -> Response {
    let lines = lines(body.into_data_stream(), app.limits().upload_timeout);
    let opened = Arc::new(opened);
    let results =
        lines.map(move |line| write(Arc::clone(&opened), line)).buffer_unordered(IN_FLIGHT).map(|result| {
            serde_json::to_vec(&result).map(|mut line| {
                line.push(b'\n');
                Bytes::from(line)
            })
        });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(results)).into_response()
}

/// A line's number, from 1, and its text or why there is none.
struct Line {
    number: usize,
    text: Result<Bytes, Refused>,
}

async fn write(opened: Arc<Opened<Write>>, Line { number, text }: Line) -> WriteResult {
    // The id may be readable where the rest is not.
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let name = || {
        let named = text.as_ref().ok().and_then(|text| serde_json::from_slice::<Named>(text).ok());
        named.map_or_else(|| format!("line {number}"), |named| named.id.chars().take(300).collect())
    };
    let written = async {
        let line: BatchLine = json::parse(&text.clone()?)?;
        let document = new_document(line.document)?;
        opened.put(line.id, document).await
    };
    match written.await {
        Ok(written) => WriteResult::Written(written),
        Err(refused) => WriteResult::Refused { name: name(), error: refused.into_problem() },
    }
}

/// Cuts a body into its lines, blank ones left out. A line that is too long is refused and passed over; what
/// ends the body ends the lines, with a refusal if it was not the end.
fn lines(mut body: BodyDataStream, pause_max: Duration) -> impl Stream<Item = Line> {
    async_stream::stream! {
        let mut cutter = Cutter::default();
        let mut bytes = 0;
        loop {
            let chunk = match tokio::time::timeout(pause_max, body.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(None) => break,
                Ok(Some(Err(error))) => { yield cutter.broken(body::cut_off(error)); return }
                Err(_) => { yield cutter.broken(body::too_slow()); return }
            };
            bytes += chunk.len();
            if bytes > BATCH_BODY_BYTES_MAX {
                let detail = format!("a batch may have at most {BATCH_BODY_BYTES_MAX} bytes; send the rest in another");
                yield cutter.broken(Refused::new(ProblemKind::TooLarge, detail));
                return;
            }
            for line in cutter.feed(&chunk) {
                yield line;
            }
        }
        if let Some(line) = cutter.end() {
            yield line;
        }
    }
}

/// Puts lines together from chunks.
#[derive(Default)]
struct Cutter {
    number: usize,
    begun: Vec<u8>,
    too_long: bool,
}

impl Cutter {
    fn feed(&mut self, mut chunk: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(at) = memchr::memchr(b'\n', chunk) {
            self.take(&chunk[..at]);
            lines.extend(self.end());
            chunk = &chunk[at + 1..];
        }
        self.take(chunk);
        lines
    }

    fn take(&mut self, part: &[u8]) {
        self.too_long |= self.begun.len() + part.len() > LINE_BYTES_MAX;
        if self.too_long {
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    /// The line ends here.
    fn end(&mut self) -> Option<Line> {
        self.number += 1;
        let begun = std::mem::take(&mut self.begun);
        let number = self.number;
        if std::mem::take(&mut self.too_long) {
            let detail = format!("a line may have at most {LINE_BYTES_MAX} bytes");
            return Some(Line { number, text: Err(Refused::new(ProblemKind::TooLarge, detail)) });
        }
        (!begun.trim_ascii().is_empty()).then(|| Line { number, text: Ok(begun.into()) })
    }

    /// Nothing more will come.
    fn broken(&mut self, refused: Refused) -> Line {
        Line { number: self.number + 1, text: Err(refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<(usize, Option<String>)> {
        let mut cutter = Cutter::default();
        let mut lines: Vec<Line> = chunks.iter().flat_map(|chunk| cutter.feed(chunk)).collect();
        lines.extend(cutter.end());
        let text = |line: Line| line.text.ok().map(|text| String::from_utf8(text.to_vec()).unwrap());
        lines.into_iter().map(|line| (line.number, text(line))).collect()
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let whole = cut(&[b"a\n\nbc\r\n d"]);
        assert_eq!(whole, [(1, Some("a".into())), (3, Some("bc\r".into())), (4, Some(" d".into()))]);
        let bytes: Vec<&[u8]> = b"a\n\nbc\r\n d".chunks(1).collect();
        assert_eq!(cut(&bytes), whole);
        assert_eq!(cut(&[b"", b"\n"]), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
        let long = vec![b'x'; LINE_BYTES_MAX / 2 + 1];
        assert_eq!(
            cut(&[b"a\n", &long, &long, b"\nb"]),
            [(1, Some("a".into())), (2, None), (3, Some("b".into()))]
        );
    }
}
