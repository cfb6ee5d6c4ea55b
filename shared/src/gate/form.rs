//! A question reduced to one form, so that rewordings that change nothing become equal.
//!
//! Only rewritings that keep the meaning in any domain: openings that ask the same, a clause moved to the front,
//! a passive, an owner (*Ruff's version*, *the version of Ruff*), articles. Every other word stays where it is, so
//! whatever is not understood keeps two forms apart.

use super::kind::{self, Kind, Opening, Rest};
use super::lexicon::Class;
use super::order;
use super::tokens::Token;

/// Between what is asked about and who does it: `which series | histogram expose`.
const BORDER: &str = "|";
/// The doer that a passive leaves out, where it is not whoever asks.
const SOMEONE: &str = "someone";

/// The reduced question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) kind: Kind,
    /// In the reduced order; equal if and only if the questions count as the same.
    pub(super) words: Vec<String>,
    /// The tokens among them that name something, in the same order.
    pub(super) content: Vec<Token>,
}

/// Reduces a question.
pub(super) fn form(tokens: &[Token]) -> Form {
    let tokens = without_thanks(tokens);
    let tokens = order::in_plain_order(kind::without_politeness(&tokens));
    let led = tokens.first().is_some_and(|first| first.class == Class::Preposition)
        && tokens.get(1).is_some_and(|second| second.class == Class::Wh)
        && kind::opening(&tokens).kind == Kind::Open;
    let (lead, tokens) = tokens.split_at(usize::from(led));
    let opening = kind::opening(tokens);
    let rest = tokens.get(opening.length..).unwrap_or_default();
    let mut sentence = Sentence {
        kind: opening.kind,
        modal: opening.modal,
        bordered: false,
        before: lead.to_vec(),
        body: Vec::new(),
    };
    match opening.rest {
        Rest::Verb => sentence.body = without_asked_how(rest).to_vec(),
        Rest::Clause => sentence.read_clause(rest, opening),
    }
    sentence.write()
}

fn without_asked_how(rest: &[Token]) -> &[Token] {
    match rest {
        [start @ .., comma, how] if comma.class == Class::Comma && how.is("how") => start,
        all => all,
    }
}

/// Please and thanks say nothing about what is asked.
fn without_thanks(tokens: &[Token]) -> Vec<Token> {
    let polite = |token: &Token| ["please", "pls", "plz", "kindly"].contains(&token.text.as_str());
    let mut tokens: Vec<Token> = tokens.iter().filter(|token| !polite(token)).cloned().collect();
    const THANKS: [&[&str]; 6] = [
        &["thanks", "in", "advance"],
        &["thank", "you", "in", "advance"],
        &["many", "thanks"],
        &["thank", "you"],
        &["thanks"],
        &["cheers"],
    ];
    // Only after a mark: how do I say thanks?
    let thanks = THANKS.iter().find_map(|thanks| {
        let (before, last) = tokens.split_at(tokens.len().checked_sub(thanks.len())?);
        let fits = last.iter().zip(*thanks).all(|(token, word)| token.text == *word);
        let marked = before.last().is_some_and(|mark| matches!(mark.class, Class::Comma | Class::Mark));
        (fits && marked).then_some(before.len())
    });
    tokens.truncate(thanks.unwrap_or(tokens.len()));
    while tokens.last().is_some_and(|token| matches!(token.class, Class::Comma | Class::Mark)) {
        tokens.pop();
    }
    tokens
}

/// A question being taken apart.
struct Sentence {
    kind: Kind,
    modal: Option<&'static str>,
    /// What is asked about is not the subject.
    bordered: bool,
    /// What stands before the border.
    before: Vec<Token>,
    body: Vec<Token>,
}

impl Sentence {
    /// Reads what follows a question word, or a yes-or-no question from its auxiliary.
    fn read_clause(&mut self, rest: &[Token], opening: Opening) {
        match opening.kind {
            Kind::What | Kind::Many | Kind::Much | Kind::Who | Kind::Degree => self.read_about(rest),
            Kind::How | Kind::Why | Kind::When | Kind::Where | Kind::Often | Kind::Long | Kind::YesNo => {
                self.read_inverted(rest);
            }
            Kind::Open => {
                // Bare words name what they want to be told of.
                self.kind = Kind::What;
                self.body =
                    std::iter::once(Token::plain(Class::Be, "be")).chain(rest.iter().cloned()).collect();
            }
        }
    }

