//! One [`ImageSource`] to an array, whatever file format, sample type and layout it is stored in.
//!
//! What a file is, its first bytes say and not its name: a PNG file named `.tif` is read as PNG.

use std::fs::File;

use ::tiff::decoder::DecodingResult;
use ndarray::{Array2, Array3, Axis, s};

use super::arrays::ArrayImage;
use super::decoded::{Decoded, Purpose, map_type, whole_float};
use super::file::{Format, not_an_image, open};
use super::limits::check_memory;
use super::source::{Header, ImageSource};
use super::volume::zeros;
use super::{jpeg, png, tiff};
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};

/// Where the numbers of an image are.
pub(super) enum Origin {
    File(File, Format),
    Array(ArrayImage),
}

/// Opens what `page` is in.
pub(super) fn origin(page: &ImageSource) -> Result<Origin> {
    if let Some(image) = &page.array {
        return Ok(Origin::Array(image.clone()));
    }
    let (file, format) = open(&page.path)?;
    Ok(Origin::File(file, format))
}

/// Decodes `page`, or the `part` of it, from where it is.
pub(super) fn decode(
    page: &ImageSource,
    origin: &Origin,
    purpose: Purpose,
    part: Option<&Window>,
) -> Result<Decoded> {
    let wanted = |height, width| part.map_or((height, width), |part| (part.extent.y, part.extent.x));
    if let Some(header) = page.header {
        let (height, width) = wanted(header.height, header.width);
        check_memory(&page.name(), header.channels * height * width, header.samples.bits, purpose)?;
    }
    let decoded = match origin {
        Origin::File(file, Format::Png) => cropped(page, png::decode(page, file, purpose)?, part),
        Origin::File(file, Format::Jpeg) => cropped(page, jpeg::decode(page, file, purpose)?, part),
        Origin::File(file, Format::Tiff) => tiff::decode(page, file, purpose, part),
        Origin::File(_, other) => Err(not_an_image(&page.path, *other)),
        Origin::Array(image) => {
            let header = image.array.header(None);
            let whole = Window::plane(0..header.height, 0..header.width);
            let part = part.copied().unwrap_or(whole);
            image.array.decode(image, part.rows(), part.columns())
        }
    }?;
    let size = |channels, height, width| format!("{channels} x {height} x {width}");
    match page.header {
        // Others have been promised this size. Labels have one channel, whatever the image has.
        Some(found)
            if wanted(found.height, found.width) != (decoded.height, decoded.width)
                || !purpose.is_labels()
                    && page.planes.iter().all(|plane| plane.channel.is_none())
                    && found.channels != decoded.channels =>
        {
            let before = size(found.channels, found.height, found.width);
            let now = size(decoded.channels, decoded.height, decoded.width);
            Err(Error::input(
                page.name(),
                format!(
                    "was {before} numbers (channels, rows, columns) when it was found, but is now {now}; start again when nothing writes to it any more"
                ),
            ))
        }
        _ => Ok(decoded),
    }
}

/// What the header of `page` says, as it was found or, where nobody has looked yet, from the file.
///
/// # Errors
/// As [`page_size`].
pub(super) fn header(page: &ImageSource) -> Result<Header> {
    if let Some(header) = page.header {
        return Ok(header);
    }
    match origin(page)? {
        Origin::File(file, Format::Png) => png::header(page, &file),
        Origin::File(file, Format::Jpeg) => jpeg::header(page, &file),
        Origin::File(file, Format::Tiff) => of_planes(tiff::header(page, &file, None)?, page),
        Origin::File(_, other) => Err(not_an_image(&page.path, other)),
        Origin::Array(image) => Ok(image.array.header(image.channel)),
    }
}

/// What the header of an image says whose first plane is in a page with `header`.
///
/// # Errors
/// [`Error::Input`] where the page does not have the wanted channel.
pub(super) fn of_planes(header: Header, page: &ImageSource) -> Result<Header> {
    let mut channels = header.channels;
    if let Some(channel) = page.planes.first().and_then(|plane| plane.channel) {
        if channel >= channels {
            return Err(no_channel(page, channel, channels));
        }
        channels = 1;
    }
    let count = page.planes.len().max(1);
    Ok(Header { channels: channels * count, planar: header.planar || count > 1, ..header })
}

pub(super) fn no_channel(page: &ImageSource, channel: usize, count: usize) -> Error {
    let problem = format!(
        "has {count} channels in a page, but channel {channel} (counted from 0) was wanted; leave `axes` out, or correct them"
    );
    Error::input(page.name(), problem)
}

