//! Parts of a question that may stand in several places, put in one: clauses and adjuncts, owners, pairs.

use super::lexicon::Class;
use super::tokens::Token;

/// *If X, what happens?* is *what happens if X?*; so with any clause or adjunct before the only comma, and with an
/// adjunct before a question word and its auxiliary (*on Linux how do I …*).
pub(super) fn in_plain_order(tokens: &[Token]) -> Vec<Token> {
    let mut commas =
        tokens.iter().enumerate().filter(|(_, token)| token.class == Class::Comma).map(|(at, _)| at);
    let (front, question) = match (commas.next(), commas.next()) {
        (Some(comma), None) => (&tokens[..comma], &tokens[comma + 1..]),
        (None, _) => match question_after_adjunct(tokens) {
            Some(start) => tokens.split_at(start),
            None => return tokens.to_vec(),
        },
        _ => return tokens.to_vec(),
    };
    let marked = tokens.iter().any(|token| token.class == Class::Mark);
    let is_an_adjunct = match front {
        [first, second, ..] => {
            matches!(first.class, Class::Preposition | Class::Subordinator) && second.class != Class::Wh
                || first.is("without")
                || first.is("when") && !second.is_auxiliary()
        }
        _ => false,
    };
    let asks = question.first().is_some_and(|first| first.class == Class::Wh || first.is_auxiliary());
    if marked || !is_an_adjunct || !asks {
        return tokens.to_vec();
    }
    question.iter().chain(front).cloned().collect()
}

/// Where the question begins after an adjunct without a comma.
fn question_after_adjunct(tokens: &[Token]) -> Option<usize> {
    let [first, second, ..] = tokens else { return None };
    let start = tokens.iter().position(|token| token.class == Class::Wh).filter(|start| *start >= 2)?;
    let asks = tokens.get(start + 1).is_some_and(|next| next.is_auxiliary() || next.text == "to");
    let adjunct = first.class == Class::Preposition && second.class != Class::Wh;
    (adjunct && asks).then_some(start)
}

/// *The latest version of Ruff* is *Ruff's latest version*, if one word owns.
pub(super) fn with_owners_first(tokens: &[Token]) -> Vec<Token> {
    let mut ordered: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let (owner, after) = match tokens.get(at + 1) {
            Some(article) if article.class == Class::Article => (tokens.get(at + 2), at + 3),
            owner => (owner, at + 2),
        };
        let ends = tokens.get(after).is_none_or(Token::ends_a_group);
        let start = ordered.iter().rposition(|token| !matches!(token.class, Class::Content | Class::Literal));
        let definite = start.filter(|start| ordered[*start].text == "the" && *start + 1 < ordered.len());
        match (token.is("of") && ends, definite, owner) {
            (true, Some(start), Some(owner)) if matches!(owner.class, Class::Content | Class::Literal) => {
                ordered.insert(start + 1, owner.clone());
                at = after;
            }
            _ => {
                ordered.push(token.clone());
                at += 1;
            }
        }
    }
    ordered
}

/// Words that ask about two things alike, in their base form; by hand.
const EVEN: [&str; 14] = [
    "choose",
    "compare",
    "comparison",
    "conflict",
    "decide",
    "differ",
    "difference",
    "different",
    "distance",
    "distinction",
    "distinguish",
    "relation",
    "relationship",
    "similarity",
];

/// The difference *between A and B* is that *between B and A*; a move between them is not.
pub(super) fn sort_what_is_between(tokens: &mut [Token]) {
    let Some(between) = tokens.iter().position(|token| token.is("between")) else { return };
    if !tokens[..between].iter().any(|token| EVEN.contains(&token.base.as_str())) {
        return;
    }
    let pair = &mut tokens[between + 1..];
    let Some(and) = pair.iter().position(|token| token.is("and")) else { return };
    let end =
        pair.iter().skip(and + 1).position(Token::ends_a_group).map_or(pair.len(), |length| and + 1 + length);
    let is_one_thing = |tokens: &[Token]| match tokens {
        [article, name] if article.class == Class::Article => name.class.names_something(),
        [name] => name.class.names_something(),
        _ => false,
    };
    if is_one_thing(&pair[..and])
        && is_one_thing(&pair[and + 1..end])
        && pair[and - 1].key > pair[end - 1].key
    {
        pair.swap(and - 1, end - 1);
    }
}
