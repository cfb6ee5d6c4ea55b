//! Which address is meant: path and method to a typed route. Ids are checked here, before anything is sent
//! on, and the path that goes to an origin is written anew from the types.

use perigee_shared::caller::Scope;
use perigee_shared::id::{CorpusName, DocumentId, KeyId, TenantId};
use perigee_shared::limits::{QUESTION_BODY_BYTES_MAX, UPLOAD_BODY_BYTES_MAX};
use perigee_shared::problem::{Problem, ProblemKind};

/// Bytes of one query parameter's value; a cursor is a document id, encoded.
const PARAMETER_BYTES_MAX: usize = 1_024;

/// An address of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Page,
    Health,
    OpenApi,
    Chat,
    Models,
    Model(CorpusName),
    Corpora,
    Corpus(CorpusName),
    Search(CorpusName),
    Documents(CorpusName),
    Batch(CorpusName),
    Document(CorpusName, DocumentId),
    Usage,
    Admin(TenantId, AdminRoute),
}

/// What of a tenant is managed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminRoute {
    Settings,
    Keys,
    Key(KeyId),
    Rotate(KeyId),
    Audit,
    Usage,
}

/// A method that some address takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether it only reads (RFC 9110 §9.2.1).
    const fn is_safe(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options => true,
            Self::Post | Self::Put | Self::Patch | Self::Delete => false,
        }
    }
}

/// Whether refusals at this path are in OpenAI's shape, also where there is no such route or method.
pub(crate) fn is_openai(path: &str) -> bool {
    matches!(path, "/v1/chat/completions" | "/v1/models") || path.starts_with("/v1/models/")
}

impl Route {
    /// Finds the route of a path, as it stands in the URL.
    ///
    /// # Errors
    /// 404 where there is none or the corpus cannot exist; 400 for a document id that is none.
    pub(crate) fn find(path: &str) -> Result<Self, Problem> {
        let nothing = || Problem::new(ProblemKind::RouteNotFound, "see /openapi.json for what there is");
        match path {
            "/" => return Ok(Self::Page),
            "/healthz" => return Ok(Self::Health),
            "/openapi.json" => return Ok(Self::OpenApi),
            "/v1/chat/completions" => return Ok(Self::Chat),
            "/v1/models" => return Ok(Self::Models),
            "/v1/corpora" => return Ok(Self::Corpora),
            "/v1/usage" => return Ok(Self::Usage),
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/v1/admin/tenants/") {
            return Self::find_admin(rest).ok_or_else(nothing);
        }
        if let Some(name) = path.strip_prefix("/v1/models/") {
            return find_corpus(name).map(Self::Model);
        }
        let mut parts = path.strip_prefix("/v1/corpora/").ok_or_else(nothing)?.split('/');
        let (name, verb, id) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if parts.next().is_some() || (id.is_some() && verb != Some("documents")) {
            return Err(nothing());
        }
        let corpus = || find_corpus(name);
        match (verb.and_then(decode).as_deref(), id) {
            (None, None) if verb.is_none() => Ok(Self::Corpus(corpus()?)),
            (Some("search"), None) => Ok(Self::Search(corpus()?)),
            (Some("documents"), None) => Ok(Self::Documents(corpus()?)),
            (Some("documents:batch"), None) => Ok(Self::Batch(corpus()?)),
            (Some("documents"), Some(id)) => {
                let invalid = |detail: String| Problem::new(ProblemKind::InvalidRequest, detail);
                let id = decode(id).ok_or_else(|| invalid("the document id is badly encoded".to_owned()))?;
                let id = DocumentId::new(id).map_err(|e| invalid(e.to_string()))?;
                Ok(Self::Document(corpus()?, id))
            }
            (Some(_) | None, _) => Err(nothing()),
        }
    }