/// The `(channels, height, width)` of the array that [`read_image`] gives, from the file's header alone.
///
/// Of an image that [`discover`](super::discover) found this opens no file.
///
/// # Errors
/// [`Error::Input`] as [`read_image`] gives it for files that are no image or whose header is damaged.
pub fn page_size(page: &ImageSource) -> Result<(usize, usize, usize)> {
    let header = header(page)?;
    Ok((header.channels, header.height, header.width))
}

/// Reads an image as float32 of shape `[channel][y][x]`, its numbers as stored (8 bits stay 0 to 255).
///
/// PNG: 1 to 16 bits, grey, colour or palette (as its colours). JPEG: 8 bits, grey or colour. TIFF: unsigned
/// integers of 1 to 16, 32 and 64 bits, signed ones of 8 to 64 and floats of 16, 32 and 64, any number of
/// channels, interleaved or planar, in strips or tiles, without compression or with LZW, deflate, zstd,
/// PackBits, JPEG or facsimile; a palette TIFF gives its stored numbers, as it is mostly a grey image under
/// a look-up table. Alpha is dropped. Unsigned "white is zero" images are turned so that white is the
/// largest number. Integers above 16 777 216 are rounded to float32.
///
/// # Errors
/// [`Error::Input`] when the file is missing, empty, no image, damaged, stored in a way that cannot
/// be read, larger than 16 GiB decoded, or holds NaN or infinite pixels.
///
/// An image whose channels are several pages has those of the first page first.
pub fn read_image(page: &ImageSource) -> Result<Array3<f32>> {
    let image = read_image_with_gaps(page)?;
    check_gaps(&page.name(), &image, |_, _| true)?;
    Ok(image)
}

/// As [`read_image`], but of numbers that are no brightness, such as weights: those of "white is zero" images too are as
/// stored.
///
/// # Errors
/// As [`read_image`].
pub fn read_values(page: &ImageSource) -> Result<Array3<f32>> {
    let values = read_values_with_gaps(page)?;
    check_gaps(&page.name(), &values, |_, _| true)?;
    Ok(values)
}

/// As [`read_image`], but NaN and infinite pixels stay, for [`check_gaps`] to say whether they matter.
///
/// # Errors
/// As [`read_image`] for files that cannot be read.
pub(crate) fn read_image_with_gaps(page: &ImageSource) -> Result<Array3<f32>> {
    read_parts(page, Purpose::Intensities, None)
}

/// As [`read_image`], of a part of the image: the rows and columns of `part`. NaN and infinite pixels stay.
///
/// Of TIFF files and arrays only the strips, tiles and blocks are read that the part lies in.
///
/// # Errors
/// As [`read_image`] for files that cannot be read.
pub(crate) fn read_part_with_gaps(page: &ImageSource, part: &Window) -> Result<Array3<f32>> {
    read_parts(page, Purpose::Intensities, Some(part))
}

/// As [`read_values`], but NaN and infinite numbers stay.
///
/// # Errors
/// As [`read_image`] for files that cannot be read.
pub(crate) fn read_values_with_gaps(page: &ImageSource) -> Result<Array3<f32>> {
    read_parts(page, Purpose::Values, None)
}

/// Reads one image part by part. Files that are decoded as a whole are decoded once.
pub(crate) struct PartReader<'a> {
    page: &'a ImageSource,
    origin: Origin,
    /// The numbers of a file that is decoded as a whole, once they have been wanted.
    whole: Option<Decoded>,
}

impl<'a> PartReader<'a> {
    /// For the image `page`.
    ///
    /// # Errors
    /// [`Error::Input`] when it cannot be opened.
    pub(crate) fn open(page: &'a ImageSource) -> Result<Self> {
        Ok(Self { page, origin: origin(page)?, whole: None })
    }

    /// How many channels the image has.
    ///
    /// # Errors
    /// As [`page_size`].
    pub(crate) fn channels(&self) -> Result<usize> {
        Ok(header(self.page)?.channels)
    }

    /// Bytes that stay in memory while parts of the image `page` are read.
    pub(crate) fn held_bytes(page: &ImageSource) -> u64 {
        match (&page.array, page.header) {
            (None, Some(header)) if header.directory.is_none() => {
                let bytes = u64::from(header.samples.bits).div_ceil(8);
                (header.channels * header.height * header.width) as u64 * bytes
            }
            _ => 0,
        }
    }

