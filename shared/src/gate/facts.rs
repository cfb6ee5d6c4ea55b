//! The hard facts of a question: two questions that differ in one of them are different, whatever else agrees.

use super::kind::Kind;
use super::lexicon::Class;
use super::tokens::Token;
use super::verdict::Difference;

/// Quantities that change an answer. *Some* and *any* come and go with negation; *last* and *first* do not.
const QUANTITIES: &[&str] = &[
    "all",
    "always",
    "another",
    "best",
    "both",
    "either",
    "enough",
    "except",
    "few",
    "fewer",
    "first",
    "half",
    "last",
    "least",
    "less",
    "many",
    "more",
    "most",
    "next",
    "only",
    "other",
    "previous",
    "rarely",
    "several",
    "single",
    "sometimes",
    "twice",
    "double",
    "usually",
    "worst",
];

/// What can be told of a question without its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) negations: u8,
    /// With their units, sorted.
    pub(super) numbers: Vec<String>,
    /// Sorted.
    pub(super) quantities: Vec<&'static str>,
}

/// A fact's short form in a signature: unequal hashes are unequal facts.
pub(super) type FactHash = u16;

impl Facts {
    pub(super) fn of(kind: Kind, tokens: &[Token]) -> Self {
        let negations = tokens.iter().filter(|token| token.class == Class::Negation).count();
        let mut numbers: Vec<String> = tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| token.class == Class::Number)
            .map(|(at, token)| match tokens.get(at + 1) {
                Some(unit) if unit.class == Class::Unit => format!("{} {}", token.key, unit.key),
                _ => token.key.clone(),
            })
            .collect();
        numbers.sort_unstable();
        let words = tokens.iter().filter(|token| token.class != Class::Literal);
        let key = |token: &Token| if token.is("every") { "all".to_owned() } else { token.key.clone() };
        let mut quantities: Vec<&str> = words
            .filter_map(|token| QUANTITIES.iter().copied().find(|quantity| *quantity == key(token)))
            .collect();
        quantities.sort_unstable();
        quantities.dedup();
        Self { kind, negations: u8::try_from(negations).unwrap_or(u8::MAX), numbers, quantities }
    }
}

/// The facts as a signature holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FactHashes {
    pub(super) kind: Kind,
    pub(super) negations: u8,
    pub(super) numbers: FactHash,
    pub(super) quantities: FactHash,
}

impl FactHashes {
    /// The first fact that tells two questions apart.
    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        if self.numbers != other.numbers {
            Some(Difference::Numbers)
        } else if self.negations != other.negations {
            Some(Difference::Negation)
        } else if self.quantities != other.quantities {
            Some(Difference::Quantity)
        } else if self.kind.excludes(other.kind) {
            Some(Difference::Kind)
        } else {
            None
        }
    }
}
