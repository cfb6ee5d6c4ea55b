//! The API document is valid, complete and the one that the edge serves.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

fn document() -> (String, Value) {
    let text = perigee_shared::openapi::document_json().unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((path.clone(), method.clone(), operation));
        }
    }
    operations
}

#[test]
fn the_edge_serves_the_current_document() {
    let served = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edge/openapi.json");
    let served = std::fs::read_to_string(served).unwrap();
    assert!(served == document().0, "edge/openapi.json is out of date: run `cargo xtask openapi`");
}

#[test]
fn every_public_route_is_described() {
    let (_, document) = document();
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    let public = [
        ("/", "get"),
        ("/healthz", "get"),
        ("/openapi.json", "get"),
        ("/v1/admin/tenants/{tenant}", "get"),
        ("/v1/admin/tenants/{tenant}", "put"),
        ("/v1/admin/tenants/{tenant}/audit", "get"),
        ("/v1/admin/tenants/{tenant}/keys", "get"),
        ("/v1/admin/tenants/{tenant}/keys", "post"),
        ("/v1/admin/tenants/{tenant}/keys/{key}", "delete"),
        ("/v1/admin/tenants/{tenant}/keys/{key}", "get"),
        ("/v1/admin/tenants/{tenant}/keys/{key}:rotate", "post"),
        ("/v1/admin/tenants/{tenant}/usage", "get"),
        ("/v1/chat/completions", "post"),
        ("/v1/corpora", "get"),
        ("/v1/corpora", "post"),
        ("/v1/corpora/{corpus}", "delete"),
        ("/v1/corpora/{corpus}", "get"),
        ("/v1/corpora/{corpus}", "patch"),
        ("/v1/corpora/{corpus}/documents", "get"),
        ("/v1/corpora/{corpus}/documents", "post"),
        ("/v1/corpora/{corpus}/documents/{id}", "delete"),
        ("/v1/corpora/{corpus}/documents/{id}", "get"),
        ("/v1/corpora/{corpus}/documents/{id}", "put"),
        ("/v1/corpora/{corpus}/documents:batch", "post"),
        ("/v1/corpora/{corpus}/search", "post"),
        ("/v1/models", "get"),
        ("/v1/models/{corpus}", "get"),
        ("/v1/usage", "get"),
    ];
    let public = public.map(|(path, method)| (path.to_owned(), method.to_owned())).into();
    assert_eq!(described, public);
}

#[test]
fn every_operation_says_what_it_takes_and_all_that_it_can_answer() {
    let (_, document) = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: its id is taken");
        assert!(operation["summary"].is_string(), "{name} has no summary");

        let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|p| p["in"] == "path" && p["required"] == true)
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        let wanted: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.split('}').next()).collect();
        assert_eq!(in_path, wanted, "{name}");

        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        let open = operation["security"] == serde_json::json!([{}]);
        for status in ["401", "403", "500", "503"] {
            assert_eq!(responses.contains_key(status), !open, "{name}: {status}");
        }
        let has_deadline = !open && path != "/v1/usage" && !path.starts_with("/v1/admin/");
        assert_eq!(responses.contains_key("504"), has_deadline, "{name}: 504");
        assert_eq!(responses.contains_key("429"), !open && path != "/v1/usage", "{name}: 429");
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let openai = path == "/v1/chat/completions" || path.starts_with("/v1/models");
            let shape = if openai { "application/json" } else { "application/problem+json" };
            assert!(response["content"][shape]["schema"].is_object(), "{name}: {status} is not {shape}");
        }
    }
}

#[test]
fn a_line_of_a_batch_is_a_document_with_its_id() {
    let (_, document) = document();
    let schemas = &document["components"]["schemas"];
    let mut line = schemas["BatchLine"]["properties"].as_object().unwrap().clone();
    assert!(line.remove("id").is_some());
    assert_eq!(&line, schemas["PutDocument"]["properties"].as_object().unwrap());
    assert_eq!(schemas["BatchLine"]["required"], serde_json::json!(["id", "content"]));
}

#[test]
fn every_reference_leads_somewhere() {
    let (_, document) = document();
    let mut open = vec![&document];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                    references += 1;
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    assert!(references > 50);
}
