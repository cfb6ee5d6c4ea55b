//! How a vector list is found: by looking at every passage, or, where they are many, through a graph.
//!
//! The two need not find the same. So a ranking rests on its method, too: when a corpus grows past the border, or shrinks
//! below it, for whoever asked, what was found before says nothing about what would be found now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use perigee_shared::caller::Audience;

use super::readers::Readers;

/// Candidates looked at one by one rather than through the graph. Reading so many vectors takes 1 to 2 ms, what a
/// graph search with a filter of one in ten takes, and the result is exact.
const EXACT_MAX: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Exact,
    /// Approximate.
    Graph,
}

/// Up to how many candidates a corpus is searched exactly.
#[derive(Debug)]
pub(super) struct Border(AtomicU64);

impl Border {
    pub(super) fn method(&self, candidates: u64) -> Method {
        if candidates > self.0.load(Ordering::Relaxed) { Method::Graph } else { Method::Exact }
    }

    /// Tests come there sooner.
    #[cfg(test)]
    pub(super) fn move_to(&self, candidates: u64) {
        self.0.store(candidates, Ordering::Relaxed);
    }

    /// How many candidates each audience has, where that decides.
    pub(super) fn methods(&self, passages: u64, readers: &Readers) -> Methods {
        let exact_max = self.0.load(Ordering::Relaxed);
        let readers = (passages > exact_max).then(|| readers.clone());
        Methods { exact_max, passages, readers }
    }
}

impl Default for Border {
    fn default() -> Self {
        Self(AtomicU64::new(EXACT_MAX))
    }
}

/// How the rankings of each audience are made at one epoch.
pub(crate) struct Methods {
    exact_max: u64,
    passages: u64,
    /// `None`: all passages together are not too many, whoever asks.
    readers: Option<Readers>,
}

impl Methods {
    /// For each of these audiences.
    pub(super) fn of<'a>(
        &self,
        audiences: impl Iterator<Item = &'a Audience>,
    ) -> HashMap<&'a Audience, Method> {
        let mut methods = HashMap::new();
        for audience in audiences {
            methods.entry(audience).or_insert_with(|| self.method(audience));
        }
        methods
    }

    fn method(&self, audience: &Audience) -> Method {
        let Some(readers) = &self.readers else { return Method::Exact };
        let candidates = readers.readable(audience).map_or(self.passages, |readable| readable.len());
        if candidates > self.exact_max { Method::Graph } else { Method::Exact }
    }
}
