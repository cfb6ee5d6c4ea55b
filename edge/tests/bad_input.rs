//! What an isolate makes of questions and answer indexes that are not what they should be: a miss, never a wrong answer.

use perigee_edge::testing::{IndexReply, Isolate, Served};
use perigee_shared::answer::Answer;
use perigee_shared::answer_index::{AnswerMark, Entry, Snapshot};
use perigee_shared::cache_control::CacheControl;
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::question::Question;
use perigee_shared::testing::{answer, index_entry, index_header, question};

const NOW_MS: u64 = 1_000_000;
const STORED: &str = "How do I reset my password?";
const OTHER_WORDS: &str = "How can I reset my password?";

/// An isolate that holds the answers to these questions, and the index that lists them; later epochs than theirs are
/// known, so that nothing but the index lets any be served.
struct Stage {
    isolate: Isolate,
    index: Snapshot,
}

impl Stage {
    fn with(stored: &[&str]) -> Self {
        let mut isolate = Isolate::new(10_000, 3_000);
        let kept = |text: &&str| (question(text), answer(text, 5));
        let kept: Vec<(Question, Answer)> = stored.iter().map(kept).collect();
        let listed = |(question, answer): &(Question, Answer)| {
            let entry = index_entry(CacheKey::of(question), question.asked(), ContextKey::of(question).tag());
            Entry { mark: AnswerMark::of(answer), ..entry }
        };
        let index = Snapshot::new(index_header(7), kept.iter().map(listed));
        for (question, answer) in kept {
            isolate.keep(&question, answer, false, NOW_MS);
        }
        let Question { tenant, corpus, .. } = question(STORED);
        isolate.learn(&tenant, &corpus, perigee_shared::id::Epoch::new(9), NOW_MS);
        Self { isolate, index }
    }

    /// Whether it takes this for an index.
    fn takes(&mut self, reply: IndexReply) -> bool {
        let Question { tenant, corpus, .. } = question(STORED);
        self.isolate.take_index(&tenant, &corpus, reply, NOW_MS)
    }

    fn takes_whole(&mut self, bytes: &[u8]) -> bool {
        self.takes(IndexReply::Whole(bytes.to_vec()))
    }

    fn ask(&self, text: &str) -> Option<Served> {
        self.isolate.ask(&question(text), CacheControl::default(), None, NOW_MS)
    }
}

/// Texts that must be taken for nothing but themselves.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "password",
        "?",
        "🙂",
        "🙂🙃🙂🙃 🤖",
        "How do I reset my пароль?",
        "如何 reset my password?",
        // Look-alikes: a Cyrillic letter, a full-width one, mathematical ones, a dotless i.
        "How do I reset my pаssword?",
        "How do I reset my ｐassword?",
        "𝐇𝐨𝐰 do I reset my password?",
        "How do ı reset my password?",
        // Hidden: zero width, a soft hyphen, a direction turned round, a combining stroke.
        "How do I re\u{200b}set my password?",
        "How do I reset my pass\u{200d}word?",
        "How do I reset my pass\u{ad}word?",
        "How do I \u{202e}teser my password?",
        "How do I r\u{336}eset my password?",
        "\u{feff}How do I reset my password?",
        "\0",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("password ".repeat(10_000));
    texts.push(format!("{STORED} ").repeat(2_000));
    texts
}

#[test]
fn other_words_that_mean_the_same_are_served_and_hostile_ones_are_not() {
    let mut stage = Stage::with(&[STORED]);
    assert!(stage.ask(STORED).is_none(), "nothing is known to stand yet");
    let bytes = stage.index.as_bytes().to_vec();
    assert!(stage.takes_whole(&bytes));
    assert!(stage.ask(STORED).is_some_and(|served| !served.is_paraphrase));
    assert!(
        stage.ask(OTHER_WORDS).is_some_and(|served| served.is_paraphrase && served.answer.text == STORED)
    );
    for text in hostile() {
        let shown: String = text.chars().take(60).collect();
        assert_eq!(stage.ask(&text), None, "{shown:?}");
    }
}

#[test]
fn a_hostile_question_that_was_answered_is_served_to_itself_alone() {
    let texts = hostile();
    let stored: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut stage = Stage::with(&stored);
    let bytes = stage.index.as_bytes().to_vec();
    assert!(stage.takes_whole(&bytes));
    for asked in texts.iter().map(String::as_str).chain([STORED, OTHER_WORDS]) {
        let shown: String = asked.chars().take(60).collect();
        match stage.ask(asked) {
            Some(served) => assert!(!served.is_paraphrase && served.answer.text == asked, "{shown:?}"),
            None => assert!(!stored.contains(&asked), "{shown:?} is not served to itself"),
        }
    }
}

#[test]
fn an_index_that_is_cut_off_or_damaged_lets_nothing_be_served() {
    let mut stage = Stage::with(&[STORED, "Where do I buy a ticket?"]);
    let bytes = stage.index.as_bytes().to_vec();
    let mut broken: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        broken.push(flipped);
    }
    broken.push([&bytes[..], &[0]].concat());
    broken.push(vec![0xff; 1 << 16]);
    for broken in broken {
        // Whatever was held goes, too: nobody knows what the origin meant to say.
        assert!(stage.takes_whole(&bytes) && stage.ask(OTHER_WORDS).is_some());
        assert!(!stage.takes_whole(&broken), "{} bytes", broken.len());
        assert_eq!((stage.ask(STORED), stage.ask(OTHER_WORDS)), (None, None));
    }
}

#[test]
fn an_index_that_claims_billions_of_entries_is_none() {
    let mut stage = Stage::with(&[STORED]);
    for claimed in [2_u32, 65_537, 3_000_000_000, u32::MAX] {
        let mut bytes = stage.index.as_bytes().to_vec();
        bytes[28..32].copy_from_slice(&claimed.to_le_bytes());
        let sealed = bytes.len() - 4;
        let checksum = crc32fast::hash(&bytes[..sealed]);
        bytes[sealed..].copy_from_slice(&checksum.to_le_bytes());
        assert!(!stage.takes_whole(&bytes), "{claimed}");
        assert_eq!((stage.ask(STORED), stage.ask(OTHER_WORDS)), (None, None), "{claimed}");
    }
}

#[test]
fn a_change_that_does_not_fit_what_is_held_lets_nothing_be_served() {
    let mut stage = Stage::with(&[STORED]);
    let bytes = stage.index.as_bytes().to_vec();
    let empty = Snapshot::new(index_header(6), []);
    let (from_empty, from_itself) = (stage.index.delta_from(&empty), empty.delta_from(&stage.index));
    assert!(!stage.takes(IndexReply::Change(from_empty.clone())), "there is nothing to change");
    assert!(stage.takes_whole(&bytes));
    assert!(!stage.takes(IndexReply::Change(from_empty)), "of another index");
    assert!(stage.ask(OTHER_WORDS).is_none());
    assert!(stage.takes_whole(&bytes));
    assert!(!stage.takes(IndexReply::Change(from_itself[..from_itself.len() - 1].to_vec())), "cut off");
    assert!(stage.ask(OTHER_WORDS).is_none());
}

#[test]
fn an_index_older_than_the_bound_lets_nothing_be_served() {
    let mut stage = Stage::with(&[STORED]);
    let bytes = stage.index.as_bytes().to_vec();
    assert!(stage.takes_whole(&bytes));
    let at = |now_ms| stage.isolate.ask(&question(OTHER_WORDS), CacheControl::default(), None, now_ms);
    assert!(at(NOW_MS + 9_999).is_some());
    assert!(at(NOW_MS + 10_000).is_none());
}
