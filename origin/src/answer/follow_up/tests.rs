//! Sentences that people ask, and what is searched for.

use proptest::prelude::*;

use super::*;

fn user(text: &str) -> Turn {
    Turn { speaker: Speaker::User, text: text.to_owned() }
}

fn assistant(text: &str) -> Turn {
    Turn { speaker: Speaker::Assistant, text: text.to_owned() }
}

#[test]
fn a_question_with_its_own_subject_is_searched_alone() {
    for alone in [
        "How do I install uv on Windows?",
        "What is uv?",
        "What is a tool?",
        "Where are wheels cached?",
        "Explain dependency groups",
        "prometheus retention",
        "uv lock --upgrade",
        "When is Prometheus not a good fit for collecting data?",
        "Is it possible to reload the configuration without a restart?",
        "How long does it take to rebuild the index?",
        "What does it mean when a target is down?",
        "If I delete a project, can I restore it?",
        "When alerts fire, do they repeat?",
        "Can I create a virtual environment and activate it in one step?",
        "Can Prometheus reload its configuration at run time?",
        "Is there a way to pin the Python version?",
        "What are the metrics that Prometheus exposes?",
        "Does uv support packages that need a compiler?",
        "What does this error mean: connection refused?",
        "Which labels does the `up` metric have, and what are those for?",
        "How do I run two instances at the same time?",
        "And how do I configure the remote write receiver to accept samples from another Prometheus server?",
        "Who wrote the Alertmanager?",
        "How many career sacks did Jared Allen have?",
        "Wie installiere ich uv auf Windows?",
        "Und unter Windows?",
        "在 Windows 上呢？",
        "¿Y en Windows?",
        "What's new in version 3?",
    ] {
        let turns = [user("How do I configure the scrape interval?"), assistant("So."), user(alone)];
        assert_eq!(query(&turns), alone);
    }
}

#[test]
fn an_elliptic_question_takes_the_one_before_it_along() {
    let before = "How do I install uv?";
    for elliptic in [
        "and on Windows?",
        "And on macOS?",
        "what about Windows?",
        "How about with pip?",
        "or from source?",
        "but without root?",
        "on Windows?",
        "for Python 3.12?",
        "in Docker",
        "with pip?",
        "Windows?",
        "Why?",
        "Why not?",
        "How so?",
        "How do I upgrade it?",
        "Can I remove it later?",
        "Is it free?",
        "Does it work offline?",
        "Where does it put its files?",
        "What are its dependencies?",
        "Do they need a compiler?",
        "How do I configure them?",
        "Is that supported on Windows?",
        "How do I do that?",
        "What does this do?",
        "Where is that documented?",
        "Which one is faster?",
        "Do I need one?",
        "Does the same work on Linux?",
        "Same on Linux?",
        "More details please",
        "Can you give an example?",
        "Anything else?",
        "What else?",
        "Can I use conda instead?",
        "Does Fedora work too?",
        "Is the latter better?",
        "Then what?",
        "Can Docker run it?",
    ] {
        let turns = [user(before), assistant("Run the installer."), user(elliptic)];
        let expected = format!("{before} {elliptic}");
        assert_eq!(query(&turns), expected);
    }
}

#[test]
fn a_chain_of_ellipses_goes_back_to_the_question_that_named_its_subject() {
    let turns = [
        user("What is Prometheus?"),
        user("How do I install uv?"),
        assistant("…"),
        user("why?"),
        user("And how do I upgrade it?"),
        user("on Windows?"),
    ];
    assert_eq!(query(&turns), "How do I install uv? And how do I upgrade it? on Windows?");
}

#[test]
fn a_first_question_stands_alone_however_it_begins() {
    assert_eq!(query(&[user("and on Windows?")]), "and on Windows?");
    assert_eq!(query(&[]), "");
}

#[test]
fn instructions_and_answers_are_not_searched_for() {
    let system = Turn { speaker: Speaker::System, text: "Be brief.".to_owned() };
    assert_eq!(query(&[system, assistant("Hello."), user("Why?")]), "Why?");
}

#[test]
fn the_query_is_bounded_and_keeps_the_last_question() {
    let turns = [user(&"long ".repeat(5_000)), user("and on Windows?")];
    let query = query(&turns);
    assert!(query.ends_with(" and on Windows?") && query.chars().count() <= QUERY_CHARS_MAX);
    let turns = [user("How?"), user(&"é".repeat(QUERY_CHARS_MAX * 2))];
    assert_eq!(super::query(&turns).chars().count(), QUERY_CHARS_MAX);
}

/// Every "it" makes the reader look around it, and the last word says that the turn leans on the one before.
#[test]
fn a_page_of_pronouns_is_not_read_as_leaning_on_anything() {
    let leaning = |its: usize| format!("alpha beta, {}the same", "it, ".repeat(its));
    let (short, page) = (leaning(10), leaning(10_000));
    assert_eq!(query(&[user("How do I install uv?"), user(&short)]), format!("How do I install uv? {short}"));
    assert_eq!(query(&[user("How do I install uv?"), user(&page)]), first_chars(&page, QUERY_CHARS_MAX));
    // Nor is a page in between, and what is before it is not looked at.
    let turns = [user("How do I install uv?"), user(&page), user("and on Windows?")];
    assert!(query(&turns).starts_with("alpha beta, it"));
}

proptest! {
    /// What is counted while reading is what counting anew at each word would give.
    #[test]
    fn names_are_counted_as_they_stand(text in "((uv|cache|it|the|to|and|if|3\\.12)[ ,.?:]{1,2}){0,20}") {
        let clauses = Clauses::read(&text);
        for (place, word) in clauses.words.iter().enumerate() {
            let before = &clauses.words[..place];
            prop_assert_eq!(word.names_before, before.iter().filter(|word| is_content(&word.text)).count());
            prop_assert!(word.names_before_clause <= word.names_before);
        }
        let complement = clauses.words.iter().rposition(|word| matches!(&*word.text, "to" | "if"));
        prop_assert_eq!(clauses.last_complement, complement);
    }
}
