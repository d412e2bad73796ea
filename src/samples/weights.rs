//! How much the pixels of each class count.

use std::str::FromStr;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::item::TargetChange;
use super::sample::{Sample, Target};
use crate::error::{Error, Result};
use crate::metrics::UNLABELLED;

/// How much the pixels of each class count.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// All classes have the same share of the weight of the training images, however rare they are: the weight of a class
    /// is the total weight over the number of classes and the weight of its pixels (King & Zeng, "Logistic regression
    /// in rare events data", Political Analysis 9, 2001).
    Balanced,
    /// A weight for each class, in ascending order of their label values.
    Listed(Vec<f32>),
}

impl FromStr for ClassWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "balanced" {
            return Ok(ClassWeights::Balanced);
        }
        let weights: std::result::Result<Vec<f32>, _> = text.split(',').map(|w| w.trim().parse()).collect();
        match weights {
            Ok(weights)
                if weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().any(|w| *w > 0.0) =>
            {
                Ok(ClassWeights::Listed(weights))
            }
            _ => Err(Error::setting(
                "class_weights",
                format!("'{text}'"),
                "it must be 'balanced' or a number from 0 on for each class, such as 1,2,0.5",
            )),
        }
    }
}

impl ClassWeights {
    /// The weight of each of the classes that `totals` are of; for balanced ones, over the pixels that were added to them. A class
    /// without any counts 1.
    ///
    /// # Errors
    /// [`Error::Setting`] for a list of another number of classes.
    pub fn resolve(&self, totals: &ClassTotals) -> Result<Vec<f32>> {
        let ClassTotals(totals) = totals;
        let classes = totals.len();
        match self {
            ClassWeights::Listed(weights) if weights.len() != classes => Err(Error::setting(
                "class_weights",
                format!("{} numbers", weights.len()),
                format!(
                    "there are {classes} classes; give one number for each, in the order of their values"
                ),
            )),
            ClassWeights::Listed(weights) => Ok(weights.clone()),
            ClassWeights::Balanced => {
                let all: f64 = totals.iter().sum();
                let weight = |total: &f64| if *total > 0.0 { all / (classes as f64 * total) } else { 1.0 };
                Ok(totals.iter().map(|total| weight(total) as f32).collect())
            }
        }
    }
}

/// The weight of all pixels of each class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub struct ClassTotals(Vec<f64>);

/// Kept as their bits.
impl From<Vec<u64>> for ClassTotals {
    fn from(bits: Vec<u64>) -> Self {
        Self(bits.into_iter().map(f64::from_bits).collect())
    }
}

impl From<ClassTotals> for Vec<u64> {
    fn from(totals: ClassTotals) -> Self {
        totals.0.into_iter().map(f64::to_bits).collect()
    }
}

impl ClassTotals {
    /// Of so many classes, without any pixel yet.
    pub fn new(classes: usize) -> Self {
        Self(vec![0.0; classes])
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.0.len()
    }

    /// The weight of all pixels.
    pub fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    /// The share of each class, 0 for one without pixels.
    pub fn shares(&self) -> Vec<f64> {
        let all = self.sum();
        self.0.iter().map(|total| if all > 0.0 { total / all } else { 0.0 }).collect()
    }

    /// The same where the weight of each pixel is multiplied by that of its class.
    pub fn weighed(self, weights: &[f32]) -> Self {
        Self(self.0.into_iter().zip(weights).map(|(total, weight)| total * f64::from(*weight)).collect())
    }

    /// Adds the pixels of a sample.
    ///
    /// # Panics
    /// For a class beyond the last.
    pub fn add(&mut self, sample: &Sample) {
        self.add_target(&sample.target, sample.weights.as_ref());
    }

    /// As [`ClassTotals::add`], of a target with the weights of its pixels.
    ///
    /// # Panics
    /// For a class beyond the last.
    pub fn add_target(&mut self, target: &Target, weights: Option<&Array2<f32>>) {
        let Target::Classes(labels) = target else { return };
        for (place, &class) in labels.indexed_iter().filter(|(_, class)| **class != UNLABELLED) {
            self.0[class as usize] += weights.map_or(1.0, |weights| f64::from(weights[place]));
        }
    }
}

impl Dataset {
    /// Multiplies the weight of each pixel by the weight of its class; unlabelled pixels get 0.
    ///
    /// # Panics
    /// For a class that has no weight in `weights`, when its pixels are read.
    pub fn weigh_classes(&mut self, weights: &[f32]) {
        let keeps_counting = weights.iter().all(|weight| *weight > 0.0);
        let weights = weights.to_vec();
        let change: TargetChange = Arc::new(move |target, pixel_weights| {
            let Target::Classes(labels) = target else { return };
            let of_class = |class: u32| if class == UNLABELLED { 0.0 } else { weights[class as usize] };
            let mut classes: Array2<f32> = labels.mapv(of_class);
            if let Some(weights) = pixel_weights {
                classes *= &*weights;
            }
            *pixel_weights = Some(classes);
        });
        self.items.iter_mut().for_each(|item| item.change_target(change.clone(), keeps_counting));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;

    fn dataset(labels: Array2<u32>, weights: Option<Array2<f32>>) -> Dataset {
        let image = Array3::zeros((1, labels.nrows(), labels.ncols()));
        Dataset::unchecked([Sample::new("a", image, Target::Classes(labels)).with_weights(weights)])
    }

    #[test]
    fn balanced_classes_have_equal_shares_of_the_weight() {
        let labels = array![[0, 0, 0, 0, 0, 0], [1, 1, 2, UNLABELLED, 0, 0]];
        let weights = array![[1.0, 1.0, 1.0, 1.0, 1.0, 0.0], [1.0, 3.0, 2.0, 9.0, 0.0, 1.0]];
        for weights in [None, Some(weights)] {
            let mut set = dataset(labels.clone(), weights);
            let mut totals = ClassTotals::new(4);
            totals.add(&set.sample(0).unwrap());
            let resolved = ClassWeights::Balanced.resolve(&totals).unwrap();
            assert_eq!(resolved[3], 1.0, "a class without pixels");
            set.weigh_classes(&resolved);
            let sample = set.sample(0).unwrap();
            let weights = sample.weights.as_ref().unwrap();
            let total = |class: u32| -> f32 {
                labels.iter().zip(weights).filter(|(label, _)| **label == class).map(|(_, w)| w).sum()
            };
            assert!((total(0) - total(1)).abs() < 1e-5 && (total(0) - total(2)).abs() < 1e-5);
            assert_eq!(weights[[1, 3]], 0.0, "an unlabelled pixel");
        }
    }

    #[test]
    fn class_weights_are_read_strictly() {
        assert_eq!("balanced".parse(), Ok(ClassWeights::Balanced));
        assert_eq!("1, 2,0.5".parse(), Ok(ClassWeights::Listed(vec![1.0, 2.0, 0.5])));
        for bad in ["", "1,,2", "0,0", "1,-1", "inf,1", "even"] {
            let error = bad.parse::<ClassWeights>().unwrap_err().to_string();
            assert!(error.starts_with("class_weights"), "{error}");
        }
        let totals = ClassTotals::new(2);
        let error = ClassWeights::Listed(vec![1.0; 3]).resolve(&totals).unwrap_err().to_string();
        assert!(error.contains("3 numbers") && error.contains("2 classes"), "{error}");
    }
}
