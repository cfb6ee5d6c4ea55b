//! The instant by which a question must have the first byte of its answer.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use perigee_shared::header::DEADLINE_MS;
use perigee_shared::limits::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX};
use perigee_shared::problem::ProblemKind;
use tokio::time::Instant;

use super::error::Refused;

/// When the request's head was read; set by the outermost layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received(pub(super) Instant);

/// `Perigee-Deadline-Ms` from when the request came, bounded; the default where there is none.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// Runs `work` until it is done or the deadline passes.
    ///
    /// # Errors
    /// The deadline passed.
    pub async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, Refused> {
        tokio::time::timeout_at(self.0, work).await.map_err(|_| {
            Refused::new(ProblemKind::DeadlineExceeded, "the answer was not ready before the deadline")
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let received = parts.extensions.get::<Received>().map_or_else(Instant::now, |received| received.0);
        let ms = match parts.headers.get(DEADLINE_MS) {
            None => DEADLINE_MS_DEFAULT,
            Some(value) => {
                let ms = value.to_str().ok().and_then(|text| text.trim().parse().ok());
                ms.ok_or_else(|| {
                    Refused::new(
                        ProblemKind::InvalidRequest,
                        "Perigee-Deadline-Ms must be a whole number of milliseconds",
                    )
                })?
            }
        };
        Ok(Self(received + Duration::from_millis(ms.min(DEADLINE_MS_MAX))))
    }
}
