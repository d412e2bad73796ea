//! One [`ImageSource`] to an array of numbers, whatever file format, sample type and layout it is stored in.

use ndarray::{Array3, Axis, concatenate, s};

use super::decode::{Origin, decode, header, misfit, no_channel, origin, part_of};
use super::decoded::{Decoded, Purpose, each_type};
use super::file::Format;
use super::limits::check_memory;
use super::mean::mean;
use super::numeric::Real;
use super::slab::Slab;
use super::source::ImageSource;
use super::volume::zeros;
use crate::error::{Error, Result};
use crate::geometry::Window;

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

/// As [`read_image`], but no number is rounded to float32, and those that are not finite stay.
#[cfg(test)]
pub(super) fn read_exact(page: &ImageSource) -> Result<Array3<f64>> {
    read_parts_from(page, &origin(page)?, Purpose::Intensities, None)
}

/// Reads one image part by part. Files that are decoded as a whole are decoded once.
pub(crate) struct PartReader<'a> {
    page: &'a ImageSource,
    origin: Origin,
    /// The numbers of a file that is decoded as a whole, once they have been wanted.
    whole: Option<Decoded>,
    /// The slices of a slab, the images that this one is the mean of, or the one that it is computed from.
    slices: Vec<PartReader<'a>>,
}

impl<'a> PartReader<'a> {
    /// For the image `page`.
    ///
    /// # Errors
    /// [`Error::Input`] when it cannot be opened.
    pub(crate) fn open(page: &'a ImageSource) -> Result<Self> {
        let slices = match (page.averaged(), &page.derived) {
            (_, Some(derived)) => vec![Self::open(&derived.from)?],
            ([], None) => page.slab.iter().flat_map(Slab::slices).map(Self::open).collect::<Result<_>>()?,
            (images, None) => images.iter().map(Self::open).collect::<Result<_>>()?,
        };
        Ok(Self { page, origin: origin(page)?, whole: None, slices })
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
        if let Some(derived) = &page.derived {
            return Self::held_bytes(&derived.from);
        }
        if !page.averaged().is_empty() {
            return page.averaged().iter().map(Self::held_bytes).sum();
        }
        match (&page.array, page.header) {
            (None, Some(header)) if header.directory.is_none() => {
                let bytes = u64::from(header.samples.bits).div_ceil(8);
                (header.channels * header.height * header.width) as u64 * bytes
            }
            _ => 0,
        }
    }

    /// Of a mean of several images, the rows and columns of `part` of each of them, `[channel][y][x]`.
    ///
    /// # Errors
    /// As [`read_image`].
    pub(crate) fn read_averaged(&mut self, part: &Window) -> Result<Vec<Array3<f32>>> {
        self.slices.iter_mut().map(|image| image.read(part)).collect()
    }

    /// The rows and columns of `part`, `[channel][y][x]`.
    ///
    /// # Errors
    /// As [`read_image`].
    pub(crate) fn read(&mut self, part: &Window) -> Result<Array3<f32>> {
        if let (Some(derived), Some(from)) = (&self.page.derived, self.slices.first_mut()) {
            return derived.read(self.page, Some(part), |part| from.read(part));
        }
        let decoded_whole = matches!(self.origin, Origin::File(_, Format::Png | Format::Jpeg));
        let image = if !self.slices.is_empty() {
            let slices = self.slices.iter_mut().map(|slice| slice.read(part)).collect::<Result<Vec<_>>>()?;
            return if self.page.averaged().is_empty() {
                joined(self.page, &slices)
            } else {
                mean(self.page, &slices)
            };
        } else if decoded_whole {
            let whole = match self.whole.take() {
                Some(whole) => whole,
                None => decode(self.page, &self.origin, Purpose::Intensities, None)?,
            };
            let whole = self.whole.insert(whole);
            wanted_channel(self.page, planes(&part_of(self.page, whole, part)?, self.page)?)?
        } else {
            read_parts_from(self.page, &self.origin, Purpose::Intensities, Some(part))?
        };
        check_gaps_from(&self.page.name(), &image, (part.y, part.x), |_, _| true)?;
        Ok(image)
    }
}

/// Reads all channels of an image, which are in one page or in several, or of a part of it.
fn read_parts(page: &ImageSource, purpose: Purpose, part: Option<&Window>) -> Result<Array3<f32>> {
    if let Some(derived) = &page.derived {
        return derived.read(page, part, |part| read_parts(&derived.from, purpose, Some(part)));
    }
    if !page.averaged().is_empty() {
        let images = page.averaged().iter().map(|image| read_parts(image, purpose, part));
        return mean(page, &images.collect::<Result<Vec<_>>>()?);
    }
    if let Some(slab) = &page.slab {
        let slices = slab.slices().map(|slice| read_parts(slice, purpose, part));
        return joined(page, &slices.collect::<Result<Vec<_>>>()?);
    }
    read_parts_from(page, &origin(page)?, purpose, part)
}

/// The channels of slices, one slice after the other.
pub(super) fn joined(page: &ImageSource, slices: &[Array3<f32>]) -> Result<Array3<f32>> {
    let views: Vec<_> = slices.iter().map(|slice| slice.view()).collect();
    concatenate(Axis(0), &views).map_err(|_| misfit(page))
}

/// As [`read_parts`], of an image that is open, as numbers of any floating-point type.
pub(super) fn read_parts_from<R: Real>(
    page: &ImageSource,
    origin: &Origin,
    purpose: Purpose,
    part: Option<&Window>,
) -> Result<Array3<R>> {
    let read =
        |plane: &ImageSource| wanted_channel(plane, planes(&decode(plane, origin, purpose, part)?, plane)?);
    let parts = page.parts();
    if parts.len() < 2 {
        return read(page);
    }
    let (channels, height, width) = page_size(page)?;
    let (height, width) = part.map_or((height, width), |part| (part.extent.y, part.extent.x));
    check_memory(&page.name(), channels * height * width, R::BITS, purpose)?;
    let mut image = zeros(&page.name(), (channels, height, width))?;
    let mut first = 0;
    for plane in &parts {
        let plane: Array3<R> = read(plane)?;
        let end = first + plane.dim().0;
        if end > channels || (plane.dim().1, plane.dim().2) != (height, width) {
            return Err(misfit(page));
        }
        image.slice_mut(s![first..end, .., ..]).assign(&plane);
        first = end;
    }
    Ok(image)
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
pub(crate) fn check_gaps_from(
    name: &str,
    image: &Array3<f32>,
    (top, left): (usize, usize),
    counts: impl Fn(usize, usize) -> bool,
) -> Result<()> {
    if image.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
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

/// The kept channels of what was decoded, `[channel][y][x]`.
pub(super) fn planes<R: Real>(decoded: &Decoded, page: &ImageSource) -> Result<Array3<R>> {
    each_type!(&decoded.samples, samples => arrange(decoded, samples, R::of)).ok_or_else(|| misfit(page))
}

/// The only channel of an image in one page that is wanted, where one is.
pub(super) fn wanted_channel<R>(page: &ImageSource, image: Array3<R>) -> Result<Array3<R>> {
    match page.planes.first().and_then(|plane| plane.channel) {
        Some(channel) if channel >= image.dim().0 => Err(no_channel(page, channel, image.dim().0)),
        Some(channel) => Ok(image.slice_move(s![channel..channel + 1, .., ..])),
        None => Ok(image),
    }
}

/// The kept channels of `samples`, one after the other; `None` where samples are missing.
fn arrange<T: Copy, N>(decoded: &Decoded, samples: &[T], number: impl Fn(T) -> N) -> Option<Array3<N>> {
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
