//! One generation per question, however many wait for it.
//!
//! A generation runs in a task of its own, and whoever asks the same meanwhile reads its text from the
//! beginning and then follows. Nobody's leaving ends it for the others, and once it has begun it also finishes
//! when all have left: the tokens are paid for, and the cache is filled for the next who asks. Its timeouts
//! bound it. What is still waiting for its turn when all have left is given up.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perigee_shared::answer::Answer;
use perigee_shared::cache_key::CacheKey;
use perigee_shared::id::{CorpusName, Epoch};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::error::{AnswerError, UpstreamError};
use super::stamp::Stamp;
use super::wording::Topic;

/// Bytes of an answer's text. What a model writes at most is a tenth of that; a server gone mad is cut off.
pub(super) const TEXT_BYTES_MAX: usize = 256 << 10;

/// Which question, of which life of a corpus: one that was deleted and created again shares nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) incarnation: u64,
    pub(super) key: CacheKey,
}

/// The generations under way. Keyed by epoch too: a question asked after a change joins no older generation.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights {
    open: Arc<Mutex<Register>>,
}

type Register = BTreeMap<(Identity, Epoch), Arc<Flight>>;

#[derive(Debug)]
struct Flight {
    label: Label,
    /// What others may share it by; absent where wordings are not compared.
    topic: Option<Topic>,
    /// Whether one of those who wait allows the answer to be kept.
    keep: AtomicBool,
    progress: watch::Sender<Progress>,
}

/// What is known of an answer before its text is.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) stamp: Stamp,
    pub(super) corpus: CorpusName,
    pub(super) epoch: Epoch,
}

#[derive(Debug, Default)]
struct Progress {
    begun: bool,
    text: String,
    outcome: Option<Result<Arc<Answer>, AnswerError>>,
}

/// A question that wants an answer.
#[derive(Debug)]
pub(super) struct Passenger {
    pub(super) of: Identity,
    /// Of the generation, if it starts one.
    pub(super) label: Label,
    /// What others may share that one by.
    pub(super) topic: Option<Topic>,
    /// Whether it allows the answer to be kept.
    pub(super) keep: bool,
}

/// What a question found when it wanted to generate.
#[derive(Debug)]
pub(super) enum Boarding<T> {
    /// It had become superfluous.
    Cached(T),
    Joined(AnswerStream),
    /// The generation of a question that means the same, and its key.
    Shared(AnswerStream, CacheKey),
    Started(AnswerStream),
}

impl Flights {
    /// Joins the generation of this question at this epoch, if there is one.
    pub(super) fn join(&self, at: (Identity, Epoch), keep: bool) -> Option<AnswerStream> {
        self.lock().get(&at).map(|flight| flight.join(keep))
    }

    /// Waits on the latest generation of a question, at whatever epoch, that may be kept.
    pub(super) fn latest(&self, of: Identity) -> Option<AnswerStream> {
        let open = self.lock();
        let all = (Bound::Included((of, Epoch::ZERO)), Bound::Included((of, Epoch::new(u64::MAX))));
        let flight = open.range(all).next_back().map(|(_, flight)| flight)?;
        flight.keep.load(Ordering::Relaxed).then(|| flight.join(false))
    }

