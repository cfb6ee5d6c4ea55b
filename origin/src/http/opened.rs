//! From a path to the corpus that it names, for a caller who may do there what the route does.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use perigee_shared::caller::Caller;
use perigee_shared::document::Written;
use perigee_shared::header::MIN_EPOCH;
use perigee_shared::id::{CorpusName, DocumentId, Epoch};
use perigee_shared::limits::MIN_EPOCH_WAIT_MS_MAX;
use perigee_shared::problem::ProblemKind;
use perigee_shared::question::InvalidQuestion;
use tokio::time::Instant;

use super::App;
use super::admit::{Admitted, Demand, Write};
use super::deadline::Deadline;
use super::error::Refused;
use crate::corpus::{Corpus, NewDocument};

/// The corpus of the path's `{corpus}`, no older than the caller's `Perigee-Min-Epoch`.
pub(super) struct Opened<D: Demand> {
    pub(super) caller: Caller,
    pub(super) corpus: Arc<Corpus>,
    pub(super) name: CorpusName,
    demand: PhantomData<D>,
}

impl<D: Demand> FromRequestParts<App> for Opened<D> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let Admitted { caller, .. } = Admitted::<D>::from_request_parts(parts, app).await?;
        let name = parameter(parts, "corpus").await?;
        let deadline = Deadline::from_request_parts(parts, app).await?;
        // What can be no name names no corpus.
        let name = CorpusName::new(name).map_err(|_| corpus_not_found())?;
        let corpus = open(app, &caller, &name)?;
        wait_for_min_epoch(&corpus, &parts.headers, deadline).await?;
        Ok(Self { caller, corpus, name, demand: PhantomData })
    }
}

impl Opened<Write> {
    /// Writes a document for this caller.
    ///
    /// # Errors
    /// It is refused, could not be written, or would replace one that the caller may not read.
    pub(super) async fn put(&self, id: DocumentId, document: NewDocument) -> Result<Written, Refused> {
        Ok(self.corpus.put_as(&self.caller.audience, id, document).await?)
    }
}

/// A corpus that this caller may name.
///
/// # Errors
/// There is none of this name, or the caller may not know of it: the same to the caller.
pub(super) fn open(app: &App, caller: &Caller, name: &CorpusName) -> Result<Arc<Corpus>, Refused> {
    let corpora = &app.services()?.corpora;
    if !caller.corpora.allows(name) {
        return Err(corpus_not_found());
    }
    Ok(corpora.get(&caller.tenant, name)?)
}

/// The corpus that a chat's `model` names.
///
/// # Errors
/// As [`open`], in the words of a question about an unknown model.
pub(super) fn open_model(app: &App, caller: &Caller, name: &CorpusName) -> Result<Arc<Corpus>, Refused> {
    open(app, caller, name).map_err(|refused| match refused.problem.kind {
        ProblemKind::CorpusNotFound => InvalidQuestion::UnknownModel.into(),
        _ => refused,
    })
}

pub(super) fn corpus_not_found() -> Refused {
    Refused::new(ProblemKind::CorpusNotFound, "there is no such corpus")
}

/// Waits, within bounds, until the corpus is as new as the caller demands.
///
/// # Errors
/// The header is no number, or the change has not arrived in time.
pub(super) async fn wait_for_min_epoch(
    corpus: &Corpus,
    headers: &HeaderMap,
    deadline: Deadline,
) -> Result<(), Refused> {
    let Some(value) = headers.get(MIN_EPOCH) else { return Ok(()) };
    let epoch = value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        Refused::new(ProblemKind::InvalidRequest, "Perigee-Min-Epoch must be a whole number")
    })?;
    let left = deadline.0.saturating_duration_since(Instant::now());
    let at_most = left.min(Duration::from_millis(MIN_EPOCH_WAIT_MS_MAX));
    if corpus.wait_for(Epoch::new(epoch), at_most).await {
        return Ok(());
    }
    let detail = format!("epoch {epoch} was asked for; the corpus is at {}", corpus.epoch());
    Err(Refused::new(ProblemKind::EpochNotReached, detail))
}

/// The path's `{id}`.
#[derive(Debug)]
pub(super) struct AskedDocument(pub(super) DocumentId);

impl<S: Send + Sync> FromRequestParts<S> for AskedDocument {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let id = DocumentId::new(parameter(parts, "id").await?);
        id.map(Self).map_err(|error| Refused::new(ProblemKind::InvalidRequest, error.to_string()))
    }
}

/// A part of the path, decoded.
pub(super) async fn parameter(parts: &mut Parts, name: &str) -> Result<String, Refused> {
    let parameters = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    let Path(mut parameters) = parameters.map_err(|error| {
        Refused::new(ProblemKind::InvalidRequest, "the path is not valid UTF-8").because(error)
    })?;
    Ok(parameters.remove(name).unwrap_or_default())
}
