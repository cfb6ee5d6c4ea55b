//! One writer per corpus: takes the changes that wait, logs them in one transaction, brings the views up, and only
//! then answers. Acknowledged means on disk and searchable.

use std::sync::Arc;
use std::time::Duration;

use perigee_shared::document::Written;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::commit::{self, Change, Committed, What};
use super::error::CorpusError;
use super::{catch_up, core::Core};

/// Changes that may wait for the writer of one corpus.
pub(crate) const QUEUE_MAX: usize = 256;

/// Passages of one commit, beyond which no further change is taken in: bounds how long a change waits for others.
const PASSAGES_PER_COMMIT: usize = 4_096;

/// After so long without a change the views are saved and the lexical writer is let go.
const IDLE: Duration = Duration::from_secs(5);

/// Passages added since the last snapshot that are worth saving in the middle of work, and the part of all that
/// they must be, so that loading much does not save it over and over. A crash costs adding them again (4,000 a
/// second), not embedding them.
const UNSAVED_MAX: u64 = 20_000;
const UNSAVED_PART: u64 = 4;

/// A change and who waits for it.
pub(crate) struct Job {
    pub(crate) change: Change,
    pub(crate) reply: oneshot::Sender<Result<Written, CorpusError>>,
}

/// What the writer has not done yet.
#[derive(Default)]
struct Debt {
    /// Passages that no snapshot has.
    unsaved: u64,
    /// A change is logged that the views could not take in.
    behind: bool,
    /// The lexical writer may hold threads and memory.
    awake: bool,
}

/// Runs until `stop` is cancelled, or nobody is left who could send a change.
pub(crate) async fn run(core: Arc<Core>, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
    let mut debt = Debt::default();
    loop {
        let idle = debt.unsaved > 0 || debt.behind || debt.awake;
        let job = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            job = jobs.recv() => job,
            () = tokio::time::sleep(IDLE), if idle => {
                debt = settle(&core, debt).await;
                continue;
            }
        };
        let Some(first) = job else { break };
        debt = serve(&core, take(first, &mut jobs), debt).await;
    }
    jobs.close();
    while let Some(first) = jobs.recv().await {
        debt = serve(&core, take(first, &mut jobs), debt).await;
    }
    settle(&core, debt).await;
}

/// The first change and all that wait behind it, up to a commit's size.
fn take(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut taken = vec![first];
    let size = |job: &Job| match &job.change.what {
        What::Put(document) => document.passages.len(),
        What::Delete(_) => 1,
    };
    let mut passages = taken.iter().map(size).sum::<usize>();
    while passages < PASSAGES_PER_COMMIT
        && taken.len() < QUEUE_MAX
        && let Ok(job) = jobs.try_recv()
    {
        passages += size(&job);
        taken.push(job);
    }
    taken
}

async fn serve(core: &Arc<Core>, jobs: Vec<Job>, debt: Debt) -> Debt {
    let (changes, replies): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.change, job.reply)).unzip();
    let worker = Arc::clone(core);
    let done = super::blocking(move || Ok(serve_blocking(&worker, &changes, debt))).await;
    let (results, debt) = match done {
        Ok(done) => done,
        // The thread died: what it did is unknown, and the database knows it.
        Err(error) => (Err(error), Debt { behind: true, awake: true, ..Debt::default() }),
    };
    match results {
        Ok(results) => {
            for (reply, result) in replies.into_iter().zip(results) {
                // Whoever hung up has the change all the same.
                let _ = reply.send(result);
            }
        }
        Err(error) => {
            tracing::error!(tenant = %core.tenant, corpus = %core.name, %error, "a change was not completed");
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
    debt
}

type Results = Result<Vec<Result<Written, CorpusError>>, CorpusError>;

fn serve_blocking(core: &Core, changes: &[Change], mut debt: Debt) -> (Results, Debt) {
    debt.awake = true;
    if debt.behind {
        // Nothing more is logged before the views have what is logged already.
        if let Err(error) = repair(core) {
            return (Err(error), debt);
        }
        debt.behind = false;
    }
    let from = core.views.epoch();
    let Committed { results, delta } = match commit::commit(&core.database, core.id, from, changes) {
        Ok(committed) => committed,
        Err(error) => return (Err(error), debt),
    };
    debt.unsaved += delta.added.iter().map(|added| added.document.passages.len() as u64).sum::<u64>();
    debt.unsaved +=
        delta.removed.iter().map(|removed| removed.passages.end - removed.passages.start).sum::<u64>();
    if let Err(error) = core.views.apply(&delta) {
        debt.behind = true;
        return (Err(error), debt);
    }
    core.tell(from, Some(delta));
    core.report();
    if debt.unsaved >= UNSAVED_MAX.max(core.views.size().passages / UNSAVED_PART) {
        debt = save(core, debt);
    }
    (Ok(results), debt)
}

/// Catches the views up after a change that they could not take in.
fn repair(core: &Core) -> Result<(), CorpusError> {
    let from = core.views.epoch();
    catch_up::repair(&core.database, core.id, &core.views)?;
    core.tell(from, None);
    Ok(())
}

/// Pays what is owed, now that there is time.
async fn settle(core: &Arc<Core>, debt: Debt) -> Debt {
    let worker = Arc::clone(core);
    let settled = super::blocking(move || {
        let mut debt = debt;
        if debt.behind {
            match repair(&worker) {
                Ok(()) => debt.behind = false,
                Err(error) => {
                    tracing::error!(tenant = %worker.tenant, corpus = %worker.name, %error, "the views are behind");
                    return Ok(debt);
                }
            }
        }
        if let Err(error) = worker.clear() {
            tracing::warn!(tenant = %worker.tenant, corpus = %worker.name, %error, "old versions stay for now");
        }
        if debt.unsaved > 0 {
            debt = save(&worker, debt);
        }
        worker.views.lexical.rest();
        debt.awake = false;
        Ok(debt)
    });
    settled.await.unwrap_or(Debt { behind: true, awake: true, ..Debt::default() })
}

fn save(core: &Core, mut debt: Debt) -> Debt {
    match core.views.save() {
        Ok(()) => debt.unsaved = 0,
        Err(error) => {
            // Nothing is lost: the next start catches up from the snapshot before.
            tracing::warn!(tenant = %core.tenant, corpus = %core.name, %error, "cannot save the vector view");
        }
    }
    debt
}
