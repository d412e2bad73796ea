//! How much each pixel counts: images of weights, and weights of classes.

use std::str::FromStr;

use ndarray::{Array2, Axis};

use super::dataset::Dataset;
use super::sample::Target;
use crate::error::{Error, Result};
use crate::images::{Discovery, ImageSource, as_grey, page_size, read_values};
use crate::metrics::UNLABELLED;

/// Gives the images of `set`, which were loaded from `images`, the weights of the images `weights`, which pair with them
/// as targets do.
///
/// # Errors
/// [`Error::Input`] for files that cannot be read, with more than one channel or with numbers below 0;
/// [`Error::Mismatch`] for images without weights, and weights of another size.
pub fn load_weights(set: &mut Dataset, images: &str, weights: &str) -> Result<()> {
    load_weights_with(&Discovery::default(), set, images, weights)
}

/// As [`load_weights`], with images and weights looked for as `discovery` says, as those of the set were.
///
/// # Errors
/// As [`load_weights`], and of [`Discovery::discover`].
pub fn load_weights_with(
    discovery: &Discovery,
    set: &mut Dataset,
    images: &str,
    weights: &str,
) -> Result<()> {
    // What stands at the end of a target's name may stand at that of weights, but need not.
    let found = discovery.discover_single_channel(weights)?;
    let pairs = discovery.pair(&discovery.discover(images)?, &found, "weight image")?;
    if pairs.len() != set.samples.len() {
        return Err(Error::Mismatch(format!(
            "{weights} has weights for {} images, but {} of {images} have targets; give weights and targets for the same images",
            pairs.len(),
            set.samples.len()
        )));
    }
    for (sample, (image, page)) in set.samples.iter().zip(&pairs) {
        let (channels, height, width) = page_size(page)?;
        let (_, image_height, image_width) = sample.image.dim();
        if (height, width) != (image_height, image_width) {
            return Err(Error::Mismatch(format!(
                "{} is {image_width} x {image_height} pixels but its weights {} are {width} x {height}; wanted the same size, cut or export the weights again",
                image.name(),
                page.name()
            )));
        }
        // Three may be a grey image that was saved as colours.
        if channels != 1 && channels != 3 {
            let problem = format!("has {channels} channels; wanted weights: one number for each pixel");
            return Err(Error::input(page.name(), problem));
        }
    }
    for (sample, (_, page)) in set.samples.iter_mut().zip(&pairs) {
        sample.weights = Some(read(page)?);
    }
    Ok(())
}

/// The weights in one image.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read, with several channels that differ or with numbers below 0.
pub(super) fn read(page: &ImageSource) -> Result<Array2<f32>> {
    let weights = as_grey(&page.name(), read_values(page)?)?.index_axis_move(Axis(0), 0);
    match weights.indexed_iter().find(|(_, weight)| **weight < 0.0) {
        None => Ok(weights),
        Some(((y, x), weight)) => {
            let problem = format!(
                "has the weight {weight} at x {x}, y {y}; wanted numbers from 0 (does not count) upwards"
            );
            Err(Error::input(page.name(), problem))
        }
    }
}

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
    /// The weight of each of `classes` classes; for balanced ones, over the pixels of `training`. A class that it has no
    /// pixel of counts 1.
    ///
    /// # Errors
    /// [`Error::Setting`] for a list of another number of classes.
    pub fn resolve(&self, training: &Dataset, classes: usize) -> Result<Vec<f32>> {
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
                let mut totals = vec![0.0_f64; classes];
                for sample in &training.samples {
                    let Target::Classes(labels) = &sample.target else { continue };
                    for (place, &class) in labels.indexed_iter().filter(|(_, class)| **class != UNLABELLED) {
                        totals[class as usize] +=
                            sample.weights.as_ref().map_or(1.0, |weights| f64::from(weights[place]));
                    }
                }
                let all: f64 = totals.iter().sum();
                let weight = |total: &f64| if *total > 0.0 { all / (classes as f64 * total) } else { 1.0 };
                Ok(totals.iter().map(|total| weight(total) as f32).collect())
            }
        }
    }
}