    /// `[things] auxiliary [subject] verb …`: which series does a histogram expose, which are exposed by it.
    fn read_about(&mut self, rest: &[Token]) {
        let ends = |token: &Token| token.ends_a_group() && !token.is("of");
        let verb = rest.iter().position(ends).filter(|at| rest[*at].is_auxiliary());
        let got = rest.iter().take(2).position(|token| token.base == "get");
        let (things, auxiliary, clause) = match (verb, got) {
            (_, Some(at)) if rest.get(at + 1).is_some_and(|next| next.participle) => {
                (&rest[..at], None, &rest[at + 1..])
            }
            (Some(at), _) => (&rest[..at], Some(&rest[at]), &rest[at + 1..]),
            (None, _) => {
                self.body.extend_from_slice(rest);
                return;
            }
        };
        let is_passive = match auxiliary.map(|auxiliary| auxiliary.class) {
            None => true,
            Some(Class::Be) => match clause {
                [not, verb, ..] if not.is("not") => verb.participle,
                [verb, ..] => verb.participle,
                [] => false,
            },
            _ => false,
        };
        let (be_first, after_be) = match clause {
            [be, verb, ..] if be.is("be") && be.text == "be" => (may_be_participle(verb), &clause[1..]),
            _ => (false, clause),
        };
        self.note_modal(auxiliary);
        if is_passive || be_first {
            self.before.extend_from_slice(things);
            self.bordered = true;
            self.passive(&[], if be_first { after_be } else { clause }, be_first);
        } else if auxiliary.is_some_and(|auxiliary| matches!(auxiliary.class, Class::Do | Class::Modal)) {
            self.before.extend_from_slice(things);
            self.bordered = true;
            self.body.extend_from_slice(without_whoever_asks(clause));
        } else {
            self.body.extend_from_slice(rest);
        }
    }

    /// `auxiliary subject verb …`: how can X be deleted, does a histogram expose X.
    fn read_inverted(&mut self, rest: &[Token]) {
        let embedded = rest
            .iter()
            .position(|token| token.ends_a_group() && token.class != Class::Preposition)
            .filter(|at| *at > 0 && matches!(rest[*at].class, Class::Modal | Class::Be));
        let uninverted = embedded.map(|at| {
            let (subject, after) = (&rest[..at], &rest[at + 1..]);
            [&rest[at..=at], subject, after].concat()
        });
        let rest = uninverted.as_deref().unwrap_or(rest);
        let Some((auxiliary, clause)) = rest.split_first().filter(|(first, _)| first.is_auxiliary()) else {
            self.body.extend_from_slice(rest);
            return;
        };
        match auxiliary.class {
            Class::Modal | Class::Do => self.read_after_modal(auxiliary, clause),
            Class::Be => self.read_after_be(auxiliary, clause),
            _ => self.body.extend_from_slice(rest),
        }
    }

    fn read_after_modal(&mut self, auxiliary: &Token, clause: &[Token]) {
        self.note_modal(Some(auxiliary));
        let be = clause.iter().position(|token| token.text == "be").filter(|at| *at > 0);
        let passive = be.filter(|at| {
            clause.get(at + 1).is_some_and(may_be_participle)
                && !clause[..*at].iter().any(Token::ends_a_group)
                || clause.get(at + 1).is_some_and(|verb| verb.participle)
        });
        if let Some(at) = passive.filter(|_| auxiliary.class == Class::Modal) {
            return self.passive(&clause[..at], &clause[at + 1..], true);
        }
        let clause = without_whoever_asks(clause);
        match clause.iter().position(|token| token.base == "exist").filter(|_| self.kind == Kind::YesNo) {
            // Does X exist is: is there X.
            Some(at) => {
                self.body.push(clause[at].clone());
                self.body.extend_from_slice(&clause[..at]);
                self.body.extend_from_slice(&clause[at + 1..]);
            }
            None => self.body.extend_from_slice(clause),
        }
    }

    fn read_after_be(&mut self, be: &Token, clause: &[Token]) {
        if let [there, rest @ ..] = clause
            && there.is("there")
            && self.kind == Kind::YesNo
            && be.key == "be"
        {
            self.body.push(Token::plain(Class::Content, "exist"));
            self.body.extend_from_slice(rest);
            return;
        }
        let end = clause.iter().position(Token::ends_a_group).unwrap_or(clause.len());
        if end >= 2 && clause[end - 1].participle && be.key == "be" {
            let (subject, verb) = clause.split_at(end - 1);
            return self.passive(subject, verb, false);
        }
        self.body.push(be.clone());
        self.body.extend_from_slice(clause);
    }

    /// Turns a passive round: who does it, the verb, what it is done to, the rest. `verb` begins with the verb.
    fn passive(&mut self, subject: &[Token], verb: &[Token], by_will: bool) {
        let negated = verb.first().is_some_and(|first| first.is("not"));
        let (not, verb) = verb.split_at(usize::from(negated));
        let Some((verb, rest)) = verb.split_first() else { return };
        let (agent, rest) = agent_of(rest);
        let asks_for_a_way = matches!(self.kind, Kind::How | Kind::Where) && self.modal.is_none();
        let advice = matches!(self.modal, Some("should" | "must"));
        let whoever_asks =
            by_will && (asks_for_a_way || advice || (self.kind == Kind::What && self.modal == Some("can")));
        let agent = match agent {
            Some(agent) => agent,
            None if whoever_asks => Vec::new(),
            None => vec![Token::plain(Class::Pronoun, SOMEONE)],
        };
        self.body.extend(agent);
        self.body.extend_from_slice(not);
        self.body.push(verb.clone());
        self.body.extend_from_slice(subject);
        self.body.extend(rest);
    }

