//! Questions out of nothing but their text, for trials and replays, and what the documents' own words answer to them.

use anyhow::Result;
use perigee_shared::answer::Answer;
use perigee_shared::caller::Audience;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::question::{Options, Question, Speaker, Turn};
use perigee_shared::search::Search;

use crate::answer::{rehearse, search_of};
use crate::embed::Embedder;
use crate::retrieve::Retrieved;

/// A question of one turn by somebody who may read everything.
pub(super) fn question(tenant: &TenantId, corpus: &CorpusName, text: &str) -> Question {
    Question {
        tenant: tenant.clone(),
        corpus: corpus.clone(),
        audience: Audience::Everything,
        turns: vec![Turn { speaker: Speaker::User, text: text.trim().to_owned() }],
        options: Options::default(),
    }
}

/// What the documents' own words answer to a question, over what `retrieve` finds; `None` where it would be refused.
///
/// # Errors
/// Retrieval or embedding fails.
pub(crate) async fn answer<Work>(
    question: &Question,
    embedder: &Embedder,
    retrieve: &impl Fn(Search) -> Work,
) -> Result<Option<Answer>>
where
    Work: Future<Output = Result<Retrieved>>,
{
    let found = retrieve(search_of(question)).await?;
    Ok(rehearse(question, found, embedder).await?)
}

/// The evidence of two questions: how much of what the answer to one rests on is found for the other, in the order of
/// `asked` and `answered`. `None`: the documents answer only one of them, or neither.
///
/// # Errors
/// Retrieval or embedding fails.
pub async fn support<Work>(
    [asked, answered]: [&str; 2],
    embedder: &Embedder,
    retrieve: impl Fn(Search) -> Work,
) -> Result<Option<super::Support>>
where
    Work: Future<Output = Result<Retrieved>>,
{
    let (tenant, corpus) = (TenantId::new("asking")?, CorpusName::new("asking")?);
    let asked = answer(&question(&tenant, &corpus, asked), embedder, &retrieve).await?;
    let answered = answer(&question(&tenant, &corpus, answered), embedder, &retrieve).await?;
    Ok(asked.zip(answered).map(|(asked, answered)| super::Support::between(&asked, &answered)))
}
