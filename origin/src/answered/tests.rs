//! What the answered questions of a corpus remember, list and forget.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use perigee_shared::answer::Answer;
use perigee_shared::answer_index::{AnswerMark, Uses};
use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::caller::Audience;
use perigee_shared::evidence::{Evidence, PassageRef};
use perigee_shared::id::{ContentHash, DocumentId, Epoch};
use perigee_shared::question::{Question, Speaker, Turn};
use perigee_shared::testing::question;

use super::{Standing, Supported};
use crate::embed::DIMENSIONS;
use crate::retrieve::{Basis, QueryVector, Rules};

fn answer(epoch: u64, text: &str) -> Answer {
    let document = DocumentId::new("refunds").unwrap();
    let evidence = Evidence::new(vec![PassageRef { document, hash: ContentHash::of(text.as_bytes()) }]);
    Answer { id: format!("chatcmpl-{text}"), evidence, ..perigee_shared::testing::answer(text, epoch) }
}

/// A direction between two axes.
fn vector(towards_second: f32) -> QueryVector {
    let mut row = vec![0.0; DIMENSIONS];
    (row[0], row[1]) = (1.0 - towards_second, towards_second);
    QueryVector::new(&row).unwrap()
}

/// Keeps an answer; tells its key, and whose is known no longer.
fn put(
    standing: &Standing,
    question: &Question,
    epoch: u64,
    text: &str,
    towards_second: f32,
) -> (CacheKey, Vec<CacheKey>) {
    let key = CacheKey::of(question);
    let (answer, basis) = (answer(epoch, text), Arc::new(Basis::open(vector(towards_second))));
    let (query, epoch) = (question.asked(), answer.epoch);
    let supported = Supported { key, question, query, answer: &answer, basis: &basis, epoch };
    (key, standing.keep(supported.prepare()))
}

fn keep(standing: &Standing, question: &Question, epoch: u64, text: &str, towards_second: f32) -> CacheKey {
    put(standing, question, epoch, text, towards_second).0
}

fn evidence(text: &str) -> Evidence {
    answer(1, text).evidence
}

fn standing() -> Standing {
    Standing::new(Epoch::new(5), Rules::default(), 1_000)
}

fn listed(standing: &Standing) -> Vec<(CacheKey, AnswerMark)> {
    let listed = standing.listed(Epoch::new(5), Instant::now());
    listed.answers.iter().map(|(answered, mark)| (answered.key, *mark)).collect()
}

#[test]
fn the_nearest_questions_of_the_same_context_are_candidates() {
    let standing = standing();
    for (text, towards_second) in [("near", 0.1), ("nearest", 0.0), ("far", 0.9)] {
        keep(&standing, &question(text), 5, "yes", towards_second);
    }
    let other = Question { audience: Audience::Everything, ..question("of others") };
    keep(&standing, &other, 5, "yes", 0.0);
    let mut conversation = question("and then?");
    conversation.turns.insert(0, Turn { speaker: Speaker::User, text: "before".to_owned() });
    keep(&standing, &conversation, 5, "yes", 0.0);

    let asked = ContextKey::of(&question("new"));
    let found = standing.candidates(&asked, &vector(0.0), 2);
    let texts: Vec<&str> = found.iter().map(|(answered, _)| answered.question.asked()).collect();
    assert_eq!(texts, ["nearest", "near"]);
    assert!(found[0].1.get() > 0.99 && found[0].1 > found[1].1);
    let theirs = standing.candidates(&ContextKey::of(&conversation), &vector(0.0), 2);
    assert!(theirs.is_empty(), "a turn of a conversation is no question by itself");
}

#[test]
fn an_answer_that_was_overtaken_by_a_change_is_not_listed_before_it_was_checked_again() {
    let standing = standing();
    let late = keep(&standing, &question("late"), 4, "yes", 0.0);
    assert_eq!(standing.stands(&late, &evidence("yes"), Epoch::new(5)), None);
    assert_eq!((listed(&standing).len(), standing.tally().in_doubt), (0, 1));

    let (asked, checked) = (question("late"), answer(5, "yes"));
    let basis = Arc::new(Basis::open(vector(0.0)));
    let (query, epoch) = (asked.asked(), checked.epoch);
    let supported = Supported { key: late, question: &asked, query, answer: &checked, basis: &basis, epoch };
    assert!(standing.confirm(&supported).is_empty());
    assert_eq!(standing.stands(&late, &evidence("yes"), Epoch::new(5)), Some(Epoch::new(5)));
    assert_eq!(listed(&standing), [(late, AnswerMark::of(&checked))]);
}

