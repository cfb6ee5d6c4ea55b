//! Bitmaps against an oracle that looks at each document's JSON.

use perigee_shared::filter::InvalidFilter;
use perigee_shared::id::Label;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What a filter means, said the slow way.
fn matches(filter: &Filter, metadata: &Map<String, Value>) -> bool {
    let any = |field: &str, test: &dyn Fn(&Value) -> bool| {
        let mut values = Vec::new();
        look_up(&Value::Object(metadata.clone()), field, &mut values);
        values.iter().any(test)
    };
    match filter {
        Filter::Eq { field, value } => any(field, &|found| equal(found, value)),
        Filter::In { field, values } => any(field, &|found| values.iter().any(|value| equal(found, value))),
        Filter::Exists { field } => any(field, &|found| !found.is_null()),
        Filter::Range(Bounds { field, gt, gte, lt, lte }) => any(field, &|found| {
            let holds = |bound: &Option<Scalar>, test: fn(std::cmp::Ordering) -> bool| {
                bound.as_ref().is_none_or(|bound| compare(found, bound).is_some_and(test))
            };
            holds(gt, |o| o.is_gt())
                && holds(gte, |o| o.is_ge())
                && holds(lt, |o| o.is_lt())
                && holds(lte, |o| o.is_le())
        }),
        Filter::And(parts) => parts.iter().all(|part| matches(part, metadata)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, metadata)),
        Filter::Not(part) => !matches(part, metadata),
    }
}

/// Every value that `field` may mean: a key may itself hold dots, and arrays are looked through.
fn look_up(value: &Value, field: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                if key == field {
                    look_through(inner, found);
                } else if let Some(rest) =
                    field.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.'))
                {
                    look_up(inner, rest, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| look_up(item, field, found)),
        _ => {}
    }
}

fn look_through(value: &Value, found: &mut Vec<Value>) {
    found.push(value.clone());
    if let Value::Array(items) = value {
        items.iter().for_each(|item| look_through(item, found));
    }
}

fn equal(found: &Value, wanted: &Scalar) -> bool {
    compare(found, wanted).is_some_and(std::cmp::Ordering::is_eq)
}

fn compare(found: &Value, wanted: &Scalar) -> Option<std::cmp::Ordering> {
    match (found, wanted) {
        (Value::Bool(found), Scalar::Bool(wanted)) => Some(found.cmp(wanted)),
        (Value::Number(found), Scalar::Number(wanted)) => found.as_f64()?.partial_cmp(wanted),
        (Value::String(found), Scalar::Text(wanted)) => Some(found.as_str().cmp(wanted)),
        _ => None,
    }
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof!["a", "b", "c", "a\\.b", "a\\.b\\.c", "b\\.c"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-2..3).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(-0.0), Just(0.0)].prop_map(Value::from),
        "[xy]{0,2}".prop_map(Value::from),
    ]
}

fn metadata() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(field(), inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map(field(), value, 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn filter() -> impl Strategy<Value = Filter> {
    let range = (field(), any::<bool>(), -2..3, -2..3, "[xy]{0,2}", "[xy]{0,2}", 0..3, 0..3);
    let leaf = prop_oneof![
        (field(), scalar()).prop_map(|(f, v)| json!({"eq": {"field": f, "value": v}})),
        (field(), proptest::collection::vec(scalar(), 0..3))
            .prop_map(|(f, v)| json!({"in": {"field": f, "values": v}})),
        field().prop_map(|f| json!({"exists": {"field": f}})),
        range.prop_map(|(f, numbers, a, b, x, y, low, high)| {
            let (low_value, high_value) = if numbers { (json!(a), json!(b)) } else { (json!(x), json!(y)) };
            let mut range = json!({"field": f});
            if low > 0 || high == 0 {
                range[if low == 1 { "gt" } else { "gte" }] = low_value;
            }
            if high > 0 {
                range[if high == 1 { "lt" } else { "lte" }] = high_value;
            }
            json!({ "range": range })
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|parts| json!({ "and": parts })),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|parts| json!({ "or": parts })),
            inner.prop_map(|part| json!({ "not": part })),
        ]
    })
    .prop_map(|filter| Filter::parse(&filter).unwrap())
}

fn attributes(metadata: &Map<String, Value>, audience: &[&str]) -> Attributes {
    let audience = audience.iter().map(|label| Label::new(*label).unwrap()).collect();
    Attributes { metadata: metadata.clone(), audience, chars: 10 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bitmaps_say_what_the_documents_say(
        documents in proptest::collection::vec((metadata(), 1_u64..4, any::<bool>()), 0..12),
        filters in proptest::collection::vec(filter(), 1..6),
    ) {
        let mut facets = Facets::default();
        let mut kept = Vec::new();
        let mut next = 1;
        for (metadata, passages, _) in &documents {
            facets.add(next..next + passages, &attributes(metadata, &[]));
            kept.push(next..next + passages);
            next += passages;
        }
        // Some go again: what they leave behind must be nothing.
        let mut left = Vec::new();
        for ((metadata, _, goes), passages) in documents.iter().zip(kept) {
            if *goes {
                facets.remove(passages, &attributes(metadata, &[]));
            } else {
                left.push((metadata, passages));
            }
        }
        prop_assert_eq!(facets.documents(), left.len() as u64);
        for filter in &filters {
            let expected: RoaringTreemap = left
                .iter()
                .filter(|(metadata, _)| matches(filter, metadata))
                .flat_map(|(_, passages)| passages.clone())
                .collect();
            let found = facets.allowed(Some(filter), &Audience::Everything);
            prop_assert_eq!(found.as_ref(), Some(&expected), "{:?}", filter);
        }
        if left.is_empty() {
            prop_assert!(facets.fields.is_empty() && facets.readers.is_empty() && facets.all.is_empty());
        }
    }
}

#[test]
fn long_text_is_told_apart_by_all_of_it() {
    let mut facets = Facets::default();
    let (one, two) = (format!("{}1", "x".repeat(500)), format!("{}2", "x".repeat(500)));
    for (passage, text) in [(1, &one), (2, &two)] {
        let metadata = json!({ "t": text }).as_object().cloned().unwrap_or_default();
        facets.add(passage..passage + 1, &attributes(&metadata, &[]));
    }
    let equal = |text: &str| {
        let filter = Filter::parse(&json!({"eq": {"field": "t", "value": text}})).unwrap();
        facets.allowed(Some(&filter), &Audience::Everything).unwrap().iter().collect::<Vec<_>>()
    };
    assert_eq!(equal(&one), [1]);
    assert_eq!(equal(&two), [2]);
    assert!(equal(&"x".repeat(500)).is_empty());
}

#[test]
fn a_caller_without_labels_sees_only_what_carries_none() -> Result<(), InvalidFilter> {
    let mut facets = Facets::default();
    facets.add(1..3, &attributes(&Map::new(), &[]));
    assert_eq!(facets.allowed(None, &Audience::public()), None);
    facets.add(3..4, &attributes(&Map::new(), &["staff"]));
    let public = facets.allowed(None, &Audience::public()).unwrap();
    assert_eq!(public.iter().collect::<Vec<_>>(), [1, 2]);
    let not_there = Filter::parse(&json!({"not": {"exists": {"field": "x"}}}))?;
    assert_eq!(facets.allowed(Some(&not_there), &Audience::public()), Some(public));
    Ok(())
}
