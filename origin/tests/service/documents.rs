//! Corpora and documents, one by one.

use perigee_shared::document::DocumentPage;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn every_write_answers_with_its_epoch_and_the_same_again_costs_nothing() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let path = "/v1/corpora/docs/documents/a";
    for (content, status, outcome, epoch) in
        [("Apples.", 201, "created", 3), ("Apples.", 200, "unchanged", 3), ("Pears.", 200, "updated", 4)]
    {
        let reply = operator.put(path, &json!({"content": content})).await;
        let written = json!({"id": "a", "outcome": outcome, "epoch": epoch, "passages": 1});
        assert_eq!((reply.status, reply.json()), (status, written));
        assert_eq!(reply.header("perigee-epoch"), epoch.to_string());
    }
    let deleted = operator.delete(path).await;
    assert_eq!((deleted.status, deleted.json()["outcome"].as_str()), (200, Some("deleted")));
    insta::assert_snapshot!(operator.delete(path).await.shown(), @r#"
    404 application/problem+json
    {"type":"urn:perigee:problem:document_not_found","title":"There is no such document for this key","status":404,"detail":"there is no such document","code":"document_not_found"}
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_has_pages() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let path = "/v1/corpora/docs/documents?limit=1";
    let first: DocumentPage = serde_json::from_str(&operator.get(path).await.body).unwrap();
    let cursor = first.next_cursor.unwrap();
    let second: DocumentPage =
        serde_json::from_str(&operator.get(&format!("{path}&cursor={cursor}")).await.body).unwrap();
    let ids = [&first.data[0].id, &second.data[0].id].map(|id| id.as_str());
    assert_eq!((ids, second.next_cursor), (["refunds", "shipping"], None));
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=a%2Fb", "page=2"] {
        assert_eq!(operator.get(&format!("/v1/corpora/docs/documents?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_is_created_listed_shown_and_deleted() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let shown = operator.get("/v1/corpora/docs").await.json();
    assert_eq!(
        (&shown["name"], &shown["documents"], &shown["epoch"]),
        (&json!("docs"), &json!(2), &json!(2))
    );
    assert_eq!(operator.get("/v1/corpora").await.json()["data"][0], shown);
    let models = operator.get("/v1/models").await.json();
    assert_eq!((&models["data"][0]["id"], &models["object"]), (&json!("docs"), &json!("list")));
    assert_eq!(operator.delete("/v1/corpora/docs").await.status, 204);
    assert_eq!(operator.get("/v1/corpora").await.json(), json!({"data": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_from_before_the_epoch_that_the_caller_has_seen() {
    let stage = Stage::start().await;
    let operator = stage.operator();
    operator.fill().await;
    let search = async |epoch: &str| {
        let caller = operator.clone().with("perigee-min-epoch", epoch).with("perigee-deadline-ms", "50");
        caller.post("/v1/corpora/docs/search", r#"{"query": "refund"}"#).await
    };
    assert_eq!(search("2").await.status, 200);
    let early = search("3").await;
    assert_eq!((early.status, early.header("retry-after")), (503, "1"));
    assert_eq!(early.json()["code"], "epoch_not_reached");
    assert_eq!(search("soon").await.status, 400);
    // Once the change is there, it is answered.
    let waiting = operator.clone().with("perigee-min-epoch", "3");
    let apples = json!({"content": "Apples."});
    let (found, written) = tokio::join!(
        waiting.post("/v1/corpora/docs/search", r#"{"query": "apples"}"#),
        operator.put("/v1/corpora/docs/documents/a", &apples),
    );
    assert_eq!((found.status, written.status), (200, 201));
    assert_eq!(found.json()["data"][0]["document_id"], "a");
}
