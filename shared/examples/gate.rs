//! How the gate judges real pairs: `cargo run --release -p perigee-shared --example gate -- FOLDER [--show]`.
//!
//! `FOLDER` holds `paraphrases.jsonl` (questions with paraphrases and near misses), `banking77/*.csv` and
//! `*/queries.jsonl`. Rules may be tuned on the first half of the documents; the second half tells.
#![expect(clippy::print_stdout, reason = "an example that prints a table")]
#![expect(clippy::disallowed_types, reason = "it runs natively, and measures how long the gate takes")]

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use perigee_shared::gate::{Reading, Verdict};
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry {
    corpus: String,
    doc: String,
    question: String,
    paraphrases: Vec<String>,
    near_misses: Vec<NearMiss>,
}

#[derive(Deserialize)]
struct NearMiss {
    q: String,
}

#[derive(Default)]
struct Share {
    same: usize,
    different: usize,
    all: usize,
}

impl Share {
    fn count(&mut self, verdict: Verdict) {
        self.all += 1;
        self.same += usize::from(verdict.is_same());
        self.different += usize::from(verdict.is_different());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("which folder holds the data?")?;
    let show = arguments.iter().any(|argument| argument == "--show");
    paraphrases(Path::new(folder), show)?;
    intents(Path::new(folder), show)?;
    others(Path::new(folder), show)?;
    speed(Path::new(folder))
}

fn paraphrases(folder: &Path, show: bool) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(folder.join("paraphrases.jsonl"))?;
    let entries: Vec<Entry> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut documents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in &entries {
        let of_corpus = documents.entry(&entry.corpus).or_default();
        if !of_corpus.contains(&entry.doc.as_str()) {
            of_corpus.push(&entry.doc);
        }
    }
    for (name, second) in [("first half", false), ("second half", true)] {
        let half: Vec<&Entry> = entries
            .iter()
            .filter(|entry| {
                let documents = &documents[entry.corpus.as_str()];
                let place = documents.iter().position(|document| *document == entry.doc).unwrap_or_default();
                (place >= documents.len() / 2) == second
            })
            .collect();
        let (mut kinds, mut misses, mut crossed) =
            ([(); 3].map(|()| Share::default()), Share::default(), Share::default());
        for entry in &half {
            let asked = Reading::of(&entry.question);
            for (at, paraphrase) in entry.paraphrases.iter().enumerate().take(3) {
                let other = Reading::of(paraphrase);
                let verdict = asked.compare(&other);
                kinds[at].count(verdict);
                if show && at == 0 && !second && !verdict.is_same() {
                    println!("missed  {}\n        {paraphrase}\n        {verdict}", entry.question);
                    println!("        {}\n        {}", asked.words().join(" "), other.words().join(" "));
                }
            }
            for miss in &entry.near_misses {
                let verdict = asked.compare(&Reading::of(&miss.q));
                misses.count(verdict);
                if verdict.is_same() {
                    println!("WRONG   {}\n        {}", entry.question, miss.q);
                }
            }
            for other in entries
                .iter()
                .filter(|other| other.corpus == entry.corpus && other.question != entry.question)
            {
                let texts = std::iter::once(&other.question).chain(&other.paraphrases);
                for text in texts {
                    crossed.count(asked.compare(&Reading::of(text)));
                }
            }
        }
        let [light, middle, heavy] = &kinds;
        for (what, share) in [
            ("light", light),
            ("middle", middle),
            ("heavy", heavy),
            ("near misses", &misses),
            ("other questions", &crossed),
        ] {
            print_share(&format!("{name}, {what}"), share);
        }
    }
    Ok(())
}

/// Pairs of banking77 that count as the same; of another intent, they are wrong.
fn intents(folder: &Path, show: bool) -> Result<(), Box<dyn Error>> {
    let mut seen: HashMap<[u8; 24], (String, String)> = HashMap::new();
    let (mut asked, mut hits, mut wrong) = (0, 0, 0);
    for name in ["train.csv", "test.csv"] {
        let text = fs::read_to_string(folder.join("banking77").join(name))?;
        for line in text.lines().skip(1) {
            let Some((question, intent)) = line.rsplit_once(',') else { continue };
            let question = question.trim_matches('"');
            asked += 1;
            let signature = Reading::of(question).signature().to_bytes();
            match seen.get(&signature) {
                Some((first, of)) => {
                    hits += 1;
                    if of != intent {
                        wrong += 1;
                        println!("WRONG   {first} ({of})\n        {question} ({intent})");
                    } else if show && first.to_lowercase() != question.to_lowercase() {
                        println!("same    {first}\n        {question}");
                    }
                }
                None => {
                    seen.insert(signature, (question.to_owned(), intent.to_owned()));
                }
            }
        }
    }
    println!(
        "banking77, asked one after another: {asked} questions, {hits} answered by an earlier one, {wrong} of another intent"
    );
    Ok(())
}

/// Questions of other collections: no two of them ask the same.
fn others(folder: &Path, show: bool) -> Result<(), Box<dyn Error>> {
    for name in ["xquad", "cranfield"] {
        let text = fs::read_to_string(folder.join(name).join("queries.jsonl"))?;
        let mut seen: HashMap<[u8; 24], String> = HashMap::new();
        let mut same = 0;
        for line in text.lines() {
            let query: serde_json::Value = serde_json::from_str(line)?;
            let question = query["text"].as_str().unwrap_or_default().to_owned();
            let signature = Reading::of(&question).signature().to_bytes();
            if let Some(first) = seen.insert(signature, question.clone()) {
                same += 1;
                if show {
                    println!("same    {first}\n        {question}");
                }
            }
        }
        println!("{name}: {} questions, {same} counted as an earlier one", text.lines().count());
    }
    Ok(())
}

fn speed(folder: &Path) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(folder.join("banking77/test.csv"))?;
    let questions: Vec<&str> = text.lines().filter_map(|line| Some(line.rsplit_once(',')?.0)).collect();
    let began = Instant::now();
    let signatures: Vec<_> = questions.iter().map(|question| Reading::of(question).signature()).collect();
    println!("reading: {:.1} µs a question", began.elapsed().as_secs_f64() * 1e6 / questions.len() as f64);
    let began = Instant::now();
    let same = signatures
        .iter()
        .flat_map(|a| signatures.iter().map(move |b| a.compare(b)))
        .filter(|v| v.is_same())
        .count();
    let pairs = (questions.len() * questions.len()) as f64;
    println!("comparing: {:.1} ns a pair ({same} same)", began.elapsed().as_secs_f64() * 1e9 / pairs);
    Ok(())
}

fn print_share(what: &str, share: &Share) {
    let percent = |count: usize| count as f64 * 100.0 / share.all.max(1) as f64;
    println!(
        "{what:<30} {:>6} pairs  same {:>5.1} %  different {:>5.1} %",
        share.all,
        percent(share.same),
        percent(share.different)
    );
}
