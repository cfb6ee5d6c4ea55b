//! What the gate knows of single words: their class, base form, spelling, rarity, synonyms and opposites.
//!
//! Every table is a sorted text file compiled in and searched where it lies: nothing is parsed at start-up and
//! no memory is taken.

/// A sorted table; each line begins with its word and a space. Lines that begin with `#` tell where it is from.
pub(super) struct Table(&'static str);

const CLOSED: Table = Table(include_str!("tables/closed.txt"));
const WORDS: Table = Table(include_str!("tables/words.txt"));
const FORMS: Table = Table(include_str!("tables/forms.txt"));
const INTERCHANGEABLE: Table = Table(include_str!("tables/interchangeable.txt"));
const UNITS: Table = Table(include_str!("tables/units.txt"));
const FOREIGN: Table = Table(include_str!("tables/foreign.txt"));
const OPPOSITES: [Table; 2] =
    [Table(include_str!("tables/opposites.txt")), Table(include_str!("tables/opposites_wordnet.txt"))];

/// Rarity of a word that no table has: a name, or very rare.
pub(super) const RARITY_MAX: u8 = 9;

/// What a word does in a sentence, as far as its form tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Article,
    /// I, we, one, somebody: whoever asks.
    Generic,
    Pronoun,
    /// `that`: a pronoun, or the beginning of a clause.
    Relative,
    Be,
    Do,
    Have,
    Modal,
    Wh,
    Subordinator,
    Negation,
    Quantity,
    Conjunction,
    Preposition,
    Content,
    Number,
    Unit,
    /// Code, a flag, a file, an address, something quoted: compared letter by letter.
    Literal,
    Possessive,
    Comma,
    /// A mark between sentences or parts of one.
    Mark,
}

impl Class {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "article" => Self::Article,
            "generic" => Self::Generic,
            "pronoun" => Self::Pronoun,
            "relative" => Self::Relative,
            "be" => Self::Be,
            "do" => Self::Do,
            "have" => Self::Have,
            "modal" => Self::Modal,
            "wh" => Self::Wh,
            "subordinator" => Self::Subordinator,
            "negation" => Self::Negation,
            "quantity" => Self::Quantity,
            "conjunction" => Self::Conjunction,
            "preposition" => Self::Preposition,
            _ => return None,
        })
    }

    /// A word of a language, not a number, a mark or something literal.
    pub(super) const fn is_word(self) -> bool {
        !matches!(
            self,
            Self::Literal | Self::Number | Self::Unit | Self::Comma | Self::Mark | Self::Possessive
        )
    }

    /// Whether the word names something, rather than holding the sentence together.
    pub(super) const fn names_something(self) -> bool {
        matches!(self, Self::Content | Self::Number | Self::Unit | Self::Literal)
    }
}

/// One word looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) class: Class,
    /// Under which the word is compared.
    pub(super) key: String,
    /// The base form, before interchangeable words became one.
    pub(super) base: String,
    pub(super) rarity: u8,
    /// A word of English, as far as the tables go.
    pub(super) known: bool,
    /// May be the participle of a passive: *deleted*, *sent*.
    pub(super) participle: bool,
    /// A verb in its base form that is no noun: *delete*, *activate*.
    pub(super) bare_verb: bool,
    /// May be an adjective or adverb: *old*, *far*.
    pub(super) describes: bool,
}

/// Looks up a word in lower case.
pub(super) fn look_up(word: &str) -> Entry {
    if let Some((class, key)) = closed(word) {
        let (key, base) = (key.to_owned(), key.to_owned());
        return Entry {
            class,
            key,
            base,
            rarity: 0,
            known: true,
            participle: false,
            bare_verb: false,
            describes: false,
        };
    }
    let (base, participle) = base_form(word);
    let line = WORDS.rest_of(&base);
    let fields = || line.unwrap_or_default().split(' ');
    let parts = fields().nth(1).unwrap_or_default();
    let spelling = spelling(&base);
    let key = INTERCHANGEABLE.rest_of(&spelling).map_or(spelling, str::to_owned);
    let rarity = fields().next().and_then(|rarity| rarity.parse().ok()).unwrap_or(RARITY_MAX);
    Entry {
        class: Class::Content,
        describes: base == word && parts.contains(['a', 'r']),
        bare_verb: base == word && parts.contains('v') && !parts.contains('n'),
        known: line.is_some() || key != base,
        key,
        rarity,
        participle,
        base,
    }
}

