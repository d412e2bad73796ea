//! Where the pixels of each class are, to draw one of them.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use super::dataset::Dataset;
use super::random::below;
use super::sample::Target;
use crate::error::{Error, Result};
use crate::metrics::UNLABELLED;

/// The pixels of a dataset that count, by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassPixels {
    /// For each class that the dataset has, its runs in order of images and rows.
    classes: Vec<Vec<Run>>,
}

/// Pixels of one class side by side in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    image: u32,
    y: u32,
    x: u32,
    /// Pixels of the class in this run and all before it.
    until: u64,
}

impl ClassPixels {
    /// Of a segmentation.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for regression targets, and for a dataset without a labelled pixel.
    pub fn of(dataset: &Dataset) -> Result<Self> {
        let mut classes: BTreeMap<u32, Vec<Run>> = BTreeMap::new();
        for (image, sample) in dataset.samples.iter().enumerate() {
            let Target::Classes(labels) = &sample.target else {
                return Err(Error::Mismatch(format!(
                    "the target of {} holds values, not classes, so that none is rare; leave out `favour_rare`",
                    sample.name
                )));
            };
            for (y, row) in labels.rows().into_iter().enumerate() {
                let mut last = UNLABELLED;
                for (x, &class) in row.iter().enumerate() {
                    let counts = sample.weights.as_ref().is_none_or(|weights| weights[[y, x]] > 0.0);
                    let class = if counts { class } else { UNLABELLED };
                    if class != UNLABELLED {
                        let runs = classes.entry(class).or_default();
                        match runs.last_mut() {
                            Some(run) if class == last => run.until += 1,
                            before => {
                                let until = 1 + before.map_or(0, |run| run.until);
                                runs.push(Run { image: image as u32, y: y as u32, x: x as u32, until });
                            }
                        }
                    }
                    last = class;
                }
            }
        }
        if classes.is_empty() {
            return Err(Error::Mismatch("found no labelled pixel to favour; wanted at least one".into()));
        }
        Ok(Self { classes: classes.into_values().collect() })
    }

    /// A class that the dataset has, each equally likely, and a pixel of it, each equally likely: the image's index, y
    /// and x.
    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> (usize, usize, usize) {
        let runs = &self.classes[below(random, self.classes.len())];
        let pixels = runs.last().map_or(1, |run| run.until);
        let pixel = below(random, pixels as usize) as u64;
        let at = runs.partition_point(|run| run.until <= pixel);
        let before = if at == 0 { 0 } else { runs[at - 1].until };
        let Run { image, y, x, .. } = runs[at];
        (image as usize, y as usize, x as usize + (pixel - before) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::{Array3, array};

    use super::*;
    use crate::samples::Sample;
    use crate::samples::random::{Stream, stream};

    #[test]
    fn classes_are_drawn_evenly_and_so_are_their_pixels() {
        let labels = [array![[0_u32, 0, 0, 0], [0, 7, UNLABELLED, 7]], array![[0_u32, 0], [2, 0]]];
        let samples = labels.clone().map(|classes| Sample {
            name: "a".into(),
            image: Array3::zeros((1, classes.nrows(), classes.ncols())),
            target: Target::Classes(classes),
            group: None,
            weights: None,
        });
        let pixels = ClassPixels::of(&Dataset { samples: samples.to_vec() }).unwrap();
        let mut counts: BTreeMap<(usize, usize, usize), u32> = BTreeMap::new();
        let mut random = stream(1, Stream::Draw, 0);
        for _ in 0..24_000 {
            *counts.entry(pixels.draw(&mut random)).or_default() += 1;
        }
        // Three classes with 8, 2 and 1 pixels.
        assert_eq!(counts.len(), 11);
        for ((image, y, x), count) in counts {
            let expected = match labels[image][[y, x]] {
                0 => 1000.0,
                7 => 4000.0,
                _ => 8000.0,
            };
            assert!((f64::from(count) / expected - 1.0).abs() < 0.15, "{image} {y} {x}: {count}");
        }
    }
}
