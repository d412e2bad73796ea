//! One [`ImageSource`] to the numbers that its file stores, whatever the format: from a file that is decoded page by page, or an array.
//!
//! What a file is, its first bytes say and not its name: a PNG file named `.tif` is read as PNG.

use std::fs::File;

use super::arrays::ArrayImage;
use super::decoded::{Decoded, Purpose, map_type};
use super::file::{Format, not_an_image, open};
use super::limits::check_memory;
use super::source::{Header, ImageSource};
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
/// As [`page_size`](super::page_size).
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

/// How many rows of `page` are stored together, so that reading some of these takes as long as reading all, and as much memory where the
/// file is decoded as a whole.
///
/// # Errors
/// As [`header`].
pub(super) fn rows_together(page: &ImageSource) -> Result<usize> {
    match origin(page)? {
        Origin::File(file, Format::Tiff) => {
            let parts = page.parts();
            parts.first().map_or(Ok(1), |part| tiff::rows_together(part, &file))
        }
        Origin::File(..) => Ok(header(page)?.height),
        Origin::Array(image) => Ok(image.array.rows_together()),
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

pub(super) fn misfit(page: &ImageSource) -> Error {
    Error::input(page.name(), "holds fewer pixels than its header says; copy or export it again")
}

/// The `part` of an image that was decoded whole.
fn cropped(page: &ImageSource, decoded: Decoded, part: Option<&Window>) -> Result<Decoded> {
    match part {
        Some(part) => part_of(page, &decoded, part),
        None => Ok(decoded),
    }
}

/// The numbers of a part of an image that was decoded whole.
pub(super) fn part_of(page: &ImageSource, decoded: &Decoded, part: &Window) -> Result<Decoded> {
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
