//! One model session on one thread, fed by a bounded queue: cross-request batching and overload.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use fastembed::TextEmbedding;
use tokio::sync::{mpsc, oneshot};

use super::{EmbedError, TOKENS_MAX};

/// The bounds of one lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneLimits {
    /// Jobs that may wait; one more is refused.
    pub(super) queue_jobs_max: usize,
    /// Texts of waiting jobs taken together, sorted by length and batched. A single larger job is taken whole.
    pub(super) together_texts_max: usize,
    /// Texts of one model call.
    pub(super) batch_texts_max: usize,
    /// Word pieces of one model call, padding included: bounds the memory of its activations.
    pub(super) batch_tokens_max: usize,
}

impl LaneLimits {
    /// One text per model call, unless texts may go `together`.
    pub(super) fn alone_unless(self, together: bool) -> Self {
        if together { self } else { Self { batch_texts_max: 1, ..self } }
    }
}

/// One row per text.
pub(super) type Rows = Vec<Vec<f32>>;

/// What a lane runs: the real session, or a test's scripted one.
pub(super) trait Model: Send + 'static {
    /// Word pieces of `text` as the model will see it.
    fn tokens(&self, text: &str) -> usize;
    /// One model call.
    fn embed(&mut self, texts: &[&str]) -> Result<Rows, String>;
}

impl Model for TextEmbedding {
    fn tokens(&self, text: &str) -> usize {
        // A text that cannot be tokenised will fail in its model call; here it only has to be placed somewhere.
        self.tokenizer.encode_fast(text, true).map_or(TOKENS_MAX, |encoding| encoding.len())
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Rows, String> {
        Self::embed(self, texts, None).map_err(|error| error.to_string())
    }
}

struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Result<Rows, EmbedError>>,
}

/// A running lane. Dropping it lets the thread finish its model call and waits for it: ONNX Runtime must not
/// be at work while the process tears its libraries down.
pub(super) struct Lane {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The rows of an admitted job, once they are there.
pub(super) struct Reply(oneshot::Receiver<Result<Rows, EmbedError>>);

impl IntoFuture for Reply {
    type Output = Result<Rows, EmbedError>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.0.await.unwrap_or(Err(EmbedError::Stopped)) })
    }
}

