//! What can be filtered on, in memory: for each value of each metadata field, and for each audience label, the
//! passages that carry it. A search's filter and audience become the set of allowed passages before anything is
//! ranked.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};

use perigee_shared::caller::Audience;
use perigee_shared::filter::{Filter, Range as Bounds, Scalar};
use perigee_shared::id::ContentHash;
use perigee_shared::limits::METADATA_KEY_BYTES_MAX;
use roaring::RoaringTreemap;
use serde_json::{Map, Value};

use super::passage_set::PassageSet;
use super::readers::Readers;
use crate::corpus::Attributes;

/// Bytes of a text value that are kept. A longer one is kept by its beginning and its hash: `eq` and `in` stay
/// exact, and `range` orders it by its beginning.
const TEXT_BYTES_MAX: usize = 128;

/// Every published passage of a corpus, by what its document says about itself.
#[derive(Default)]
pub(crate) struct Facets {
    documents: u64,
    chars: u64,
    all: RoaringTreemap,
    readers: Readers,
    fields: HashMap<Box<str>, Field>,
}

#[derive(Default)]
struct Field {
    present: PassageSet,
    booleans: [PassageSet; 2],
    numbers: BTreeMap<Number, PassageSet>,
    texts: BTreeMap<Box<str>, PassageSet>,
}