#[test]
fn an_answer_of_a_later_epoch_is_listed_once_the_changes_up_to_it_were_followed() {
    let standing = standing();
    let early = keep(&standing, &question("early"), 6, "yes", 0.0);
    assert!(listed(&standing).is_empty());
    standing.advance(Epoch::new(6), Instant::now(), &HashMap::new());
    assert_eq!(listed(&standing).len(), 1, "the step to its own epoch does not touch it");
    assert_eq!(standing.stands(&early, &evidence("yes"), Epoch::new(6)), Some(Epoch::new(6)));
    assert_eq!(standing.stands(&early, &evidence("yes"), Epoch::new(7)), None);
    assert_eq!(standing.stands(&early, &evidence("no"), Epoch::new(6)), None, "another answer");
}

#[tokio::test]
async fn a_step_brings_in_doubt_all_but_the_untouched() {
    let standing = standing();
    let (one, other) = (question("one"), question("other"));
    let untouched = keep(&standing, &one, 5, "yes", 0.0);
    keep(&standing, &other, 5, "yes", 0.0);
    let rankings = standing.rankings(Epoch::new(6));
    let stays = rankings.into_iter().filter(|ranking| ranking.key == untouched);
    let stays: HashMap<_, _> = stays.map(|ranking| (ranking.key, ranking.basis)).collect();
    standing.advance(Epoch::new(6), Instant::now(), &stays);
    assert_eq!(listed(&standing).iter().map(|(key, _)| *key).collect::<Vec<_>>(), [untouched]);
    let doubtful: Vec<CacheKey> = standing.in_doubt().iter().map(|(answered, _)| answered.key).collect();
    assert_eq!(doubtful, [CacheKey::of(&other)]);

    standing.skip(Epoch::new(8), Instant::now());
    assert_eq!(standing.tally().in_doubt, 2, "nothing is known of steps that were missed");
    standing.forget(&untouched);
    standing.forget(&CacheKey::of(&other));
    standing.settled(Epoch::new(8), Duration::ZERO).await;
    assert_eq!((standing.tally().answers, standing.tally().in_doubt), (0, 0));
}

#[test]
fn beyond_its_bound_the_least_used_make_room_and_are_named() {
    let standing = Standing::new(Epoch::new(5), Rules::default(), 32);
    let used = keep(&standing, &question("used"), 5, "yes", 0.0);
    standing.used(&used);
    let mut known = HashSet::from([used]);
    for number in 0..200 {
        let (key, pushed_out) = put(&standing, &question(&format!("question {number}")), 5, "yes", 0.0);
        known.insert(key);
        assert!(pushed_out.iter().all(|key| known.remove(key)), "named twice, or never there");
        assert!(standing.tally().answers <= 32);
    }
    let listed: HashSet<CacheKey> = listed(&standing).into_iter().map(|(key, _)| key).collect();
    assert_eq!(listed, known);
    assert!(known.contains(&used) && known.len() >= 29);
}

#[test]
fn of_a_corpus_that_is_gone_nothing_is_taken_in() {
    let standing = standing();
    let before = keep(&standing, &question("before"), 5, "yes", 0.0);
    assert_eq!(standing.end(), [before]);
    let (late, pushed_out) = put(&standing, &question("late"), 5, "yes", 0.0);
    assert_eq!((pushed_out, standing.tally().answers), (vec![late], 0));
}

#[test]
fn what_has_come_in_the_place_of_a_forgotten_answer_stays() {
    let standing = standing();
    let key = keep(&standing, &question("any"), 5, "new", 0.0);
    standing.forget_answer(&key, &answer(5, "old"));
    assert!(standing.question(&key).is_some());
    standing.forget_answer(&key, &answer(5, "new"));
    assert!(standing.question(&key).is_none());
}

#[test]
fn what_edges_gave_counts_as_much_as_what_was_given_here() {
    let standing = Standing::new(Epoch::new(5), Rules::default(), 32);
    let used = keep(&standing, &question("used"), 5, "yes", 0.0);
    let unused = keep(&standing, &question("unused"), 5, "no", 0.0);
    let (there, elsewhere) = (AnswerMark::of(&answer(5, "yes")), AnswerMark::from_bytes([7; 4]));
    let mut counts = [(there, 40), (elsewhere, 900)].into();
    standing.used_at_an_edge(&Uses::take_from(&mut counts));
    assert_eq!((standing.uses(&used), standing.uses(&unused)), (41, 1));
    for number in 0..200 {
        let other = keep(&standing, &question(&format!("question {number}")), 5, "other", 0.0);
        standing.used(&other);
    }
    assert!(standing.question(&used).is_some() && standing.question(&unused).is_none());
}
