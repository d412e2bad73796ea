//! The losses that training minimises: their definitions, and their values in float64, with which the CPU judges.

use std::fmt::{Display, Formatter};
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{IGNORED, TargetValues, Targets};
use crate::{Error, Result};

/// A loss of one image: a sum over its pixels, or of its weight.
///
/// With y the outputs, p their softmax, t the wanted class or values and w the weights of the pixels. Losses of images
/// add up, and one over the total weight as scale makes each a mean, so which images come together does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Loss {
    /// sum w (-log p_t): the cross-entropy of the softmax.
    CrossEntropy,
    /// sum w (1 - p_t)^gamma (-log p_t): cross-entropy in which a pixel counts less the larger the probability of its class is
    /// (Lin et al. 2017, equation 4).
    Focal {
        /// How fast its share falls, above 0.
        gamma: f64,
    },
    /// W (1 - mean_k D_k), D_k = 2 sum w p_k \[t = k\] / sum w (p_k + \[t = k\]): soft Dice with the plain sums of
    /// Drozdzal et al. (2016, equation 2) below the line; V-Net (Milletari et al. 2016) has squares there.
    ///
    /// It is computed for each image separately and multiplied by the image's weight W = sum w, so that `scale` makes it a mean
    /// over images. The mean over k is over the classes that the image's targets hold, the background among them: their
    /// denominators are above 0, so no smoothing is needed. Pixels falsely predicted as an absent class still lower the Dice of the
    /// class that they belong to.
    Dice,
    /// The sum of [`Loss::CrossEntropy`] and [`Loss::Dice`].
    CrossEntropyDice,
    /// sum w (y - t)^2, also over the outputs, as in those below.
    SquaredError,
    /// sum w |y - t|; its gradient is 0 where y = t.
    AbsoluteError,
    /// sum w h(y - t), h(d) = d^2 / 2 up to |d| = delta and delta (|d| - delta / 2) beyond (Huber 1964).
    Huber {
        /// Where squares end, in deviations of the targets; above 0.
        delta: f64,
    },
    /// sum w sqrt((y - t)^2 + epsilon^2): a smooth |y - t| (Charbonnier et al. 1994).
    Charbonnier {
        /// Width of the smooth part, in deviations of the targets; above 0.
        epsilon: f64,
    },
}

/// A loss without its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are those of `Loss`")]
pub enum LossKind {
    CrossEntropy,
    Focal,
    Dice,
    CrossEntropyDice,
    SquaredError,
    AbsoluteError,
    Huber,
    Charbonnier,
}

impl LossKind {
    /// Whether Dice is part of it.
    pub fn has_dice(self) -> bool {
        matches!(self, LossKind::Dice | LossKind::CrossEntropyDice)
    }
}

/// Names, and for each the loss with its usual number.
const NAMES: [(&str, Loss); 8] = [
    ("cross-entropy", Loss::CrossEntropy),
    // Lin et al. found 2 best.
    ("focal", Loss::Focal { gamma: 2.0 }),
    ("dice", Loss::Dice),
    ("cross-entropy+dice", Loss::CrossEntropyDice),
    ("l2", Loss::SquaredError),
    ("l1", Loss::AbsoluteError),
    ("huber", Loss::Huber { delta: 1.0 }),
    // As in networks for super-resolution (Lai et al. 2017).
    ("charbonnier", Loss::Charbonnier { epsilon: 1e-3 }),
];

impl Loss {
    /// The loss without its number.
    pub fn kind(self) -> LossKind {
        match self {
            Loss::CrossEntropy => LossKind::CrossEntropy,
            Loss::Focal { .. } => LossKind::Focal,
            Loss::Dice => LossKind::Dice,
            Loss::CrossEntropyDice => LossKind::CrossEntropyDice,
            Loss::SquaredError => LossKind::SquaredError,
            Loss::AbsoluteError => LossKind::AbsoluteError,
            Loss::Huber { .. } => LossKind::Huber,
            Loss::Charbonnier { .. } => LossKind::Charbonnier,
        }
    }