/// A number that is not NaN, ordered; JSON has no NaN.
#[derive(Clone, Copy)]
struct Number(f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Adding 0.0 makes -0.0 the same as 0.0.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

impl Facets {
    /// Documents that are published.
    pub(crate) const fn documents(&self) -> u64 {
        self.documents
    }

    /// Passages that are published.
    pub(crate) fn passages(&self) -> u64 {
        self.all.len()
    }

    /// Characters of all published documents.
    pub(crate) const fn chars(&self) -> u64 {
        self.chars
    }

    /// Every published passage.
    pub(crate) const fn all(&self) -> &RoaringTreemap {
        &self.all
    }

    /// Who may read what.
    pub(super) const fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Adds a version. Its passages are numbered `passages`.
    pub(crate) fn add(&mut self, passages: Range<u64>, attributes: &Attributes) {
        self.documents += 1;
        self.chars += attributes.chars as u64;
        self.all.insert_range(passages.clone());
        self.readers.add(&passages, &attributes.audience);
        flatten(&attributes.metadata, &mut |path, value| {
            let field = match self.fields.get_mut(path) {
                Some(field) => field,
                None => self.fields.entry(path.into()).or_default(),
            };
            field.add(&passages, value);
        });
    }

    /// Removes a version that was added with these attributes.
    pub(crate) fn remove(&mut self, passages: Range<u64>, attributes: &Attributes) {
        self.documents = self.documents.saturating_sub(1);
        self.chars = self.chars.saturating_sub(attributes.chars as u64);
        self.all.remove_range(passages.clone());
        self.readers.remove(&passages, &attributes.audience);
        flatten(&attributes.metadata, &mut |path, value| {
            if let Some(field) = self.fields.get_mut(path)
                && field.remove(&passages, value)
            {
                self.fields.remove(path);
            }
        });
    }

    /// The passages that pass the filter and may be read by the audience. `None`: all of them.
    pub(crate) fn allowed(&self, filter: Option<&Filter>, audience: &Audience) -> Option<RoaringTreemap> {
        let readable = self.readers.readable(audience);
        match (filter.map(|filter| self.matching(filter)), readable) {
            (Some(matching), Some(readable)) => Some(matching & readable),
            (matching, readable) => matching.or(readable),
        }
    }

    /// The passages whose document passes the filter. Recursion is bounded: `Filter::parse` bounds the depth.
    fn matching(&self, filter: &Filter) -> RoaringTreemap {
        match filter {
            Filter::Eq { field, value } => self.union(field, |field| field.equal(value).into_iter()),
            Filter::In { field, values } => {
                self.union(field, |field| values.iter().filter_map(|value| field.equal(value)))
            }
            Filter::Range(bounds) => self.range(bounds),
            Filter::Exists { field } => self.union(field, |field| std::iter::once(&field.present)),
            Filter::And(parts) => {
                let mut parts = parts.iter();
                let Some(first) = parts.next() else { return self.all.clone() };
                parts.fold(self.matching(first), |set, part| set & self.matching(part))
            }
            Filter::Or(parts) => {
                parts.iter().fold(RoaringTreemap::new(), |set, part| set | self.matching(part))
            }
            Filter::Not(part) => &self.all - self.matching(part),
        }
    }

    fn union<'a, I: Iterator<Item = &'a PassageSet>>(
        &'a self,
        field: &str,
        sets: impl FnOnce(&'a Field) -> I,
    ) -> RoaringTreemap {
        let mut union = RoaringTreemap::new();
        if let Some(field) = self.fields.get(field) {
            sets(field).for_each(|set| set.add_to(&mut union));
        }
        union
    }

    fn range(&self, bounds: &Bounds) -> RoaringTreemap {
        let Bounds { field, gt, gte, lt, lte } = bounds;
        let low = bound(gte.as_ref(), gt.as_ref());
        let high = bound(lte.as_ref(), lt.as_ref());
        let texts = [gt, gte, lt, lte].into_iter().flatten().any(|bound| matches!(bound, Scalar::Text(_)));
        self.union(field, |field| -> Box<dyn Iterator<Item = &PassageSet>> {
            if texts {
                Box::new(between(&field.texts, text_bound(low), text_bound(high)))
            } else {
                Box::new(between(&field.numbers, number_bound(low), number_bound(high)))
            }
        })
    }
}

impl Field {
    fn add(&mut self, passages: &Range<u64>, value: &Value) {
        self.present.add(passages);
        match value {
            Value::Bool(value) => self.booleans[usize::from(*value)].add(passages),
            Value::Number(number) => {
                if let Some(number) = number.as_f64() {
                    self.numbers.entry(Number(number)).or_default().add(passages);
                }
            }
            Value::String(text) => self.texts.entry(text_key(text)).or_default().add(passages),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }

    /// Whether nothing of the field is left.
    fn remove(&mut self, passages: &Range<u64>, value: &Value) -> bool {
        match value {
            Value::Bool(value) => {
                self.booleans[usize::from(*value)].remove(passages);
            }
            Value::Number(number) => {
                if let Some(number) = number.as_f64().map(Number)
                    && self.numbers.get_mut(&number).is_some_and(|set| set.remove(passages))
                {
                    self.numbers.remove(&number);
                }
            }
            Value::String(text) => {
                let key = text_key(text);
                if self.texts.get_mut(&key).is_some_and(|set| set.remove(passages)) {
                    self.texts.remove(&key);
                }
            }
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
        self.present.remove(passages)
    }

    fn equal(&self, value: &Scalar) -> Option<&PassageSet> {
        match value {
            Scalar::Bool(value) => Some(&self.booleans[usize::from(*value)]),
            Scalar::Number(number) => self.numbers.get(&Number(*number)),
            Scalar::Text(text) => self.texts.get(&text_key(text)),
        }
    }
}

fn bound<'a>(inclusive: Option<&'a Scalar>, exclusive: Option<&'a Scalar>) -> Bound<&'a Scalar> {
    match (inclusive, exclusive) {
        (Some(value), _) => Bound::Included(value),
        (None, Some(value)) => Bound::Excluded(value),
        (None, None) => Bound::Unbounded,
    }
}

// A range's bounds are all numbers or all text (`Filter::parse`); one of another kind leaves its side open.
fn number_bound(bound: Bound<&Scalar>) -> Bound<Number> {
    match bound {
        Bound::Included(Scalar::Number(number)) => Bound::Included(Number(*number)),
        Bound::Excluded(Scalar::Number(number)) => Bound::Excluded(Number(*number)),
        _ => Bound::Unbounded,
    }
}

fn text_bound(bound: Bound<&Scalar>) -> Bound<Box<str>> {
    match bound {
        Bound::Included(Scalar::Text(text)) => Bound::Included(text_key(text)),
        Bound::Excluded(Scalar::Text(text)) => Bound::Excluded(text_key(text)),
        _ => Bound::Unbounded,
    }
}

/// The values between two bounds. `BTreeMap::range` panics on bounds that cross; here that is nothing.
fn between<K: Ord>(
    values: &BTreeMap<K, PassageSet>,
    low: Bound<K>,
    high: Bound<K>,
) -> impl Iterator<Item = &PassageSet> {
    let crossed = match (&low, &high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            low >= high
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    };
    let range = (!crossed).then(|| values.range((low, high)));
    range.into_iter().flatten().map(|(_, set)| set)
}

fn text_key(text: &str) -> Box<str> {
    if text.len() <= TEXT_BYTES_MAX {
        return text.into();
    }
    let beginning = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    format!("{beginning}\u{10ffff}{}", ContentHash::of(text.as_bytes())).into()
}

/// Calls `each` with every path and value of a document's metadata. An array counts as each of its elements, and
/// for `exists` as itself; an object's fields have the object's path before theirs. Null is no value.
fn flatten(metadata: &Map<String, Value>, each: &mut impl FnMut(&str, &Value)) {
    let mut path = String::new();
    for (key, value) in metadata {
        path.push_str(key);
        flatten_value(&mut path, value, each);
        path.clear();
    }
}

/// serde_json reads nothing that is nested more than 128 deep, which bounds the recursion.
fn flatten_value(path: &mut String, value: &Value, each: &mut impl FnMut(&str, &Value)) {
    if path.len() > METADATA_KEY_BYTES_MAX || value.is_null() {
        // No filter can name it.
        return;
    }
    each(path, value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten_value(path, item, each)),
        Value::Object(fields) => {
            let length = path.len();
            for (key, value) in fields {
                path.push('.');
                path.push_str(key);
                flatten_value(path, value, each);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
