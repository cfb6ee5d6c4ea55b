//! `perigee explain`.

use clap::Args;
use perigee_shared::gate::Reading;
use perigee_shared::id::{CorpusName, Similarity};
use perigee_shared::search::Search;

use super::End;
use super::client::{Server, ServerArguments};
use super::model;
use super::output::{line, safe};
use super::remote::retrieve;
use crate::answer::explain::Explained;
use crate::config::Config;
use crate::paraphrase::{Calibration, Decision, Pair, Probability, Support, Tolerance, asking, judge};

/// Says whether one question's answer would be given to another, and why
///
/// Judges the words and the model's similarity; with --corpus, also whether that corpus has the same passages for both.
/// What a server makes of a question among all those it has answered is told by the request header `Perigee-Explain: 1`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Without --corpus no server is needed, and the documents are taken to have the same passages for both. With it, answers are
taken from the documents' own words.

Examples:
  perigee explain \"How do I install it?\" \"How can it be installed?\"
  perigee explain \"How do I install it?\" \"How can it be installed?\" --corpus docs")]
pub(super) struct Arguments {
    /// The question asked
    asked: String,
    /// The question that was answered
    answered: String,
    /// The share of requests that may be answered wrongly
    #[arg(long, value_name = "SHARE", default_value = "0.01")]
    tolerance: Tolerance,
    /// The corpus to look into
    #[arg(long, value_name = "NAME")]
    corpus: Option<CorpusName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// What was seen of the documents.
#[derive(Debug, Clone, Copy)]
enum Evidence {
    NotLookedAt,
    /// They answer only one of the two, or neither: there is nothing to reuse, or nobody who gets it.
    Unanswered,
    Of(Support),
}

pub(super) async fn run(config: Config, arguments: Arguments) -> anyhow::Result<End> {
    let Arguments { asked, answered, tolerance, corpus, json, server } = arguments;
    let embedder = model::load(&config).await?;
    let evidence = match corpus {
        None => Evidence::NotLookedAt,
        Some(corpus) => {
            let server = Server::new(&config, server)?;
            let retrieve = |search: Search| retrieve(&server, &corpus, search);
            let support = asking::support([&asked, &answered], &embedder, retrieve).await?;
            support.map_or(Evidence::Unanswered, Evidence::Of)
        }
    };
    let (a, b) = (embedder.query(&asked).await?, embedder.query(&answered).await?);
    let similarity = Similarity::new(a.iter().zip(&*b).map(|(a, b)| a * b).sum());
    let (asked, reading) = (Reading::of(&asked), Reading::of(&answered));
    let calibration = Calibration::bundled();
    let support = match evidence {
        Evidence::NotLookedAt => Support::WHOLE,
        Evidence::Unanswered => Support { cited: false, overlap: 0.0 },
        Evidence::Of(support) => support,
    };
    let pair = Pair { asked: &asked, answered: &reading, similarity, evidence: support };
    let judgement = judge(pair, calibration, 0.0);
    let threshold = calibration.threshold(tolerance);
    let decision = judgement.decide(threshold);
    let explained = Explained::of(&answered, similarity.get(), &judgement, decision.name());
    if json {
        line(&serde_json::to_string(&explained)?)?;
    } else {
        print(&explained, decision, evidence, tolerance, threshold)?;
    }
    Ok(End::Done)
}

fn print(
    explained: &Explained,
    decision: Decision,
    evidence: Evidence,
    tolerance: Tolerance,
    threshold: Option<Probability>,
) -> std::io::Result<()> {
    let Explained { similarity, gate, unaligned, probability, .. } = explained;
    line(&format!("decision     {}", decision.name()))?;
    line(&format!("gate         {gate}"))?;
    line(&format!("similarity   {similarity:.3}"))?;
    let unaligned = if unaligned.is_empty() { "-".to_owned() } else { safe(&unaligned.join(", ")) };
    line(&format!("unaligned    {unaligned}"))?;
    let evidence = match evidence {
        Evidence::NotLookedAt => "not looked at (--corpus)".to_owned(),
        Evidence::Unanswered => "the documents do not answer both".to_owned(),
        Evidence::Of(Support { cited, overlap }) => {
            let all = if cited { "all" } else { "not all" };
            format!("{all} that the answer cites is found, {:.0} % of what it rests on", 100.0 * overlap)
        }
    };
    line(&format!("evidence     {evidence}"))?;
    let asked =
        threshold.map_or_else(|| "nothing is enough".to_owned(), |asked| format!("{:.3}", asked.get()));
    line(&format!("probability  {probability:.3} (asked for at {tolerance}: {asked})"))
}
