//! A request's body, read once, within its bounds of bytes and time. It stays in JavaScript's memory, where it can be sent to
//! one origin after another; only questions are copied into Wasm, to be read.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use js_sys::{ArrayBuffer, Object, Reflect, Uint8Array};
use perigee_shared::id::ContentHash;
use perigee_shared::limits::{DEADLINE_MS_MAX, QUESTION_BODY_BYTES_MAX};
use perigee_shared::problem::{Problem, ProblemKind};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, WorkerGlobalScope};
use worker::Delay;

use crate::Edge;
use crate::body_room::{Full, room_for};
use crate::visit::{Visit, now_ms};

/// A body that declares no more than this is read at once: however slowly it comes, it holds next to nothing meanwhile.
const AT_ONCE_BYTES_MAX: usize = QUESTION_BODY_BYTES_MAX / 64;

/// How long a question's body may take to arrive, and an upload may pause.
const QUESTION_MS_MAX: u64 = 30_000;

/// How long an upload may take to arrive; its largest then comes at 900 kbit/s.
const UPLOAD_MS_MAX: u64 = 300_000;

/// Above this, the platform hashes faster than Wasm, and without a copy.
const HASH_IN_WASM_BYTES_MAX: usize = QUESTION_BODY_BYTES_MAX / 16;

/// Bytes of a refused body that are read and dropped: a client that is still sending when the connection
/// closes would see that, and never the refusal.
const DRAIN_BYTES_MAX: usize = 16 << 20;
const DRAIN_MS_MAX: u64 = 10_000;

/// The body of a request.
pub(crate) struct Body {
    bytes: Uint8Array,
    /// Lets go of it with the body.
    _room: Option<Room>,
}