    /// Its number, where it has one: gamma, delta or epsilon.
    pub fn number(self) -> Option<f64> {
        match self {
            Loss::Focal { gamma: number }
            | Loss::Huber { delta: number }
            | Loss::Charbonnier { epsilon: number } => Some(number),
            _ => None,
        }
    }

    /// Whether it is a loss of classes; else of values.
    pub fn is_of_classes(self) -> bool {
        matches!(self, Loss::CrossEntropy | Loss::Focal { .. } | Loss::Dice | Loss::CrossEntropyDice)
    }

    /// Whether Dice is part of it.
    pub fn has_dice(self) -> bool {
        self.kind().has_dice()
    }

    /// The loss of one image in float64, before any scale: `output(k, p)` is output k of `outputs` at pixel p.
    pub fn of_image(self, targets: &Targets, outputs: usize, output: impl Fn(usize, usize) -> f64) -> f64 {
        let pixels = match &targets.values {
            TargetValues::Classes(classes) => classes.len(),
            TargetValues::Values(values) => values.len() / outputs.max(1),
        };
        let (sum, dice) = self.sum_over(targets, outputs, 0..pixels, output);
        sum + dice.map_or(0.0, |dice| dice.loss())
    }

    /// The part of the loss of one image that is a sum over pixels, and what Dice is made of, for some of its pixels.
    pub(super) fn sum_over(
        self,
        targets: &Targets,
        outputs: usize,
        pixels: Range<usize>,
        output: impl Fn(usize, usize) -> f64,
    ) -> (f64, Option<DiceSums>) {
        let weight = |p: usize| targets.weights.as_ref().map_or(1.0, |weights| f64::from(weights[p]));
        match &targets.values {
            TargetValues::Values(values) => {
                let all = values.len() / outputs.max(1);
                let terms = (0..outputs).flat_map(|k| pixels.clone().map(move |p| (k, p)));
                let counted = terms.filter(|&(_, p)| weight(p) > 0.0);
                let term = |(k, p): (usize, usize)| {
                    weight(p) * self.of_difference(output(k, p) - f64::from(values[k * all + p]))
                };
                (counted.map(term).sum(), None)
            }
            TargetValues::Classes(classes) => {
                let mut sum = 0.0;
                let mut dice = DiceSums::new(outputs);
                let mut shares = vec![0.0; outputs];
                for p in pixels {
                    let (class, weight) = (classes[p], weight(p));
                    if class == IGNORED || weight == 0.0 {
                        continue;
                    }
                    let largest = (0..outputs).map(|k| output(k, p)).fold(f64::NEG_INFINITY, f64::max);
                    shares.iter_mut().enumerate().for_each(|(k, e)| *e = (output(k, p) - largest).exp());
                    let total: f64 = shares.iter().sum();
                    let log_share = output(class as usize, p) - largest - total.ln();
                    sum += weight * self.of_log_probability(log_share);
                    if self.has_dice() {
                        shares.iter_mut().for_each(|e| *e /= total);
                        dice.add(&shares, class as usize, weight);
                    }
                }
                (sum, self.has_dice().then_some(dice))
            }
        }
    }

    /// What a pixel of weight 1 adds whose class has a probability of this logarithm; 0 for Dice alone.
    fn of_log_probability(self, log: f64) -> f64 {
        match self {
            Loss::Focal { gamma } => -(-log.exp_m1()).powf(gamma) * log,
            Loss::CrossEntropy | Loss::CrossEntropyDice => -log,
            _ => 0.0,
        }
    }