    /// `tenant`, `tenant/keys`, `tenant/keys/id`, `tenant/keys/id:rotate`, `tenant/audit` or `tenant/usage`. No name here
    /// has a character that needs encoding.
    fn find_admin(rest: &str) -> Option<Self> {
        let mut parts = rest.split('/');
        let (tenant, what, id) = (parts.next()?, parts.next(), parts.next());
        let route = match (what, id) {
            (None, None) => AdminRoute::Settings,
            (Some("keys"), None) => AdminRoute::Keys,
            (Some("audit"), None) => AdminRoute::Audit,
            (Some("usage"), None) => AdminRoute::Usage,
            (Some("keys"), Some(id)) => match id.strip_suffix(":rotate") {
                Some(id) => AdminRoute::Rotate(KeyId::new(id).ok()?),
                None => AdminRoute::Key(KeyId::new(id).ok()?),
            },
            (Some(_) | None, _) => return None,
        };
        let tenant = TenantId::new(tenant).ok()?;
        parts.next().is_none().then_some(Self::Admin(tenant, route))
    }

    /// The methods of this address, as `Allow` lists them.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Page | Self::Health | Self::OpenApi | Self::Usage => "GET, HEAD, OPTIONS",
            Self::Models | Self::Model(_) => "GET, HEAD, OPTIONS",
            Self::Chat | Self::Search(_) | Self::Batch(_) => "POST, OPTIONS",
            Self::Admin(_, AdminRoute::Settings) => "GET, HEAD, PUT, OPTIONS",
            Self::Admin(_, AdminRoute::Keys) => "GET, HEAD, POST, OPTIONS",
            Self::Admin(_, AdminRoute::Key(_)) => "GET, HEAD, DELETE, OPTIONS",
            Self::Admin(_, AdminRoute::Rotate(_)) => "POST, OPTIONS",
            Self::Admin(_, AdminRoute::Audit | AdminRoute::Usage) => "GET, HEAD, OPTIONS",
            Self::Corpora | Self::Documents(_) => "GET, HEAD, POST, OPTIONS",
            Self::Corpus(_) => "GET, HEAD, PATCH, DELETE, OPTIONS",
            Self::Document(..) => "GET, HEAD, PUT, DELETE, OPTIONS",
        }
    }

    /// # Errors
    /// 405 when this address does not take the method.
    pub(crate) fn check_method(&self, method: Option<Method>) -> Result<Method, Problem> {
        method
            .filter(|m| self.allow().split(", ").any(|name| name == m.name()))
            .ok_or_else(|| Problem::new(ProblemKind::MethodNotAllowed, format!("it takes {}", self.allow())))
    }

    /// What a key must be allowed to do here; `None`: no key is needed.
    pub(crate) const fn scope(&self, method: Method) -> Option<Scope> {
        match self {
            // Every key may ask what is left of it; who may manage keys is decided there.
            Self::Page | Self::Health | Self::OpenApi | Self::Usage | Self::Admin(..) => None,
            Self::Chat | Self::Models | Self::Model(_) => Some(Scope::Ask),
            Self::Search(_) => Some(Scope::Search),
            Self::Corpora | Self::Corpus(_) | Self::Documents(_) | Self::Batch(_) | Self::Document(..) => {
                match method {
                    Method::Get | Method::Head | Method::Options => Some(Scope::Read),
                    Method::Post | Method::Put | Method::Patch | Method::Delete => Some(Scope::Write),
                }
            }
        }
    }

    pub(crate) const fn corpus(&self) -> Option<&CorpusName> {
        match self {
            Self::Page | Self::Health | Self::OpenApi | Self::Chat | Self::Models | Self::Corpora => None,
            Self::Usage | Self::Admin(..) => None,
            Self::Model(corpus)
            | Self::Corpus(corpus)
            | Self::Search(corpus)
            | Self::Documents(corpus)
            | Self::Batch(corpus)
            | Self::Document(corpus, _) => Some(corpus),
        }
    }

    /// The most bytes that a request's body may have; 0: a body is not read.
    pub(crate) const fn body_bytes_max(&self, method: Method) -> usize {
        match (self, method) {
            (_, Method::Get | Method::Head | Method::Delete | Method::Options) => 0,
            (Self::Documents(_) | Self::Batch(_) | Self::Document(..), Method::Post | Method::Put) => {
                UPLOAD_BODY_BYTES_MAX
            }
            (_, Method::Post | Method::Put | Method::Patch) => QUESTION_BODY_BYTES_MAX,
        }
    }

    /// Whether a request here may change what an origin holds.
    pub(crate) const fn is_write(&self, method: Method) -> bool {
        match self {
            // A search changes nothing, although it is a POST; a question at most costs twice.
            Self::Chat | Self::Search(_) => false,
            _ => !method.is_safe(),
        }
    }

    /// Whether a refusal (4xx) says that nothing at all was changed. Of an upload or a batch, some may have been.
    pub(crate) const fn is_refused_whole(&self) -> bool {
        match self {
            Self::Documents(_) | Self::Batch(_) => false,
            Self::Corpus(_) | Self::Document(..) | Self::Corpora | Self::Search(_) => true,
            Self::Page | Self::Health | Self::OpenApi | Self::Chat | Self::Models => true,
            Self::Model(_) | Self::Usage | Self::Admin(..) => true,
        }
    }

    /// Whether a request here may move the corpus to another epoch.
    pub(crate) const fn changes_corpus(&self, method: Method) -> bool {
        match method {
            // What a corpus tolerates is no part of its log.
            Method::Get | Method::Head | Method::Patch | Method::Options => false,
            Method::Post | Method::Put | Method::Delete => match self {
                Self::Corpus(_) | Self::Documents(_) | Self::Batch(_) | Self::Document(..) => true,
                Self::Page | Self::Health | Self::OpenApi | Self::Chat | Self::Models => false,
                Self::Model(_) | Self::Corpora | Self::Search(_) | Self::Usage | Self::Admin(..) => false,
            },
        }
    }

    /// Whether pages of other sites may ask here with a publishable key.
    pub(crate) const fn is_for_browsers(&self) -> bool {
        match self {
            Self::Chat | Self::Models | Self::Model(_) | Self::Search(_) => true,
            Self::Page | Self::Health | Self::OpenApi | Self::Usage | Self::Admin(..) => false,
            Self::Corpora | Self::Corpus(_) | Self::Documents(_) | Self::Batch(_) | Self::Document(..) => {
                false
            }
        }
    }

    /// The path to send to an origin, made of nothing but checked parts. What the edge answers itself is never sent.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Usage => "/v1/usage".to_owned(),
            Self::Admin(tenant, _) => format!("/v1/admin/tenants/{tenant}"),
            Self::Page => "/".to_owned(),
            Self::Health => "/healthz".to_owned(),
            Self::OpenApi => "/openapi.json".to_owned(),
            Self::Chat => "/v1/chat/completions".to_owned(),
            Self::Models => "/v1/models".to_owned(),
            Self::Model(corpus) => format!("/v1/models/{corpus}"),
            Self::Corpora => "/v1/corpora".to_owned(),
            Self::Corpus(corpus) => format!("/v1/corpora/{corpus}"),
            Self::Search(corpus) => format!("/v1/corpora/{corpus}/search"),
            Self::Documents(corpus) => format!("/v1/corpora/{corpus}/documents"),
            Self::Batch(corpus) => format!("/v1/corpora/{corpus}/documents:batch"),
            Self::Document(corpus, id) => format!("/v1/corpora/{corpus}/documents/{id}"),
        }
    }

    /// The query to send to an origin, with its `?`: the parameters this address knows, written anew.
    /// Others are dropped, as some clients add their own everywhere.
    ///
    /// # Errors
    /// 400 for a known parameter that is badly encoded or too long.
    pub(crate) fn query(&self, method: Method, query: &str) -> Result<String, Problem> {
        let known: &[&str] = match (self, method) {
            (Self::Documents(_), Method::Get | Method::Head) => &["cursor", "limit"],
            _ => &[],
        };
        let mut onward = String::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                continue;
            }
            let value = decode(&value.replace('+', " "))
                .filter(|v| v.len() <= PARAMETER_BYTES_MAX && !v.chars().any(char::is_control))
                .ok_or_else(|| Problem::new(ProblemKind::InvalidRequest, format!("{name} is not valid")))?;
            onward.push(if onward.is_empty() { '?' } else { '&' });
            onward.push_str(name);
            onward.push('=');
            encode(&value, &mut onward);
        }
        Ok(onward)
    }
}

