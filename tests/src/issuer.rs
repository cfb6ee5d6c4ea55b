//! A scripted issuer of users' tokens: signs them as an identity provider does, or as an attacker would, and publishes its
//! keys as a test tells it to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{StreamExt, stream};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use ring::{hmac, signature};
use serde_json::{Value, json};

/// Made for these tests and known to everybody. The library makes no keys of this kind, and making one takes long.
const RSA_KEY: &[u8] = include_bytes!("issuer-rsa.der");

/// A private key, and the name under which its public half is published.
pub struct SigningKey {
    pub id: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl SigningKey {
    /// # Errors
    /// There is no randomness.
    pub fn es256(id: &str) -> Result<Self> {
        let (random, curve) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).map_err(|e| anyhow!("{e}"))?;
        let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).map_err(|e| anyhow!("{e}"))?;
        Ok(Self { id: id.to_owned(), pair: Pair::Es256(pair) })
    }

    /// # Errors
    /// The key beside this file is none.
    pub fn rs256(id: &str) -> Result<Self> {
        let pair = RsaKeyPair::from_der(RSA_KEY).map_err(|e| anyhow!("{e}"))?;
        Ok(Self { id: id.to_owned(), pair: Pair::Rs256(pair) })
    }

    /// # Errors
    /// There is no randomness.
    pub fn ed25519(id: &str) -> Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|e| anyhow!("{e}"))?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|e| anyhow!("{e}"))?;
        Ok(Self { id: id.to_owned(), pair: Pair::EdDsa(pair) })
    }

    /// The name that the key's algorithm has in tokens.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// The public half, as a key set lists it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Es256(pair) => {
                // One byte that says "not compressed", then two numbers of 32.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Pair::Rs256(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Pair::EdDsa(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    /// A token as an identity provider makes it.
    ///
    /// # Errors
    /// It can't be signed.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.token_with(&json!({"alg": self.algorithm(), "kid": self.id, "typ": "JWT"}), claims)
    }

    /// A token whose header says something else.
    ///
    /// # Errors
    /// It can't be signed.
    pub fn token_with(&self, header: &Value, claims: &Value) -> Result<String> {
        let signed = signed_part(header, claims);
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, signed.as_bytes()).map(|s| s.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let padding: &dyn signature::RsaEncoding = &RSA_PKCS1_SHA256;
                pair.sign(padding, &random, signed.as_bytes(), &mut signature).map(|()| signature)
            }
            Pair::EdDsa(pair) => Ok(pair.sign(signed.as_bytes()).as_ref().to_vec()),
        };
        let signature = signature.map_err(|e| anyhow!("{e}"))?;
        Ok(format!("{signed}.{}", encode(signature)))
    }

    /// A token whose signature is an HMAC, with what is public of this key as the secret.
    #[must_use]
    pub fn token_with_public_secret(&self, claims: &Value) -> String {
        let signed = signed_part(&json!({"alg": "HS256", "kid": self.id}), claims);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.jwk().to_string().as_bytes());
        format!("{signed}.{}", encode(hmac::sign(&secret, signed.as_bytes())))
    }
}

/// Header and claims of a token, encoded, without a signature.
#[must_use]
pub fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Unix seconds, by this machine's clock.
///
/// # Errors
/// It stands before 1970.
pub fn now_s() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?.as_secs())
}

/// What the issuer answers when it is asked for its keys.
#[derive(Debug, Clone)]
pub enum Publish {
    /// These keys, as JWKs.
    Keys(Vec<Value>),
    /// These keys, after a while.
    Late(Vec<Value>, Duration),
    Text(String),
    Status(u16),
    Redirect(String),
    /// White space without end, in pieces, and no length.
    Endless,
    /// A head and the beginning of a set, and then nothing more.
    Stalled,
    /// Nothing at all.
    Silent,
}

/// A running issuer. It stops when dropped.
pub struct Issuer {
    /// Where it publishes its keys.
    pub jwks_url: String,
    state: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    publish: Mutex<Publish>,
    hits: AtomicUsize,
}

impl Issuer {
    /// # Errors
    /// No port can be had.
    pub async fn start(publish: Publish) -> Result<Self> {
        let state = Arc::new(Shared { publish: Mutex::new(publish), hits: AtomicUsize::new(0) });
        let app = Router::new().route("/keys", get(answer)).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let jwks_url = format!("http://{}/keys", listener.local_addr()?);
        let server = tokio::spawn(async move {
            // The test ends it by dropping the handle; there is nobody to tell of a failure but the test's client.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { jwks_url, state, server })
    }

    /// One that publishes these keys.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn of(keys: &[&SigningKey]) -> Result<Self> {
        Self::start(Publish::Keys(keys.iter().map(|key| key.jwk()).collect())).await
    }

    pub fn publish(&self, publish: Publish) {
        *self.state.publish.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = publish;
    }

    /// How often it was asked.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.state.hits.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(state): State<Arc<Shared>>) -> Response {
    state.hits.fetch_add(1, Ordering::SeqCst);
    let publish = state.publish.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let set = |keys: Vec<Value>| {
        ([(header::CONTENT_TYPE, "application/jwk-set+json")], json!({"keys": keys}).to_string())
            .into_response()
    };
    match publish {
        Publish::Keys(keys) => set(keys),
        Publish::Late(keys, after) => {
            tokio::time::sleep(after).await;
            set(keys)
        }
        Publish::Text(text) => text.into_response(),
        Publish::Status(status) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
        Publish::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Publish::Endless => {
            let piece = Bytes::from_static(&[b' '; 16 << 10]);
            Body::from_stream(stream::repeat(piece).map(Ok::<_, std::io::Error>)).into_response()
        }
        Publish::Stalled => {
            let piece = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"keys\": ["))]);
            Body::from_stream(piece.chain(stream::pending())).into_response()
        }
        Publish::Silent => std::future::pending().await,
    }
}
