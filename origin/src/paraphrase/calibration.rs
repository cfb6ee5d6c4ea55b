//! From what is seen of a pair to the chance that reuse is right, and from a tolerance to the chance that is asked for.
//!
//! The coefficients are in `calibration.toml` beside this file, written by `perigee calibrate`.

use std::sync::LazyLock;

use perigee_shared::id::Similarity;
use serde::{Deserialize, Serialize};

use super::Tolerance;
use super::features::Features;

/// A chance in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Probability(f64);

impl Probability {
    /// The nearest that is one; what is no number is no chance.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
    }

    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// One weight per feature, none negative, and what is added to their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    pub bias: f64,
    pub weights: [f64; Features::COUNT],
}

impl Weights {
    /// The log-odds that reuse is right.
    #[must_use]
    pub fn log_odds(&self, features: &Features) -> f64 {
        self.bias + dot(&self.weights, &features.values())
    }
}

/// The chance that is asked for so that at most the tolerated share of requests is answered wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub tolerance: Tolerance,
    /// At the origin: the least probability.
    pub probability: f64,
    /// At the edge, for what the gate calls *same*: the least cosine of the static vectors.
    pub edge_similarity: f64,
}

/// Weights, and the steps from the strictest tolerance to the mildest.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub weights: Weights,
    pub steps: Vec<Step>,
}

/// The file's shape.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bias: f64,
    weights: std::collections::BTreeMap<String, f64>,
    steps: Vec<Step>,
}

/// Why a calibration's file is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCalibration {
    #[error("it is not the TOML of a calibration")]
    Malformed(#[from] toml::de::Error),
    #[error("its weights must be {}, each a number that is not negative", Features::NAMES.join(", "))]
    Weights,
    #[error("its steps must go from strict to mild, and ask for no more likeness as they do")]
    Steps,
}

/// The bundled file; a test proves that it is sound.
static BUNDLED: LazyLock<Calibration> = LazyLock::new(|| {
    Calibration::parse(include_str!("calibration.toml")).unwrap_or_else(|_| Calibration::never())
});

impl Calibration {
    /// What came with the program.
    #[must_use]
    pub fn bundled() -> &'static Self {
        &BUNDLED
    }

    /// Finds nothing sure enough, ever.
    fn never() -> Self {
        Self { weights: Weights { bias: 0.0, weights: [0.0; Features::COUNT] }, steps: Vec::new() }
    }

    /// # Errors
    /// The text is no calibration: a weight is missing or negative, or the steps are not in order.
    pub fn parse(text: &str) -> Result<Self, InvalidCalibration> {
        let File { bias, weights: mut named, steps } = toml::from_str(text)?;
        let mut weights = [0.0; Features::COUNT];
        for (weight, name) in weights.iter_mut().zip(Features::NAMES) {
            *weight = named.remove(name).ok_or(InvalidCalibration::Weights)?;
        }
        let sound = named.is_empty() && bias.is_finite();
        if !sound || !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
            return Err(InvalidCalibration::Weights);
        }
        let in_order = steps.is_sorted_by(|a, b| {
            a.tolerance < b.tolerance
                && a.probability >= b.probability
                && a.edge_similarity >= b.edge_similarity
        });
        if steps.is_empty() || !in_order {
            return Err(InvalidCalibration::Steps);
        }
        Ok(Self { weights: Weights { bias, weights }, steps })
    }

    /// The file's text, to be read by people and by [`Self::parse`].
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { weights: Weights { bias, weights }, steps } = self;
        let mut text = format!("bias = {bias:.4}\n\n[weights]\n");
        for (name, weight) in Features::NAMES.iter().zip(weights) {
            text.push_str(&format!("{name} = {weight:.4}\n"));
        }
        for Step { tolerance, probability, edge_similarity } in steps {
            let tolerance = tolerance.share();
            text.push_str(&format!(
                "\n[[steps]]\ntolerance = {tolerance}\nprobability = {probability:.4}\n\
                 edge_similarity = {edge_similarity:.4}\n"
            ));
        }
        text
    }

    /// The chance that one's answer answers the other; `offset` is what a corpus has learnt, in log-odds.
    #[must_use]
    pub fn probability(&self, features: &Features, offset: f64) -> Probability {
        Probability::new(sigmoid(self.weights.log_odds(features) + offset))
    }

    /// The chance that must be reached; `None` where nothing is sure enough.
    #[must_use]
    pub fn threshold(&self, tolerance: Tolerance) -> Option<Probability> {
        self.step(tolerance).map(|step| Probability::new(step.probability)).filter(|asked| asked.get() < 1.0)
    }

    /// The least cosine of static vectors at which the edge may reuse what the gate calls *same*; `None` where it may
    /// reuse nothing.
    #[must_use]
    pub fn edge_threshold(&self, tolerance: Tolerance) -> Option<Similarity> {
        let step = self.step(tolerance).filter(|step| step.edge_similarity <= 1.0);
        step.map(|step| Similarity::new(step.edge_similarity as f32))
    }

    /// The mildest step that is not milder than the tolerance.
    fn step(&self, tolerance: Tolerance) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.tolerance <= tolerance)
    }
}

