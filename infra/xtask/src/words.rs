//! `cargo xtask words`: the gate's word tables, derived from WordNet and the bundled model's vocabulary.
//!
//! Needs the files of WordNet 3.0 (Debian's package `wordnet-base` installs them). Equal inputs give equal
//! tables. The closed lists beside the derived tables are written by hand and not touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use xtask::steps::Steps;
use xtask::workspace::Workspace;

const TABLES: &str = "shared/src/gate/tables";
const VOCABULARY: &str = "origin/models/all-MiniLM-L6-v2-int8/tokenizer.json";
/// Ids below are special, unused or single characters; whole words follow in the order of their frequency.
const FIRST_WORD_ID: u64 = 1_996;
/// A sense counts if it is this share of a word's tagged uses (each sense taken once more than it was seen).
const SENSE_SHARE_MIN: f64 = 0.2;

const NOTICE: &str = "\
# Derived from WordNet 3.0, Copyright 2006 by Princeton University, all rights reserved; its licence and
# disclaimer are in LICENSE-WordNet.txt beside this file. Made by `cargo xtask words`; do not edit.
";

/// Options of `cargo xtask words`.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder that holds WordNet's index.*, data.* and *.exc
    #[arg(long, default_value = "/usr/share/wordnet")]
    wordnet: PathBuf,
}

/// Writes the derived tables.
///
/// # Errors
/// A file of WordNet or the vocabulary is missing or not understood, or a table can't be written.
pub(crate) fn run(options: &Options, workspace: &Workspace, steps: &Steps) -> Result<()> {
    let wordnet = WordNet::read(&options.wordnet)?;
    let ranks = read_ranks(&workspace.root().join(VOCABULARY))?;
    let words = choose(&wordnet, &ranks);
    for (name, table) in [
        ("words.txt", words_table(&wordnet, &words)),
        ("forms.txt", forms_table(&wordnet, &words)),
        ("opposites_wordnet.txt", opposites_table(&wordnet, &words)),
    ] {
        let path = workspace.root().join(TABLES).join(name);
        fs::write(&path, &table).with_context(|| format!("writing {}", path.display()))?;
        steps.say(&format!("{name}: {} lines, {} KiB", table.lines().count(), table.len() / 1024));
    }
    Ok(())
}

/// Part of speech (n, v, a, r) and place in its data file: names a synset.
type Synset = (char, String);

#[derive(Default)]
struct WordNet {
    /// Each word's senses with how often each was seen in tagged text, most usual first within its part.
    senses: BTreeMap<String, Vec<(Synset, f64)>>,
    members: HashMap<Synset, Vec<String>>,
    opposites: BTreeSet<(String, String)>,
    /// Irregular form and what it is a form of; nouns and verbs only, for a comparative is another word.
    irregular: BTreeSet<(String, String)>,
}

impl WordNet {
    fn read(folder: &Path) -> Result<Self> {
        let mut wordnet = Self::default();
        let counts = read_counts(&folder.join("cntlist.rev"))?;
        for (part, name) in [('n', "noun"), ('v', "verb"), ('a', "adj"), ('r', "adv")] {
            wordnet.read_index(part, &text(&folder.join(format!("index.{name}")))?, &counts);
            wordnet.read_data(part, &text(&folder.join(format!("data.{name}")))?);
        }
        for name in ["noun.exc", "verb.exc"] {
            for line in text(&folder.join(name))?.lines() {
                if let Some((form, lemma)) = line.split_once(' ') {
                    wordnet.irregular.insert((form.to_owned(), lemma.to_owned()));
                }
            }
        }
        Ok(wordnet)
    }