impl Body {
    /// Reads the whole body.
    ///
    /// # Errors
    /// 413 when it is longer than `bytes_max`, told by its `Content-Length` before anything is read; 400
    /// when it breaks off; 408 when it does not arrive in time; 503 while there is no room for it.
    pub(crate) async fn read(edge: &Rc<Edge>, visit: &Rc<Visit>, bytes_max: usize) -> Result<Self, Problem> {
        let declared = declared_length(visit.header("content-length").as_deref(), bytes_max);
        // The platform holds a client to the length that it declared.
        if let Ok(Some(0..=AT_ONCE_BYTES_MAX)) = declared {
            let promise = visit.request.array_buffer().map_err(broken)?;
            let buffer: ArrayBuffer = JsFuture::from(promise).await.map_err(broken)?.unchecked_into();
            return Ok(Self { bytes: Uint8Array::new(&buffer), _room: None });
        }
        let Some(stream) = visit.request.body() else {
            return Ok(Self { bytes: Uint8Array::new_with_length(0), _room: None });
        };
        let reader = ReadableStreamDefaultReader::new(&stream).map_err(broken)?;
        let edge = Rc::clone(edge);
        // A client that leaves in the middle must not leave behind what it sent.
        let reading = async move {
            let read = match declared {
                Ok(length) => read_chunks(edge, &reader, length.unwrap_or(bytes_max), bytes_max).await,
                Err(problem) => Err(problem),
            };
            match &read {
                // It has had its time.
                Err(problem) if problem.kind == ProblemKind::RequestTimeout => {
                    let _cancelled = reader.cancel();
                }
                Err(_) => drain(&reader).await,
                Ok(_) => {}
            }
            read
        };
        visit.to_its_end(reading).await
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    pub(crate) fn as_js(&self) -> &JsValue {
        self.bytes.as_ref()
    }

    /// The body's SHA-256, to sign.
    ///
    /// # Errors
    /// 500 when the platform refuses to hash.
    pub(crate) async fn sha256(&self) -> Result<[u8; 32], Problem> {
        if self.bytes.length() as usize <= HASH_IN_WASM_BYTES_MAX {
            return Ok(*ContentHash::of(&self.bytes.to_vec()).as_bytes());
        }
        let failed = |_: JsValue| Problem::new(ProblemKind::Internal, "the body could not be hashed");
        let global: WorkerGlobalScope = js_sys::global().unchecked_into();
        let subtle = global.crypto().map_err(failed)?.subtle();
        let promise = subtle.digest_with_str_and_js_u8_array("SHA-256", &self.bytes).map_err(failed)?;
        let digest = Uint8Array::new(&JsFuture::from(promise).await.map_err(failed)?);
        digest.to_vec().try_into().map_err(|_| failed(JsValue::UNDEFINED))
    }
}

/// # Errors
/// 413 when more is declared than may come; 400 when the declaration is not a length.
fn declared_length(header: Option<&str>, bytes_max: usize) -> Result<Option<usize>, Problem> {
    let Some(text) = header else { return Ok(None) };
    let invalid = || Problem::new(ProblemKind::InvalidRequest, "Content-Length is not a length");
    let length: u64 = text.parse().map_err(|_| invalid())?;
    match usize::try_from(length) {
        Ok(length) if length <= bytes_max => Ok(Some(length)),
        Ok(_) | Err(_) => Err(too_large(bytes_max)),
    }
}

/// What a body takes of the isolate's room, until it is dropped.
struct Room {
    edge: Rc<Edge>,
    id: u64,
    until_ms: u64,
}

impl Room {
    /// # Errors
    /// 503: there is none.
    fn take(&self, bytes: usize) -> Result<(), Problem> {
        let taken = self.edge.body_room.borrow_mut().take(self.id, bytes, self.until_ms, now_ms());
        taken.map_err(|Full| {
            Problem::new(ProblemKind::Overloaded, "too many bytes are being sent to this edge at the moment")
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.edge.body_room.borrow_mut().leave(self.id);
    }
}

/// Reads into one array that grows: a chunk may be a single byte, and must not stay an object of its own. `most`: how many
/// bytes come at most.
async fn read_chunks(
    edge: Rc<Edge>,
    reader: &ReadableStreamDefaultReader,
    most: usize,
    bytes_max: usize,
) -> Result<Body, Problem> {
    let ms_max = if bytes_max > QUESTION_BODY_BYTES_MAX { UPLOAD_MS_MAX } else { QUESTION_MS_MAX };
    let until_ms = now_ms() + ms_max;
    let id = edge.body_room.borrow_mut().name();
    let room = Room { edge, id, until_ms: until_ms + DEADLINE_MS_MAX };
    let (mut bytes, mut length) = (Uint8Array::new_with_length(0), 0_u32);
    while let Some(chunk) = next_chunk(reader, until_ms).await? {
        let needed = length.saturating_add(chunk.length());
        if needed as usize > bytes_max {
            return Err(too_large(bytes_max));
        }
        if needed > bytes.length() {
            let room_bytes = room_for(needed as usize, most);
            room.take(room_bytes)?;
            let larger =
                Uint8Array::new_with_length(u32::try_from(room_bytes).map_err(|_| too_large(bytes_max))?);
            larger.set(&bytes, 0);
            bytes = larger;
        }
        bytes.set(&chunk, length);
        length = needed;
    }
    Ok(Body { bytes: bytes.subarray(0, length), _room: Some(room) })
}

/// `None` at the end.
///
/// # Errors
/// 408 when nothing comes for too long; 400 when it breaks off.
pub(crate) async fn next_chunk(
    reader: &ReadableStreamDefaultReader,
    until_ms: u64,
) -> Result<Option<Uint8Array>, Problem> {
    let left_ms = until_ms.saturating_sub(now_ms()).min(QUESTION_MS_MAX);
    let left = Delay::from(Duration::from_millis(left_ms));
    let step: Object = match select(JsFuture::from(reader.read()), left).await {
        Either::Left((step, _)) => step.map_err(broken)?.unchecked_into(),
        Either::Right(((), _)) => {
            return Err(Problem::new(ProblemKind::RequestTimeout, "the body came too slowly"));
        }
    };
    let value = Reflect::get(&step, &"value".into()).map_err(broken)?;
    // The last step has no value.
    Ok(value.dyn_into().ok())
}

/// Lets the client finish sending, within reason.
async fn drain(reader: &ReadableStreamDefaultReader) {
    let (until_ms, mut dropped) = (now_ms() + DRAIN_MS_MAX, 0_usize);
    while let Ok(Some(chunk)) = next_chunk(reader, until_ms).await {
        dropped = dropped.saturating_add(chunk.length() as usize);
        if dropped > DRAIN_BYTES_MAX {
            break;
        }
    }
    // Nobody waits for the cancellation: the refusal goes out at once.
    let _cancelled = reader.cancel();
}

fn broken(_: JsValue) -> Problem {
    Problem::new(ProblemKind::InvalidRequest, "the body broke off")
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(ProblemKind::TooLarge, format!("at most {bytes_max} bytes are read here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_declares_too_much_is_refused_before_it_is_read() {
        let kind = |header| declared_length(Some(header), 10).unwrap_err().kind;
        assert_eq!(kind("11"), ProblemKind::TooLarge);
        assert_eq!(kind("18446744073709551615"), ProblemKind::TooLarge);
        assert_eq!(kind("ten"), ProblemKind::InvalidRequest);
        assert_eq!(declared_length(Some("10"), 10), Ok(Some(10)));
        assert_eq!(declared_length(None, 10), Ok(None));
    }
}
