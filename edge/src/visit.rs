//! One request as it stands before the edge: what was asked, when, and under which names.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;
use perigee_shared::admission::Subject;
use perigee_shared::cache_control::CacheControl;
use perigee_shared::header::{MIN_EPOCH, REQUEST_ID, TRACEPARENT};
use perigee_shared::id::Epoch;
use perigee_shared::problem::{Problem, ProblemKind};
use perigee_shared::region::Place;
use worker::worker_sys::ext::RequestExt;
use worker::{Context, Env};

use crate::config::Config;
use crate::respond::Content;
use crate::route::Method;
use crate::trace::{Random, Trace};

/// What admission adds to a response.
pub(crate) struct Told {
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    pub(crate) limits: Option<Rc<str>>,
}

/// What pages of other sites may read of a response.
const EXPOSED_HEADERS: &str = "age, cache-status, perigee-epoch, perigee-quota, ratelimit, ratelimit-policy, retry-after, \
    retry-after-ms, server-timing, traceparent, x-request-id, x-should-retry, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, \
    x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// The request being served.
pub(crate) struct Visit {
    pub(crate) request: web_sys::Request,
    headers: web_sys::Headers,
    pub(crate) env: Env,
    pub(crate) context: Context,
    /// `None`: a method that no address takes.
    pub(crate) method: Option<Method>,
    /// As in the URL, still encoded.
    pub(crate) path: String,
    /// Without its `?`.
    pub(crate) query: String,
    pub(crate) started_ms: u64,
    pub(crate) trace: Trace,
    /// What admission adds to the response, whichever it will be.
    told: RefCell<Vec<(&'static str, Cow<'static, str>)>>,
    /// The same for the caller's limits, as [`crate::respond::headers_json`] writes headers.
    limits: RefCell<Option<Rc<str>>>,
}

impl Visit {
    pub(crate) fn begin(request: web_sys::Request, env: Env, context: Context, random: &Random) -> Self {
        let headers = request.headers();
        let (path, query) = split_url(&request.url());
        let header = |name| headers.get(name).ok().flatten();
        let trace = Trace::begin(header(REQUEST_ID), header(TRACEPARENT).as_deref(), random);
        let method = Method::parse(&request.method());
        Self {
            request,
            headers,
            env,
            context,
            method,
            path,
            query,
            started_ms: now_ms(),
            trace,
            told: RefCell::default(),
            limits: RefCell::default(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    pub(crate) fn cache_control(&self) -> CacheControl {
        CacheControl::parse(self.header("cache-control").as_deref())
    }

    /// The epoch below which nothing may be answered.
    ///
    /// # Errors
    /// The header is there and is not a number.
    pub(crate) fn min_epoch(&self) -> Result<Option<Epoch>, Problem> {
        self.header(MIN_EPOCH).map(|text| parse_epoch(&text)).transpose()
    }

    /// Does work to its end even when the client leaves: what was begun at an origin is taken note of, and no memory
    /// waits for a promise that is never kept.
    ///
    /// # Errors
    /// The work's own.
    pub(crate) async fn to_its_end<T: 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + 'static,
    ) -> Result<T, Problem> {
        let (sender, receiver) = oneshot::channel();
        self.context.wait_until(async move {
            // Nobody receives it when the client has left.
            let _unwanted = sender.send(work.await);
        });
        receiver.await.unwrap_or_else(|_| Err(Problem::new(ProblemKind::Internal, "the work was given up")))
    }

    /// The body of a local answer; `HEAD` gets none.
    pub(crate) fn content<'a>(&self, body: &'a str) -> Content<'a> {
        if self.method == Some(Method::Head) { Content::Nothing } else { Content::Text(body) }
    }

    /// Adds a header to whatever response this request gets.
    pub(crate) fn will_tell(&self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.told.borrow_mut().push((name, value.into()));
    }

    /// Adds what is known of the caller's limits, in place of what was known before.
    pub(crate) fn will_tell_limits(&self, limits: Rc<str>) {
        self.limits.replace(Some(limits));
    }

    /// Lets pages of this web origin read the response.
    pub(crate) fn will_share_with(&self, web_origin: String) {
        self.will_tell("access-control-allow-origin", web_origin);
        self.will_tell("access-control-expose-headers", EXPOSED_HEADERS);
        self.will_tell("vary", "Origin");
    }

    /// Takes back when to come back, where something is answered after all.
    pub(crate) fn forget_retry(&self) {
        self.told
            .borrow_mut()
            .retain(|(name, _)| !matches!(*name, "retry-after" | "retry-after-ms" | "x-should-retry"));
    }

    pub(crate) fn has_told(&self, name: &str) -> bool {
        self.told.borrow().iter().any(|(told, _)| *told == name)
    }

    pub(crate) fn take_told(&self) -> Told {
        Told { headers: self.told.take(), limits: self.limits.take() }
    }

    /// The client's address, where the platform can be believed about it.
    pub(crate) fn client_address(&self, config: &Config) -> Option<String> {
        self.header(config.client_address_header.as_deref()?)
    }

    /// The client's network, as limits count it.
    ///
    /// # Errors
    /// 400: something stands there that is no address.
    pub(crate) fn network(&self, config: &Config) -> Result<Option<Subject>, Problem> {
        let Some(address) = self.client_address(config) else { return Ok(None) };
        let invalid = |_| Problem::new(ProblemKind::InvalidRequest, "the client's address is none");
        address.parse().map(|prefix| Some(Subject::network(prefix))).map_err(invalid)
    }

    /// Where the client is, as far as the platform knows.
    pub(crate) fn place(&self) -> Option<Place> {
        let cf = self.request.cf()?;
        let degrees = |text: Option<String>| text.and_then(|t| t.parse::<f64>().ok());
        let (lat, lon) = (degrees(cf.latitude().ok()?)?, degrees(cf.longitude().ok()?)?);
        let on_earth = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        on_earth.then_some(Place { lat, lon })
    }
}

/// Unix milliseconds by the platform's clock, which stands still while nothing is waited for.
pub(crate) fn now_ms() -> u64 {
    // A float's cast saturates, and the clock is neither negative nor NaN.
    js_sys::Date::now() as u64
}

/// # Errors
/// The text is not a number as an origin writes it.
fn parse_epoch(text: &str) -> Result<Epoch, Problem> {
    let digits_only = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits_only).map(Epoch::new).ok_or_else(|| {
        Problem::new(ProblemKind::InvalidRequest, "Perigee-Min-Epoch must be an epoch: a whole number")
    })
}

/// Path and query of a URL as the platform serialises it: absolute, the path never empty.
fn split_url(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| rest.split_at(at).1);
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (path.to_owned(), query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_digits_and_nothing_else() {
        for bad in ["", "-1", "+1", "1.0", "one", " 1", "99999999999999999999999"] {
            assert!(parse_epoch(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_epoch("42"), Ok(Epoch::new(42)));
    }

    #[test]
    fn a_url_splits_into_path_and_query() {
        for (url, path, query) in [
            ("https://edge.example/", "/", ""),
            ("https://edge.example/v1/models?a=/b#c", "/v1/models", "a=/b"),
            ("http://127.0.0.1:8787/a%2Fb", "/a%2Fb", ""),
        ] {
            assert_eq!(split_url(url), (path.to_owned(), query.to_owned()));
        }
    }
}
