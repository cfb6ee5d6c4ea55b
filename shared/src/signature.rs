//! How an origin knows that a request comes from its edge: HMAC-SHA-256 over what matters of the request.
//!
//! The header is `t=<unix seconds>,v1=<64 hex digits>`. Two secrets are valid during a rotation. The caller
//! whom the edge admitted is part of what is signed, so nobody between them can become somebody else. Of the
//! body its hash is signed, and sent in a header of its own: the head alone shows whether a body is worth reading.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::SIGNATURE_SKEW_S_MAX;

/// What is signed, apart from the time.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Upper case, as on the wire.
    pub method: &'a str,
    /// Path and query, as on the wire.
    pub path_and_query: &'a str,
    /// The `Perigee-Body-SHA256` header's value. Whoever reads the body sees whether it keeps the promise.
    pub body_sha256: &'a [u8; 32],
    /// The `Perigee-Caller` header's value.
    pub caller: &'a str,
}

/// Why a signature is refused. All of them are 401 to the sender; the difference is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    #[error("the signature header is malformed")]
    Malformed,
    #[error("the signature's time is more than {SIGNATURE_SKEW_S_MAX} s from this machine's clock")]
    OutsideWindow,
    #[error("the signature matches no current secret")]
    Mismatch,
    /// Found by whoever reads the body, not by [`verify`].
    #[error("the body is not the one that was signed")]
    OtherBody,
}

/// Signs a request at `now_s` (Unix seconds); returns the header's value.
#[must_use]
pub fn sign(secret: &[u8], signed: Signed<'_>, now_s: u64) -> String {
    let tag = mac(secret, signed, now_s).finalize().into_bytes();
    format!("t={now_s},v1={}", hex::encode(tag))
}

/// Checks a header's value against each secret, in constant time for each.
///
/// # Errors
/// The header is malformed, its time is outside the window, or no secret matches.
pub fn verify<S: AsRef<[u8]>>(
    secrets: &[S],
    signed: Signed<'_>,
    header: &str,
    now_s: u64,
) -> Result<(), InvalidSignature> {
    let (time, tag) = header
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(",v1="))
        .ok_or(InvalidSignature::Malformed)?;
    // `parse` would accept a plus sign, and the text would no longer be the number that was signed.
    let digits_only = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit());
    let time: u64 = time.parse().ok().filter(|_| digits_only).ok_or(InvalidSignature::Malformed)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(tag, &mut bytes).map_err(|_| InvalidSignature::Malformed)?;
    if time.abs_diff(now_s) > SIGNATURE_SKEW_S_MAX {
        return Err(InvalidSignature::OutsideWindow);
    }
    let matches = secrets.iter().fold(false, |matched, secret| {
        matched | mac(secret.as_ref(), signed, time).verify_slice(&bytes).is_ok()
    });
    matches.then_some(()).ok_or(InvalidSignature::Mismatch)
}

fn mac(secret: &[u8], signed: Signed<'_>, time_s: u64) -> Hmac<Sha256> {
    let Signed { method, path_and_query, body_sha256, caller } = signed;
    // HMAC takes keys of any length; `new_from_slice` has no failing case for it.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(b"perigee-v1\0");
    mac.update(&time_s.to_be_bytes());
    for field in [method.as_bytes(), path_and_query.as_bytes(), body_sha256, caller.as_bytes()] {
        // Length first: no two different requests may give one byte string.
        mac.update(&(field.len() as u64).to_be_bytes());
        mac.update(field);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: [u8; 32] = [9; 32];
    const REQUEST: Signed<'static> =
        Signed { method: "POST", path_and_query: "/v1/chat/completions", body_sha256: &BODY, caller: "{}" };

    #[test]
    fn either_secret_of_a_rotation_is_accepted_within_the_window() {
        let header = sign(b"old", REQUEST, 1_000);
        for now in [940, 1_000, 1_060] {
            assert_eq!(verify(&[b"new", b"old"], REQUEST, &header, now), Ok(()));
        }
        for now in [939, 1_061, 0, u64::MAX] {
            assert_eq!(verify(&[b"old"], REQUEST, &header, now), Err(InvalidSignature::OutsideWindow));
        }
    }

    #[test]
    fn a_change_of_any_part_is_refused() {
        let header = sign(b"secret", REQUEST, 1_000);
        for changed in [
            Signed { method: "GET", ..REQUEST },
            Signed { path_and_query: "/v1/chat/completions?x", ..REQUEST },
            Signed { body_sha256: &[8; 32], ..REQUEST },
            Signed { caller: "{ }", ..REQUEST },
        ] {
            assert_eq!(verify(&[b"secret"], changed, &header, 1_000), Err(InvalidSignature::Mismatch));
        }
        let later = header.replace("t=1000", "t=1001");
        assert_eq!(verify(&[b"secret"], REQUEST, &later, 1_000), Err(InvalidSignature::Mismatch));
        assert_eq!(verify::<&[u8]>(&[], REQUEST, &header, 1_000), Err(InvalidSignature::Mismatch));
    }

    #[test]
    fn a_malformed_header_is_refused() {
        for bad in [
            "",
            "t=",
            "t=1,v1=",
            "t=+1000,v1=00",
            "t=1000,v1=zz",
            "v1=00,t=1",
            "t=99999999999999999999,v1=00",
        ] {
            assert_eq!(verify(&[b"secret"], REQUEST, bad, 1_000), Err(InvalidSignature::Malformed), "{bad}");
        }
    }
}
