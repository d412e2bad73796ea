//! One [`ImageSource`] to the label, or the colour, of each pixel: whole numbers exactly as they are stored.

use ::tiff::decoder::DecodingResult;
use ndarray::Array2;

use super::decode::{decode, misfit, no_channel, origin};
use super::decoded::{Decoded, Purpose, whole_float};
use super::read::read_image;
use super::source::ImageSource;
use crate::error::{Error, Result};
use crate::geometry::Window;

/// The label of a pixel that is NaN in its file: nobody labelled it.
pub(crate) const NO_LABEL: i64 = i64::MIN;

/// Reads a label image as whole numbers of shape `[y][x]`, exactly as stored.
///
/// Palette images give their palette indices; a grey image stored as three equal colour channels gives
/// the grey; floating-point images are read where all values are whole numbers.
///
/// # Errors
/// [`Error::Input`] for what [`read_image`] refuses, for JPEG files, whose compression changes label values, for
/// more than one channel, and for values that are not whole numbers.
pub fn read_labels(page: &ImageSource) -> Result<Array2<i64>> {
    labels(page, Purpose::Labels, None, whole_float)
}

/// As [`read_labels`], of the rows and columns of `part`.
///
/// # Errors
/// As [`read_labels`].
pub(super) fn read_part_of_labels(page: &ImageSource, part: &Window) -> Result<Array2<i64>> {
    labels(page, Purpose::Labels, Some(part), whole_float)
}

/// As [`read_labels`], but NaN stands for a pixel that nobody labelled, and gives [`NO_LABEL`].
///
/// # Errors
/// As [`read_labels`].
pub(crate) fn read_labels_with_gaps(page: &ImageSource) -> Result<Array2<i64>> {
    labels(page, Purpose::Labels, None, nan_is_no_label)
}

/// As [`read_labels_with_gaps`], but of JPEG files too, where only the nearest class or the side of a threshold counts.
///
/// # Errors
/// As [`read_labels`].
pub(crate) fn read_rough_labels_with_gaps(page: &ImageSource) -> Result<Array2<i64>> {
    labels(page, Purpose::RoughLabels, None, nan_is_no_label)
}

pub(super) fn nan_is_no_label(value: f64) -> Option<i64> {
    if value.is_nan() { Some(NO_LABEL) } else { whole_float(value) }
}

/// Reads the colour of each pixel, `[y][x]`, as 65536 red + 256 green + blue; a grey image has three equal parts.
///
/// # Errors
/// [`Error::Input`] for what [`read_image`] refuses, for other numbers of channels, and for parts that 8 bits do not hold.
pub(crate) fn read_colours(page: &ImageSource) -> Result<Array2<i64>> {
    let image = read_image(page)?;
    let (channels, height, width) = image.dim();
    if channels != 1 && channels != 3 {
        let problem = format!("has {channels} channels; wanted the red, green and blue of each class");
        return Err(Error::input(page.name(), problem));
    }
    // 16-bit files hold 257 times the 8 bits that people choose colours by.
    let is_wide = image.iter().any(|value| *value > 255.0);
    let part = |value: f32| if is_wide { value / 257.0 } else { value };
    let usable = |value: f32| (0.0..=255.0).contains(&value) && value.fract() == 0.0;
    if let Some(value) = image.iter().find(|value| !usable(part(**value))) {
        let problem = format!("has the value {value}, which is no part of a colour; save it with 8 bits");
        return Err(Error::input(page.name(), problem));
    }
    Ok(Array2::from_shape_fn((height, width), |(y, x)| {
        (0..3).fold(0, |colour, channel| colour << 8 | part(image[[channel % channels, y, x]]) as i64)
    }))
}

/// The labels of a page, or of the `part` of it, where floating-point numbers become whole ones by `whole_float`.
///
/// # Errors
/// As [`read_labels`].
pub(super) fn labels(
    page: &ImageSource,
    purpose: Purpose,
    part: Option<&Window>,
    whole_float: impl Fn(f64) -> Option<i64> + Copy,
) -> Result<Array2<i64>> {
    if let [first, others @ ..] = page.parts().as_slice()
        && !others.is_empty()
    {
        let first = labels(first, purpose, part, whole_float)?;
        for other in others {
            if labels(other, purpose, part, whole_float)? != first {
                return Err(not_labels(page, page.planes.len()));
            }
        }
        return Ok(first);
    }
    labels_in(page, &decode(page, &origin(page)?, purpose, part)?, whole_float)
}