    /// Joins the generation or starts it, unless `cached` finds that it was just finished.
    ///
    /// A generation for other words at the same epoch is joined where `alike` says of its topic that its answer will do.
    ///
    /// `prepare` gets the answer if it may be kept, and answers what keeps it. That is called before the generation
    /// leaves the register, so that one of both always knows of the answer; whoever boards waits meanwhile.
    pub(super) fn board<T, Work, Keep>(
        &self,
        passenger: Passenger,
        alike: impl Fn(&Topic) -> bool,
        cached: impl FnOnce() -> Option<T>,
        generate: impl FnOnce(Pilot) -> Work,
        prepare: impl FnOnce(&Arc<Answer>) -> Keep + Send + 'static,
    ) -> Boarding<T>
    where
        Work: Future<Output = Result<Answer, AnswerError>> + Send + 'static,
        Keep: FnOnce(),
    {
        let Passenger { of, label, topic, keep } = passenger;
        let at = (of, label.epoch);
        let mut open = self.lock();
        if let Some(flight) = open.get(&at) {
            return Boarding::Joined(flight.join(keep));
        }
        if let Some(cached) = cached() {
            return Boarding::Cached(cached);
        }
        let others =
            open.iter().filter(|((other, epoch), _)| (other.incarnation, epoch) == (at.0.incarnation, &at.1));
        for ((other, _), flight) in others {
            if flight.topic.as_ref().is_some_and(&alike) {
                return Boarding::Shared(flight.join(keep), other.key);
            }
        }
        let (progress, receiver) = watch::channel(Progress::default());
        let flight = Arc::new(Flight { label: label.clone(), topic, keep: AtomicBool::new(keep), progress });
        open.insert(at, Arc::clone(&flight));
        drop(open);
        let landing = Landing { flights: self.clone(), at, flight: Arc::clone(&flight) };
        let work = generate(Pilot { flight });
        let task = async move {
            let outcome = work.await.map(Arc::new);
            let storable = outcome.as_ref().ok().filter(|answer| answer.may_be_stored());
            let keep = storable.map(prepare);
            landing.land(outcome, keep);
        };
        let span = tracing::info_span!("generate", corpus = %label.corpus, epoch = %label.epoch, id = label.stamp.id);
        tokio::spawn(task.instrument(span));
        Boarding::Started(AnswerStream { label, receiver, read: 0, ended: false })
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        // Nothing that runs under the lock leaves the map half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    fn join(&self, keep: bool) -> AnswerStream {
        if keep {
            self.keep.store(true, Ordering::Relaxed);
        }
        AnswerStream { label: self.label.clone(), receiver: self.progress.subscribe(), read: 0, ended: false }
    }
}

/// Takes the generation off the register, also when it panics: the sender goes with it, and nobody hangs.
struct Landing {
    flights: Flights,
    at: (Identity, Epoch),
    flight: Arc<Flight>,
}

impl Landing {
    fn land(self, outcome: Result<Arc<Answer>, AnswerError>, keep: Option<impl FnOnce()>) {
        {
            // Joining happens under the same lock, so that a late wish to keep the answer is not lost.
            let mut open = self.flights.lock();
            if let Some(keep) = keep
                && self.flight.keep.load(Ordering::Relaxed)
            {
                keep();
            }
            open.remove(&self.at);
        }
        self.flight.progress.send_modify(|progress| progress.outcome = Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut open = self.flights.lock();
        // After a landing the place may have been taken by another generation.
        if open.get(&self.at).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            open.remove(&self.at);
        }
    }
}

/// The generation's own handle.
#[derive(Debug)]
pub(super) struct Pilot {
    flight: Arc<Flight>,
}

impl Pilot {
    pub(super) fn label(&self) -> &Label {
        &self.flight.label
    }

    /// The generation has its turn.
    pub(super) fn begin(&self) {
        self.flight.progress.send_modify(|progress| progress.begun = true);
    }

    /// Appends to the text.
    ///
    /// # Errors
    /// The text is longer than an answer may be.
    pub(super) fn say(&self, piece: &str) -> Result<(), AnswerError> {
        if piece.is_empty() {
            return Ok(());
        }
        let mut fits = true;
        self.flight.progress.send_if_modified(|progress| {
            fits = progress.text.len() + piece.len() <= TEXT_BYTES_MAX;
            if fits {
                progress.text.push_str(piece);
            }
            fits
        });
        if fits { Ok(()) } else { Err(AnswerError::Upstream(UpstreamError::TooLong)) }
    }

    /// Whether no word was said yet.
    pub(super) fn is_silent(&self) -> bool {
        self.flight.progress.borrow().text.is_empty()
    }

    /// The text so far.
    pub(super) fn text(&self) -> String {
        self.flight.progress.borrow().text.clone()
    }

    /// Waits until nobody waits any more.
    pub(super) async fn deserted(&self) {
        self.flight.progress.closed().await;
    }
}

