//! `preview.png`: a few images with their targets and the network's outputs, side by side.

use ndarray::{Array3, Axis};

use super::scores::{Output, apply};
use crate::Result;
use crate::data::{Dataset, Sample, Target};
use crate::engine::Engine;
use crate::pictures::{grey_picture, label_picture, montage, range_of, stretch, stretch_with};

/// Rows of the picture.
const MOST_IMAGES: usize = 3;
/// Longest side in pixels that is shown of an image; the middle of larger ones.
const MOST_SIDE: usize = 512;

/// The picture over the first images of `set`, `[y][x][3]`.
pub(super) fn preview(engine: &mut dyn Engine, set: &Dataset) -> Result<Array3<u8>> {
    let mut rows = Vec::new();
    for sample in set.samples.iter().take(MOST_IMAGES) {
        let sample = middle(sample);
        let output = apply(engine, &sample)?;
        let grey = stretch(sample.image.index_axis(Axis(0), 0));
        let mut row = vec![grey_picture(grey.view())];
        match (&sample.target, &output) {
            (Target::Classes(target), Output::Classes(output)) => {
                row.push(label_picture(target.view()));
                row.push(label_picture(output.view()));
            }
            (Target::Values(target), Output::Values(output)) => {
                let (target, output) = (target.index_axis(Axis(0), 0), output.index_axis(Axis(0), 0));
                // Both in the target's greys, so that a difference is one of the network's making.
                let range = range_of(target).unwrap_or((0.0, 1.0));
                row.push(grey_picture(stretch_with(target, range).view()));
                row.push(grey_picture(stretch_with(output, range).view()));
            }
            _ => {}
        }
        rows.push(row);
    }
    Ok(montage(&["input", "target", "output"], &rows))
}

fn middle(sample: &Sample) -> Sample {
    use crate::data::{Crop, Draw, Symmetry, cut};
    let (_, height, width) = sample.image.dim();
    let (rows, columns) = (height.min(MOST_SIDE), width.min(MOST_SIDE));
    let crop = Crop { y: (height - rows) / 2, x: (width - columns) / 2, height: rows, width: columns };
    cut(sample, &Draw { index: 0, crop: Some(crop), symmetry: Symmetry::IDENTITY })
}
