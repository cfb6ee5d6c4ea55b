//! What a question asks for: a way, a reason, a time, a yes or no. Read from how it opens.

use std::sync::LazyLock;

use super::lexicon::Class;
use super::tokens::Token;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Kind {
    /// Nothing that the opening tells: a statement or bare words.
    Open = 0,
    How = 1,
    Why = 2,
    When = 3,
    Where = 4,
    Who = 5,
    What = 6,
    Many = 7,
    Much = 8,
    Often = 9,
    Long = 10,
    /// How old, how far, …: the word tells.
    Degree = 11,
    YesNo = 12,
}

impl Kind {
    /// Questions of these two kinds can't have one answer. *What* may ask for a time or a reason, bare words for
    /// anything.
    pub(super) const fn excludes(self, other: Self) -> bool {
        use Kind::{Degree, How, Long, Many, Much, Often, Open, What, When, Where, Who, Why, YesNo};
        match (self, other) {
            (Open | What, _) | (_, Open | What) => false,
            // "Is there a place to", "can I", "how do I": may come to the same.
            (How | Where | YesNo, How | Where | YesNo) => false,
            (Degree | Many | Much | Often | Long | When, Degree | Many | Much | Often | Long | When) => {
                !matches!((self, other), (Degree, _) | (_, Degree)) && self as u8 != other as u8
            }
            (How | Why | When | Where | Who | Many | Much | Often | Long | Degree | YesNo, _) => {
                self as u8 != other as u8
            }
        }
    }

    /// The kind with this number, as a signature holds it.
    pub(super) const fn from_number(number: u8) -> Option<Self> {
        use Kind::{Degree, How, Long, Many, Much, Often, Open, What, When, Where, Who, Why, YesNo};
        let all = [Open, How, Why, When, Where, Who, What, Many, Much, Often, Long, Degree, YesNo];
        if (number as usize) < all.len() { Some(all[number as usize]) } else { None }
    }
}

/// How the words after the opening are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// A verb and what belongs to it; whoever asks is the subject.
    Verb,
    /// An auxiliary, subject and verb, or whatever else.
    Clause,
}

/// How a question opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) kind: Kind,
    /// Can, must or should, where the opening said it in other words.
    pub(super) modal: Option<&'static str>,
    pub(super) rest: Rest,
    /// Tokens that it takes.
    pub(super) length: usize,
}

/// Drops politeness from the front.
pub(super) fn without_politeness(mut tokens: &[Token]) -> &[Token] {
    while let Some(length) =
        PATTERNS.iter().filter(|pattern| pattern.asks == "strip").find_map(|p| p.fits(tokens))
    {
        tokens = tokens.get(length..).unwrap_or_default();
    }
    tokens
}

/// Reads what the question asks for.
pub(super) fn opening(tokens: &[Token]) -> Opening {
    let found = PATTERNS
        .iter()
        .filter(|pattern| pattern.asks != "strip")
        .find_map(|pattern| Some((pattern.asks, pattern.fits(tokens)?)));
    let Some((asks, length)) = found else { return unmarked(tokens) };
    let clause = |kind| Opening { kind, modal: None, rest: Rest::Clause, length };
    let verb = |kind, modal| Opening { kind, modal, rest: Rest::Verb, length };
    let opening = match asks {
        "how" => verb(Kind::How, None),
        "can" => verb(Kind::YesNo, Some("can")),
        "must" => verb(Kind::YesNo, Some("must")),
        "should" => verb(Kind::YesNo, Some("should")),
        "why" => clause(Kind::Why),
        "when" => clause(Kind::When),
        "where" => clause(Kind::Where),
        "often" => clause(Kind::Often),
        "long" => clause(Kind::Long),
        "many" => clause(Kind::Many),
        "much" => clause(Kind::Much),
        "who" => clause(Kind::Who),
        "what" => clause(Kind::What),
        "degree" => clause(Kind::Degree),
        "yes_no" => clause(Kind::YesNo),
        _ => clause(Kind::How),
    };
    // Its last two words are then an auxiliary and the subject of the clause.
    let names_the_subject =
        tokens.get(length.saturating_sub(1)).is_some_and(|last| last.class == Class::Generic);
    if opening.rest == Rest::Verb && names_the_subject && !subject_is_whoever_asks(tokens, length) {
        return Opening { rest: Rest::Clause, modal: None, length: length.saturating_sub(2), ..opening };
    }
    opening
}

