//! Invariant I1, and with it the exact cache: equal keys if and only if nothing that can change the answer
//! differs.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use std::collections::BTreeSet;

use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::caller::{Audience, Caller, CorpusScope, Scope};
use perigee_shared::chat::ChatCompletionRequest;
use perigee_shared::id::{CorpusName, Label, TenantId};
use perigee_shared::question::{Options, Question, Speaker, Turn};
use proptest::prelude::*;

/// Few letters, so that fields that run into each other would soon collide.
fn name() -> impl Strategy<Value = String> {
    "[ab]{1,3}"
}

fn audience() -> impl Strategy<Value = Audience> {
    prop_oneof![
        1 => Just(Audience::Everything),
        4 => proptest::collection::btree_set(name().prop_map(|n| Label::new(n).unwrap()), 0..3)
            .prop_map(Audience::Labels),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let speaker = prop_oneof![Just(Speaker::System), Just(Speaker::User), Just(Speaker::Assistant)];
    (speaker, "[ab]{0,2}").prop_map(|(speaker, text)| Turn { speaker, text })
}

fn options() -> impl Strategy<Value = Options> {
    let number = || proptest::option::of(prop_oneof![Just(0.0_f32), Just(1.0), Just(2.0)]);
    (
        (number(), number(), number(), number()),
        proptest::option::of(1..3_u32),
        proptest::option::of(-1..2_i64),
        proptest::collection::vec("[ab]{1,2}", 0..3),
    )
        .prop_map(
            |((temperature, top_p, presence_penalty, frequency_penalty), max_tokens, seed, stop)| Options {
                temperature,
                top_p,
                max_tokens,
                presence_penalty,
                frequency_penalty,
                seed,
                stop,
            },
        )
}

fn question() -> impl Strategy<Value = Question> {
    (name(), name(), audience(), proptest::collection::vec(turn(), 1..4), options()).prop_map(
        |(tenant, corpus, audience, turns, options)| Question {
            tenant: TenantId::new(tenant).unwrap(),
            corpus: CorpusName::new(corpus).unwrap(),
            audience,
            turns,
            options,
        },
    )
}

/// One field of `to` is taken from `from`.
fn with_one_field_of(to: &Question, from: &Question, field: usize) -> Question {
    let mut changed = to.clone();
    let (options, source) = (&mut changed.options, &from.options);
    match field {
        0 => changed.tenant = from.tenant.clone(),
        1 => changed.corpus = from.corpus.clone(),
        2 => changed.audience = from.audience.clone(),
        3 => changed.turns = from.turns.clone(),
        4 => options.temperature = source.temperature,
        5 => options.top_p = source.top_p,
        6 => options.max_tokens = source.max_tokens,
        7 => options.presence_penalty = source.presence_penalty,
        8 => options.frequency_penalty = source.frequency_penalty,
        9 => options.seed = source.seed,
        _ => options.stop = source.stop.clone(),
    }
    changed
}

fn caller() -> Caller {
    Caller {
        tenant: TenantId::new("acme").unwrap(),
        corpora: CorpusScope::All,
        audience: Audience::public(),
        scopes: BTreeSet::from([Scope::Ask]),
    }
}

fn key_of(text: &str) -> CacheKey {
    let request = serde_json::json!({"model": "docs", "messages": [{"role": "user", "content": text}]});
    let request: ChatCompletionRequest = serde_json::from_value(request).unwrap();
    CacheKey::of(&Question::from_chat(&request, &caller()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn keys_are_equal_exactly_when_questions_are(a in question(), b in question()) {
        prop_assert_eq!(CacheKey::of(&a) == CacheKey::of(&b), a == b);
        prop_assert_eq!(CacheKey::of(&a), CacheKey::of(&a.clone()));
    }

    /// Tenant, corpus and audience above all.
    #[test]
    fn a_question_that_differs_in_any_one_field_has_another_key(
        a in question(),
        b in question(),
        field in 0..11_usize,
    ) {
        let changed = with_one_field_of(&a, &b, field);
        prop_assert_eq!(CacheKey::of(&a) == CacheKey::of(&changed), a == changed, "field {}", field);
    }

    /// Questions that could share an answer differ in the words of their last turn, and in nothing else.
    #[test]
    fn a_context_is_a_question_without_the_text_of_its_last_turn(a in question(), b in question(), same in any::<bool>()) {
        let b = if same { Question { turns: b.turns, ..a.clone() } } else { b };
        let silent = |question: &Question| {
            let mut question = question.clone();
            question.turns.last_mut().unwrap().text.clear();
            question
        };
        prop_assert_eq!(ContextKey::of(&a) == ContextKey::of(&b), silent(&a) == silent(&b));
        prop_assert_eq!(ContextKey::of(&a), ContextKey::of(&silent(&a)));
    }

    #[test]
    fn a_question_of_another_tenant_corpus_audience_or_option_has_another_context(
        a in question(),
        b in question(),
        field in (0..11_usize).prop_filter("turns have their own test", |field| *field != 3),
    ) {
        let changed = with_one_field_of(&a, &b, field);
        prop_assert_eq!(ContextKey::of(&a) == ContextKey::of(&changed), a == changed, "field {}", field);
        prop_assert_eq!(ContextKey::of(&a).tag() == ContextKey::of(&changed).tag(), a == changed);
    }

    /// A text cannot be cut elsewhere, nor wander into the next field, and keep its key.
    #[test]
    fn the_borders_between_turns_count(text in "[ab]{2,6}", cut in 1..6_usize, other in 1..6_usize) {
        let (cut, other) = (cut.min(text.len()), other.min(text.len()));
        let split = |at: usize| {
            let (first, second) = text.split_at(at);
            let turn = |text: &str| Turn { speaker: Speaker::User, text: text.to_owned() };
            CacheKey::of(&Question {
                tenant: caller().tenant,
                corpus: CorpusName::new("docs").unwrap(),
                audience: Audience::public(),
                turns: vec![turn(first), turn(second)],
                options: Options::default(),
            })
        };
        prop_assert_eq!(split(cut) == split(other), cut == other);
    }

    /// Outer white space is taken off, nothing else: inner white space, case and marks keep their meaning.
    #[test]
    fn normalisation_takes_off_outer_white_space_and_nothing_else(
        text in "[aB?]( ?[aBé?.!-]){0,8}",
        before in "[ \n\t\u{a0}]{0,3}",
        after in "[ \n\t\u{a0}]{0,3}",
        other in "[aB?]( ?[aBé?.!-]){0,8}",
    ) {
        prop_assert_eq!(key_of(&format!("{before}{text}{after}")), key_of(&text));
        prop_assert_eq!(key_of(&text) == key_of(&other), text == other);
    }
}

#[test]
fn the_same_text_in_another_unicode_form_is_the_same_question() {
    assert_eq!(key_of("Caf\u{e9}?"), key_of("Cafe\u{301}?"));
    // Compatibility forms are not the same: a superscript is no digit.
    assert_ne!(key_of("x\u{b2}"), key_of("x2"));
    assert_ne!(key_of("ﬁle"), key_of("file"));
}

#[test]
fn a_key_reads_back_from_its_text() {
    let key = key_of("What?");
    assert_eq!(CacheKey::parse(&key.to_string()), Ok(key));
    for bad in ["", "00", &"g".repeat(64), &"0".repeat(63)] {
        assert!(CacheKey::parse(bad).is_err(), "{bad}");
    }
}
