//! A text cut into words, numbers, literal things and marks; or the finding that it can't be read.

use unicode_normalization::UnicodeNormalization;

use super::lexicon::{self, Class, RARITY_MAX};
use super::written::{bits, contraction, number, spelt_number};

/// Longer texts are compared as a whole: they are logs and letters, not questions.
const QUESTION_BYTES_MAX: usize = 600;
const TOKENS_MAX: usize = 80;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) class: Class,
    /// As written, in lower case but for literal things.
    pub(super) text: String,
    /// The base form, before interchangeable words became one.
    pub(super) base: String,
    /// Under which it is compared.
    pub(super) key: String,
    /// 0 for the commonest words of English to 9 for names and rare ones.
    pub(super) rarity: u8,
    pub(super) known: bool,
    pub(super) participle: bool,
    pub(super) bare_verb: bool,
    pub(super) describes: bool,
}

impl Token {
    pub(super) fn plain(class: Class, text: &str) -> Self {
        let (text, base, key) = (text.to_owned(), text.to_owned(), text.to_owned());
        Self {
            class,
            text,
            base,
            key,
            rarity: RARITY_MAX,
            known: true,
            participle: false,
            bare_verb: false,
            describes: false,
        }
    }

    fn word(text: &str) -> Self {
        let lexicon::Entry { class, key, base, rarity, known, participle, bare_verb, describes } =
            lexicon::look_up(text);
        Self { class, text: text.to_owned(), base, key, rarity, known, participle, bare_verb, describes }
    }

    /// As a name: nothing is interchangeable with it.
    fn of_its_own(self) -> Self {
        Self { key: lexicon::spelling(&self.base), ..self }
    }

    /// This word, not code that looks like it.
    pub(super) fn is(&self, key: &str) -> bool {
        self.key == key && self.class != Class::Literal
    }

    pub(super) const fn is_auxiliary(&self) -> bool {
        matches!(self.class, Class::Be | Class::Do | Class::Have | Class::Modal)
    }

    /// Ends a group of nouns.
    pub(super) fn ends_a_group(&self) -> bool {
        let by_class = matches!(
            self.class,
            Class::Preposition
                | Class::Comma
                | Class::Mark
                | Class::Subordinator
                | Class::Conjunction
                | Class::Relative
                | Class::Wh
        );
        by_class || self.is_auxiliary() || self.is("without")
    }
}

/// Cuts `text` (in NFC, without outer white space); `None` when it is not plain English or not a question's size.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.is_empty() || text.len() > QUESTION_BYTES_MAX || !text.chars().all(is_plain) {
        return None;
    }
    let text: String = text.nfc().map(plain_mark).collect();
    let shouted = !text.chars().any(char::is_lowercase);
    let mut cutter = Cutter { tokens: Vec::new(), shouted };
    cutter.text(&text);
    let mut tokens = cutter.tokens;
    while tokens.last().is_some_and(|token| matches!(token.class, Class::Mark | Class::Comma)) {
        tokens.pop();
    }
    let tokens = with_names_kept(tokens);
    (tokens.len() <= TOKENS_MAX && is_english(&tokens)).then_some(tokens)
}

/// Before the word for a kind of thing, or after a name, any word may be a name: the start command is no begin command, and
/// `ruff select` no `ruff choose`.
fn with_names_kept(tokens: Vec<Token>) -> Vec<Token> {
    let names = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let after_a_name = before.is_some_and(|before| before.class == Class::Content && !before.known);
        after_a_name || tokens.get(at + 1).is_some_and(|after| KINDS.contains(&after.base.as_str()))
    };
    let is_name: Vec<bool> = (0..tokens.len()).map(names).collect();
    let keep = |(token, is_name): (Token, bool)| match token.class {
        Class::Content if is_name => token.of_its_own(),
        _ => token,
    };
    tokens.into_iter().zip(is_name).map(keep).collect()
}

/// Words for kinds of things that have names, in their base form; by hand.
const KINDS: [&str; 49] = [
    "attribute",
    "block",
    "branch",
    "button",
    "class",
    "column",
    "command",
    "config",
    "directory",
    "endpoint",
    "event",
    "field",
    "flag",
    "folder",
    "function",
    "group",
    "header",
    "hook",
    "icon",
    "key",
    "keyword",
    "label",
    "layer",
    "menu",
    "method",
    "mode",
    "model",
    "module",
    "operator",
    "option",
    "package",
    "page",
    "panel",
    "parameter",
    "plan",
    "profile",
    "property",
    "role",
    "script",
    "section",
    "setting",
    "stage",
    "state",
    "statement",
    "switch",
    "tab",
    "table",
    "tag",
    "variable",
];

