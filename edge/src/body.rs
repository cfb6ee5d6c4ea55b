//! A request's body, read once, within its bound. It stays in JavaScript's memory, where it can be sent to
//! one origin after another; only questions are copied into Wasm, to be read.

use js_sys::{ArrayBuffer, Object, Reflect, Uint8Array};
use perigee_shared::id::ContentHash;
use perigee_shared::limits::QUESTION_BODY_BYTES_MAX;
use perigee_shared::problem::{Problem, ProblemKind};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, WorkerGlobalScope};

use crate::visit::Visit;

/// Above this, the platform hashes faster than Wasm, and without a copy.
const HASH_IN_WASM_BYTES_MAX: usize = QUESTION_BODY_BYTES_MAX / 16;

/// Bytes of a refused body that are read and dropped: a client that is still sending when the connection
/// closes would see that, and never the refusal.
const DRAIN_BYTES_MAX: usize = 16 << 20;

/// The body of a request.
pub(crate) struct Body {
    bytes: Uint8Array,
}

impl Body {
    /// Reads the whole body.
    ///
    /// # Errors
    /// 413 when it is longer than `bytes_max`, told by its `Content-Length` before anything is read; 400
    /// when it breaks off.
    pub(crate) async fn read(visit: &Visit, bytes_max: usize) -> Result<Self, Problem> {
        let broken = |_: JsValue| Problem::new(ProblemKind::InvalidRequest, "the body broke off");
        match declared_length(visit.header("content-length").as_deref(), bytes_max) {
            Err(problem) => {
                if let Some(stream) = visit.request.body() {
                    drain(&ReadableStreamDefaultReader::new(&stream).map_err(broken)?).await;
                }
                Err(problem)
            }
            // The platform holds a client to the length that it declared.
            Ok(Some(_)) => {
                let promise = visit.request.array_buffer().map_err(broken)?;
                let buffer: ArrayBuffer = JsFuture::from(promise).await.map_err(broken)?.unchecked_into();
                Ok(Self { bytes: Uint8Array::new(&buffer) })
            }
            Ok(None) => match visit.request.body() {
                Some(stream) => {
                    let reader = ReadableStreamDefaultReader::new(&stream).map_err(broken)?;
                    read_chunks(&reader, bytes_max).await
                }
                None => Ok(Self { bytes: Uint8Array::new_with_length(0) }),
            },
        }
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

async fn read_chunks(reader: &ReadableStreamDefaultReader, bytes_max: usize) -> Result<Body, Problem> {
    let mut chunks: Vec<Uint8Array> = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = next_chunk(reader).await? {
        length = length.saturating_add(chunk.length() as usize);
        if length > bytes_max {
            drain(reader).await;
            return Err(too_large(bytes_max));
        }
        chunks.push(chunk);
    }
    let bytes = Uint8Array::new_with_length(u32::try_from(length).map_err(|_| too_large(bytes_max))?);
    let mut at = 0;
    for chunk in chunks {
        bytes.set(&chunk, at);
        at += chunk.length();
    }
    Ok(Body { bytes })
}

/// `None` at the end.
pub(crate) async fn next_chunk(reader: &ReadableStreamDefaultReader) -> Result<Option<Uint8Array>, Problem> {
    let broken = |_: JsValue| Problem::new(ProblemKind::InvalidRequest, "the body broke off");
    let step: Object = JsFuture::from(reader.read()).await.map_err(broken)?.unchecked_into();
    let value = Reflect::get(&step, &"value".into()).map_err(broken)?;
    // The last step has no value.
    Ok(value.dyn_into().ok())
}

/// Lets the client finish sending, within reason.
async fn drain(reader: &ReadableStreamDefaultReader) {
    let mut dropped = 0_usize;
    while let Ok(Some(chunk)) = next_chunk(reader).await {
        dropped = dropped.saturating_add(chunk.length() as usize);
        if dropped > DRAIN_BYTES_MAX {
            // Nobody waits for the cancellation: the refusal goes out at once.
            let _cancelled = reader.cancel();
            return;
        }
    }
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
