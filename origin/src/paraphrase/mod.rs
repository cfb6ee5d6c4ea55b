//! Whether one question's answer may serve another that is put differently.
//!
//! The gate refuses what it sees to differ. What it leaves open is judged by word-by-word alignment, the full
//! model's similarity, and the evidence: the asked question's own retrieval must return what the stored answer
//! cites. A small calibrated model makes one probability of these, and a corpus's tolerance says which is enough.
//!
//! Finding candidates is the registry's business, serving is `answer`'s.

mod features;

pub mod calibration;
mod training;

pub mod compare;
mod interval;
mod watch;

pub mod asking;
pub mod replay;
pub mod trial;

use perigee_shared::answer::Answer;
use perigee_shared::gate::{Alignment, Doubt, Reading, Verdict, align};
use perigee_shared::id::Similarity;
pub use perigee_shared::tolerance::Tolerance;
use serde::{Deserialize, Serialize};

pub use self::calibration::{Calibration, Probability};
use self::compare::cited;
pub use self::features::Features;
pub use self::interval::Interval;
pub use self::watch::{Mode, Watch};

/// Candidates that are judged for one question. The right one is nearly always the nearest.
pub const CANDIDATES_MAX: usize = 5;

/// Everything that is known of an asked question and one that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub asked: &'a Reading,
    pub answered: &'a Reading,
    /// Of the full model's vectors.
    pub similarity: Similarity,
    pub evidence: Support,
}

/// How much of a stored answer's evidence the asked question's own retrieval returns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Support {
    /// Whether every passage that the answer cites is among what retrieval returns.
    pub cited: bool,
    /// The part of all its evidence that is.
    pub overlap: f64,
}

impl Support {
    /// For questions without documents: nothing is known against it.
    pub const WHOLE: Self = Self { cited: true, overlap: 1.0 };

    /// How much of the evidence of `stored` the question that got `asked` has, too.
    #[must_use]
    pub fn between(asked: &Answer, stored: &Answer) -> Self {
        let (found, of) = (asked.evidence.passages(), stored.evidence.passages());
        let common = of.iter().filter(|passage| found.contains(passage)).count();
        Self {
            cited: cited(stored).into_iter().all(|passage| found.contains(passage)),
            overlap: common as f64 / of.len().max(1) as f64,
        }
    }
}

/// What a corpus allows now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    pub tolerance: Tolerance,
    /// What its traffic has taught, in log-odds.
    pub offset: f64,
}

impl Terms {
    /// The probability that must be reached; `None` where nothing is sure enough.
    #[must_use]
    pub fn threshold(&self) -> Option<Probability> {
        Calibration::bundled().threshold(self.tolerance)
    }

    /// The similarity that edges must ask for; `None` where they may reuse nothing.
    #[must_use]
    pub fn edge_threshold(&self) -> Option<Similarity> {
        Calibration::bundled().edge_threshold(self.tolerance)
    }
}

/// What was found of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub alignment: Alignment,
    pub features: Features,
    pub evidence: Support,
    /// That the one's answer answers the other, as far as the features tell.
    pub probability: Probability,
}

/// What follows from a judgement under a tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Reuse,
    /// Not sure enough; a verifier may still be.
    Unsure,
    /// The gate sees a difference, or cannot read the text.
    Gate,
    /// Retrieval does not return what the answer cites.
    Evidence,
}

impl Decision {
    /// A label for people and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::Unsure => "unsure",
            Self::Gate => "gate",
            Self::Evidence => "evidence",
        }
    }
}

/// Judges a pair; `offset` is what the corpus's traffic has taught, in log-odds.
#[must_use]
pub fn judge(pair: Pair<'_>, calibration: &Calibration, offset: f64) -> Judgement {
    let Pair { asked, answered, similarity, evidence } = pair;
    let verdict = asked.compare(answered);
    let alignment = align(asked, answered);
    let features = Features::of(verdict.is_same(), &alignment, similarity, evidence.overlap);
    let probability = calibration.probability(&features, offset);
    Judgement { verdict, alignment, features, evidence, probability }
}

impl Judgement {
    /// `threshold` is the calibration's for the tolerance; `None` where nothing is sure enough.
    #[must_use]
    pub fn decide(&self, threshold: Option<Probability>) -> Decision {
        if refuses(self.verdict) {
            Decision::Gate
        } else if !self.evidence.cited {
            Decision::Evidence
        } else if threshold.is_some_and(|asked| self.probability >= asked) {
            Decision::Reuse
        } else {
            Decision::Unsure
        }
    }
}

/// Whether the gate's word is final. What it can't read is never reused but for the very same text, whose cache key
/// it has.
fn refuses(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Different(_) | Verdict::Unsure(Doubt::Unreadable | Doubt::Version) => true,
        Verdict::Same
        | Verdict::Unsure(Doubt::Kind | Doubt::Words | Doubt::Synonyms | Doubt::Order | Doubt::Particles) => {
            false
        }
    }
}

#[cfg(test)]
mod tests;