/// Not in a passive: can I be charged.
fn subject_is_whoever_asks(tokens: &[Token], length: usize) -> bool {
    !tokens.get(length).is_some_and(|next| matches!(next.class, Class::Be | Class::Have))
}

/// Verbs that tell whoever answers what to do, not what whoever asks wants to do.
const TOLD: &[&str] = &[
    "advise",
    "analyse",
    "analyze",
    "assess",
    "clarify",
    "compare",
    "compute",
    "calculate",
    "define",
    "describe",
    "discuss",
    "elaborate",
    "enumerate",
    "explain",
    "find",
    "generate",
    "give",
    "identify",
    "list",
    "provide",
    "recommend",
    "remind",
    "solve",
    "specify",
    "suggest",
    "summarise",
    "summarize",
    "teach",
    "tell",
    "translate",
    "write",
];

/// A question without a question word: yes or no after an auxiliary, a way after a bare verb.
fn unmarked(tokens: &[Token]) -> Opening {
    let first = tokens.first();
    let (kind, rest) = match first.map(|token| token.class) {
        Some(Class::Be | Class::Do | Class::Have | Class::Modal) => (Kind::YesNo, Rest::Clause),
        _ if first.is_some_and(|token| token.bare_verb && !TOLD.contains(&token.text.as_str())) => {
            (Kind::How, Rest::Verb)
        }
        _ => (Kind::Open, Rest::Clause),
    };
    Opening { kind, modal: None, rest, length: 0 }
}

struct Pattern {
    asks: &'static str,
    parts: Vec<Part>,
}

struct Part {
    words: Vec<&'static str>,
    optional: bool,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let lines = include_str!("tables/openings.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(" : "))
        .map(|(asks, words)| Pattern { asks, parts: parts(words) })
        .collect()
});

fn parts(words: &'static str) -> Vec<Part> {
    words
        .split(' ')
        .map(|part| {
            let (words, optional) = part.strip_suffix('?').map_or((part, false), |part| (part, true));
            Part { words: words.split('|').collect(), optional }
        })
        .collect()
}

impl Pattern {
    /// How many of the first tokens it takes.
    fn fits(&self, tokens: &[Token]) -> Option<usize> {
        let mut at = 0;
        for part in &self.parts {
            let next = tokens.get(at);
            match part.words.as_slice() {
                ["~wh"] => {
                    next.filter(|token| begins_a_question(token))?;
                }
                ["~aux"] => {
                    next.filter(|token| token.is_auxiliary())?;
                }
                ["~how"] => {
                    let (last, comma) = (tokens.last()?, tokens.get(tokens.len().checked_sub(2)?)?);
                    (last.is("how") && comma.class == Class::Comma).then_some(())?;
                }
                ["~ing"] => {
                    next.filter(|token| token.text.ends_with("ing"))?;
                }
                ["~degree"] => {
                    next.filter(|token| token.describes)?;
                    tokens.get(at + 1).filter(|after| after.is_auxiliary())?;
                }
                words => match next.filter(|token| words.iter().any(|word| part_fits(word, token))) {
                    Some(_) => at += 1,
                    None if part.optional => {}
                    None => return None,
                },
            }
        }
        Some(at)
    }
}

fn part_fits(word: &str, token: &Token) -> bool {
    match word {
        // Not somebody or people: how they find my store is not how I do.
        "@me" => token.class == Class::Generic && matches!(token.key.as_str(), "i" | "one"),
        word => token.text == word && token.class != Class::Literal,
    }
}

fn begins_a_question(token: &Token) -> bool {
    token.class == Class::Wh || token.is("if") || token.is("whether")
}
