//! How many channels images have that belong together, and grey ones among them that were saved as colours.

use ndarray::Array3;

use super::sample::Sample;
use crate::error::{Error, Result, counted_channels};
use crate::images::{ImageSource, as_grey, has_equal_channels};

/// Checks by their headers that pages have as many channels as the first one. Three beside one may be grey.
pub(super) fn check_channels(pages: &[(&ImageSource, usize)]) -> Result<()> {
    let Some(&(first, wanted)) = pages.first() else { return Ok(()) };
    match pages.iter().find(|(_, found)| *found != wanted && !matches!((*found, wanted), (1, 3) | (3, 1))) {
        Some(&(page, found)) => Err(different_channels(page, found, first, wanted)),
        None => Ok(()),
    }
}

/// Whether all of `pages`, which have so many `channels`, are taken for grey: where one channel is `wanted`, or where others have one,
/// and the others are grey images that were saved as colours, as `is_grey` says of each by its number.
///
/// # Errors
/// [`Error::Mismatch`] for images of several channels beside grey ones, and what comes of `is_grey`.
pub(super) fn taken_as_grey(
    pages: &[&ImageSource],
    channels: &[usize],
    wanted: Option<usize>,
    mut is_grey: impl FnMut(usize) -> Result<bool>,
) -> Result<bool> {
    let Some(&first) = channels.first() else { return Ok(false) };
    let mixed = channels.iter().any(|&found| found != first);
    if !mixed && (wanted != Some(1) || first == 1) {
        return Ok(false);
    }
    for (index, &found) in channels.iter().enumerate().filter(|(_, found)| **found != 1) {
        if !is_grey(index)? {
            return match channels.iter().position(|&found| found == 1) {
                Some(grey) => Err(different_channels(pages[index], found, pages[grey], 1)),
                // All have as many channels, which whoever wanted one will refuse.
                None => Ok(false),
            };
        }
    }
    Ok(true)
}

/// Takes grey images that were saved as colours for grey where one channel is `wanted`, or where others have one.
pub(super) fn same_channels(
    pairs: &[(ImageSource, ImageSource)],
    samples: &mut [Sample],
    wanted: Option<usize>,
    page: impl Fn(&(ImageSource, ImageSource)) -> &ImageSource,
    array: impl Fn(&mut Sample) -> Option<&mut Array3<f32>>,
) -> Result<()> {
    let pages: Vec<_> = pairs.iter().map(page).collect();
    let channels: Vec<usize> =
        samples.iter_mut().map(|sample| array(sample).map_or(0, |array| array.dim().0)).collect();
    let is_grey =
        |index: usize| Ok(array(&mut samples[index]).is_some_and(|array| has_equal_channels(array)));
    if taken_as_grey(&pages, &channels, wanted, is_grey)? {
        for (page, sample) in pages.iter().zip(samples) {
            if let Some(array) = array(sample) {
                *array = as_grey(&page.name(), std::mem::take(array))?;
            }
        }
    }
    Ok(())
}

fn different_channels(page: &ImageSource, channels: usize, first: &ImageSource, wanted: usize) -> Error {
    Error::Mismatch(format!(
        "{} has {} but {} has {wanted}; wanted the same number in all, convert one to the other's kind",
        page.name(),
        counted_channels(channels),
        first.name()
    ))
}
