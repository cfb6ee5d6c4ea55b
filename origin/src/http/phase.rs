//! Where the server is in its life: starting, ready, draining.

use tokio::sync::watch;

/// One stretch of the server's life; they only ever follow each other in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// What is being done, for whoever waits.
    Starting(String),
    Ready,
    Draining,
}

/// The current phase, shared by all who ask and all who wait for it to change.
#[derive(Debug, Clone)]
pub struct Phases(watch::Sender<Phase>);

impl Phases {
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Starting("opening the corpora".to_owned())))
    }

    #[must_use]
    pub fn now(&self) -> Phase {
        self.0.borrow().clone()
    }

    /// Says what the start is busy with.
    pub fn progress(&self, doing: impl Into<String>) {
        self.0.send_modify(|phase| {
            if let Phase::Starting(text) = phase {
                *text = doing.into();
            }
        });
    }

    pub fn ready(&self) {
        self.0.send_modify(|phase| {
            if matches!(phase, Phase::Starting(_)) {
                *phase = Phase::Ready;
            }
        });
    }

    pub fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self::new()
    }
}
