//! Filters through the whole way of a search; `retrieve::facets` has the oracle.

use perigee_shared::caller::Audience;
use perigee_shared::search::Search;
use serde_json::json;

use super::place::*;

#[tokio::test]
async fn a_filter_is_applied_before_ranking() {
    let place = Place::new().await;
    let docs = place.docs();
    for year in 2000..2040 {
        let content = "A report on harbours.";
        docs.put(
            id(&format!("y{year}")),
            described(content, json!({"year": year, "tags": ["port", {"x": 1}]})),
        )
        .await
        .unwrap();
    }
    let hits = |filter: serde_json::Value| {
        let docs = place.docs();
        async move {
            let search = Search { k: 3, ..filtered("harbours", &filter) };
            documents(&docs.search(&search, &Audience::public()).await.unwrap())
        }
    };
    assert_eq!(hits(json!({"eq": {"field": "year", "value": 2039}})).await, ["y2039"]);
    assert_eq!(hits(json!({"range": {"field": "year", "gte": 2010, "lt": 2013}})).await.len(), 3);
    assert_eq!(hits(json!({"eq": {"field": "tags.x", "value": 1}})).await.len(), 3);
    assert!(hits(json!({"not": {"exists": {"field": "tags"}}})).await.is_empty());
    assert!(hits(json!({"eq": {"field": "year", "value": "2039"}})).await.is_empty());
}
