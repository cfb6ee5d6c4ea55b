//! The parts of what `cargo xtask bench` measures, in the order of a run.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// An exact hit at the edge, and a bare worker.
    Edge,
    /// Answers to other words, at the edge and at the origin.
    Wording,
    /// Searches at the origin, and its parts called bare.
    Search,
    /// Ingestion, and fastembed called bare.
    Ingest,
    /// A cached answer at the origin.
    Answer,
    /// Changes to documents that many answers rest on.
    Change,
    /// Memory and start with a large corpus.
    Capacity,
    /// How search time grows with the corpus.
    Growth,
}

impl Part {
    /// The name that the command line takes.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it runs the worker.
    #[must_use]
    pub const fn is_at_the_edge(self) -> bool {
        matches!(self, Self::Edge | Self::Wording)
    }
}
