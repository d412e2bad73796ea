//! Images of weights: how much each pixel counts.

use ndarray::{Array2, Array3, Axis};

use crate::error::{Error, Result};
use crate::geometry::Window;
use crate::images::{Discovery, ImageCache, ImageSource, as_grey, check_gaps_from, page_size, read_values};

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

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::images::write_tiff_f32;

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
