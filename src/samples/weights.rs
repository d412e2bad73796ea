//! How much each pixel counts: images of weights, and weights of classes.

use std::str::FromStr;
use std::sync::Arc;

use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::item::TargetChange;
use super::sample::{Sample, Target};
use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::{Discovery, ImageCache, ImageSource, as_grey, check_gaps_from, page_size, read_values};
use crate::metrics::UNLABELLED;

/// The images of weights for images of these `(height, width)`, which were found as `images`; they pair with them as targets do, and
/// all are looked for as `discovery` says.
///
/// # Errors
/// [`Error::Input`] for files that cannot be read or with more than one channel; [`Error::Mismatch`] for images without weights, and
/// weights of another size; as [`Discovery::discover`].
pub(super) fn pages_of_weights(
    discovery: &Discovery,
    sizes: &[(usize, usize)],
    images: &str,
    weights: &str,
) -> Result<Vec<ImageSource>> {
    // What stands at the end of a target's name may stand at that of weights, but need not.
    let found = discovery.discover_single_channel(weights)?;
    let pairs = discovery.pair(&discovery.discover(images)?, &found, "weight image")?;
    if pairs.len() != sizes.len() {
        return Err(Error::Mismatch(format!(
            "{weights} has weights for {} images, but {} of {images} have targets; give weights and targets for the same images",
            pairs.len(),
            sizes.len()
        )));
    }
    for (size, (image, page)) in sizes.iter().zip(&pairs) {
        check_size(&image.name(), *size, page)?;
        let (channels, ..) = page_size(page)?;
        // Three may be a grey image that was saved as colours.
        if channels != 1 && channels != 3 {
            let problem = format!("has {channels} channels; wanted weights: one number for each pixel");
            return Err(Error::input(page.name(), problem));
        }
    }
    Ok(pairs.into_iter().map(|(_, page)| page).collect())
}

/// Checks that the weights in `page` are as large as the image called `name`, of `(height, width)` pixels.
///
/// # Errors
/// [`Error::Mismatch`] where they are not.
pub(super) fn check_size(name: &str, (height, width): (usize, usize), page: &ImageSource) -> Result<()> {
    let (_, found_height, found_width) = page_size(page)?;
    if (found_height, found_width) == (height, width) {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "{name} is {width} x {height} pixels but its weights {} are {found_width} x {found_height}; wanted the same size, cut or export the weights again",
        page.name()
    )))
}

/// The weights in one image.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read, with several channels that differ or with numbers below 0.
pub(super) fn read(page: &ImageSource) -> Result<Array2<f32>> {
    checked(page, read_values(page)?, (0, 0))
}

/// As [`read`], of the rows and columns of `part`.
///
/// # Errors
/// As [`read`].
pub(super) fn read_part(cache: &ImageCache, page: &ImageSource, part: &Window) -> Result<Array2<f32>> {
    let weights = cache.values(page, part)?;
    check_gaps_from(&page.name(), &weights, (part.y, part.x), |_, _| true)?;
    checked(page, weights, (part.y, part.x))
}

/// Weights that begin at `(y, x)` of their image.
fn checked(page: &ImageSource, weights: Array3<f32>, (top, left): (usize, usize)) -> Result<Array2<f32>> {
    let weights = as_grey(&page.name(), weights)?.index_axis_move(Axis(0), 0);
    match weights.indexed_iter().find(|(_, weight)| **weight < 0.0) {
        None => Ok(weights),
        Some(((y, x), weight)) => {
            let problem = format!(
                "has the weight {weight} at x {}, y {}; wanted numbers from 0 (does not count) upwards",
                left + x,
                top + y
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

    /// Adds the pixels of a sample.
    ///
    /// # Panics
    /// For a class beyond the last.
    pub fn add(&mut self, sample: &Sample) {
        let Target::Classes(labels) = &sample.target else { return };
        for (place, &class) in labels.indexed_iter().filter(|(_, class)| **class != UNLABELLED) {
            self.0[class as usize] +=
                sample.weights.as_ref().map_or(1.0, |weights| f64::from(weights[place]));
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
    use crate::images::write_tiff_f32;

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
            let pages = pages_of_weights(&Discovery::default(), &[(2, 3)], &images, &weights)?;
            let part = Window::plane(1..2, 0..3);
            let cut = read_part(&ImageCache::new(0), &pages[0], &part);
            read(&pages[0]).inspect(|all| assert_eq!(cut.unwrap(), all.slice(ndarray::s![1.., ..])))
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
        let error = pages_of_weights(&Discovery::default(), &[(2, 3)], &images, &weights);
        assert!(error.unwrap_err().to_string().contains("1 image without weight image"));
    }
}