    /// The rows and columns of `part`, `[channel][y][x]`.
    ///
    /// # Errors
    /// As [`read_image`].
    pub(crate) fn read(&mut self, part: &Window) -> Result<Array3<f32>> {
        let decoded_whole = matches!(self.origin, Origin::File(_, Format::Png | Format::Jpeg));
        let image = if decoded_whole {
            let whole = match self.whole.take() {
                Some(whole) => whole,
                None => decode(self.page, &self.origin, Purpose::Intensities, None)?,
            };
            let whole = self.whole.insert(whole);
            planes(&part_of(self.page, whole, part)?, self.page)?
        } else {
            read_parts_from(self.page, &self.origin, Purpose::Intensities, Some(part))?
        };
        check_gaps_from(&self.page.name(), &image, (part.y, part.x), |_, _| true)?;
        Ok(image)
    }
}

/// Reads all channels of an image, which are in one page or in several, or of a part of it.
fn read_parts(page: &ImageSource, purpose: Purpose, part: Option<&Window>) -> Result<Array3<f32>> {
    read_parts_from(page, &origin(page)?, purpose, part)
}

/// As [`read_parts`], of an image that is open.
fn read_parts_from(
    page: &ImageSource,
    origin: &Origin,
    purpose: Purpose,
    part: Option<&Window>,
) -> Result<Array3<f32>> {
    let planes = page.parts();
    if planes.len() < 2 {
        return read_plane(page, origin, purpose, part);
    }
    let (channels, height, width) = page_size(page)?;
    let (height, width) = part.map_or((height, width), |part| (part.extent.y, part.extent.x));
    check_memory(&page.name(), channels * height * width, 32, purpose)?;
    let mut image = zeros(&page.name(), (channels, height, width))?;
    let mut first = 0;
    for plane in &planes {
        let plane = read_plane(plane, origin, purpose, part)?;
        let end = first + plane.dim().0;
        if end > channels || (plane.dim().1, plane.dim().2) != (height, width) {
            return Err(misfit(page));
        }
        image.slice_mut(s![first..end, .., ..]).assign(&plane);
        first = end;
    }
    Ok(image)
}

/// Reads an image that is in one page, or a part of it.
fn read_plane(
    page: &ImageSource,
    origin: &Origin,
    purpose: Purpose,
    part: Option<&Window>,
) -> Result<Array3<f32>> {
    let channel = page.planes.first().and_then(|plane| plane.channel);
    let image = planes(&decode(page, origin, purpose, part)?, page)?;
    match channel {
        Some(channel) if channel >= image.dim().0 => Err(no_channel(page, channel, image.dim().0)),
        Some(channel) => Ok(image.slice_move(s![channel..channel + 1, .., ..])),
        None => Ok(image),
    }
}

/// Checks that the pixels of an image `[channel][y][x]` that count, as `counts(y, x)` says, are finite.
///
/// # Errors
/// [`Error::Input`] with the number of those that are not, and the first.
pub(crate) fn check_gaps(
    name: &str,
    image: &Array3<f32>,
    counts: impl Fn(usize, usize) -> bool,
) -> Result<()> {
    check_gaps_from(name, image, (0, 0), counts)
}

/// As [`check_gaps`], of a part of an image that begins at `(y, x)`, for the message.
fn check_gaps_from(
    name: &str,
    image: &Array3<f32>,
    (top, left): (usize, usize),
    counts: impl Fn(usize, usize) -> bool,
) -> Result<()> {
    let mut first = None;
    let mut count = 0_usize;
    for ((_, y, x), value) in image.indexed_iter().filter(|(_, value)| !value.is_finite()) {
        if counts(y, x) {
            first.get_or_insert((left + x, top + y, *value));
            count += 1;
        }
    }
    match first {
        None => Ok(()),
        Some((x, y, value)) => Err(Error::input(
            name,
            format!(
                "{count} of {} values are NaN, infinite or beyond float32, the first ({value}) at x {x}, y {y}; replace them by finite numbers",
                image.len()
            ),
        )),
    }
}