    /// `lemma pos synset_count pointer_count [pointer]… sense_count tagged_count offset…`
    fn read_index(&mut self, part: char, text: &str, counts: &HashMap<(String, char, usize), f64>) {
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(lemma), Some(Ok(count))) = (fields.first(), fields.get(2).map(|n| n.parse::<usize>()))
            else {
                continue;
            };
            let offsets = &fields[fields.len().saturating_sub(count)..];
            let senses = self.senses.entry((*lemma).to_owned()).or_default();
            for (at, offset) in offsets.iter().enumerate() {
                let seen = counts.get(&((*lemma).to_owned(), part, at + 1)).copied().unwrap_or_default();
                senses.push(((part, (*offset).to_owned()), seen));
            }
        }
    }

    /// `offset lex_file type word_count(hex) [word lex_id]… pointer_count [pointer offset pos source/target]… | gloss`
    fn read_data(&mut self, part: char, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let fields: Vec<&str> = line.split('|').next().unwrap_or_default().split_whitespace().collect();
            let Some(Ok(count)) = fields.get(3).map(|n| usize::from_str_radix(n, 16)) else { continue };
            let plain = |word: &str| word.split('(').next().unwrap_or_default().to_owned();
            let words: Vec<String> = (0..count).map(|at| plain(fields[4 + 2 * at])).collect();
            for pointer in fields[5 + 2 * count..].chunks_exact(4).filter(|pointer| pointer[0] == "!") {
                self.opposites.insert((
                    format!("{part}{}:{}", fields[0], &pointer[3][..2]),
                    format!("{}{}:{}", pointer[2], pointer[1], &pointer[3][2..]),
                ));
            }
            self.members.insert((part, fields[0].to_owned()), words);
        }
    }

    /// The word that an end of an antonym pointer names, e.g. `v00512186:01`.
    fn word_at(&self, place: &str) -> Option<&String> {
        let (synset, number) = place.split_once(':')?;
        let part = synset.chars().next()?;
        let members = self.members.get(&(part, synset[part.len_utf8()..].to_owned()))?;
        members.get(usize::from_str_radix(number, 16).ok()?.checked_sub(1)?)
    }

    fn parts(&self, word: &str) -> String {
        let parts: BTreeSet<char> = self.senses[word].iter().map(|((part, _), _)| *part).collect();
        parts.into_iter().collect()
    }

    /// The senses in which `word` is mostly used.
    fn main_senses(&self, word: &str) -> impl Iterator<Item = &Synset> {
        let senses = &self.senses[word];
        let all: f64 = senses.iter().map(|(_, seen)| seen + 1.0).sum();
        senses.iter().filter(move |(_, seen)| (seen + 1.0) / all >= SENSE_SHARE_MIN).map(|(synset, _)| synset)
    }
}

fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path)
        .with_context(|| format!("reading {} (Debian: apt install wordnet-base)", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `lemma%type:… sense_number tag_count`
fn read_counts(path: &Path) -> Result<HashMap<(String, char, usize), f64>> {
    let mut counts = HashMap::new();
    for line in text(path)?.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [key, sense, count] = fields[..] else { continue };
        let (Some((lemma, kind)), Ok(sense), Ok(count)) = (key.split_once('%'), sense.parse(), count.parse())
        else {
            continue;
        };
        let part = match kind.chars().next() {
            Some('1') => 'n',
            Some('2') => 'v',
            Some('4') => 'r',
            _ => 'a',
        };
        counts.insert((lemma.to_owned(), part, sense), count);
    }
    Ok(counts)
}

/// Whole words of the vocabulary, 1 the commonest.
fn read_ranks(path: &Path) -> Result<HashMap<String, u64>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let tokenizer: serde_json::Value = serde_json::from_str(&text).context("reading the tokenizer")?;
    let vocabulary = tokenizer["model"]["vocab"].as_object().context("the tokenizer has no vocabulary")?;
    let ranked = vocabulary.iter().filter_map(|(word, id)| {
        Some((word.clone(), id.as_u64()?.checked_sub(FIRST_WORD_ID - 1).filter(|rank| *rank > 0)?))
    });
    Ok(ranked.collect())
}

/// The words worth a line, with their commonness: those that the vocabulary holds in some form, and those
/// that were seen in tagged text.
fn choose(wordnet: &WordNet, ranks: &HashMap<String, u64>) -> BTreeMap<String, u8> {
    let mut irregular: HashMap<&str, Vec<&str>> = HashMap::new();
    for (form, lemma) in &wordnet.irregular {
        irregular.entry(lemma).or_default().push(form);
    }
    let mut words = BTreeMap::new();
    for (word, senses) in &wordnet.senses {
        if word.len() < 2 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
            continue;
        }
        let regular = regular_forms(word);
        let forms = regular
            .iter()
            .map(String::as_str)
            .chain(irregular.get(word.as_str()).into_iter().flatten().copied());
        let rank = forms.filter_map(|form| ranks.get(form)).min();
        let seen = senses.iter().any(|(_, seen)| *seen > 0.0);
        if rank.is_some() || seen {
            words.insert(word.clone(), rarity(rank.copied()));
        }
    }
    words
}

fn regular_forms(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    forms.extend(["s", "es", "ed", "d", "ing"].map(|ending| format!("{word}{ending}")));
    if let Some(stem) = word.strip_suffix('e') {
        forms.push(format!("{stem}ing"));
    }
    if let Some(stem) = word.strip_suffix('y') {
        forms.extend(["ies", "ied"].map(|ending| format!("{stem}{ending}")));
    }
    if let Some(last) = word.chars().last() {
        forms.extend(["ed", "ing"].map(|ending| format!("{word}{last}{ending}")));
    }
    forms
}

