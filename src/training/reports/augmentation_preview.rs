//! Pictures of what the network is shown, before anything is trained.

use std::path::Path;

use ndarray::{Array2, Array3, Axis};

use crate::images::write_png_rgb8;
use crate::pictures::{grey_picture, label_picture, montage, range_of, stretch_with};
use crate::samples::Target;
use crate::training::Settings;
use crate::training::batches::Batches;
use crate::training::prepare::Prepared;
use crate::{Error, Result};

/// Samples that are shown.
const SAMPLES: u64 = 16;

/// Writes the first samples of the run as `01.png` and so on: image, target and, where pixels have them, weights; gives
/// their number.
///
/// All are in the greys of the whole training set, so that a change of brightness is seen as one.
///
/// # Errors
/// When the folder cannot be made, or a file cannot be written.
pub fn preview_augmentation(prepared: &Prepared, settings: &Settings, folder: &Path) -> Result<u64> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::output(folder, format!("{e}; name a folder that can be made")))?;
    let set = &prepared.training;
    let batches = Batches::new(set, settings)?;
    let greys = common_range(set.samples.iter().map(|sample| &sample.image));
    let target_greys = common_range(set.samples.iter().filter_map(|sample| values(&sample.target)));
    let weights_range =
        (0.0, set.samples.iter().filter_map(|s| s.weights.as_ref()).map(largest).fold(1.0, f32::max));
    for n in 0..SAMPLES {
        let sample = batches.sample(n);
        let grey = |image: &Array3<f32>, range| {
            grey_picture(stretch_with(image.index_axis(Axis(0), 0), range).view())
        };
        let target = match &sample.target {
            Target::Classes(classes) => label_picture(classes.view()),
            Target::Values(values) => grey(values, target_greys),
        };
        let mut captions = vec!["input", "target"];
        let mut row = vec![grey(&sample.image, greys), target];
        if let Some(weights) = &sample.weights {
            captions.push("weight");
            row.push(grey_picture(stretch_with(weights.view(), weights_range).view()));
        }
        write_png_rgb8(folder.join(format!("{:02}.png", n + 1)), &montage(&captions, &[row]))?;
    }
    Ok(SAMPLES)
}

fn values(target: &Target) -> Option<&Array3<f32>> {
    match target {
        Target::Values(values) => Some(values),
        Target::Classes(_) => None,
    }
}

fn largest(weights: &Array2<f32>) -> f32 {
    weights.iter().copied().fold(0.0, f32::max)
}

/// The greys of the first channels of all images.
fn common_range<'a>(images: impl Iterator<Item = &'a Array3<f32>>) -> (f32, f32) {
    let ranges = images.filter_map(|image| range_of(image.index_axis(Axis(0), 0)));
    ranges.reduce(|(least, most), (l, m)| (least.min(l), most.max(m))).unwrap_or((0.0, 1.0))
}