    /// What an output of weight 1 adds that differs by `d` from what is wanted.
    fn of_difference(self, d: f64) -> f64 {
        match self {
            Loss::AbsoluteError => d.abs(),
            Loss::Huber { delta } if d.abs() > delta => delta * (d.abs() - delta / 2.0),
            Loss::Huber { .. } => d * d / 2.0,
            Loss::Charbonnier { epsilon } => d.hypot(epsilon),
            _ => d * d,
        }
    }
}

impl Display for Loss {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let name = NAMES.iter().find(|(_, loss)| loss.kind() == self.kind()).map_or("", |(name, _)| name);
        match self.number() {
            None => write!(f, "{name}"),
            Some(number) => write!(f, "{name}:{number}"),
        }
    }
}

impl FromStr for Loss {
    type Err = Error;

    /// Reads `l1`, `huber` or, with a number of one's own, `huber:0.5`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|&(_, loss)| loss);
        let usual = known.ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join(", ");
            Error::setting("loss", format!("'{text}'"), format!("wanted one of {names}"))
        })?;
        let Some(number) = number else { return Ok(usual) };
        let wanted = match usual.number() {
            Some(usual) => format!("after the colon belongs a number above 0, such as {name}:{usual}"),
            None => format!("{name} takes no number; leave the colon out"),
        };
        let usable = number.parse::<f64>().ok().filter(|n| (*n as f32) > 0.0 && (*n as f32).is_finite());
        match (usual, usable) {
            (Loss::Focal { .. }, Some(gamma)) => Ok(Loss::Focal { gamma }),
            (Loss::Huber { .. }, Some(delta)) => Ok(Loss::Huber { delta }),
            (Loss::Charbonnier { .. }, Some(epsilon)) => Ok(Loss::Charbonnier { epsilon }),
            _ => Err(Error::setting("loss", format!("'{text}'"), wanted)),
        }
    }
}

impl TryFrom<String> for Loss {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

/// The sums over one image that Dice is made of, by class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiceSums {
    /// sum w p_k \[t = k\]
    pub(crate) shared: Vec<f64>,
    /// sum w p_k
    pub(crate) predicted: Vec<f64>,
    /// sum w \[t = k\]
    pub(crate) wanted: Vec<f64>,
}

impl DiceSums {
    pub(crate) fn new(classes: usize) -> Self {
        Self { shared: vec![0.0; classes], predicted: vec![0.0; classes], wanted: vec![0.0; classes] }
    }

