//! What it costs the origin to answer a question with the answer to other words, which takes retrieval and comparing,
//! beside making the answer without a model server.

use anyhow::{Result, ensure};
use perigee_shared::header::TENANT;

use crate::documents::Documents;
use crate::load;
use crate::origin::{self, CHAT, Served, question};
use crate::statistics::percentile;
use crate::table::Row;

const QUESTIONS: usize = 400;

/// Of the questions asked in other words, those that must be found the same for their times to say anything.
const VERIFIED_MIN: usize = QUESTIONS / 4;

pub(crate) async fn measure(served: &Served, documents: &Documents) -> Result<Vec<Row>> {
    let address = served.origin.address();
    let authorization = format!("Bearer {}", origin::OPERATOR_TOKEN);
    // Nothing of other words is kept, so that none is answered as another's.
    let ask = |text: &str, cache_control: &str| {
        let headers = [
            ("Authorization", authorization.as_str()),
            (TENANT, origin::TENANT),
            ("Cache-Control", cache_control),
        ];
        load::post(address, CHAT, &headers, &question(text))
    };
    let questions: Vec<_> = documents
        .questions(QUESTIONS)
        .into_iter()
        .map(|words| format!("Where do the documents say that {words}?"))
        .collect();
    let asked: Vec<_> = questions.iter().map(|text| ask(text, "max-age=3600")).collect();
    let reworded: Vec<_> =
        questions.iter().map(|text| ask(&format!("Hello, {text} Thanks!"), "no-store")).collect();
    let answered: Vec<f64> = load::each(address, &asked).await?.into_iter().map(|reply| reply.ms).collect();
    let verified: Vec<f64> = load::each(address, &reworded)
        .await?
        .into_iter()
        .filter(|reply| reply.cache_status.contains("detail=paraphrase"))
        .map(|reply| reply.ms)
        .collect();
    ensure!(verified.len() >= VERIFIED_MIN, "only {} of {QUESTIONS} were found the same", verified.len());
    let of = format!("origin, other words verified ({} of {QUESTIONS} asked)", verified.len());
    let mut rows = Vec::new();
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (verified, answered) = (percentile(&verified, share), percentile(&answered, share));
        rows.push(Row::new(
            format!("{of} ÷ answered without a model server, {name}"),
            verified / answered,
            "×",
        ));
        rows.push(Row::new(format!("{of}, {name}"), verified, "ms"));
        rows.push(Row::new(format!("origin, answered without a model server, {name}"), answered, "ms"));
    }
    Ok(rows)
}
