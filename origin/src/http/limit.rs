//! How much is worked on at one time, how much of it is held in memory, how much may wait, and refusing the rest.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use perigee_shared::problem::ProblemKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::{Guard, Guarded};
use super::error::Refused;

/// Places to work at and places to wait at.
#[derive(Debug, Clone)]
pub struct Slots {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    wait: Duration,
}

/// A place to work at; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _place: OwnedSemaphorePermit,
}

impl Slots {
    #[must_use]
    pub fn new(working: usize, waiting: usize, wait: Duration) -> Self {
        let bounded = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { working: bounded(working), waiting: bounded(waiting), wait }
    }

    /// A place, at once or after a bounded wait.
    ///
    /// # Errors
    /// All places are taken and so many already wait, or none became free in time.
    pub async fn take(&self) -> Result<Slot, Refused> {
        if let Ok(place) = Arc::clone(&self.working).try_acquire_owned() {
            return Ok(Slot { _place: place });
        }
        let shed = || shed("too many requests are under way");
        let _waiting = self.waiting.try_acquire().map_err(|_| shed())?;
        let working = Arc::clone(&self.working).acquire_owned();
        match tokio::time::timeout(self.wait, working).await {
            Ok(Ok(place)) => Ok(Slot { _place: place }),
            Ok(Err(_)) | Err(_) => Err(shed()),
        }
    }
}

impl Guard for Slot {}

/// Memory for request bodies.
#[derive(Debug, Clone)]
pub struct Room {
    bytes: Arc<Semaphore>,
    wait: Duration,
}

/// A part of the room; given back when dropped.
#[derive(Debug)]
pub struct Held(OwnedSemaphorePermit);

impl Room {
    #[must_use]
    pub fn new(bytes: usize, wait: Duration) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))), wait }
    }

    /// So many bytes of it, all at once: bodies that each held a part and waited for more could wait for each other.
    ///
    /// # Errors
    /// Others hold it, and did not give enough of it back in time.
    pub async fn take(&self, bytes: usize) -> Result<Held, Refused> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match tokio::time::timeout(self.wait, Arc::clone(&self.bytes).acquire_many_owned(bytes)).await {
            Ok(Ok(held)) => Ok(Held(held)),
            Ok(Err(_)) | Err(_) => Err(shed("too many large requests are under way")),
        }
    }
}

impl Held {
    /// Gives back all but so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.0.split(self.0.num_permits().saturating_sub(bytes)));
    }
}

impl Guard for Held {}

fn shed(detail: &'static str) -> Refused {
    metrics::counter!("perigee_shed_total").increment(1);
    Refused::new(ProblemKind::Overloaded, detail)
}

/// Runs a request at a place of its own, which it holds until its response has been sent.
pub(super) async fn bounded(State(slots): State<Slots>, request: Request, next: Next) -> Response {
    match slots.take().await {
        Ok(slot) => next.run(request).await.map(|body| Guarded::body(body, slot)),
        Err(refused) => refused.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_to_wait_is_refused_at_once() {
        let slots = Slots::new(1, 0, Duration::from_secs(3_600));
        let taken = slots.take().await.unwrap();
        let refused = slots.take().await.unwrap_err();
        assert_eq!(refused.problem.kind, ProblemKind::Overloaded);
        assert!(refused.problem.retry_after().is_some());
        drop(taken);
        assert!(slots.take().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_finds_room_once_another_has_given_back_what_it_does_not_need() {
        let room = Room::new(10, Duration::from_secs(2));
        let mut large = room.take(8).await.unwrap();
        assert!(room.take(0).await.is_ok());
        let refused = room.take(3).await.unwrap_err();
        assert_eq!(refused.problem.kind, ProblemKind::Overloaded);
        large.shrink_to(7);
        let small = room.take(3).await.unwrap();
        drop(large);
        assert!(room.take(7).await.is_ok());
        drop(small);
        assert!(room.take(10).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_place_or_is_refused_in_time() {
        let slots = Slots::new(1, 1, Duration::from_secs(2));
        let taken = slots.take().await.unwrap();
        assert!(slots.take().await.is_err());
        let waiting = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take().await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(taken);
        assert!(waiting.await.unwrap());
    }
}
