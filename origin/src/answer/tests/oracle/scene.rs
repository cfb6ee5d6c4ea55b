//! For each rule, documents and a change to them that it alone can see.
//!
//! A question of words that no other document has; answers rest on its documents. What changes then touches the answer by
//! one way only. In a world in which much else is different one of the other rules may happen to see it, too.

use perigee_shared::id::{DocumentId, Label};

use super::dice::Dice;
use super::world::{Asking, World};
use crate::corpus::EmbeddedDocument;
use crate::retrieve::Rule;

/// Passages that can't be looked at one by one: more than tests allow.
const FLOOD: usize = 70;

pub(super) struct Scene {
    pub(super) asking: Asking,
    /// Whether one who reads everything asks, or one who holds no label.
    pub(super) staff: bool,
    pub(super) before: Vec<EmbeddedDocument>,
    pub(super) change: Vec<Deed>,
}

/// What is done to a document.
#[derive(Clone)]
pub(super) enum Deed {
    Put(EmbeddedDocument),
    Delete(DocumentId),
}

/// Sets the scene's documents up.
struct Stage<'a> {
    number: usize,
    asking: &'a Asking,
    dice: &'a mut Dice,
}

impl Stage<'_> {
    fn document(&self, name: &str, passages: Vec<(String, Vec<f32>)>) -> EmbeddedDocument {
        let id = DocumentId::new(format!("scene-{}-{name}", self.number)).unwrap();
        EmbeddedDocument {
            id,
            title: "Note".to_owned(),
            metadata: serde_json::Map::new(),
            audience: Vec::new(),
            passages,
        }
    }

    /// A passage that is as near to the question as can be.
    fn at_the_question(&self, text: &str) -> (String, Vec<f32>) {
        (text.to_owned(), self.asking.vector().to_vec())
    }

    /// A passage that only its words lead to.
    fn elsewhere(&mut self, text: &str) -> (String, Vec<f32>) {
        (text.to_owned(), self.dice.far_away())
    }
}

/// A word that no document has, and no other scene; with a stem of its own.
fn new_word(number: usize, place: char) -> String {
    let letters = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "t", "v", "z"];
    let (high, low) = (letters[number / 13 % 13], letters[number % 13]);
    format!("{place}{high}u{low}ok")
}

fn for_staff(document: EmbeddedDocument) -> EmbeddedDocument {
    EmbeddedDocument { audience: vec![Label::new("staff").unwrap()], ..document }
}

impl Scene {
    pub(super) async fn of(rule: Rule, number: usize, world: &World, dice: &mut Dice) -> Self {
        let (one, other) = (new_word(number, 'h'), new_word(number, 'j'));
        let asking = Asking::new(&format!("{one} {other}"), world.embedder()).await;
        let mut stage = Stage { number, asking: &asking, dice };
        let (before, change) = match rule {
            Rule::Removed => removed(&stage),
            Rule::Near => near(&stage),
            Rule::Worded => worded(&mut stage, &one),
            Rule::Frequency => frequency(&stage, &one, &other),
            Rule::Frame => frame(&mut stage, &one),
            Rule::Method => method(&mut stage),
            Rule::Missed => missed(&stage),
            Rule::Late => late(&stage),
        };
        Self { staff: rule == Rule::Method, asking, before, change }
    }
}

type Documents = (Vec<EmbeddedDocument>, Vec<Deed>);

/// What the answer rests on goes; it has none of the question's words.
fn removed(stage: &Stage<'_>) -> Documents {
    let document = stage.document("gone", vec![stage.at_the_question("Nothing of it is said here.")]);
    let gone = Deed::Delete(document.id.clone());
    (vec![document], vec![gone])
}

/// Something nearer comes; it has none of the question's words.
fn near(stage: &Stage<'_>) -> Documents {
    let there = stage.document("there", vec![stage.at_the_question("Some of it is here.")]);
    let came = stage.document("came", vec![stage.at_the_question("And here is more.")]);
    (vec![there], vec![Deed::Put(came)])
}

/// Something comes that has a word of the question, and nothing else in common with it. 17 passages that have the word
/// count as 16 do.
fn worded(stage: &mut Stage<'_>, word: &str) -> Documents {
    let there: Vec<_> = (0..16)
        .map(|n| {
            stage.elsewhere(&format!("{word} stands here between words that say little, line {n} of them."))
        })
        .collect();
    let there = stage.document("there", there);
    let passage = stage.elsewhere(&format!("{word} {word} {word}"));
    (vec![there], vec![Deed::Put(stage.document("came", vec![passage]))])
}

/// A word becomes more common, by passages that whoever asks may not read: what has the other word comes first now.
fn frequency(stage: &Stage<'_>, one: &str, other: &str) -> Documents {
    let passages = [
        stage.at_the_question(&format!("{one} first of these")),
        stage.at_the_question(&format!("{other} next to those")),
        stage.at_the_question(&format!("{one} again, {}", "and much else ".repeat(20))),
        stage.at_the_question(&format!("{one} again, {}", "or nothing more ".repeat(20))),
        stage.at_the_question(&format!("{other} again, {}", "but not at all ".repeat(20))),
    ];
    let there = stage.document("there", passages.to_vec());
    let came = (0..3).map(|n| stage.at_the_question(&format!("{other} inside, part {n}"))).collect();
    (vec![there], vec![Deed::Put(for_staff(stage.document("came", came)))])
}

/// Passages become longer on average, by some that whoever asks may not read: a long one that says a word twice is no
/// longer one that says it seldom.
fn frame(stage: &mut Stage<'_>, word: &str) -> Documents {
    let passages = [
        stage.at_the_question(&format!("{word}, {} {word}", "as was said before ".repeat(25))),
        stage.at_the_question(&format!("{word} in short")),
        stage.at_the_question(&format!("{word} once, {}", "and then other things ".repeat(25))),
    ];
    let there = stage.document("there", passages.to_vec());
    let long: Vec<_> = (0..40).map(|_| stage.elsewhere(&"foreign ".repeat(1_000))).collect();
    (vec![there], vec![Deed::Put(for_staff(stage.document("long", long)))])
}

/// The corpus grows past the border between one way of searching and the other, by a passage that has nothing to do with
/// the question.
fn method(stage: &mut Stage<'_>) -> Documents {
    let passages = (0..40).map(|n| {
        let (text, vector) = stage.at_the_question(&format!("One of many alike, number {n}."));
        let blur = stage.dice.far_away();
        (text, vector.iter().zip(blur).map(|(x, blur)| x + 0.3 * blur).collect())
    });
    let passages = passages.collect();
    let there = stage.document("there", passages);
    let passage = stage.elsewhere("Not a word about it.");
    (vec![there], vec![Deed::Put(stage.document("came", vec![passage]))])
}

/// So much comes at once that it is not looked at passage by passage.
fn missed(stage: &Stage<'_>) -> Documents {
    let flood = (0..FLOOD).map(|n| stage.at_the_question(&format!("Part {n} of a flood."))).collect();
    (Vec::new(), vec![Deed::Put(stage.document("flood", flood))])
}

/// Something nearer comes while the answer is being made.
fn late(stage: &Stage<'_>) -> Documents {
    let there = stage.document("there", vec![stage.at_the_question("What was there at first.")]);
    let came = stage.document("came", vec![stage.at_the_question("What came meanwhile.")]);
    (vec![there], vec![Deed::Put(came)])
}
