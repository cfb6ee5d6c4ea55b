//! A question as the gate reads it: what the origin has of both questions, and the edge of the one just asked.

use unicode_normalization::UnicodeNormalization;

use super::align::{self, Alignment};
use super::facts::Facts;
use super::form::{self, Form};
use super::lexicon::{self, Class};
use super::signature::Signature;
use super::tokens::{self, Token};
use super::verdict::{Difference, Doubt, Verdict};

/// One question, read once; compare it with many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    signature: Signature,
    /// `None` when the text is not plain English.
    read: Option<Read>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) tokens: Vec<Token>,
    pub(super) form: Form,
}

impl Reading {
    /// Reads any text; never fails: what can't be judged is only the same as itself.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text: String = text.trim().nfc().collect();
        let Some(tokens) = tokens::tokens(&text) else {
            return Self { signature: Signature::of_letters(&text), read: None };
        };
        let form = form::form(&tokens);
        let signature = Signature::of_form(&form, &Facts::of(form.kind, &tokens));
        Self { signature, read: Some(Read { tokens, form }) }
    }

    /// Whether the text is English that the gate can judge.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.read.is_some()
    }

    /// The words of the reduced question, in its order; empty when the text can't be read.
    #[must_use]
    pub fn words(&self) -> &[String] {
        self.read.as_ref().map_or(&[], |read| &read.form.words)
    }

    pub(super) const fn read(&self) -> Option<&Read> {
        self.read.as_ref()
    }

    #[must_use]
    pub const fn signature(&self) -> Signature {
        self.signature
    }

    /// Symmetric; every reading is the same as itself. *Same* exactly when the signatures say so; *different* also
    /// where only both texts show it.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Verdict {
        let by_signature = self.signature.compare(&other.signature);
        let (Verdict::Unsure(_), Some(read), Some(others)) = (by_signature, self.read(), other.read()) else {
            return by_signature;
        };
        // One order of the two, whichever is asked about, so that the verdict is the same both ways.
        if read.form.words <= others.form.words {
            judge(read, others, &align::align(self, other))
        } else {
            judge(others, read, &align::align(other, self))
        }
    }
}

/// Two questions of equal facts and unequal forms.
fn judge(left: &Read, right: &Read, alignment: &Alignment) -> Verdict {
    let (only_left, only_right) =
        (left_over(&left.tokens, &right.tokens), left_over(&right.tokens, &left.tokens));
    let across = |fits: &dyn Fn(&Token, &Token) -> bool| {
        only_left.iter().any(|left| only_right.iter().any(|right| fits(left, right)))
    };
    let directions = |left: &Token, right: &Token| {
        left.class == Class::Preposition
            && right.class == Class::Preposition
            && lexicon::are_opposites(&left.key, &right.key)
    };
    if across(&directions) {
        return Verdict::Different(Difference::Direction);
    }
    if across(&|left, right| {
        lexicon::are_opposites(&left.base, &right.base) || lexicon::are_opposites(&left.text, &right.text)
    }) {
        return Verdict::Different(Difference::Opposites);
    }
    let named = |unaligned: &[align::Unaligned]| unaligned.iter().any(|word| word.is_name);
    if named(&alignment.left_only) && named(&alignment.right_only) {
        return Verdict::Different(Difference::Names);
    }
    if are_swapped(&left.form, &right.form) {
        return Verdict::Different(Difference::Roles);
    }
    Verdict::Unsure(doubt(left, right, alignment))
}

fn doubt(left: &Read, right: &Read, alignment: &Alignment) -> Doubt {
    if !alignment.left_only.is_empty() || !alignment.right_only.is_empty() {
        Doubt::Words
    } else if left.form.kind != right.form.kind {
        Doubt::Kind
    } else if alignment.inversions() > 0 {
        Doubt::Order
    } else if left.form.words.len() == right.form.words.len() && alignment.has_synonyms() {
        Doubt::Synonyms
    } else {
        Doubt::Particles
    }
}

/// Tokens of `these` whose key `those` have not.
fn left_over<'a>(these: &'a [Token], those: &[Token]) -> Vec<&'a Token> {
    these.iter().filter(|token| !those.iter().any(|other| other.key == token.key)).collect()
}

/// Equal but for two words that changed places: dogs chase cats, cats chase dogs.
fn are_swapped(left: &Form, right: &Form) -> bool {
    let different: Vec<(&String, &String)> =
        left.words.iter().zip(&right.words).filter(|(left, right)| left != right).collect();
    left.kind == right.kind
        && left.words.len() == right.words.len()
        && matches!(different[..], [(a, b), (c, d)] if a == d && b == c)
}