/// # Errors
/// 404 where no corpus can be called so.
fn find_corpus(name: &str) -> Result<CorpusName, Problem> {
    decode(name)
        .and_then(|name| CorpusName::new(name).ok())
        .ok_or_else(|| Problem::new(ProblemKind::CorpusNotFound, "no corpus has a name like this"))
}

/// The plain value of a query's parameter.
pub(crate) fn query_value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// Undoes percent-encoding; `None` when it is broken or the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut decoded = [0];
            hex::decode_to_slice([rest.next()?, rest.next()?], &mut decoded).ok()?;
            bytes.extend(decoded);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(path: &str) -> u16 {
        Route::find(path).map_or_else(|p| p.kind.status(), |_| 200)
    }

    #[test]
    fn paths_that_lead_nowhere_are_404_and_ids_that_are_none_400() {
        for path in [
            "",
            "/v1",
            "/v1/",
            "/v1/chat",
            "/v1/corpora/",
            "/v1/corpora/docs/",
            "/v1/corpora/docs/epoch",
            "/v1/corpora/docs/answers/00",
            "/v1/corpora/docs/search/x",
            "/v1/corpora/docs/documents/a/b",
            "/v1/corpora/Docs",
            "/v1/corpora/a%2fb",
            "/v1/corpora/%",
            "//v1/models",
            "/metrics",
            "/v1/admin",
            "/v1/admin/tenants/",
            "/v1/admin/tenants/Acme",
            "/v1/admin/tenants/acme/",
            "/v1/admin/tenants/acme/keys/",
            "/v1/admin/tenants/acme/keys/:rotate",
            "/v1/admin/tenants/acme/keys/key_1/x",
            "/v1/admin/tenants/acme/audit/1",
            "/v1/models/",
            "/v1/models/Docs",
            "/v1/models/docs/x",
        ] {
            assert_eq!(status(path), 404, "{path}");
        }
        for id in ["", "a%2Fb", "a%00b", "a%0Ab", "%zz", "%f0%28", "a%20b", "..", "a%"] {
            assert_eq!(status(&format!("/v1/corpora/docs/documents/{id}")), 400, "{id}");
        }
    }

    #[test]
    fn an_encoded_id_is_sent_on_decoded_and_checked() {
        let route = Route::find("/v1/corpora/docs/documents/guide%3Ainstall.md").unwrap();
        assert_eq!(route.path(), "/v1/corpora/docs/documents/guide:install.md");
        assert_eq!(Route::find("/v1/corpora/docs/documents%3Abatch").unwrap().path().len(), 32);
    }

    #[test]
    fn a_model_is_a_corpus_by_another_name() {
        let route = Route::find("/v1/models/docs").unwrap();
        assert_eq!(route, Route::Model(CorpusName::new("docs").unwrap()));
        assert_eq!((route.path().as_str(), route.allow()), ("/v1/models/docs", Route::Models.allow()));
        assert!(is_openai("/v1/models/docs") && is_openai("/v1/models/Docs") && !is_openai("/v1/modelsx"));
    }

    #[test]
    fn a_tenant_s_keys_are_found_with_what_is_to_be_done_to_them() {
        let found = |path: &str| Route::find(path).unwrap();
        let key = KeyId::new("key_1").unwrap();
        let admin = |route| Route::Admin(TenantId::new("acme").unwrap(), route);
        assert_eq!(found("/v1/admin/tenants/acme"), admin(AdminRoute::Settings));
        assert_eq!(found("/v1/admin/tenants/acme/keys/key_1"), admin(AdminRoute::Key(key.clone())));
        assert_eq!(found("/v1/admin/tenants/acme/keys/key_1:rotate"), admin(AdminRoute::Rotate(key)));
        assert!(!found("/v1/admin/tenants/acme/keys").is_for_browsers());
        assert_eq!(query_value("limit=3&after=7&x", "after"), Some("7"));
        assert_eq!(query_value("afterwards=7", "after"), None);
    }

    #[test]
    fn every_address_refuses_the_methods_that_it_does_not_list() {
        for path in
            ["/", "/v1/chat/completions", "/v1/models", "/v1/corpora/docs", "/v1/corpora/docs/documents/a"]
        {
            let route = Route::find(path).unwrap();
            for name in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"] {
                let allowed = route.check_method(Method::parse(name)).is_ok();
                assert_eq!(allowed, route.allow().split(", ").any(|m| m == name), "{name} {path}");
            }
        }
    }

    #[test]
    fn a_corpus_is_changed_by_whoever_may_write_and_stays_at_its_epoch() {
        let corpus = Route::find("/v1/corpora/docs").unwrap();
        assert_eq!(corpus.scope(Method::Patch), Some(Scope::Write));
        assert!(!corpus.changes_corpus(Method::Patch) && corpus.changes_corpus(Method::Delete));
        assert_eq!(corpus.body_bytes_max(Method::Patch), QUESTION_BODY_BYTES_MAX);
        assert!(corpus.is_write(Method::Patch));
    }

    #[test]
    fn whatever_an_origin_would_write_down_is_a_write_and_questions_are_none() {
        let is_write = |method, path: &str| Route::find(path).unwrap().is_write(method);
        for (method, path) in [
            (Method::Post, "/v1/corpora"),
            (Method::Delete, "/v1/corpora/docs"),
            (Method::Post, "/v1/corpora/docs/documents"),
            (Method::Post, "/v1/corpora/docs/documents:batch"),
            (Method::Put, "/v1/corpora/docs/documents/a"),
            (Method::Delete, "/v1/corpora/docs/documents/a"),
        ] {
            assert!(is_write(method, path), "{method:?} {path}");
            assert!(!is_write(Method::Get, path), "{path}");
        }
        assert!(!is_write(Method::Post, "/v1/chat/completions"));
        assert!(!is_write(Method::Post, "/v1/corpora/docs/search"));
    }

    #[test]
    fn only_known_parameters_go_on_and_they_are_written_anew() {
        let documents = Route::find("/v1/corpora/docs/documents").unwrap();
        let query = documents.query(Method::Get, "limit=5&api-version=1&cursor=a%3Ab+c&x").unwrap();
        assert_eq!(query, "?limit=5&cursor=a%3Ab%20c");
        assert_eq!(documents.query(Method::Post, "limit=5").unwrap(), "");
        assert_eq!(Route::Chat.query(Method::Post, "cursor=a").unwrap(), "");
        for bad in ["cursor=%", "cursor=%0a", &format!("cursor={}", "x".repeat(2_000))] {
            assert!(documents.query(Method::Get, bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever is asked for, what goes to an origin is a path that leads to the same route again.
        #[test]
        fn a_path_that_is_sent_on_leads_to_the_same_route(path in "/v1/corpora(/[a-z%0-9A-F:.]{0,6}){0,4}") {
            if let Ok(route) = Route::find(&path) {
                prop_assert_eq!(Route::find(&route.path()).unwrap(), route.clone());
                prop_assert!(!route.path().contains('%'));
            }
        }
    }
}