/// A base form as it is spelt in America.
pub(super) fn spelling(base: &str) -> String {
    let mut fields = WORDS.rest_of(base).unwrap_or_default().split(' ');
    fields.find_map(|field| field.strip_prefix('=')).unwrap_or(base).to_owned()
}

/// Class and compared form of a word of a closed class.
fn closed(word: &str) -> Option<(Class, &'static str)> {
    let (class, key) = CLOSED.rest_of(word)?.split_once(' ')?;
    Some((Class::parse(class)?, key))
}

/// A word of a closed class?
pub(super) fn is_closed(word: &str) -> bool {
    CLOSED.rest_of(word).is_some()
}

/// The compared form of what is written after a number, if it is a unit.
pub(super) fn unit(word: &str) -> Option<&'static str> {
    UNITS.rest_of(word)
}

/// A small word of another language that is no English word?
pub(super) fn is_foreign(word: &str) -> bool {
    FOREIGN.rest_of(word).is_some()
}

/// Whether two base forms mean the opposite of each other.
pub(super) fn are_opposites(a: &str, b: &str) -> bool {
    let listed = |table: &Table| table.rests_of(a).any(|opposite| opposite == b);
    OPPOSITES.iter().any(listed)
        || ["un", "non"].iter().any(|prefix| {
            let denies = |a: &str, b: &str| {
                a.strip_prefix(prefix).is_some_and(|rest| rest == b && WORDS.rest_of(rest).is_some())
            };
            denies(a, b) || denies(b, a)
        })
}

/// Whether two base forms share a synonym set in which both are mostly used.
pub(super) fn are_synonyms(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (WORDS.rest_of(a), WORDS.rest_of(b)) else { return false };
    let sets = |line: &'static str| line.split(' ').skip(2).filter(|field| !field.starts_with('='));
    sets(a).any(|set| sets(b).any(|other| other == set))
}

/// The base form, and whether the word may be a passive's participle.
fn base_form(word: &str) -> (String, bool) {
    let parts = |word: &str| WORDS.rest_of(word).and_then(|rest| rest.split(' ').nth(1));
    if let Some(lemma) = FORMS.rest_of(word) {
        return (lemma.to_owned(), parts(lemma).is_some_and(|parts| parts.contains('v')));
    }
    let verb = |stem: &str| parts(stem).is_some_and(|parts| parts.contains('v'));
    let noun = |stem: &str| parts(stem).is_some_and(|parts| parts.contains('n'));
    let own = parts(word);
    // A noun or verb of its own stays what it is (training is no train), an adjective or adverb may be a form
    // of a verb (existing, needs).
    let is_noun_or_verb = own.is_some_and(|parts| parts.contains(['n', 'v']));
    if let Some(stem) = word.strip_suffix("ed").filter(|_| !verb(word))
        && let Some(base) = verb_stem(stem, verb)
    {
        return (base, true);
    }
    if let Some(stem) = word.strip_suffix("ing")
        && let Some(base) = verb_stem(stem, verb)
        && (!is_noun_or_verb || !noun(&base))
    {
        return (base, false);
    }
    let plural = word.ends_with('s') && !word.ends_with("ss") && !is_noun_or_verb;
    if let (true, Some(stem)) = (plural, word.strip_suffix('s')) {
        let candidates = [
            word.strip_suffix("ies").map(|stem| format!("{stem}y")),
            Some(stem.to_owned()),
            word.strip_suffix("es").map(str::to_owned),
        ];
        if let Some(base) = candidates.into_iter().flatten().find(|stem| verb(stem) || noun(stem)) {
            return (base, false);
        }
        // An unknown name's plural; Prometheus and Redis are none.
        if own.is_none() && word.len() >= 5 && !word.ends_with("us") && !word.ends_with("is") {
            return (stem.to_owned(), false);
        }
    }
    (word.to_owned(), false)
}

