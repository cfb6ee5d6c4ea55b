//! Reads an answer from a server's event stream, within bounds of time and size.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use perigee_shared::answer::{Finish, Usage};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::wire::Said;
use crate::answer::error::UpstreamError;

/// Bytes of one event. A chunk of text is a few hundred; servers that send a whole answer at once stay below this.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Bytes of a whole stream. Each token brings about 300 bytes of JSON around it.
const STREAM_BYTES_MAX: usize = 16 << 20;

/// After the text is finished, the wait for the usage and the stream's end.
const AFTERWORD: Duration = Duration::from_secs(2);

/// What reading brings.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::answer) enum Piece {
    Text(String),
    /// The end, and what the server counted.
    End(Finish, Option<Usage>),
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<UpstreamError>>> + Send>>;

/// An answer being read.
pub(in crate::answer) struct Reading {
    events: Events,
    first_token_by: Instant,
    whole_by: Instant,
    spoken: bool,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Reading {
    pub(super) fn new(response: Response, first_token_by: Instant, whole_by: Instant) -> Self {
        let mut bounds = Bounds::default();
        let bytes = response.bytes_stream().map(move |chunk| {
            let chunk = chunk.map_err(|_| UpstreamError::HungUp)?;
            bounds.admit(&chunk)?;
            Ok::<Bytes, UpstreamError>(chunk)
        });
        Self {
            events: Box::pin(bytes.eventsource()),
            first_token_by,
            whole_by,
            spoken: false,
            finish: None,
            usage: None,
        }
    }

    /// The next piece of text or the end; nothing may be read after the end or an error.
    ///
    /// # Errors
    /// The server stalls, hangs up, reports an error, or sends what is no answer. An end without a
    /// `finish_reason` and without `[DONE]` is a cut answer, and thus an error.
    pub(in crate::answer) async fn next(&mut self) -> Result<Piece, UpstreamError> {
        loop {
            let Some(event) = self.event().await? else { return self.end(self.finish) };
            if event.data.trim() == "[DONE]" {
                return self.end(self.finish.or(Some(Finish::Stop)));
            }
            let said = Said::read(&event.data)?;
            self.usage = said.usage.or(self.usage);
            if said.finish.is_some() && self.finish.is_none() {
                self.finish = said.finish;
                self.whole_by = self.whole_by.min(Instant::now() + AFTERWORD);
            }
            if !said.text.is_empty() {
                self.spoken = true;
                return Ok(Piece::Text(said.text));
            }
        }
    }

    async fn event(&mut self) -> Result<Option<Event>, UpstreamError> {
        let waiting_for_text = !self.spoken && self.finish.is_none();
        let by = if waiting_for_text { self.first_token_by } else { self.whole_by };
        match timeout_at(by, self.events.next()).await {
            Ok(Some(Ok(event))) => Ok(Some(event)),
            Ok(None) => Ok(None),
            // Whatever comes after the text was finished cannot make it less finished.
            Ok(Some(Err(_))) | Err(_) if self.finish.is_some() => Ok(None),
            Ok(Some(Err(EventStreamError::Transport(error)))) => Err(error),
            Ok(Some(Err(EventStreamError::Utf8(_) | EventStreamError::Parser(_)))) => {
                Err(UpstreamError::Unreadable)
            }
            Err(_) if waiting_for_text => Err(UpstreamError::FirstTokenTimeout),
            Err(_) => Err(UpstreamError::WholeTimeout),
        }
    }

    fn end(&self, finish: Option<Finish>) -> Result<Piece, UpstreamError> {
        match finish {
            None => Err(UpstreamError::HungUp),
            // A filter or a limit may well leave nothing; a model that stops without a word has failed.
            Some(Finish::Stop) if !self.spoken => Err(UpstreamError::Empty),
            Some(finish) => Ok(Piece::End(finish, self.usage)),
        }
    }
}

/// Counts a stream's bytes, in all and since the last blank line: the parser keeps an event until it is whole.
#[derive(Debug, Default)]
struct Bounds {
    stream_bytes: usize,
    event_bytes: usize,
    line_bytes: usize,
    after_cr: bool,
}

impl Bounds {
    fn admit(&mut self, chunk: &[u8]) -> Result<(), UpstreamError> {
        self.stream_bytes += chunk.len();
        for byte in chunk {
            match byte {
                // The second half of a line's end.
                b'\n' if self.after_cr => {}
                b'\n' | b'\r' => {
                    if self.line_bytes == 0 {
                        self.event_bytes = 0;
                    }
                    self.line_bytes = 0;
                }
                _ => self.line_bytes += 1,
            }
            self.event_bytes += 1;
            self.after_cr = *byte == b'\r';
            if self.event_bytes > EVENT_BYTES_MAX {
                return Err(UpstreamError::TooLong);
            }
        }
        if self.stream_bytes > STREAM_BYTES_MAX { Err(UpstreamError::TooLong) } else { Ok(()) }
    }
}