/// Characters that English questions are written in. Others (hidden ones, look-alikes, other scripts, emoji)
/// make a text one that is only ever the same as itself.
fn is_plain(c: char) -> bool {
    matches!(c, '\n' | '\t' | '\r' | ' '..='~' | '\u{a0}' | 'à'..='ö' | 'ø'..='ÿ' | 'À'..='Ö' | 'Ø'..='Þ' | 'ß')
        || matches!(c, '‘' | '’' | '“' | '”' | '–' | '—' | '…' | '£' | '€' | '¥' | '°' | 'µ')
}

fn plain_mark(c: char) -> char {
    match c {
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '–' | '—' => '-',
        '…' => '.',
        '\u{a0}' => ' ',
        c => c,
    }
}

/// At least half of the words are English, one of them is a small one or all are known, and none is another
/// language's.
fn is_english(tokens: &[Token]) -> bool {
    let words: Vec<&Token> = tokens.iter().filter(|token| token.class.is_word()).collect();
    let count = |is: &dyn Fn(&Token) -> bool| words.iter().filter(|token| is(token)).count();
    let known = count(&|token| token.known);
    let small = count(&|token| token.class != Class::Content);
    let foreign = count(&|token| token.class == Class::Content && lexicon::is_foreign(&token.text));
    let accented = count(&|token| !token.text.is_ascii());
    let all = words.len();
    all > 0 && known * 2 >= all && (small > 0 || known == all) && foreign == 0 && accented * 4 <= all
}

struct Cutter {
    tokens: Vec<Token>,
    /// No small letter in the whole text: capitals tell nothing.
    shouted: bool,
}

impl Cutter {
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let quoted = match c {
                '`' | '"' => rest.get(1..).and_then(|inner| inner.split_once(c)),
                _ => None,
            };
            if let Some((inside, after)) = quoted {
                self.push(Token::plain(Class::Literal, &format!("\"{}", inside.trim())));
                rest = after;
            } else if c.is_whitespace() {
                if c == '\n' && !self.tokens.is_empty() {
                    self.push(Token::plain(Class::Mark, "\n"));
                }
                rest = rest.trim_start_matches(|next: char| next.is_whitespace());
            } else {
                let end = rest.find(|next: char| next.is_whitespace() || next == '`').filter(|end| *end > 0);
                let (chunk, after) = rest.split_at(end.unwrap_or(rest.len()));
                self.chunk(chunk, after);
                rest = after;
            }
        }
    }

    /// What stands between two spaces, and what comes after it.
    fn chunk(&mut self, chunk: &str, after: &str) {
        let goes_on = after.trim_start().starts_with(|next: char| !next.is_uppercase());
        if chunk.contains(char::is_alphanumeric) {
            let (body, marks) = split_marks(chunk);
            if goes_on && marks.starts_with(['!', '?']) && after.starts_with(' ') {
                // No sentence ends here: the mark is part of a name.
                return self.push(Token::plain(Class::Literal, chunk));
            }
            match body.strip_prefix(['(', '"', '\'']).filter(|rest| !rest.is_empty()) {
                Some(inner) => {
                    self.push(Token::plain(Class::Mark, &body[..1]));
                    let closed = inner.strip_suffix([')', '"', '\'']);
                    self.body(closed.unwrap_or(inner));
                    if closed.is_some() {
                        self.push(Token::plain(Class::Mark, ")"));
                    }
                }
                None => self.body(body),
            }
            self.marks(marks);
        } else if matches!(chunk, "-" | "," | ":" | ")") && goes_on
            || !goes_on && chunk.chars().all(|c| matches!(c, '.' | '?' | '!'))
        {
            self.marks(chunk);
        } else {
            // Marks that end no sentence are what is asked about.
            let after_number = self.tokens.last().is_some_and(|last| last.class == Class::Number);
            let unit = lexicon::unit(chunk).filter(|_| after_number);
            self.push(
                unit.map_or_else(
                    || Token::plain(Class::Literal, chunk),
                    |unit| Token::plain(Class::Unit, unit),
                ),
            );
        }
    }

    fn marks(&mut self, marks: &str) {
        for mark in marks.chars() {
            let class = if mark == ',' { Class::Comma } else { Class::Mark };
            // Doubled marks say no more than one.
            let mark = if matches!(mark, '!' | '?') { '.' } else { mark };
            if self.tokens.last().is_none_or(|last| last.class != class || !last.is(&mark.to_string())) {
                self.push(Token::plain(class, &mark.to_string()));
            }
        }
    }

    /// A chunk without the marks around it.
    fn body(&mut self, body: &str) {
        let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphabetic() || c == '\'');
        if is_word(body) {
            self.word(body);
        } else if number(body).is_some() {
            self.number(body);
        } else if body.split('-').all(|part| is_word(part) || number(part).is_some()) {
            self.compound(body);
        } else if let Some((word, "s")) = body.rsplit_once('\'') {
            self.push(Token::plain(Class::Literal, word));
            self.push(Token::plain(Class::Possessive, "'s"));
        } else {
            self.push(Token::plain(Class::Literal, body));
        }
    }

    /// Parts joined by hyphens are words of their own: a 7-day trial, a command-line tool.
    fn compound(&mut self, body: &str) {
        for part in body.split('-') {
            if number(part).is_some() { self.number(part) } else { self.word(part) }
        }
    }

    fn number(&mut self, text: &str) {
        let Some((before, value, after)) = number(text) else { return };
        self.push(Token::plain(Class::Number, &value));
        let bits = text.get(text.len().saturating_sub(2)..).and_then(bits);
        if let Some(unit) = bits.or_else(|| lexicon::unit(&before)).or_else(|| lexicon::unit(&after)) {
            self.push(Token::plain(Class::Unit, unit));
        }
    }

    fn word(&mut self, written: &str) {
        let capitals = written.len() > 1 && written.chars().all(char::is_uppercase) && !self.shouted;
        let word = written.to_lowercase();
        if capitals && lexicon::is_closed(&word) {
            // The US and us, IT and it, WHO and who: as names. What only stresses is told by its class.
            let stressed = Token::word(&word);
            if !matches!(stressed.class, Class::Negation | Class::Quantity | Class::Article) {
                return self.push(Token::plain(Class::Literal, written));
            }
        }
        let after_number = self.tokens.last().is_some_and(|last| last.class == Class::Number);
        if let (true, Some(unit)) = (after_number, bits(written).or_else(|| lexicon::unit(&word))) {
            return self.push(Token::plain(Class::Unit, unit));
        }
        if let Some(value) = spelt_number(&word) {
            return self.push(Token::plain(Class::Number, value));
        }
        match contraction(&word) {
            Some(parts) => parts.iter().for_each(|part| self.push(Token::word(part))),
            None => match word
                .strip_suffix("'s")
                .or_else(|| word.strip_suffix("s'").map(|_| &word[..word.len() - 1]))
            {
                Some(owner) => self.owner(owner),
                None => {
                    let token = Token::word(word.trim_matches('\''));
                    // AD is no advertisement.
                    self.push(if capitals { token.of_its_own() } else { token });
                }
            },
        }
    }

    /// `'s` after a question word or pronoun is *is*, after anything else it tells an owner.
    fn owner(&mut self, owner: &str) {
        let token = Token::word(owner);
        let is_verb = matches!(token.class, Class::Wh | Class::Pronoun | Class::Relative);
        self.push(token);
        self.push(if is_verb { Token::word("is") } else { Token::plain(Class::Possessive, "'s") });
    }

    fn push(&mut self, token: Token) {
        if !token.key.is_empty() {
            self.tokens.push(token);
        }
    }
}