/// The labels in what was decoded of a page.
///
/// # Errors
/// As [`read_labels`].
pub(super) fn labels_in(
    page: &ImageSource,
    decoded: &Decoded,
    whole_float: impl Fn(f64) -> Option<i64> + Copy,
) -> Result<Array2<i64>> {
    labels_at(page, decoded, (0, 0), whole_float)
}

/// As [`labels_in`], of a part that begins at row `top` and column `left` of the page, for messages.
///
/// # Errors
/// As [`read_labels`].
pub(super) fn labels_at(
    page: &ImageSource,
    decoded: &Decoded,
    (top, left): (usize, usize),
    whole_float: impl Fn(f64) -> Option<i64> + Copy,
) -> Result<Array2<i64>> {
    let wanted = page.planes.first().and_then(|plane| plane.channel);
    let values = match &decoded.samples {
        DecodingResult::U8(s) => whole(s, |v| Some(v.into())),
        DecodingResult::U16(s) => whole(s, |v| Some(v.into())),
        DecodingResult::U32(s) => whole(s, |v| Some(v.into())),
        DecodingResult::U64(s) => whole(s, |v| i64::try_from(v).ok()),
        DecodingResult::I8(s) => whole(s, |v| Some(v.into())),
        DecodingResult::I16(s) => whole(s, |v| Some(v.into())),
        DecodingResult::I32(s) => whole(s, |v| Some(v.into())),
        DecodingResult::I64(s) => whole(s, Some),
        DecodingResult::F16(s) => whole(s, |v| whole_float(v.to_f32().into())),
        DecodingResult::F32(s) => whole(s, |v| whole_float(v.into())),
        DecodingResult::F64(s) => whole(s, whole_float),
    };
    let stored = decoded.stored_channels;
    let pixels = decoded.height * decoded.width;
    let values = values.map_err(|index| {
        let pixel = if decoded.planar { index % pixels } else { index / stored };
        Error::input(
            page.name(),
            format!(
                "the value at x {}, y {} is not a whole number; wanted a label image: one channel of whole numbers",
                left + pixel % decoded.width,
                top + pixel / decoded.width
            ),
        )
    })?;
    let at = |channel: usize, pixel: usize| {
        values[if decoded.planar { channel * pixels + pixel } else { pixel * stored + channel }]
    };
    if let Some(channel) = wanted {
        if channel >= decoded.channels {
            return Err(no_channel(page, channel, decoded.channels));
        }
        let labels = (0..pixels).map(|pixel| at(channel, pixel)).collect();
        return Array2::from_shape_vec((decoded.height, decoded.width), labels).map_err(|_| misfit(page));
    }
    let grey = match decoded.channels {
        1 => true,
        3 => (0..pixels).all(|pixel| at(0, pixel) == at(1, pixel) && at(0, pixel) == at(2, pixel)),
        _ => false,
    };
    if !grey {
        return Err(not_labels(page, decoded.channels));
    }
    let labels = if stored == 1 { values } else { (0..pixels).map(|pixel| at(0, pixel)).collect::<Vec<_>>() };
    Array2::from_shape_vec((decoded.height, decoded.width), labels).map_err(|_| misfit(page))
}

fn not_labels(page: &ImageSource, channels: usize) -> Error {
    let problem = format!(
        "has {channels} channels that differ; wanted a label image: one channel of whole numbers, one number for each class (give `colours auto` where each colour is a class)"
    );
    Error::input(page.name(), problem)
}

/// The samples as whole numbers, or the index of the first that is none.
fn whole<T: Copy>(samples: &[T], number: impl Fn(T) -> Option<i64>) -> std::result::Result<Vec<i64>, usize> {
    let mut values = Vec::with_capacity(samples.len());
    for (index, sample) in samples.iter().enumerate() {
        values.push(number(*sample).ok_or(index)?);
    }
    Ok(values)
}
