//! What a trial found, for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::data::Half;
use super::frontier::{Rates, Score, ends, rates, served, threshold};
use super::pairs::{Ask, Candidate, Kind};
use super::{Calibration, TOLERANCES, Tolerance, decide, edge_score, origin_score};
use crate::paraphrase::{Decision, refuses};

/// Shares of near misses at which the stages are compared.
const NEAR_MISS_SHARES: [f64; 3] = [0.01, 0.02, 0.05];

/// The reported half.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What each tolerance does at the origin, with the thresholds of the half that was learnt from.
    pub frontier: Vec<Point>,
    /// The same at the edge alone.
    pub edge: Vec<Point>,
    /// What each stage adds: reuse at equal shares of near misses, each with the best threshold there is.
    pub stages: Vec<Stage>,
    /// Where the questions end at the default tolerance.
    pub ends: Vec<End>,
}

/// One tolerance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    pub tolerance: f64,
    pub threshold: f64,
    pub rates: Rates,
}

/// One way to decide.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    pub name: &'static str,
    /// At most so many near misses, and what was reused then.
    pub at: Vec<(f64, Rates)>,
}

/// How many questions of a kind came to what end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct End {
    pub kind: String,
    pub counts: BTreeMap<&'static str, u64>,
}

pub(super) fn report(asks: &[Ask], calibration: &Calibration) -> Report {
    let reported = || asks.iter().filter(|ask| ask.half == Half::Reported);
    let curve = |score: Score<'_>, threshold: &dyn Fn(Tolerance) -> Option<f64>| {
        let served = served(reported(), score);
        let tolerances = TOLERANCES.iter().filter_map(|share| Tolerance::new(*share).ok());
        let point = |tolerance: Tolerance| {
            let threshold = threshold(tolerance).unwrap_or(f64::INFINITY);
            Point { tolerance: tolerance.share(), threshold, rates: rates(&served, threshold) }
        };
        tolerances.map(point).collect()
    };
    let origin = origin_score(calibration);
    let frontier = curve(&origin, &|tolerance| calibration.threshold(tolerance).map(|asked| asked.get()));
    let edge = curve(&edge_score, &|tolerance| {
        calibration.edge_threshold(tolerance).map(|asked| f64::from(asked.get()))
    });
    let cosine = |one: &Candidate| Some(f64::from(one.cosine));
    let gated = |one: &Candidate| (!refuses(one.verdict)).then(|| f64::from(one.cosine));
    let cited = |one: &Candidate| gated(one).filter(|_| one.evidence.cited);
    let stages: [(&'static str, Score<'_>); 6] = [
        ("static cosine alone", &|one| Some(f64::from(one.static_cosine))),
        ("edge: static cosine, gate says same", &edge_score),
        ("full cosine alone", &cosine),
        ("+ gate", &gated),
        ("+ evidence", &cited),
        ("+ alignment, calibrated", &origin),
    ];
    let stages = stages.map(|(name, score)| {
        let served = served(reported(), score);
        let best = |share: f64| {
            let at = threshold(&served, |_, rates| rates.near_misses.value() <= share);
            (share, rates(&served, at))
        };
        Stage { name, at: NEAR_MISS_SHARES.map(best).to_vec() }
    });
    Report { frontier, edge, stages: stages.to_vec(), ends: of_ends(reported(), calibration) }
}

fn of_ends<'a>(reported: impl Iterator<Item = &'a Ask>, calibration: &Calibration) -> Vec<End> {
    let asked = calibration.threshold(Tolerance::default());
    let mut by_kind = BTreeMap::<Kind, BTreeMap<&'static str, u64>>::new();
    for ((kind, decision), count) in ends(reported, |one| decide(one, calibration, asked)) {
        let name = match decision {
            Some(Decision::Reuse) => "reused",
            Some(Decision::Unsure) => "unsure",
            Some(Decision::Gate) => "refused by the gate",
            Some(Decision::Evidence) => "other evidence",
            None => "no candidate",
        };
        *by_kind.entry(kind).or_default().entry(name).or_default() += count;
    }
    by_kind.into_iter().map(|(kind, counts)| End { kind: name(kind), counts }).collect()
}

fn name(kind: Kind) -> String {
    match kind {
        Kind::Paraphrase(0) => "light paraphrases".to_owned(),
        Kind::Paraphrase(place) => format!("paraphrases {}", place + 1),
        Kind::NearMiss => "near misses".to_owned(),
        Kind::Stranger => "other questions".to_owned(),
        Kind::Intent => "intents".to_owned(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frontier, edge, stages, ends } = self;
        writeln!(f, "At the origin, on the half that was not learnt from:\n")?;
        curve(f, frontier)?;
        writeln!(f, "\nAt the edge alone:\n")?;
        curve(f, edge)?;
        writeln!(
            f,
            "\nEach stage at its best threshold for at most so many near misses: light, mid, heavy reused:\n"
        )?;
        write!(f, "| stage |")?;
        NEAR_MISS_SHARES.iter().try_for_each(|share| write!(f, " {} |", percent(*share)))?;
        writeln!(f, "\n|---|{}", "---|".repeat(NEAR_MISS_SHARES.len()))?;
        for Stage { name, at } in stages {
            write!(f, "| {name} |")?;
            at.iter().try_for_each(|(_, rates)| write!(f, " {} |", reused(rates)))?;
            writeln!(f)?;
        }
        writeln!(f, "\nWhere they end at the default tolerance:\n")?;
        for End { kind, counts } in ends {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "* {kind}: {}", counts.join(", "))?;
        }
        Ok(())
    }
}

fn curve(f: &mut fmt::Formatter<'_>, points: &[Point]) -> fmt::Result {
    writeln!(
        f,
        "| tolerance | threshold | light, mid, heavy reused | near misses wrong | of these requests wrong | \
         other questions wrong | intents wrong (of those, reused) |\n|---|---|---|---|---|---|---|"
    )?;
    for Point { tolerance, threshold, rates } in points {
        let Rates { near_misses, requests, strangers, intents, intents_reused, .. } = rates;
        let wrong = |share: &super::frontier::Share| {
            format!("{} ({}/{})", percent(share.value()), share.count, share.of)
        };
        writeln!(
            f,
            "| {} | {threshold:.4} | {} | {} | {} | {} | {} ({}) |",
            percent(*tolerance),
            reused(rates),
            wrong(near_misses),
            wrong(requests),
            wrong(strangers),
            wrong(intents),
            percent(*intents_reused),
        )?;
    }
    Ok(())
}

fn reused(rates: &Rates) -> String {
    let shares: Vec<String> = rates.reused.iter().map(|share| percent(*share)).collect();
    shares.join(", ")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
