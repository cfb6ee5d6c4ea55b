//! How much is worked on at one time, how much may wait, and refusing the rest at once.

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
        let shed = |_| {
            metrics::counter!("perigee_shed_total").increment(1);
            Refused::new(ProblemKind::Overloaded, "too many requests are under way")
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| shed(()))?;
        let working = Arc::clone(&self.working).acquire_owned();
        match tokio::time::timeout(self.wait, working).await {
            Ok(Ok(place)) => Ok(Slot { _place: place }),
            Ok(Err(_)) | Err(_) => Err(shed(())),
        }
    }
}

impl Guard for Slot {}

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
