//! The answers that stand, as edges are told of them.

use perigee_shared::answer::{Answer, MEDIA_TYPE};
use perigee_shared::answer_index::{AnswerMark, DELTA_MEDIA_TYPE, SNAPSHOT_MEDIA_TYPE, Snapshot};
use perigee_shared::cache_key::CacheKey;
use perigee_shared::id::Epoch;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Caller, Edge, Stage};

const QUESTION: &str = "How long does a refund take?";
const INDEX: &str = "/v1/corpora/docs/answer-index";
const RESTING: &str = "/v1/corpora/docs/documents/refunds/answers";

/// The answer as an edge keeps it.
async fn ask(caller: &Caller, question: &str) -> Answer {
    let reply = caller.clone().with("accept", MEDIA_TYPE).ask("docs", question).await;
    serde_json::from_str(&reply.body).unwrap()
}

struct Index {
    status: u16,
    media_type: String,
    epoch: String,
    age_ms: String,
    etag: String,
    bytes: Vec<u8>,
}

async fn index(caller: &Caller, etag: &str) -> Index {
    let accept = format!("{SNAPSHOT_MEDIA_TYPE}, {DELTA_MEDIA_TYPE}");
    let request = caller.request(Method::GET, INDEX).header("accept", accept);
    let response = request.header("if-none-match", etag).send().await.unwrap();
    let header = |name: &str| {
        response.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    Index {
        status: response.status().as_u16(),
        media_type: header("content-type"),
        epoch: header("perigee-epoch"),
        age_ms: header("perigee-index-age-ms"),
        etag: header("etag"),
        bytes: response.bytes().await.unwrap().to_vec(),
    }
}

/// What an edge that has `base` makes of an index.
fn taken(base: &Snapshot, index: &Index) -> Snapshot {
    match index.media_type.as_str() {
        DELTA_MEDIA_TYPE => base.apply(&index.bytes).unwrap(),
        _ => Snapshot::parse(index.bytes.clone()).unwrap(),
    }
}

/// The key under which the origin keeps the answer, as it tells an operator.
async fn key(caller: &Caller) -> CacheKey {
    let resting = caller.get(RESTING).await.json();
    CacheKey::parse(resting["data"][0]["key"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_certified_at_each_later_epoch_until_its_evidence_changes() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let empty = index(&operator, "").await;
    assert_eq!((empty.status, empty.media_type.as_str()), (200, SNAPSHOT_MEDIA_TYPE));
    assert_eq!((empty.epoch.as_str(), empty.age_ms.as_str()), ("2", "0"));
    let base = Snapshot::parse(empty.bytes).unwrap();
    assert!(base.is_empty());

    let answer = ask(&operator, QUESTION).await;
    let (key, mark) = (key(&operator).await, AnswerMark::of(&answer));
    let listed = index(&operator, &empty.etag).await;
    let base = taken(&base, &listed);
    assert!(base.covers(&key, mark));
    let same = index(&operator, &listed.etag).await;
    assert_eq!((same.status, same.epoch.as_str(), same.bytes.len()), (304, "2", 0));

    // Another document changes: the same answer stands at the new epoch, and nothing but the epoch is sent.
    let path = "/v1/corpora/docs/documents/shipping";
    operator.put(path, &json!({"content": "# Shipping\n\nParcels to Norway leave on Mondays.\n"})).await;
    let moved = index(&operator, &listed.etag).await;
    assert_eq!((moved.status, moved.media_type.as_str()), (200, DELTA_MEDIA_TYPE));
    assert!(moved.bytes.len() < 64, "{} bytes", moved.bytes.len());
    let base = taken(&base, &moved);
    assert_eq!((base.header().epoch, base.covers(&key, mark)), (Epoch::new(3), true));
    let again = operator.ask("docs", QUESTION).await;
    assert_eq!(again.header("cache-status"), "perigee-origin; hit; detail=exact", "without a retrieval");
    assert_eq!(again.header("perigee-epoch"), "3");

    operator.delete("/v1/corpora/docs/documents/refunds").await;
    let gone = index(&operator, &moved.etag).await;
    assert!(taken(&base, &gone).is_empty());
    // Whoever names a snapshot that nobody knows any more gets all of it.
    assert_eq!(index(&operator, "\"1-1-0\"").await.media_type, SNAPSHOT_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edge_gave_is_counted_for_its_tenant_and_a_report_that_is_none_is_passed_over() {
    let stage = Stage::start().await;
    let of = |tenant| stage.operator().with("perigee-tenant", tenant);
    for tenant in ["acme", "other"] {
        of(tenant).fill().await;
        of(tenant).ask("docs", QUESTION).await;
    }
    let answer = ask(&of("acme"), QUESTION).await;
    let uses = async |tenant| of(tenant).get(RESTING).await.json()["data"][0]["uses"].as_u64();
    assert_eq!((uses("acme").await, uses("other").await), (Some(2), Some(1)));
    let mark = hex::encode(AnswerMark::of(&answer).to_bytes());
    for (report, sum) in
        [(format!("{mark}.5-00000000.9"), 7), ("nonsense.-.x-".to_owned(), 7), (format!("{mark}.1"), 8)]
    {
        let path = format!("{INDEX}?uses={report}");
        let told = Edge::of("acme").request(stage.address, Method::GET, &path, "").send().await.unwrap();
        assert_eq!(told.status(), 200, "{report}");
        assert_eq!((uses("acme").await, uses("other").await), (Some(sum), Some(1)), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_the_tenants_and_nobody_elses() {
    let stage = Stage::start().await;
    for tenant in ["acme", "other"] {
        stage.operator().with("perigee-tenant", tenant).fill().await;
    }
    let body = crate::stage::chat("docs", QUESTION).to_string();
    let asked = Edge::of("acme").request(stage.address, Method::POST, "/v1/chat/completions", &body);
    assert_eq!(asked.send().await.unwrap().status(), 200);
    for (tenant, entries) in [("acme", 1), ("other", 0)] {
        let request = Edge::of(tenant).request(stage.address, Method::GET, INDEX, "");
        let bytes = request.send().await.unwrap().bytes().await.unwrap();
        assert_eq!(Snapshot::parse(bytes.to_vec()).unwrap().len(), entries, "{tenant}");
    }
    let unsigned = stage.operator().anonymous().get(INDEX).await;
    assert_eq!(unsigned.status, 401);
    assert_eq!(stage.operator().get("/v1/corpora/none/answer-index").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_that_rest_on_a_document_are_listed_with_their_questions() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    operator.ask("docs", QUESTION).await;
    let resting: Value = operator.get(RESTING).await.json();
    assert_eq!((resting["looked_at"].as_u64(), resting["data"].as_array().map(Vec::len)), (Some(1), Some(1)));
    assert_eq!(resting["data"][0]["request"]["messages"][0]["content"], QUESTION);
    // What it lists is the request that asks the very same question.
    let again = operator.post("/v1/chat/completions", resting["data"][0]["request"].to_string()).await;
    assert_eq!(again.header("cache-status"), "perigee-origin; hit; detail=exact");
}
