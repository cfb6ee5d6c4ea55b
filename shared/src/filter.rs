//! The metadata filter of a search: a bounded tree of conditions, parsed into types before anything runs.
//!
//! It says what may match; evaluating it against an index is the origin's business.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, METADATA_KEY_BYTES_MAX};

/// A value that metadata can hold and a condition can name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Number(f64),
    Text(String),
}

/// `{"eq": {"field": "lang", "value": "en"}}`, `{"in": {"field": "year", "values": [2024, 2025]}}`,
/// `{"range": {"field": "year", "gte": 2020, "lt": 2026}}`, `{"exists": {"field": "lang"}}`,
/// `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`.
///
/// `field` names a metadata key; `a.b` reaches into an object. An array matches when one of its elements
/// does. `range` compares numbers with numbers and text with text (so ISO 8601 dates work).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Filter {
    Eq {
        field: String,
        value: Scalar,
    },
    In {
        field: String,
        values: Vec<Scalar>,
    },
    Range(Range),
    Exists {
        field: String,
    },
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    And(Vec<Filter>),
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    Or(Vec<Filter>),
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    Not(Box<Filter>),
}

/// Bounds of a `range`; at least one, at most one on each side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<Scalar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<Scalar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<Scalar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<Scalar>,
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    #[error("the filter is nested more than {FILTER_DEPTH_MAX} deep")]
    TooDeep,
    #[error("the filter has more than {FILTER_CONDITIONS_MAX} conditions")]
    TooMany,
    #[error("a filter's field must be 1 to {METADATA_KEY_BYTES_MAX} bytes")]
    Field,
    #[error("a range needs one bound, at most one on each side, all numbers or all text")]
    Range,
    #[error("the filter is not understood: {0}")]
    Shape(String),
}

impl Filter {
    /// Parses and checks a filter.
    ///
    /// # Errors
    /// The filter is too deep, too large, or not of the shape above.
    pub fn parse(value: &Value) -> Result<Self, InvalidFilter> {
        // Depth first, by loop: deserialising recurses, so it must only ever see a bounded tree.
        check_json_depth(value)?;
        let filter = Self::deserialize(value).map_err(|e| InvalidFilter::Shape(e.to_string()))?;
        filter.check()?;
        Ok(filter)
    }

    fn check(&self) -> Result<(), InvalidFilter> {
        let mut conditions = 0_usize;
        let mut open = vec![self];
        while let Some(filter) = open.pop() {
            conditions += match filter {
                Self::In { values, .. } => values.len().max(1),
                _ => 1,
            };
            if conditions > FILTER_CONDITIONS_MAX {
                return Err(InvalidFilter::TooMany);
            }
            match filter {
                Self::Eq { field, .. } | Self::In { field, .. } | Self::Exists { field } => {
                    check_field(field)?
                }
                Self::Range(range) => range.check()?,
                Self::And(parts) | Self::Or(parts) => open.extend(parts),
                Self::Not(part) => open.push(part),
            }
        }
        Ok(())
    }
}

impl Range {
    fn check(&self) -> Result<(), InvalidFilter> {
        check_field(&self.field)?;
        let Self { field: _, gt, gte, lt, lte } = self;
        let bounds: Vec<&Scalar> = [gt, gte, lt, lte].into_iter().flatten().collect();
        let numbers = bounds.iter().all(|b| matches!(b, Scalar::Number(_)));
        let texts = bounds.iter().all(|b| matches!(b, Scalar::Text(_)));
        let doubled = (gt.is_some() && gte.is_some()) || (lt.is_some() && lte.is_some());
        let sound = !bounds.is_empty() && !doubled && (numbers || texts);
        sound.then_some(()).ok_or(InvalidFilter::Range)
    }
}

fn check_field(field: &str) -> Result<(), InvalidFilter> {
    let fits = !field.is_empty() && field.len() <= METADATA_KEY_BYTES_MAX;
    fits.then_some(()).ok_or(InvalidFilter::Field)
}

fn check_json_depth(value: &Value) -> Result<(), InvalidFilter> {
    // One level of the filter is two of JSON: an object that names it and what that holds.
    let depth_max = FILTER_DEPTH_MAX * 2;
    let mut open = vec![(value, 0_usize)];
    while let Some((value, depth)) = open.pop() {
        if depth > depth_max {
            return Err(InvalidFilter::TooDeep);
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|v| (v, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|v| (v, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_condition_parses() {
        let filter = Filter::parse(&json!({"and": [
            {"eq": {"field": "lang", "value": "en"}},
            {"or": [{"in": {"field": "year", "values": [2024, 2025]}}, {"range": {"field": "date", "gte": "2024-01-01"}}]},
            {"not": {"exists": {"field": "draft"}}},
        ]}));
        assert!(filter.is_ok(), "{filter:?}");
    }

    #[test]
    fn a_filter_nested_a_thousand_deep_is_refused() {
        let mut filter = json!({"exists": {"field": "a"}});
        for _ in 0..1_000 {
            filter = json!({"not": filter});
        }
        assert_eq!(Filter::parse(&filter), Err(InvalidFilter::TooDeep));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        for bad in [
            json!({}),
            json!([]),
            json!({"eq": {"field": "a"}}),
            json!({"eq": {"field": "", "value": 1}}),
            json!({"eq": {"field": "a", "value": {"b": 1}}}),
            json!({"like": {"field": "a", "value": 1}}),
            json!({"range": {"field": "a"}}),
            json!({"range": {"field": "a", "gt": 1, "gte": 2}}),
            json!({"range": {"field": "a", "gt": 1, "lt": "z"}}),
            json!({"eq": {"field": "a", "value": 1}, "exists": {"field": "b"}}),
            json!({"in": {"field": "a", "values": vec![1; 300]}}),
        ] {
            assert!(Filter::parse(&bad).is_err(), "{bad}");
        }
    }
}
