//! What to search for when the last turn only makes sense in its conversation ("and on Windows?").
//!
//! A pure function of the turns. It reads English surface signs and decides in doubt for the last turn alone: a
//! question needlessly widened finds the wrong passages, and one that is too narrow finds none and says so. Each
//! turn is read once, whatever stands in it: this runs before anything knows what a question may cost.

use perigee_shared::limits::QUERY_CHARS_MAX;
use perigee_shared::question::{Speaker, Turn};

use super::words::{is_content, words};

/// Characters of earlier turns put in front. The embedding model reads about 1,000; the last turn needs room.
const CONTEXT_CHARS_MAX: usize = 400;

/// Bytes of a turn that may lean on an earlier one; whoever writes a page names what it is about.
const LEANING_BYTES_MAX: usize = 2_000;

/// Words of a question that an opening "and …" marks as elliptic; longer ones carry their own subject.
const OPENING_WORDS_MAX: usize = 10;

/// Words of a question that is a mere prepositional phrase ("for Python 3.12?").
const PHRASE_WORDS_MAX: usize = 6;

/// Words in which a demonstrative ("that option") is taken to point back.
const DEMONSTRATIVE_WORDS_MAX: usize = 12;

/// The text to retrieve with, at most [`QUERY_CHARS_MAX`] characters.
#[must_use]
pub fn query(turns: &[Turn]) -> String {
    let asked: Vec<&str> =
        turns.iter().filter(|turn| turn.speaker == Speaker::User).map(|turn| turn.text.as_str()).collect();
    let Some((&last, earlier)) = asked.split_last() else { return String::new() };
    let mut context: Vec<&str> = Vec::new();
    if leans_on_earlier(last) {
        for turn in earlier.iter().rev() {
            let own_subject = !leans_on_earlier(turn);
            // An elliptic turn in between adds what it names ("how do I upgrade it?"), a bare "why?" nothing.
            if own_subject || asks_of_something(turn) {
                context.push(turn);
            }
            if own_subject {
                break;
            }
        }
    }
    let mut room = CONTEXT_CHARS_MAX;
    let mut parts: Vec<&str> = Vec::new();
    for turn in context.into_iter().rev() {
        let part = first_chars(turn, room);
        room -= part.chars().count();
        if !part.is_empty() {
            parts.push(part);
        }
    }
    let spent: usize = parts.iter().map(|part| part.chars().count() + 1).sum();
    parts.push(first_chars(last, QUERY_CHARS_MAX - spent));
    parts.join(" ")
}

/// Whether an elliptic turn has a verb and names something: "how do I upgrade it?", not "and on Windows?".
fn asks_of_something(text: &str) -> bool {
    let words: Vec<String> = words(text).collect();
    words.iter().any(|word| is_auxiliary(word))
        && words.iter().any(|word| is_content(word) && !is_filler(word))
}

