//! `preview.png`: the images with the lowest, the median and the highest loss, with their targets and the network's outputs.

use ndarray::{Array3, Axis};

use crate::Result;
use crate::evaluation::Found;
use crate::geometry::{Extent, Window};
use crate::metrics::UNLABELLED;
use crate::network::{Class, Model};
use crate::pictures::{
    captioned_montage, grey_picture, label_picture, orthogonal_cuts, over_legend, range_of, stretch,
    stretch_with,
};
use crate::samples::{Dataset, Item, Sample, Target};

/// Longest side in pixels that is shown of an image; the middle of larger ones.
const MAX_SIDE: usize = 512;
/// The same of a volume, of which three cuts are shown.
const MAX_SIDE_OF_VOLUMES: usize = 96;

/// Bytes that the picture takes while it is made, over `count` images of `extent` at the largest: once in parts and once in
/// one piece.
pub(in crate::training) fn bytes(count: usize, extent: Extent) -> u64 {
    const COLUMNS: usize = 3;
    const ROWS: usize = 3;
    let Extent { z, y, x } = shown(extent);
    // Beside and below the slice of a volume are cuts along z.
    let (y, x) = if z > 1 { (y + z, x + z) } else { (y, x) };
    2 * (COLUMNS * count.min(ROWS) * 3 * y * x) as u64
}

/// How much of an image of `extent` is shown.
pub(in crate::training) fn shown(extent: Extent) -> Extent {
    let most = if extent.z > 1 { MAX_SIDE_OF_VOLUMES } else { MAX_SIDE };
    Extent::new(extent.z.min(most), extent.y.min(most), extent.x.min(most))
}

/// Those images of `set` whose `losses` are the smallest, the median and the largest, with captions; of large ones the middle.
///
/// # Errors
/// What comes of reading them.
pub(in crate::training) fn chosen(set: &Dataset, losses: &[f64]) -> Result<(Vec<String>, Vec<Sample>)> {
    let (mut captions, mut chosen) = (Vec::new(), Vec::new());
    for (word, index) in best_median_worst(losses) {
        let Some(item) = set.items().get(index) else { continue };
        let name = item.name().rsplit(['/', '\\']).next().unwrap_or_default();
        captions.push(format!("{word}: {name}, loss {:.4}", losses[index]));
        chosen.push(middle(item)?);
    }
    Ok((captions, chosen))
}

/// The picture over rows, `[y][x][3]`, with the colours of the classes that `model` has.
pub(in crate::training) fn picture(
    captions: &[String],
    rows: &[Vec<Array3<u8>>],
    model: &Model,
) -> Array3<u8> {
    let names: Vec<String> = model.classes().iter().map(Class::caption).collect();
    over_legend(captioned_montage(&["input", "target", "output"], captions, rows), &names)
}

/// Which images have the smallest, the median (of an even number, the lower) and the largest loss; those of one or
/// two images are fewer. Images without a loss, in which nothing counts, are left out.
fn best_median_worst(losses: &[f64]) -> Vec<(&'static str, usize)> {
    let mut order: Vec<usize> = (0..losses.len()).filter(|&index| !losses[index].is_nan()).collect();
    order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
    match order[..] {
        [] => Vec::new(),
        [only] => vec![("only", only)],
        [best, worst] => vec![("best", best), ("worst", worst)],
        _ => vec![
            ("best", order[0]),
            ("median", order[(order.len() - 1) / 2]),
            ("worst", order[order.len() - 1]),
        ],
    }
}

/// Image, target and output side by side; the sample is normalised as `model` takes it, what was found is not.
pub(in crate::training) fn row(sample: &Sample, found: &Found, model: &Model) -> Vec<Array3<u8>> {
    let slices = sample.slices;
    let input = sample.image.index_axis(Axis(0), model.middle_channels().start);
    let mut row = vec![grey_picture(orthogonal_cuts(stretch(input).view(), slices, 0).view())];
    match (&sample.target, found) {
        (Target::Classes(target), Found::Classes(found)) => {
            row.push(label_picture(orthogonal_cuts(target.view(), slices, UNLABELLED).view()));
            row.push(label_picture(orthogonal_cuts(found.view(), slices, UNLABELLED).view()));
        }
        (Target::Values(target), Found::Values(found)) => {
            let mut target = target.clone();
            model.restore(&mut target);
            let (target, found) = (target.index_axis(Axis(0), 0), found.index_axis(Axis(0), 0));
            // Both in the target's greys, so that a difference is one of the network's making.
            let range = range_of(target).unwrap_or((0.0, 1.0));
            for values in [target, found] {
                row.push(grey_picture(orthogonal_cuts(stretch_with(values, range).view(), slices, 0).view()));
            }
        }
        _ => {}
    }
    row
}

fn middle(item: &Item) -> Result<Sample> {
    let whole = item.extent();
    let Extent { z: slices, y: rows, x: columns } = shown(whole);
    let (z, y, x) = ((whole.z - slices) / 2, (whole.y - rows) / 2, (whole.x - columns) / 2);
    let window = Window::new(z..z + slices, y..y + rows, x..x + columns);
    let part = item.cut(window, item.name().to_owned());
    Ok(part.sample()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_chosen_by_their_losses() {
        let losses = [0.5, f64::NAN, 0.1, 0.9, 0.3, 0.7];
        assert_eq!(best_median_worst(&losses), [("best", 2), ("median", 0), ("worst", 3)]);
        assert_eq!(best_median_worst(&losses[2..]), [("best", 0), ("median", 2), ("worst", 1)]);
        assert_eq!(best_median_worst(&[2.0, 1.0]), [("best", 1), ("worst", 0)]);
        assert_eq!(best_median_worst(&[f64::NAN, 1.0]), [("only", 1)]);
        assert_eq!(best_median_worst(&[f64::NAN]), []);
    }
}
