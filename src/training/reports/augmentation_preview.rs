//! Pictures of what the network is shown, before anything is trained.

use std::path::Path;

use ndarray::{Array3, ArrayView2, Axis};

use crate::images::write_png_rgb8;
use crate::metrics::UNLABELLED;
use crate::pictures::{grey_picture, label_picture, montage, orthogonal_cuts, range_of, stretch_with};
use crate::samples::{Dataset, Sample, Target};
use crate::training::Settings;
use crate::training::batches::Batches;
use crate::training::prepare::Prepared;
use crate::{Error, Result};

/// Samples that are shown.
const SAMPLES: u64 = 16;

/// Writes the first samples of the run as `01.png` and so on: image, target and, where pixels have them, weights, of volumes in three cuts
/// through the middle; gives their number.
///
/// All are in the greys of the whole training set, or, where that stays in its files, of all that are shown, so that a change of
/// brightness is seen as one.
///
/// # Errors
/// When the folder cannot be made, or a file cannot be written.
pub fn preview_augmentation(prepared: &Prepared, settings: &Settings, folder: &Path) -> Result<u64> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::output(folder, format!("{e}; name a folder that can be made")))?;
    let set = &prepared.training;
    let batches = Batches::of(prepared, settings)?;
    let samples = (0..SAMPLES).map(|n| batches.sample(n)).collect::<Result<Vec<_>>>()?;
    let (greys, target_greys, weights_range) = ranges(set, &samples)?;
    for (n, sample) in samples.iter().enumerate() {
        let slices = sample.slices;
        let of_plane = |plane: ArrayView2<f32>, range| {
            grey_picture(orthogonal_cuts(stretch_with(plane, range).view(), slices, 0).view())
        };
        let grey = |image: &Array3<f32>, range| of_plane(image.index_axis(Axis(0), 0), range);
        let target = match &sample.target {
            Target::Classes(classes) => {
                label_picture(orthogonal_cuts(classes.view(), slices, UNLABELLED).view())
            }
            Target::Values(values) => grey(values, target_greys),
        };
        let mut captions = vec!["input", "target"];
        let mut row = vec![grey(&sample.image, greys), target];
        if let Some(weights) = &sample.weights {
            captions.push("weight");
            row.push(of_plane(weights.view(), weights_range));
        }
        write_png_rgb8(folder.join(format!("{:02}.png", n + 1)), &montage(&captions, &[row]))?;
    }
    Ok(SAMPLES)
}

/// The ranges of images, target values and weights: of the whole set where it is in memory, else of the `samples` that are shown.
fn ranges(set: &Dataset, samples: &[Sample]) -> Result<(Range, Range, Range)> {
    let (mut images, mut targets, mut weights) = (None, None, 1.0);
    let mut add = |sample: &Sample| {
        images = wider(images, &sample.image);
        if let Target::Values(values) = &sample.target {
            targets = wider(targets, values);
        }
        let pixels = sample.weights.iter().flatten().copied();
        weights = pixels.fold(weights, f32::max);
    };
    match set.is_in_memory() {
        true => set.visit(|_, sample| {
            add(sample);
            Ok(())
        })?,
        false => samples.iter().for_each(add),
    }
    Ok((images.unwrap_or((0.0, 1.0)), targets.unwrap_or((0.0, 1.0)), (0.0, weights)))
}

/// The least and the largest of greys.
type Range = (f32, f32);

/// A range with that of the first channel of an image.
fn wider(range: Option<Range>, image: &Array3<f32>) -> Option<Range> {
    match (range, range_of(image.index_axis(Axis(0), 0))) {
        (Some((least, most)), Some((l, m))) => Some((least.min(l), most.max(m))),
        (known, found) => known.or(found),
    }
}