/// The verb of which `stem` is the form without *-ed* or *-ing*.
fn verb_stem(stem: &str, verb: impl Fn(&str) -> bool) -> Option<String> {
    let with_e = format!("{stem}e");
    let with_y = stem.strip_suffix('i').map(|stem| format!("{stem}y"));
    let bytes = stem.as_bytes();
    let doubled = match bytes {
        [.., a, b] if a == b => stem.get(..stem.len() - 1).map(str::to_owned),
        _ => None,
    };
    let vowel = |b: &u8| b"aeiou".contains(b);
    // One vowel and one consonant would have been doubled before the ending: rated is rate, not rat.
    let lost_e = match bytes {
        [start @ .., vowel_before, last] => {
            vowel(vowel_before)
                && !vowel(last)
                && !b"wxy".contains(last)
                && !start.iter().any(vowel)
                && !start.is_empty()
        }
        _ => false,
    };
    let plain = Some(stem.to_owned());
    let order =
        if lost_e { [Some(with_e), plain, doubled, with_y] } else { [plain, Some(with_e), doubled, with_y] };
    order.into_iter().flatten().find(|stem| stem.len() > 1 && verb(stem))
}

impl Table {
    /// What follows `word` on the first of its lines.
    fn rest_of(&self, word: &str) -> Option<&'static str> {
        self.rests_of(word).next()
    }

    /// What follows `word` on each of its lines.
    fn rests_of<'a>(&self, word: &'a str) -> impl Iterator<Item = &'static str> + use<'a> {
        let lines = self.0.get(self.first_line_of(word)..).unwrap_or_default().lines();
        lines.map_while(move |line| {
            let rest = line.strip_prefix(word)?;
            if rest.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
        })
    }

    /// Where the first line whose word is not below `word` begins.
    fn first_line_of(&self, word: &str) -> usize {
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start = self.0.as_bytes()[..middle].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let line = self.0.as_bytes()[start..].split(|b| *b == b'\n').next().unwrap_or_default();
            let entry = line.split(|b| *b == b' ').next().unwrap_or_default();
            if entry < word.as_bytes() || line.starts_with(b"#") {
                low = start + line.len() + 1;
            } else {
                high = start;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_sorted_so_that_it_can_be_searched() {
        let tables = [CLOSED, WORDS, FORMS, INTERCHANGEABLE, UNITS, FOREIGN].into_iter().chain(OPPOSITES);
        for Table(text) in tables {
            let words: Vec<&str> = text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| line.split(' ').next().unwrap_or_default())
                .collect();
            assert!(words.len() > 20);
            for pair in words.windows(2) {
                assert!(pair[0] <= pair[1], "{} stands before {}", pair[0], pair[1]);
            }
        }
    }

    #[test]
    fn every_word_of_a_table_is_found() {
        for line in WORDS.0.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').expect("a word and more");
            assert_eq!(WORDS.rest_of(word), Some(rest));
        }
        assert_eq!(WORDS.rest_of("zzzz"), None);
        assert_eq!(WORDS.rest_of(""), None);
    }

    #[test]
    fn every_class_of_the_closed_words_is_known() {
        for line in CLOSED.0.lines().filter(|line| !line.starts_with('#')) {
            let word = line.split(' ').next().unwrap_or_default();
            assert!(closed(word).is_some(), "{line}");
        }
    }

    #[test]
    fn a_form_finds_its_base() {
        for (form, base) in [
            ("files", "file"),
            ("policies", "policy"),
            ("boxes", "box"),
            ("deleted", "delete"),
            ("rated", "rate"),
            ("planned", "plan"),
            ("edited", "edit"),
            ("applied", "apply"),
            ("receiving", "receive"),
            ("sent", "send"),
            ("restarting", "restart"),
            ("children", "child"),
            ("webhooks", "webhook"),
            ("configured", "configure"),
            // Words of their own.
            ("training", "training"),
            ("running", "running"),
            ("status", "status"),
            ("prometheus", "prometheus"),
            ("redis", "redis"),
            ("left", "left"),
            ("newer", "newer"),
            ("glasses", "glasses"),
            ("news", "news"),
            ("access", "access"),
        ] {
            assert_eq!(base_form(form).0, base, "{form}");
        }
    }

    #[test]
    fn opposites_are_known_both_ways_round() {
        for (a, b) in
            [("enable", "disable"), ("install", "uninstall"), ("buy", "sell"), ("visible", "invisible")]
        {
            assert!(are_opposites(a, b) && are_opposites(b, a), "{a}, {b}");
        }
        assert!(!are_opposites("enable", "install"));
        assert!(!are_opposites("come", "income"), "not every prefix denies");
    }
}