fn first_chars(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// Whether a question needs the one before it.
fn leans_on_earlier(text: &str) -> bool {
    if text.len() > LEANING_BYTES_MAX {
        return false;
    }
    // The signs below are English; a text in another script shows none of them and is taken as it is.
    if text.chars().any(|c| c.is_alphabetic() && !c.is_ascii()) {
        return false;
    }
    let clauses = Clauses::read(text);
    let words: Vec<&str> = clauses.words.iter().map(|word| word.text.as_str()).collect();
    opens_with_connection(&words)
        || is_bare_phrase(&words)
        || says_too_little(&words)
        || points_back(&clauses, &words)
}

/// "and …", "what about …", "or …".
fn opens_with_connection(words: &[&str]) -> bool {
    let opening = matches!(
        words,
        ["and" | "or" | "but" | "also" | "then" | "same" | "ok" | "okay", ..]
            | ["what" | "how", "about", ..]
            | ["what" | "anything", "else", ..]
            | ["the", "same", ..]
            | ["why" | "how", "not" | "so" | "come"]
    );
    opening && words.len() <= OPENING_WORDS_MAX
}

/// "on Windows?", "for Python 3.12?": a place or circumstance without a subject or a verb.
fn is_bare_phrase(words: &[&str]) -> bool {
    matches!(
        words.first(),
        Some(&("on" | "in" | "for" | "with" | "without" | "from" | "under" | "using" | "via" | "inside"))
    ) && words.len() <= PHRASE_WORDS_MAX
        && !words.iter().any(|word| is_auxiliary(word) || is_question_word(word))
}

/// "Why?", "Windows?", "More details": nothing, or hardly anything, is named.
fn says_too_little(words: &[&str]) -> bool {
    let named = words.iter().filter(|word| is_content(word) && !is_filler(word)).count();
    let defines = matches!(
        words,
        ["what" | "who" | "where" | "when", "is" | "are" | "was" | "were" | "s", ..]
            | ["whats" | "define" | "explain" | "describe", ..]
    );
    !words.is_empty() && (named == 0 || (named == 1 && words.len() <= 2 && !defines))
}

fn is_auxiliary(word: &str) -> bool {
    matches!(
        word,
        "is" | "are"
            | "was"
            | "were"
            | "do"
            | "does"
            | "did"
            | "can"
            | "could"
            | "should"
            | "will"
            | "would"
            | "must"
            | "has"
            | "have"
    )
}

fn is_question_word(word: &str) -> bool {
    matches!(word, "what" | "how" | "which" | "why" | "when" | "where" | "who")
}

/// Words that ask to go on rather than name something.
fn is_filler(word: &str) -> bool {
    matches!(
        word,
        "detail"
            | "details"
            | "example"
            | "examples"
            | "explain"
            | "elaborate"
            | "continue"
            | "go"
            | "show"
            | "tell"
            | "give"
            | "say"
            | "help"
            | "mean"
            | "really"
            | "sure"
            | "yes"
            | "exactly"
            | "thanks"
            | "work"
            | "works"
            | "happen"
            | "happens"
            | "possible"
            | "true"
            | "again"
            | "briefly"
            | "short"
            | "shorter"
            | "simpler"
            | "else"
            | "sorry"
            | "further"
            | "know"
            | "want"
            | "need"
    )
}

/// A pronoun or demonstrative whose noun is not in the question itself.
fn points_back(clauses: &Clauses, words: &[&str]) -> bool {
    let ends_with_comparison =
        matches!(words.last(), Some(&("instead" | "too" | "afterwards"))) || words.ends_with(&["as", "well"]);
    if ends_with_comparison && words.len() <= OPENING_WORDS_MAX {
        return true;
    }
    if let Some(place) = words.iter().position(|word| matches!(*word, "former" | "latter"))
        && place > 0
    {
        return true;
    }
    (0..words.len()).any(|place| points_back_at(clauses, words, place))
}

fn points_back_at(clauses: &Clauses, words: &[&str], place: usize) -> bool {
    let before = place.checked_sub(1).map(|p| words[p]);
    let after = words.get(place + 1).copied();
    match words[place] {
        "it" if is_expletive(clauses, after.unwrap_or_default(), place) => false,
        // The object of a clause is never that clause's own subject, so only an earlier clause can name it.
        "it" | "them" | "they" | "he" | "she" => !clauses.name_something_before_the_clause_of(place),
        // "Can Prometheus reload its rules?": here the subject may.
        "its" | "their" | "theirs" => clauses.names_before(place) < 2,
        "this" | "these" | "those" if words.len() <= DEMONSTRATIVE_WORDS_MAX => {
            !clauses.name_something_before_the_clause_of(place) && !clauses.quotes_something
        }
        "that" if words.len() <= DEMONSTRATIVE_WORDS_MAX => {
            let pronoun = after.is_none()
                || matches!(
                    before,
                    Some(
                        "do" | "does"
                            | "is"
                            | "was"
                            | "will"
                            | "would"
                            | "can"
                            | "about"
                            | "for"
                            | "like"
                            | "with"
                            | "after"
                            | "before"
                            | "why"
                            | "did"
                            | "use"
                            | "using"
                            | "change"
                    )
                )
                || place == 0;
            pronoun && !clauses.name_something_before_the_clause_of(place)
        }
        "one" | "ones" => {
            matches!(before, Some("which" | "other" | "that" | "this" | "first" | "second" | "last"))
                || (after.is_none() && !clauses.name_something_before_the_clause_of(place))
        }
        "same" => {
            matches!(before, Some("the")) && !matches!(after, Some("time" | "as")) && {
                clauses.names_before(place) == 0 || after.is_none()
            }
        }
        _ => false,
    }
}

/// "Is it possible to …", "does it take …", "what does it mean to …": an "it" that stands for nothing earlier.
fn is_expletive(clauses: &Clauses, after: &str, place: usize) -> bool {
    clauses.last_complement.is_some_and(|last| last > place)
        && (matches!(after, "take" | "mean" | "matter" | "cost" | "hurt" | "help" | "make")
            || matches!(
                after,
                "possible"
                    | "safe"
                    | "necessary"
                    | "ok"
                    | "okay"
                    | "recommended"
                    | "required"
                    | "better"
                    | "worth"
                    | "bad"
                    | "good"
                    | "easy"
                    | "hard"
                    | "allowed"
                    | "advisable"
                    | "best"
                    | "normal"
                    | "true"
                    | "important"
                    | "enough"
                    | "is"
            ))
}

/// A question's words, each with the clause that it stands in.
struct Clauses {
    words: Vec<Word>,
    /// The place of the last word that may open what an "it" announces.
    last_complement: Option<usize>,
    /// Something is quoted, or follows a colon: what a demonstrative may point to.
    quotes_something: bool,
}

struct Word {
    text: String,
    /// Content words before it.
    names_before: usize,
    /// Those in earlier clauses than its own.
    names_before_clause: usize,
}

impl Clauses {
    fn read(text: &str) -> Self {
        let mut read = Vec::new();
        let mut last_complement = None;
        let (mut names_before, mut names_before_clause) = (0, 0);
        for piece in text.split_inclusive([',', ';', '.', '?', '!', ':', '\n']) {
            for word in words(piece) {
                if opens_a_clause(&word) {
                    names_before_clause = names_before;
                }
                if matches!(&*word, "to" | "that" | "if" | "when") {
                    last_complement = Some(read.len());
                }
                let is_name = is_content(&word);
                read.push(Word { text: word, names_before, names_before_clause });
                names_before += usize::from(is_name);
            }
            // A dot inside a word ("3.12", "prometheus.yml") ends nothing.
            if !piece.ends_with('.') {
                names_before_clause = names_before;
            }
        }
        let quotes_something =
            text.contains(['`', '"', '\u{201c}']) || text.contains(": ") || text.contains('\n');
        Self { words: read, last_complement, quotes_something }
    }

    /// Content words before a place.
    fn names_before(&self, place: usize) -> usize {
        self.words[place].names_before
    }

    /// Whether an earlier clause has content enough to hold a noun: a verb and its object, or a subject.
    fn name_something_before_the_clause_of(&self, place: usize) -> bool {
        self.words[place].names_before_clause >= 2
    }
}

fn opens_a_clause(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "but"
            | "then"
            | "to"
            | "when"
            | "if"
            | "before"
            | "after"
            | "while"
            | "without"
            | "so"
            | "because"
            | "which"
            | "who"
            | "where"
            | "how"
            | "until"
            | "unless"
            | "once"
            | "that"
    )
}

#[cfg(test)]
mod tests;
