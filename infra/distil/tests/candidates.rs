//! What the table is for: the question that means the same is among the nearest.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use std::fs;

use perigee_shared::static_model::{StaticModel, StaticVector};
use serde_json::Value;
use xtask::workspace::Workspace;

fn embed(text: &Value) -> StaticVector {
    StaticModel::bundled().embed(text.as_str().unwrap()).unwrap()
}

/// Of eight candidates one is nearly always the question itself, unless hardly a word of it is left: then the table is of
/// little help, as it should be.
#[test]
fn a_paraphrase_s_question_is_among_its_eight_nearest() {
    let file = Workspace::find().unwrap().root().join("../shared/data/paraphrases.jsonl");
    let Ok(text) = fs::read_to_string(&file) else {
        eprintln!("skipped: there is no {}", file.display());
        return;
    };
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let questions: Vec<StaticVector> = lines.iter().map(|line| embed(&line["question"])).collect();
    // Light, middling, heavy.
    for (weight, first_at_least, eight_at_least) in [(0, 0.95, 0.99), (1, 0.8, 0.93), (2, 0.0, 0.25)] {
        let (mut first, mut eight, mut similarities) = (0, 0, Vec::new());
        for (own, line) in lines.iter().enumerate() {
            let asked = embed(&line["paraphrases"][weight]);
            let similarity = asked.similarity(&questions[own]).get();
            let nearer = questions.iter().filter(|other| asked.similarity(other).get() > similarity).count();
            first += usize::from(nearer == 0);
            eight += usize::from(nearer < 8);
            similarities.push(similarity);
        }
        similarities.sort_by(f32::total_cmp);
        let share = |count: usize| count as f64 / lines.len() as f64;
        eprintln!(
            "paraphrase {weight}: nearest {:.3}, among eight {:.3}, similarity p5 {:.3} p50 {:.3}",
            share(first),
            share(eight),
            similarities[lines.len() / 20],
            similarities[lines.len() / 2]
        );
        assert!(share(first) >= first_at_least && share(eight) >= eight_at_least, "paraphrase {weight}");
    }
}
