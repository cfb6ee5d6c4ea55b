//! Who is served: edges that sign, and the operator.

use perigee_origin::config::Limits;
use perigee_shared::header::{BODY_SHA256, CALLER, SIGNATURE};
use perigee_shared::limits::UPLOAD_BODY_BYTES_MAX;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::stage::{Edge, NEW_SECRET, OLD_SECRET, Reply, Stage, chat, now_s};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_signature_or_token_nothing_is_told() {
    let stage = Stage::starting(Limits::default()).await;
    let nobody = stage.operator().anonymous();
    insta::assert_snapshot!(nobody.get("/v1/corpora").await.shown(), @r#"
    401 application/problem+json
    {"type":"urn:perigee:problem:unsigned","title":"The request is neither signed by an edge nor an operator's","status":401,"detail":"the signature or token is missing, wrong or out of its time","code":"unsigned"}
    "#);
    insta::assert_snapshot!(nobody.get("/v1/models").await.shown(), @r#"
    401 application/json
    {"error":{"code":"unsigned","message":"The request is neither signed by an edge nor an operator's: the signature or token is missing, wrong or out of its time","param":null,"type":"authentication_error"}}
    "#);
    for wrong in ["Bearer ", "Bearer x", "Basic abc", "bearer"] {
        assert_eq!(
            nobody.clone().with("authorization", wrong).get("/v1/corpora").await.status,
            401,
            "{wrong}"
        );
    }
    // Who is let in learns more.
    assert_eq!(stage.operator().get("/v1/corpora").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_secret_of_a_rotation_opens_within_the_window() {
    let stage = Stage::start().await;
    let corpora = async |edge: Edge<'_>| {
        Reply::read(edge.request(stage.address, Method::GET, "/v1/corpora", "")).await.status
    };
    for secret in [NEW_SECRET, OLD_SECRET] {
        assert_eq!(corpora(Edge { secret, ..Edge::of("acme") }).await, 200);
    }
    assert_eq!(
        corpora(Edge { secret: "another-secret-of-enough-characters-0", ..Edge::of("acme") }).await,
        401
    );
    for time_s in [now_s() - 50, now_s() + 50] {
        assert_eq!(corpora(Edge { time_s, ..Edge::of("acme") }).await, 200);
    }
    for time_s in [0, now_s() - 90, now_s() + 90] {
        assert_eq!(corpora(Edge { time_s, ..Edge::of("acme") }).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_anything_that_was_signed_is_refused() {
    let stage = Stage::start().await;
    let edge = Edge::of("acme");
    let body = r#"{"name": "docs"}"#;
    let evil = r#"{"name": "evil"}"#;
    let signed = || edge.request(stage.address, Method::POST, "/v1/corpora", body);
    let header = |request: reqwest::RequestBuilder, name: &str| {
        request.build().unwrap().headers()[name].to_str().unwrap().to_owned()
    };
    let signature = header(signed(), SIGNATURE);
    let promised = header(signed(), BODY_SHA256);

    let unsigned = stage.operator().anonymous();
    // A request with these headers, of which the empty ones are left out.
    let with = |path: &str, caller: &str, promised: &str| {
        let headers = [(SIGNATURE, signature.as_str()), (CALLER, caller), (BODY_SHA256, promised)];
        let request = unsigned.request(Method::POST, path);
        headers
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(request, |request, (name, value)| request.header(name, value))
    };
    let other_promise = header(edge.request(stage.address, Method::POST, "/v1/corpora", evil), BODY_SHA256);
    for (what, request) in [
        ("body", with("/v1/corpora", &edge.caller, &promised).body(evil)),
        ("a part of the body", with("/v1/corpora", &edge.caller, &promised).body(&body[..body.len() - 1])),
        ("body and its hash", with("/v1/corpora", &edge.caller, &other_promise).body(evil)),
        ("no hash", with("/v1/corpora", &edge.caller, "").body(body)),
        ("no hash that can be", with("/v1/corpora", &edge.caller, "00").body(body)),
        ("caller", with("/v1/corpora", &edge.caller.replace("acme", "rival"), &promised).body(body)),
        ("no caller", with("/v1/corpora", "", &promised).body(body)),
        ("path", with("/v1/corpora?x", &edge.caller, &promised).body(body)),
        // A token beside a wrong signature does not help.
        (
            "operator",
            stage.operator().request(Method::POST, "/v1/corpora").header(SIGNATURE, "t=1,v1=00").body(body),
        ),
    ] {
        assert_eq!(Reply::read(request).await.status, 401, "{what}");
    }
    assert_eq!(Reply::read(signed()).await.status, 201);
}

/// The first line of the answer to the head of a request whose body is sent only if it is asked for.
async fn answer_to_head(stage: &Stage, headers: &str) -> String {
    let head = format!(
        "POST /v1/corpora/docs/documents HTTP/1.1\r\nHost: x\r\n{headers}\
         Content-Length: {UPLOAD_BODY_BYTES_MAX}\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut stream = BufReader::new(TcpStream::connect(stage.address).await.unwrap());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn of_who_is_not_let_in_no_body_is_read() {
    let stage = Stage::start().await;
    let other = Edge { secret: "another-secret-of-enough-characters-0", ..Edge::of("acme") };
    let late = Edge { time_s: now_s() - 90, ..Edge::of("acme") };
    let head_of = |edge: &Edge<'_>| {
        let request = edge.request(stage.address, Method::POST, "/v1/corpora/docs/documents", "x");
        let headers = request.build().unwrap().headers().clone();
        let line = |name: &str| format!("{name}: {}\r\n", headers[name].to_str().unwrap());
        [SIGNATURE, BODY_SHA256, CALLER].map(line).concat()
    };
    for (who, headers) in [
        ("nobody", String::new()),
        ("a signature that is none", "Perigee-Signature: x\r\n".to_owned()),
        ("another secret", head_of(&other)),
        ("too late", head_of(&late)),
    ] {
        let line = answer_to_head(&stage, &headers).await;
        assert!(line.starts_with("HTTP/1.1 401"), "{who}: {line}");
    }
    let line = answer_to_head(&stage, &head_of(&Edge::of("acme"))).await;
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_that_is_not_the_callers_is_as_absent_as_one_that_does_not_exist() {
    let stage = Stage::start().await;
    let acme = stage.operator().with("perigee-tenant", "acme");
    acme.fill().await;
    acme.post("/v1/corpora", r#"{"name": "secret"}"#).await;

    let rival = stage.operator().with("perigee-tenant", "rival");
    let edge = Edge::of("acme");
    for (method, path, body) in [
        (Method::GET, "/v1/corpora/NAME", ""),
        (Method::DELETE, "/v1/corpora/NAME", ""),
        (Method::GET, "/v1/corpora/NAME/epoch", ""),
        (Method::GET, "/v1/corpora/NAME/documents", ""),
        (Method::GET, "/v1/corpora/NAME/documents/refunds", ""),
        (Method::PUT, "/v1/corpora/NAME/documents/x", r#"{"content": "x"}"#),
        (Method::POST, "/v1/corpora/NAME/documents:batch", ""),
        (Method::POST, "/v1/corpora/NAME/search", r#"{"query": "x"}"#),
    ] {
        let shown = async |name: &str, edge: Option<&Edge<'_>>| {
            let path = path.replace("NAME", name);
            let request = match edge {
                Some(edge) => edge.request(stage.address, method.clone(), &path, body),
                None => rival.request(method.clone(), &path).body(body),
            };
            Reply::read(request).await.shown()
        };
        let absent = shown("nothing", None).await;
        assert!(absent.starts_with("404"), "{path}: {absent}");
        // Another tenant's, and one that the key does not name.
        assert_eq!(shown("docs", None).await, absent, "{path}");
        assert_eq!(shown("secret", Some(&edge)).await, absent, "{path}");
    }
    let hidden = rival.ask("docs", "How long does a refund take?").await;
    assert_eq!(hidden.shown(), rival.ask("nothing", "How long does a refund take?").await.shown());
    assert_eq!(acme.get("/v1/corpora/docs").await.json()["documents"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_the_scope_is_refused_before_anything_is_looked_up() {
    let stage = Stage::start().await;
    stage.operator().with("perigee-tenant", "acme").fill().await;
    let caller = json!({"tenant": "acme", "corpora": ["*"], "audience": {"labels": []}, "scopes": ["ask"]});
    let edge = Edge { caller: caller.to_string(), ..Edge::of("acme") };
    let reply = async |method, path: &str, body: &str| {
        Reply::read(edge.request(stage.address, method, path, body)).await
    };
    for (method, path, body) in [
        (Method::GET, "/v1/corpora", ""),
        (Method::DELETE, "/v1/corpora/nothing", ""),
        (Method::POST, "/v1/corpora/docs/search", r#"{"query": "x"}"#),
        (Method::PUT, "/v1/corpora/docs/documents/x", r#"{"content": "x"}"#),
    ] {
        assert_eq!(reply(method, path, body).await.status, 403, "{path}");
    }
    assert_eq!(reply(Method::GET, "/v1/corpora/docs/epoch", "").await.json(), json!({"epoch": 2}));
    let question = chat("docs", "How long does a refund take?").to_string();
    assert_eq!(reply(Method::POST, "/v1/chat/completions", &question).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_labelled_document_is_shown_only_to_who_holds_the_label() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let staff_only = json!({"content": "# Staff\n\nThe door code is 4711.\n", "audience": ["staff"]});
    assert_eq!(operator.put("/v1/corpora/docs/documents/code", &staff_only).await.status, 201);
    let path = "/v1/corpora/docs/documents/code";
    for (audience, status) in [("staff", 200), ("other, staff", 200), ("other", 404), ("", 404)] {
        let caller = operator.clone().with("perigee-audience", audience);
        assert_eq!(caller.get(path).await.status, status, "{audience:?}");
        let found = caller.post("/v1/corpora/docs/search", r#"{"query": "door code"}"#).await;
        assert_eq!(found.body.contains("4711"), status == 200, "{audience:?}");
    }
    let outsider = operator.clone().with("perigee-audience", "other");
    assert_eq!(outsider.delete(path).await.status, 404);
    let takeover = json!({"content": "The code is 0000."});
    let refused = outsider.put(path, &takeover).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("document_protected")));
    let line = json!({"id": "code", "content": "The code is 0000."}).to_string();
    let refused = outsider.post("/v1/corpora/docs/documents:batch", line).await;
    assert!(refused.body.contains("document_protected"), "{refused:?}");
    assert!(operator.get(path).await.body.contains("4711"));
    assert_eq!(operator.get(path).await.status, 200);
    assert_eq!(operator.clone().with("perigee-audience", "a b").get(path).await.status, 400);
    assert_eq!(operator.clone().with("perigee-tenant", "A B").get(path).await.status, 400);
}