/// 0 for the commonest words to 9: the logarithm of the rank, by Zipf's law that of the rarity.
fn rarity(rank: Option<u64>) -> u8 {
    let Some(rank) = rank else { return 9 };
    ((rank as f64).ln() / 30_000_f64.ln() * 9.0).floor().clamp(0.0, 9.0) as u8
}

/// `word rarity parts [=spelling] [synset]…`
fn words_table(wordnet: &WordNet, words: &BTreeMap<String, u8>) -> String {
    let mut sharing: BTreeMap<&Synset, usize> = BTreeMap::new();
    for word in words.keys() {
        for synset in wordnet.main_senses(word) {
            *sharing.entry(synset).or_default() += 1;
        }
    }
    let shared = sharing.iter().filter(|(_, words)| **words > 1).map(|(synset, _)| *synset);
    let numbers: HashMap<&Synset, usize> = shared.zip(1..).collect();
    let mut table = format!(
        "{NOTICE}# A line: word, rarity (0 to 9, from the rank in the bundled model's vocabulary), parts of speech\n\
         # (a adjective, n noun, r adverb, v verb), `=` another spelling of the same word, and the numbers of the\n\
         # synonym sets to which a main sense of it belongs.\n"
    );
    for (word, rarity) in words {
        table.push_str(&format!("{word} {rarity} {}", wordnet.parts(word)));
        if let Some(spelling) = other_spelling(wordnet, words, word) {
            table.push_str(&format!(" ={spelling}"));
        }
        for number in wordnet.main_senses(word).filter_map(|synset| numbers.get(synset)) {
            table.push_str(&format!(" {number}"));
        }
        table.push('\n');
    }
    table
}

/// A word in one of the same synsets that is spelt alike but for the British and American ways.
fn other_spelling<'a>(wordnet: &'a WordNet, words: &BTreeMap<String, u8>, word: &str) -> Option<&'a String> {
    let synsets = wordnet.senses[word].iter().map(|(synset, _)| synset);
    let fellows = synsets.filter_map(|synset| wordnet.members.get(synset)).flatten();
    // The commoner spelling stands for both.
    fellows
        .filter(|other| words.contains_key(*other) && american(other) == american(word))
        .min_by_key(|spelling| (words.get(*spelling), *spelling))
        .filter(|first| *first != word)
}

fn american(word: &str) -> String {
    let mut word = word.replace("isation", "ization").replace("ll", "l").replace("our", "or");
    for (british, american) in
        [("ise", "ize"), ("yse", "yze"), ("tre", "ter"), ("ogue", "og"), ("ence", "ense")]
    {
        if let Some(stem) = word.strip_suffix(british) {
            word = format!("{stem}{american}");
        }
    }
    word
}

/// `form lemma`
fn forms_table(wordnet: &WordNet, words: &BTreeMap<String, u8>) -> String {
    let mut table =
        format!("{NOTICE}# A line: an irregular form of a noun or verb, and the word it is a form of.\n");
    let mut last = "";
    for (form, lemma) in &wordnet.irregular {
        let plain = form.bytes().all(|b| b.is_ascii_lowercase());
        // A form that is a verb, or a noun that was seen in tagged text, is a word of its own: left, found.
        let own = wordnet.senses.get(form).is_some_and(|senses| {
            senses.iter().any(|((part, _), seen)| *part == 'v' || *part == 'n' && *seen > 0.0)
        });
        if plain && !own && form != lemma && form != last && words.contains_key(lemma) {
            table.push_str(&format!("{form} {lemma}\n"));
            last = form;
        }
    }
    table
}

/// `word opposite`, both ways round.
fn opposites_table(wordnet: &WordNet, words: &BTreeMap<String, u8>) -> String {
    let mut pairs = BTreeSet::new();
    for (from, to) in &wordnet.opposites {
        if let (Some(from), Some(to)) = (wordnet.word_at(from), wordnet.word_at(to))
            && words.contains_key(from)
            && words.contains_key(to)
        {
            pairs.insert(format!("{from} {to}\n"));
            pairs.insert(format!("{to} {from}\n"));
        }
    }
    let head = format!("{NOTICE}# A line: a word and one that WordNet calls its antonym.\n");
    pairs.into_iter().fold(head, |table, pair| table + &pair)
}
