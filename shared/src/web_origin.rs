//! The web origins (RFC 6454) that a publishable key is bound to.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::limits::WEB_ORIGIN_BYTES_MAX;

/// `https://host[:port]` as browsers send it in `Origin`: lower case, no path. Plain `http` only for this machine,
/// where pages are developed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// The text is no web origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a web origin is such as https://app.example.com, with a port if need be, in lower case and without a path; \
     http only for localhost"
)]
pub struct InvalidWebOrigin;

impl WebOrigin {
    /// # Errors
    /// It is not the origin of a page that browsers could name.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidWebOrigin> {
        let text = text.into();
        let (scheme, rest) = text.split_once("://").ok_or(InvalidWebOrigin)?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let is_host = |host: &str| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
                && !host.starts_with(['.', '-'])
                && !host.ends_with(['.', '-'])
        };
        // Browsers leave a scheme's own port out, so one that is written would never match.
        let is_port = |port: &str| {
            let own = if scheme == "https" { 443 } else { 80 };
            port.parse::<u16>().is_ok_and(|number| number != 0 && number != own && number.to_string() == port)
        };
        let local = matches!(host, "localhost" | "127.0.0.1");
        let is_origin = text.len() <= WEB_ORIGIN_BYTES_MAX
            && (scheme == "https" || (scheme == "http" && local))
            && is_host(host)
            && port.is_none_or(is_port);
        is_origin.then_some(Self(text)).ok_or(InvalidWebOrigin)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// So that a header's value can be looked up without becoming an origin first.
impl std::borrow::Borrow<str> for WebOrigin {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = InvalidWebOrigin;
    fn try_from(text: String) -> Result<Self, InvalidWebOrigin> {
        Self::new(text)
    }
}

impl std::str::FromStr for WebOrigin {
    type Err = InvalidWebOrigin;
    fn from_str(text: &str) -> Result<Self, InvalidWebOrigin> {
        Self::new(text)
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> String {
        origin.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_would_send_is_an_origin() {
        for good in
            ["https://a.example", "https://app.example.com:8443", "http://localhost:3000", "https://x"]
        {
            assert!(WebOrigin::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "a.example",
            "https://",
            "https://A.example",
            "https://a.example/",
            "https://a.example/path",
            "https://a.example:443",
            "https://a.example:0",
            "https://a.example:08",
            "https://a.example:99999",
            "https://user@a.example",
            "https://*.example",
            "http://a.example",
            "https://.example",
            "https://a.example\n",
        ] {
            assert_eq!(WebOrigin::new(bad), Err(InvalidWebOrigin), "{bad:?}");
        }
    }
}