/// An image as it is taken where one channel is wanted: a grey image that was saved as colours gives its grey.
///
/// # Errors
/// [`Error::Input`] naming the image `name` where it has several channels that differ.
pub fn as_grey(name: &str, image: Array3<f32>) -> Result<Array3<f32>> {
    match image.dim().0 {
        1 => Ok(image),
        3 if has_equal_channels(&image) => Ok(image.slice_move(s![..1, .., ..])),
        channels => Err(Error::input(
            name,
            format!("has {channels} channels that differ where one is wanted; convert it to grey"),
        )),
    }
}

/// Whether an image has three channels that are equal: a grey image that was saved as colours.
pub fn has_equal_channels(image: &Array3<f32>) -> bool {
    let same = |a: &f32, b: &f32| a.to_bits() == b.to_bits();
    let first = image.index_axis(Axis(0), 0);
    image.dim().0 == 3
        && image.outer_iter().skip(1).all(|plane| plane.iter().zip(first).all(|(a, b)| same(a, b)))
}

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

fn nan_is_no_label(value: f64) -> Option<i64> {
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

fn labels(
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
    let wanted = page.planes.first().and_then(|plane| plane.channel);
    let decoded = decode(page, &origin(page)?, purpose, part)?;
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
                pixel % decoded.width,
                pixel / decoded.width
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

pub(super) fn misfit(page: &ImageSource) -> Error {
    Error::input(page.name(), "holds fewer pixels than its header says; copy or export it again")
}

fn planes(decoded: &Decoded, page: &ImageSource) -> Result<Array3<f32>> {
    match &decoded.samples {
        DecodingResult::U8(s) => arrange(decoded, s, f32::from),
        DecodingResult::U16(s) => arrange(decoded, s, f32::from),
        DecodingResult::U32(s) => arrange(decoded, s, |v| v as f32),
        DecodingResult::U64(s) => arrange(decoded, s, |v| v as f32),
        DecodingResult::I8(s) => arrange(decoded, s, f32::from),
        DecodingResult::I16(s) => arrange(decoded, s, f32::from),
        DecodingResult::I32(s) => arrange(decoded, s, |v| v as f32),
        DecodingResult::I64(s) => arrange(decoded, s, |v| v as f32),
        DecodingResult::F16(s) => arrange(decoded, s, |v| v.to_f32()),
        DecodingResult::F32(s) => arrange(decoded, s, |v| v),
        DecodingResult::F64(s) => arrange(decoded, s, |v| v as f32),
    }
    .ok_or_else(|| misfit(page))
}

/// The `part` of an image that was decoded whole.
fn cropped(page: &ImageSource, decoded: Decoded, part: Option<&Window>) -> Result<Decoded> {
    match part {
        Some(part) => part_of(page, &decoded, part),
        None => Ok(decoded),
    }
}

/// The numbers of a part of an image that was decoded whole.
fn part_of(page: &ImageSource, decoded: &Decoded, part: &Window) -> Result<Decoded> {
    let Decoded { samples, height, width, stored_channels, channels, planar } = decoded;
    let (height, width, stored_channels, channels, planar) =
        (*height, *width, *stored_channels, *channels, *planar);
    if !part.fits(Extent::plane(height, width)) {
        return Err(misfit(page));
    }
    let (planes, line) = if planar { (stored_channels, 1) } else { (1, stored_channels) };
    let rows = (0..planes).flat_map(|plane| part.rows().map(move |y| plane * height + y));
    let columns = part.columns();
    let samples = map_type!(samples, values => {
        rows.flat_map(|row| &values[(row * width + columns.start) * line..(row * width + columns.end) * line])
            .copied()
            .collect()
    });
    Ok(Decoded { samples, height: part.extent.y, width: part.extent.x, stored_channels, channels, planar })
}

/// The kept channels of `samples`, one after the other; `None` where samples are missing.
pub(super) fn arrange<T: Copy, N>(
    decoded: &Decoded,
    samples: &[T],
    number: impl Fn(T) -> N,
) -> Option<Array3<N>> {
    let shape = (decoded.channels, decoded.height, decoded.width);
    let pixels = decoded.height * decoded.width;
    let stored = decoded.stored_channels;
    let mut values = Vec::with_capacity(decoded.channels * pixels);
    if decoded.planar || stored == 1 {
        values.extend(samples.get(..decoded.channels * pixels)?.iter().map(|v| number(*v)));
    } else {
        for channel in 0..decoded.channels {
            values.extend(samples.chunks_exact(stored).take(pixels).map(|pixel| number(pixel[channel])));
        }
    }
    Array3::from_shape_vec(shape, values).ok()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "read_tiff_tests.rs"]
mod tiff_tests;