/// The marks at the end of a chunk. A bracket that was opened inside belongs to the body.
fn split_marks(chunk: &str) -> (&str, &str) {
    let body = chunk.trim_end_matches(['.', '?', '!', ';', ':', ',']);
    let body = match body.strip_suffix(')') {
        Some(inner) if !inner.contains('(') => inner,
        _ => body,
    };
    chunk.split_at(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        tokens(text).expect("readable").into_iter().map(|token| token.key).collect()
    }

    #[test]
    fn numbers_carry_their_units_however_they_are_written() {
        assert_eq!(keys("take 0.4s"), keys("take 0.4 seconds"));
        assert_eq!(keys("a 7-day trial"), keys("a 7 day trial"));
        assert_eq!(keys("costs $5"), keys("costs 5 dollars"));
        assert_eq!(keys("the 1,000 files"), keys("the 1000 files"));
        assert_eq!(keys("before v0.12"), keys("before 0.12"));
        assert_ne!(keys("version 3.5"), keys("version 3.50"));
        assert_ne!(keys("the 1st"), keys("the 1"));
    }

    #[test]
    fn literal_things_keep_their_letters() {
        for (a, b) in [
            ("use -v", "use -V"),
            ("set UV_CACHE", "set uv_cache"),
            ("in the US", "in the us"),
            ("a `b`", "a `B`"),
        ] {
            assert_ne!(keys(a), keys(b));
        }
        assert_eq!(keys("open Prometheus"), keys("open prometheus"));
        assert_eq!(keys("DO NOT OPEN IT"), keys("do not open it"));
    }

    #[test]
    fn contractions_are_spelt_out_and_owners_told() {
        assert_eq!(keys("why doesn't it work"), keys("why does not it work"));
        assert_eq!(keys("what's the limit"), keys("what is the limit"));
        assert_eq!(keys("in Ruff's version"), ["in", "ruff", "'s", "version"]);
    }

    #[test]
    fn what_is_not_plain_english_is_not_read() {
        for text in [
            "",
            "   ",
            "?",
            "Wie lösche ich die Datei?",
            "¿Cómo cambio mi contraseña?",
            "как удалить файл",
            "how dо I log in",
            "how do\u{200b} I log in",
            "how do I log in 🙂",
            "Comment supprimer le fichier",
            "削除",
            "xqz wvut plomf",
        ] {
            assert_eq!(tokens(text.trim()), None, "{text}");
        }
    }
}