    /// Adds a pixel of a class with the probabilities of all classes.
    pub(crate) fn add(&mut self, probabilities: &[f64], class: usize, weight: f64) {
        self.predicted.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += weight * p);
        self.shared[class] += weight * probabilities[class];
        self.wanted[class] += weight;
    }

    /// Adds the sums over another part of the image.
    pub(crate) fn merge(&mut self, other: &Self) {
        let lists = [
            (&mut self.shared, &other.shared),
            (&mut self.predicted, &other.predicted),
            (&mut self.wanted, &other.wanted),
        ];
        for (sums, others) in lists {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
    }

    /// The weight of the image, and how many classes its targets hold.
    fn weight_and_classes(&self) -> (f64, f64) {
        (self.wanted.iter().sum(), self.wanted.iter().filter(|&&w| w > 0.0).count().max(1) as f64)
    }

    /// The weight of the image times (1 - mean Dice).
    pub(crate) fn loss(&self) -> f64 {
        let (weight, classes) = self.weight_and_classes();
        let lacking = (0..self.wanted.len())
            .filter(|&k| self.wanted[k] > 0.0)
            .map(|k| 1.0 - 2.0 * self.shared[k] / (self.predicted[k] + self.wanted[k]));
        weight / classes * lacking.sum::<f64>()
    }

    /// For each class `(a, b)`: the gradient of [`Self::loss`] with respect to p_k at a pixel of weight w is
    /// w (a \[t = k\] + b).
    pub(crate) fn slopes(&self) -> Vec<(f64, f64)> {
        let (weight, classes) = self.weight_and_classes();
        let slopes = |k: usize| {
            let (shared, both) = (self.shared[k], self.predicted[k] + self.wanted[k]);
            let factor = 2.0 * weight / (classes * both);
            if self.wanted[k] > 0.0 { (-factor, factor * shared / both) } else { (0.0, 0.0) }
        };
        (0..self.wanted.len()).map(slopes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs of one pixel after the other, two for each.
    fn of(loss: Loss, targets: &Targets, outputs: &[f64]) -> f64 {
        loss.of_image(targets, 2, |k, p| outputs[2 * p + k])
    }

    #[test]
    fn names_come_back() {
        for (name, loss) in NAMES {
            assert_eq!(name.parse::<Loss>().unwrap(), loss);
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
        }
        assert_eq!("huber:0.25".parse::<Loss>().unwrap(), Loss::Huber { delta: 0.25 });
        for (text, named) in [
            ("l3", "cross-entropy+dice"),
            ("huber:x", "huber:1"),
            ("huber:-1", "above 0"),
            ("l1:2", "no number"),
        ] {
            let error = text.parse::<Loss>().unwrap_err().to_string();
            assert!(error.starts_with("loss is") && error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_focal_pixel_counts_less_the_surer_it_is() {
        let targets = Targets::classes(vec![0]);
        let ratio = |y: f64| {
            of(Loss::Focal { gamma: 2.0 }, &targets, &[y, 0.0]) / of(Loss::CrossEntropy, &targets, &[y, 0.0])
        };
        let missing = |y: f64| 1.0 / (1.0 + f64::exp(y));
        for y in [-3.0, 0.0, 2.0, 8.0] {
            assert!((ratio(y) / missing(y).powi(2) - 1.0).abs() < 1e-10, "{y}");
        }
    }

    #[test]
    fn dice_goes_from_the_weight_of_the_image_to_nothing() {
        let (sure, classes) = (40.0, vec![0, 1, 1, IGNORED]);
        let right = [sure, 0.0, 0.0, sure, 0.0, sure, sure, 0.0];
        let wrong: Vec<f64> = right.iter().map(|y| sure - y).collect();
        let targets = Targets { weights: Some(vec![2.0, 1.0, 1.0, 9.0]), ..Targets::classes(classes) };
        assert!(of(Loss::Dice, &targets, &right).abs() < 1e-12);
        assert!((of(Loss::Dice, &targets, &wrong) - 4.0).abs() < 1e-12);
        // Half of the second class found, nothing wrongly taken for it: 2 / 3; the first: 4 / 5.
        let half = [sure, 0.0, 0.0, sure, sure, 0.0, 0.0, 0.0];
        assert!((of(Loss::Dice, &targets, &half) - 4.0 * (1.0 - (2.0 / 3.0 + 0.8) / 2.0)).abs() < 1e-12);
        // A class that is not there does not count by itself.
        let one = Targets::classes(vec![0, 0]);
        assert!(of(Loss::Dice, &one, &[sure, 0.0, sure, 0.0]).abs() < 1e-12);
        assert_eq!(of(Loss::Dice, &Targets::classes(vec![IGNORED; 2]), &right[..4]), 0.0);
    }

    #[test]
    fn losses_of_values_are_as_defined() {
        let targets = Targets::values(vec![0.0, 0.0]);
        let both = |loss: Loss, d: f64| of(loss, &targets, &[d, 0.0]) - of(loss, &targets, &[0.0, 0.0]);
        assert_eq!(both(Loss::SquaredError, -3.0), 9.0);
        assert_eq!(both(Loss::AbsoluteError, -3.0), 3.0);
        let huber = Loss::Huber { delta: 2.0 };
        assert_eq!((both(huber, 2.0), both(huber, -3.0)), (2.0, 4.0));
        assert!((both(Loss::Charbonnier { epsilon: 4.0 }, 3.0) - 1.0).abs() < 1e-12);
    }
}
