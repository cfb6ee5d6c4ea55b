//! Fits the calibration's weights to labelled pairs: logistic regression with weights that are not negative.
//!
//! Deterministic: no randomness, one order of summing. Where pairs come from and what the fit is worth is `trial`'s
//! business.

use super::calibration::{Weights, dot, sigmoid};
use super::features::Features;

/// Pulls weights to 0, per pair of weight 1. Strong for what little there is to learn from: ten numbers from
/// some hundred questions.
const RIDGE: f64 = 2e-3;

/// Steps of the descent. The features are in [0, 1], so that its step is known and it need not search for one.
const STEPS: usize = 3_000;

/// A pair with what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labelled {
    pub(super) features: Features,
    /// Whether the one's answer answers the other.
    pub(super) same: bool,
    /// How much it counts beside the others; above 0.
    pub(super) weight: f64,
}

/// The weights under which the pairs' labels are the most likely, none of them negative.
///
/// Projected gradient descent on the mean log loss with a ridge on the weights, not on the bias.
#[must_use]
pub(super) fn fit(pairs: &[Labelled]) -> Weights {
    let total: f64 = pairs.iter().map(|pair| pair.weight).sum();
    if total <= 0.0 {
        return Weights { bias: 0.0, weights: [0.0; Features::COUNT] };
    }
    // The loss's curvature is at most a quarter of the features' squared length, with the bias's 1.
    let step = 1.0 / (0.25 * (Features::COUNT as f64 + 1.0) + RIDGE);
    let mut fitted = Weights { bias: 0.0, weights: [0.0; Features::COUNT] };
    // Nesterov's momentum, restarted nowhere: the loss is convex and smooth.
    let mut ahead = fitted;
    for round in 0..STEPS {
        let (bias, slopes) = gradient(pairs, total, &ahead);
        let mut next = ahead;
        next.bias -= step * bias;
        for (weight, slope) in next.weights.iter_mut().zip(slopes) {
            *weight = (*weight - step * slope).max(0.0);
        }
        let momentum = round as f64 / (round as f64 + 3.0);
        ahead = next;
        ahead.bias += momentum * (next.bias - fitted.bias);
        for (ahead, (new, old)) in ahead.weights.iter_mut().zip(next.weights.iter().zip(fitted.weights)) {
            *ahead += momentum * (new - old);
        }
        fitted = next;
    }
    fitted
}

fn gradient(pairs: &[Labelled], total: f64, at: &Weights) -> (f64, [f64; Features::COUNT]) {
    let mut bias = 0.0;
    let mut slopes = at.weights.map(|weight| RIDGE * weight);
    for Labelled { features, same, weight } in pairs {
        let values = features.values();
        let wanted = f64::from(u8::from(*same));
        let error = (sigmoid(at.bias + dot(&at.weights, &values)) - wanted) * weight / total;
        bias += error;
        for (slope, value) in slopes.iter_mut().zip(values) {
            *slope += error * value;
        }
    }
    (bias, slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(similarity: f64, aligned: f64, same: bool) -> Labelled {
        let features = Features {
            similarity,
            aligned,
            aligned_other: 1.0,
            heaviest: 1.0,
            named: 1.0,
            kin: 1.0,
            order: 1.0,
            same: 0.0,
            evidence: 1.0,
        };
        Labelled { features, same, weight: 1.0 }
    }

    #[test]
    fn what_tells_the_pairs_apart_gets_weight() {
        let pairs: Vec<_> = (0..20)
            .flat_map(|n| {
                let noise = f64::from(n) / 40.0;
                [pair(noise, 1.0, true), pair(noise, 0.5, false)]
            })
            .collect();
        let fitted = fit(&pairs);
        let chance = |aligned| {
            let values = pair(0.2, aligned, true).features.values();
            sigmoid(fitted.bias + dot(&fitted.weights, &values))
        };
        assert!(chance(1.0) > 0.9 && chance(0.5) < 0.1, "{fitted:?}");
    }

    /// Near misses share more words than paraphrases, where both were written by hand: to learn from that would be
    /// to take the less alike for the surer.
    #[test]
    fn likeness_never_counts_against_a_pair_whatever_the_labels_say() {
        let pairs: Vec<_> = (0..20).flat_map(|_| [pair(0.3, 0.5, true), pair(0.9, 1.0, false)]).collect();
        let fitted = fit(&pairs);
        assert!(fitted.weights.iter().all(|weight| *weight >= 0.0), "{fitted:?}");
        assert_eq!((fitted.weights[0], fitted.weights[1]), (0.0, 0.0));
    }

    #[test]
    fn nothing_to_learn_from_teaches_nothing() {
        assert_eq!(fit(&[]).weights, [0.0; Features::COUNT]);
    }
}