impl Dataset {
    /// Multiplies the weight of each pixel by the weight of its class; unlabelled pixels get 0.
    ///
    /// # Panics
    /// For a class that has no weight in `weights`.
    pub fn weigh_classes(&mut self, weights: &[f32]) {
        for sample in &mut self.samples {
            let Target::Classes(labels) = &sample.target else { continue };
            let of_class = |class: u32| if class == UNLABELLED { 0.0 } else { weights[class as usize] };
            let mut classes: Array2<f32> = labels.mapv(of_class);
            if let Some(weights) = &sample.weights {
                classes *= weights;
            }
            sample.weights = Some(classes);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;
    use crate::images::write_tiff_f32;
    use crate::samples::Sample;

    fn dataset(labels: Array2<u32>, weights: Option<Array2<f32>>) -> Dataset {
        let image = Array3::zeros((1, labels.nrows(), labels.ncols()));
        Dataset {
            samples: vec![Sample {
                name: "a".into(),
                image,
                target: Target::Classes(labels),
                group: None,
                weights,
            }],
        }
    }

    #[test]
    fn balanced_classes_have_equal_shares_of_the_weight() {
        let labels = array![[0, 0, 0, 0, 0, 0], [1, 1, 2, UNLABELLED, 0, 0]];
        let weights = array![[1.0, 1.0, 1.0, 1.0, 1.0, 0.0], [1.0, 3.0, 2.0, 9.0, 0.0, 1.0]];
        for weights in [None, Some(weights)] {
            let mut set = dataset(labels.clone(), weights);
            let resolved = ClassWeights::Balanced.resolve(&set, 4).unwrap();
            assert_eq!(resolved[3], 1.0, "a class without pixels");
            set.weigh_classes(&resolved);
            let weights = set.samples[0].weights.as_ref().unwrap();
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
        let set = dataset(array![[0, 1]], None);
        let error = ClassWeights::Listed(vec![1.0; 3]).resolve(&set, 2).unwrap_err().to_string();
        assert!(error.contains("3 numbers") && error.contains("2 classes"), "{error}");
    }

    #[test]
    fn weights_are_paired_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["images", "weights"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (images, weights) = (path("images"), path("weights"));
        write_tiff_f32(format!("{images}/a.tif"), &Array3::zeros((1, 2, 3))).unwrap();
        let load = |image: &Array3<f32>| {
            write_tiff_f32(format!("{weights}/a.tif"), image).unwrap();
            let mut set = dataset(Array2::zeros((2, 3)), None);
            load_weights(&mut set, &images, &weights).map(|()| set.samples[0].weights.clone().unwrap())
        };
        let good = array![[[0.0, 1.0, 2.5], [1.0, 1.0, 1.0]]];
        assert_eq!(load(&good).unwrap(), good.index_axis(Axis(0), 0));
        let refusal = |image: &Array3<f32>| load(image).unwrap_err().to_string();
        assert!(refusal(&(good.clone() - 0.5)).contains("the weight -0.5 at x 0, y 0"));
        assert!(refusal(&Array3::ones((1, 3, 3))).contains("weights"));
        assert!(refusal(&Array3::ones((2, 2, 3))).contains("2 channels"));
        assert!(refusal(&(good / 0.0)).contains("NaN, infinite"));
        std::fs::copy(format!("{weights}/a.tif"), format!("{weights}/b.tif")).unwrap();
        std::fs::rename(format!("{weights}/a.tif"), format!("{weights}/c.tif")).unwrap();
        let error = load_weights(&mut dataset(Array2::zeros((2, 3)), None), &images, &weights);
        assert!(error.unwrap_err().to_string().contains("1 image without weight image"));
    }
}