    /// *Do*, *can* and *would* say nothing where a way is asked for, nor *can* where a place is; elsewhere the
    /// modal counts.
    fn note_modal(&mut self, auxiliary: Option<&Token>) {
        let Some(auxiliary) = auxiliary else { return };
        self.modal = match auxiliary.text.as_str() {
            "can" | "would" | "may" if self.kind == Kind::How => None,
            "can" if self.kind == Kind::Where => None,
            "can" => Some("can"),
            "could" => Some("could"),
            "should" | "ought" => Some("should"),
            "must" => Some("must"),
            "shall" => Some("shall"),
            "may" => Some("may"),
            "might" => Some("might"),
            "will" => Some("will"),
            "would" => Some("would"),
            "did" => Some("did"),
            "was" | "were" => Some("was"),
            _ => None,
        };
    }

    fn write(self) -> Form {
        let mut words: Vec<String> = self.modal.map(|modal| format!("<{modal}>")).into_iter().collect();
        words.extend(plain_words(&self.before));
        if self.bordered {
            words.push(BORDER.to_owned());
        }
        words.extend(plain_words(&self.body));
        let content =
            self.before.into_iter().chain(self.body).filter(|token| token.class.names_something()).collect();
        Form { kind: self.kind, words, content }
    }
}

/// *I* before a verb.
fn without_whoever_asks(clause: &[Token]) -> &[Token] {
    match clause {
        [me, rest @ ..]
            if me.class == Class::Generic
                && me.is("i")
                && rest.first().is_some_and(|verb| verb.class == Class::Content) =>
        {
            rest
        }
        all => all,
    }
}

/// After *be*, also a verb whose participle looks like its base form: can it be run, be set.
fn may_be_participle(token: &Token) -> bool {
    token.participle
        || [
            "run", "set", "put", "cut", "read", "reset", "split", "hit", "shut", "cast", "spread", "quit",
            "let",
        ]
        .contains(&token.text.as_str())
}

/// The last `by …` that a passive's rest holds, and the rest without it.
fn agent_of(rest: &[Token]) -> (Option<Vec<Token>>, Vec<Token>) {
    let Some(by) = rest.iter().rposition(|token| token.is("by")) else { return (None, rest.to_vec()) };
    let after = &rest[by + 1..];
    let length = after.iter().position(Token::ends_a_group).unwrap_or(after.len());
    let doing = after.first().is_some_and(|first| first.text.ends_with("ing"));
    if length == 0 || doing {
        return (None, rest.to_vec());
    }
    (Some(after[..length].to_vec()), [&rest[..by], &after[length..]].concat())
}

/// The words under which tokens are compared, without what says nothing.
fn plain_words(tokens: &[Token]) -> Vec<String> {
    let mut tokens = order::with_owners_first(tokens);
    order::sort_what_is_between(&mut tokens);
    let mut words = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        let after = tokens.get(at + 2);
        at += 1;
        match token.class {
            // A few are some, few are hardly any.
            Class::Article if next.is_some_and(|next| next.is("few") || next.is("little")) => {
                words.push("some".to_owned())
            }
            Class::Article | Class::Possessive => {}
            // Packages that are newer: packages newer. Not before a group of nouns (that is the file).
            Class::Relative | Class::Wh
                if is_relative(token)
                    && next.is_some_and(|next| next.class == Class::Be && next.key == "be")
                    && after.is_some_and(describes) =>
            {
                at += 1;
            }
            Class::Wh if is_relative(token) => words.push("that".to_owned()),
            // What happens when is what happens if; to see when is not to see if.
            Class::Wh
                if token.is("when")
                    && words.last().is_some_and(|last| ["occur", "do", "fail"].contains(&last.as_str())) =>
            {
                words.push("if".to_owned());
            }
            Class::Content
            | Class::Generic
            | Class::Pronoun
            | Class::Relative
            | Class::Be
            | Class::Do
            | Class::Have
            | Class::Modal
            | Class::Wh
            | Class::Subordinator
            | Class::Negation
            | Class::Quantity
            | Class::Conjunction
            | Class::Preposition
            | Class::Number
            | Class::Unit
            | Class::Comma
            | Class::Mark => {
                words.push(token.key.clone());
            }
            // Code is not the word that it looks like.
            Class::Literal => words.push(format!("`{}", token.key)),
        }
    }
    words
}

fn is_relative(token: &Token) -> bool {
    token.is("which") || token.is("that") || token.is("who")
}

fn describes(token: &Token) -> bool {
    token.participle || token.text.ends_with("er") || token.text.ends_with("ing")
}