pub(super) fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

pub(super) fn dot(a: &[f64; Features::COUNT], b: &[f64; Features::COUNT]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn features(values: [f64; Features::COUNT]) -> Features {
        let [similarity, aligned, aligned_other, heaviest, named, kin, order, same, evidence] = values;
        Features { similarity, aligned, aligned_other, heaviest, named, kin, order, same, evidence }
    }

    #[test]
    fn the_bundled_file_is_sound_and_survives_being_written_again() {
        let bundled = Calibration::parse(include_str!("calibration.toml")).unwrap();
        assert_eq!(Calibration::bundled(), &bundled);
        assert_eq!(Calibration::parse(&bundled.to_text()).unwrap(), bundled);
        assert!(bundled.threshold(Tolerance::default()).is_some());
    }

    #[test]
    fn a_negative_or_missing_weight_and_steps_out_of_order_are_refused() {
        let text = Calibration::bundled().to_text();
        let negative = text.replacen("similarity = ", "similarity = -", 1);
        assert!(matches!(Calibration::parse(&negative), Err(InvalidCalibration::Weights)));
        let missing = text.replacen("\norder = ", "\nodor = ", 1);
        assert!(matches!(Calibration::parse(&missing), Err(InvalidCalibration::Weights)));
        let mut turned = Calibration::bundled().clone();
        turned.steps.reverse();
        assert!(matches!(Calibration::parse(&turned.to_text()), Err(InvalidCalibration::Steps)));
    }

    #[test]
    fn no_tolerance_means_no_reuse_and_a_stricter_one_never_asks_for_less() {
        let calibration = Calibration::bundled();
        assert_eq!(calibration.threshold(Tolerance::NONE), None);
        assert_eq!(calibration.edge_threshold(Tolerance::NONE), None);
        let asked =
            |share| calibration.threshold(Tolerance::new(share).unwrap()).map_or(1.0, Probability::get);
        assert!(asked(0.001) >= asked(0.01) && asked(0.01) >= asked(0.05));
    }

    fn step(tolerance: f64, probability: f64, edge_similarity: f64) -> Step {
        Step { tolerance: Tolerance::new(tolerance).unwrap(), probability, edge_similarity }
    }

    #[test]
    fn a_tolerance_asks_an_edge_for_what_its_step_does_and_below_the_first_for_nothing() {
        let steps = vec![step(0.001, 1.1, 1.1), step(0.01, 0.9, 0.95), step(0.05, 0.5, 0.8)];
        let calibration = Calibration { steps, ..Calibration::bundled().clone() };
        let asked = |share| calibration.edge_threshold(Tolerance::new(share).unwrap());
        assert_eq!([0.0, 0.000_5, 0.001, 0.005].map(asked), [None; 4]);
        assert_eq!([0.01, 0.04].map(asked), [Some(Similarity::new(0.95)); 2]);
        assert_eq!(asked(0.05), Some(Similarity::new(0.8)));
    }

    proptest! {
        #[test]
        fn a_stricter_tolerance_never_asks_an_edge_for_less(a in 0.0..=Tolerance::MAX, b in 0.0..=Tolerance::MAX) {
            let asked = |share| {
                let asked = Calibration::bundled().edge_threshold(Tolerance::new(share).unwrap());
                asked.map_or(f32::INFINITY, Similarity::get)
            };
            prop_assert!(asked(a.min(b)) >= asked(a.max(b)));
        }

        #[test]
        fn more_alike_is_never_less_sure(
            values in prop::array::uniform9(0.0..=1.0_f64),
            index in 0..Features::COUNT,
            more in 0.0..=1.0_f64,
        ) {
            let mut alike = values;
            alike[index] = values[index].max(more);
            let chance = |values| Calibration::bundled().probability(&features(values), 0.0);
            prop_assert!(chance(alike) >= chance(values));
        }
    }
}