impl Lane {
    /// Starts the thread `name` around `model`.
    pub(super) fn start(name: &str, model: impl Model, limits: LaneLimits) -> Result<Self, EmbedError> {
        let (queue, jobs) = mpsc::channel(limits.queue_jobs_max);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(model, jobs, limits))
            .map_err(|error| EmbedError::Failed(format!("cannot start thread {name}: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a job now or refuses it.
    pub(super) fn admit(&self, texts: Vec<String>) -> Result<Reply, EmbedError> {
        let queue = self.queue.as_ref().ok_or(EmbedError::Stopped)?;
        let (reply, rows) = oneshot::channel();
        queue.try_send(Job { texts, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EmbedError::Busy,
            mpsc::error::TrySendError::Closed(_) => EmbedError::Stopped,
        })?;
        Ok(Reply(rows))
    }

    /// Queues a job as soon as there is room.
    pub(super) async fn wait(&self, texts: Vec<String>) -> Result<Reply, EmbedError> {
        let queue = self.queue.as_ref().ok_or(EmbedError::Stopped)?;
        let (reply, rows) = oneshot::channel();
        queue.send(Job { texts, reply }).await.map_err(|_| EmbedError::Stopped)?;
        Ok(Reply(rows))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread catches panics; should it have died all the same, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn run(mut model: impl Model, mut jobs: mpsc::Receiver<Job>, limits: LaneLimits) {
    while let Some(first) = jobs.blocking_recv() {
        let mut texts = first.texts.len();
        let mut together = vec![first];
        while texts < limits.together_texts_max
            && let Ok(job) = jobs.try_recv()
        {
            texts += job.texts.len();
            together.push(job);
        }
        Round::new(together).run(&mut model, limits);
    }
}

/// A job being worked on: its rows so far.
struct Open {
    texts: Vec<String>,
    rows: Rows,
    missing: usize,
    reply: Option<oneshot::Sender<Result<Rows, EmbedError>>>,
}

impl Open {
    /// Whether somebody still waits for this job.
    fn wanted(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    fn answer(&mut self, result: Result<Rows, EmbedError>) {
        if let Some(reply) = self.reply.take() {
            // A caller that has gone needs no answer.
            let _ = reply.send(result);
        }
    }
}

/// The place of one text: which job, which row.
#[derive(Debug, Clone, Copy)]
struct Place {
    job: usize,
    row: usize,
    tokens: usize,
}

/// The jobs taken together once.
struct Round {
    jobs: Vec<Open>,
}

impl Round {
    fn new(jobs: Vec<Job>) -> Self {
        let open = |Job { texts, reply }: Job| {
            let missing = texts.len();
            Open { rows: vec![Vec::new(); missing], texts, missing, reply: Some(reply) }
        };
        Self { jobs: jobs.into_iter().map(open).collect() }
    }

    fn run(mut self, model: &mut impl Model, limits: LaneLimits) {
        for job in self.jobs.iter_mut().filter(|job| job.missing == 0) {
            job.answer(Ok(Vec::new()));
        }
        let mut places = self.places(model, limits);
        // Longest first: like lengths share a model call, and memory peaks at once rather than at the end.
        places.sort_by_key(|place| std::cmp::Reverse(place.tokens));
        let mut rest = places.as_slice();
        while let Some(longest) = rest.first() {
            let fits = (limits.batch_tokens_max / longest.tokens.max(1)).clamp(1, limits.batch_texts_max);
            let (batch, later) = rest.split_at(fits.min(rest.len()));
            rest = later;
            self.embed(model, batch);
        }
    }

    fn places(&self, model: &impl Model, limits: LaneLimits) -> Vec<Place> {
        let count = self.jobs.iter().map(|job| job.texts.len()).sum::<usize>();
        // Lengths matter only to texts that share a call, and measuring costs a tenth of embedding.
        let measure = count > 1 && limits.batch_texts_max > 1;
        let mut places = Vec::with_capacity(count);
        for (job, open) in self.jobs.iter().enumerate().filter(|(_, open)| open.wanted()) {
            for (row, text) in open.texts.iter().enumerate() {
                places.push(Place { job, row, tokens: if measure { tokens(model, text) } else { 1 } });
            }
        }
        places
    }

    /// One model call; its failure or panic is answered to the jobs that have a text in it, and to no other.
    fn embed(&mut self, model: &mut impl Model, batch: &[Place]) {
        let wanted: Vec<Place> =
            batch.iter().copied().filter(|place| self.jobs[place.job].wanted()).collect();
        let texts: Vec<&str> =
            wanted.iter().map(|place| self.jobs[place.job].texts[place.row].as_str()).collect();
        if texts.is_empty() {
            return;
        }
        // Unwinding past a model call is safe: the session holds no state between calls, and no row of this
        // batch has been written yet. A panic here must not end the thread that all later callers need.
        let outcome = catch_unwind(AssertUnwindSafe(|| model.embed(&texts)))
            .unwrap_or_else(|_| Err("the model call panicked".to_owned()))
            .and_then(|rows| {
                if rows.len() == texts.len() {
                    Ok(rows)
                } else {
                    Err(format!("{} vectors for {} texts", rows.len(), texts.len()))
                }
            });
        match outcome {
            Ok(rows) => {
                for (place, row) in wanted.iter().zip(rows) {
                    let job = &mut self.jobs[place.job];
                    job.rows[place.row] = row;
                    job.missing -= 1;
                    if job.missing == 0 {
                        let rows = std::mem::take(&mut job.rows);
                        job.answer(Ok(rows));
                    }
                }
            }
            Err(reason) => {
                tracing::warn!(reason, texts = texts.len(), "a batch could not be embedded");
                for place in &wanted {
                    self.jobs[place.job].answer(Err(EmbedError::Failed(reason.clone())));
                }
            }
        }
    }
}

/// Word pieces of `text`; a tokenizer that panics on it leaves that to the model call, which is prepared for it.
fn tokens(model: &impl Model, text: &str) -> usize {
    catch_unwind(AssertUnwindSafe(|| model.tokens(text))).unwrap_or(TOKENS_MAX)
}