/// One reader of a generation: from its beginning, then as it goes on.
#[derive(Debug)]
pub struct AnswerStream {
    label: Label,
    receiver: watch::Receiver<Progress>,
    /// Bytes of the text that were handed out.
    read: usize,
    ended: bool,
}

/// What a stream brings. The last event is [`AnswerEvent::Finished`] or [`AnswerEvent::Failed`].
#[derive(Debug, Clone)]
pub enum AnswerEvent {
    /// More text.
    Text(String),
    /// The whole answer; its text is what was streamed.
    Finished(Arc<Answer>),
    /// The generation broke off.
    Failed(AnswerError),
}

impl AnswerStream {
    /// The answer's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.label.stamp.id
    }

    /// Unix seconds at which it began.
    #[must_use]
    pub fn created_s(&self) -> u64 {
        self.label.stamp.created_s
    }

    /// The corpus asked.
    #[must_use]
    pub fn corpus(&self) -> &CorpusName {
        &self.label.corpus
    }

    /// The epoch of the retrieval that the answer rests on.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.label.epoch
    }

    /// The next event; `None` after the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<AnswerEvent> {
        while !self.ended {
            if let Some(event) = self.ready() {
                return Some(event);
            }
            if self.receiver.changed().await.is_err() {
                self.ended = true;
                return Some(AnswerEvent::Failed(AnswerError::Interrupted));
            }
        }
        None
    }

    /// The events as a [`futures::Stream`].
    pub fn into_stream(self) -> impl futures::Stream<Item = AnswerEvent> + Send {
        futures::stream::unfold(self, |mut stream| async move {
            let event = stream.next().await?;
            Some((event, stream))
        })
    }

    /// Waits for the whole answer.
    ///
    /// # Errors
    /// The generation failed, or the deadline passed.
    pub async fn finished(mut self, deadline: Instant) -> Result<Arc<Answer>, AnswerError> {
        let outcome = self.receiver.wait_for(|progress| progress.outcome.is_some());
        match timeout_at(deadline, outcome).await {
            Ok(Ok(progress)) => progress.outcome.clone().unwrap_or(Err(AnswerError::Interrupted)),
            Ok(Err(_)) => Err(AnswerError::Interrupted),
            Err(_) => Err(AnswerError::Deadline),
        }
    }

    /// Waits for the first text or the end, so that what fails before its first word is an error and no stream.
    pub(super) async fn begun(&mut self, deadline: Instant) -> Result<(), AnswerError> {
        let first =
            self.receiver.wait_for(|progress| !progress.text.is_empty() || progress.outcome.is_some());
        let first = timeout_at(deadline, first).await.map(|progress| match progress {
            Ok(progress) if progress.text.is_empty() => match &progress.outcome {
                Some(Err(error)) => Err(error.clone()),
                Some(Ok(_)) | None => Ok(()),
            },
            Ok(_) => Ok(()),
            Err(_) => Err(AnswerError::Interrupted),
        });
        match first {
            Ok(known) => known,
            Err(_) if self.receiver.borrow().begun => Err(AnswerError::Deadline),
            Err(_) => Err(AnswerError::Shed),
        }
    }

    /// The answer, if it came at once instead of piece by piece.
    pub(super) fn unspoken(&self) -> Option<Arc<Answer>> {
        let progress = self.receiver.borrow();
        match &progress.outcome {
            Some(Ok(answer)) if progress.text.is_empty() => Some(Arc::clone(answer)),
            Some(_) | None => None,
        }
    }

    fn ready(&mut self) -> Option<AnswerEvent> {
        let progress = self.receiver.borrow_and_update();
        if let Some(more) = progress.text.get(self.read..).filter(|more| !more.is_empty()) {
            self.read = progress.text.len();
            return Some(AnswerEvent::Text(more.to_owned()));
        }
        let outcome = progress.outcome.clone()?;
        self.ended = true;
        Some(outcome.map_or_else(AnswerEvent::Failed, AnswerEvent::Finished))
    }
}

#[cfg(test)]
mod tests;
