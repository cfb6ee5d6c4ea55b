//! Whether a key signed a token, by the platform's own cryptography: a crate for it would be several times the size of this
//! worker's code.

use js_sys::{JSON, Object, Uint8Array};
use perigee_shared::token::{Algorithm, Token, VerifyingKey};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, WorkerGlobalScope};

/// # Errors
/// The platform can't use the key.
pub(super) async fn is_signed(key: &VerifyingKey, token: &Token<'_>) -> Result<bool, JsValue> {
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let subtle = global.crypto()?.subtle();
    let algorithm = object(parameters(key.algorithm))?;
    let usages = JSON::parse(r#"["verify"]"#)?;
    let imported = subtle.import_key_with_object("jwk", &object(&key.jwk)?, &algorithm, false, &usages)?;
    let imported: CryptoKey = JsFuture::from(imported).await?.unchecked_into();
    let (signature, signed) = (Uint8Array::from(token.signature()), Uint8Array::from(token.signed()));
    let verified = subtle
        .verify_with_object_and_js_u8_array_and_js_u8_array(&algorithm, &imported, &signature, &signed)?;
    Ok(JsFuture::from(verified).await?.as_bool() == Some(true))
}

/// What Web Cryptography calls it, for importing and for verifying alike. The key's, never the token's: a token chooses
/// nothing. (RFC 7518 §3.3 and §3.4, RFC 8037 §3.1.)
const fn parameters(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es256 => r#"{"name":"ECDSA","namedCurve":"P-256","hash":"SHA-256"}"#,
        Algorithm::Rs256 => r#"{"name":"RSASSA-PKCS1-v1_5","hash":"SHA-256"}"#,
        Algorithm::EdDsa => r#"{"name":"Ed25519"}"#,
    }
}

fn object(json: &str) -> Result<Object, JsValue> {
    Ok(JSON::parse(json)?.unchecked_into())
}
