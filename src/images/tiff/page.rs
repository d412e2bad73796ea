//! How one page is stored: what its tags say of its numbers and of the strips or tiles that they lie in.

use std::fs::File;
use std::io::{BufReader, Read, Seek};

use super::directory::layout;
use super::numbers::{Predictor, RowFormat};
use super::pages::are_planes_of_an_array;
use super::tags::{Tags, names};
use super::unpack::Compression;
use crate::error::{Error, Result};
use crate::images::limits::check_bytes;
use crate::images::source::{ImageSource, SampleKind, SampleType};

/// What the PhotometricInterpretation tag may say and can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interpretation {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    /// Numbers of colours in a table, which are given as they are.
    Palette,
    /// Of JPEG only, whose decoder makes RGB of it.
    YCbCr,
    /// Channels of no said meaning.
    Unsaid,
}

/// Where the strips or tiles lie, and how large they are.
#[derive(Debug)]
pub(super) struct Chunks {
    /// The first byte of each in the file and the number of bytes, row by row of chunks, and plane by plane.
    pub(super) places: Vec<(u64, u64)>,
    /// Pixels in a row of each, also of those that stand out at the right.
    pub(super) width: usize,
    /// Rows in each, also in those that stand out at the bottom.
    pub(super) height: usize,
}

/// What the tags of one page say, checked.
#[derive(Debug)]
pub(super) struct Page {
    tags: Tags,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Samples per pixel as stored.
    pub(super) stored_channels: usize,
    /// How many of them, from the first, are no alpha.
    pub(super) channels: usize,
    pub(super) samples: SampleType,
    /// Whether all pixels of a channel come together.
    pub(super) planar: bool,
    pub(super) interpretation: Interpretation,
    pub(super) compression: Compression,
    /// Whether the bits of each byte are in the other order.
    pub(super) reversed_bits: bool,
    pub(super) rows: RowFormat,
    pub(super) file_length: u64,
}

pub(super) fn damaged(page: &ImageSource, what: impl std::fmt::Display) -> Error {
    Error::input(
        page.name(),
        format!("is a damaged or truncated TIFF file ({what}); copy or export it again"),
    )
}

/// The error for a page that is stored as `what`.
pub(super) fn unsupported(page: &ImageSource, what: impl std::fmt::Display) -> Error {
    Error::input(
        page.name(),
        format!(
            "is stored in a way that cannot be read ({what}); save it as grey or RGB of 8, 16 or 32 bits without or with LZW, deflate or zstd compression"
        ),
    )
}

impl Page {
    /// Reads and checks the tags in the directory at `directory` of `file`.
    ///
    /// # Errors
    /// [`Error::Input`] for what is damaged, larger than its file can hold, or of a kind that cannot be read.
    pub(super) fn read(source: &ImageSource, file: &mut BufReader<&File>, directory: u64) -> Result<Self> {
        let file_length = file.get_ref().metadata().map_err(|error| damaged(source, error))?.len();
        let layout = layout(&source.path, file)?;
        let tags = Tags::read(file, layout, directory).map_err(|error| damaged(source, error))?;
        let mut number = |tag, missing| {
            let found = tags.number(file, tag).map_err(|error| damaged(source, error))?;
            Ok::<u64, Error>(found.unwrap_or(missing))
        };
        let width = number(names::IMAGE_WIDTH, 0)?;
        let height = number(names::IMAGE_LENGTH, 0)?;
        let compression = Compression::of(number(names::COMPRESSION, 1)?);
        let interpretation = number(names::PHOTOMETRIC_INTERPRETATION, u64::MAX)?;
        let fill_order = number(names::FILL_ORDER, 1)?;
        let stated_channels = number(names::SAMPLES_PER_PIXEL, 0)?;
        let planar = number(names::PLANAR_CONFIGURATION, 1)? == 2;
        let predictor = number(names::PREDICTOR, 1)?;
        let compression = compression.map_err(|what| unsupported(source, what))?;
        if width == 0 || height == 0 {
            return Err(damaged(source, "it gives no size"));
        }

        let mut list = |tag| {
            let found = tags.numbers(file, tag, u64::from(u16::MAX));
            found.map_err(|error| damaged(source, error))
        };
        let bits = list(names::BITS_PER_SAMPLE)?;
        let formats = list(names::SAMPLE_FORMAT)?;
        let extra = list(names::EXTRA_SAMPLES)?;
        let channels = match (stated_channels, bits.len()) {
            // There is one number of bits for each sample.
            (0, listed) => listed.max(1),
            (stated, _) => usize::try_from(stated).unwrap_or(usize::MAX),
        };
        if let Some(other) = bits.iter().take(channels).find(|other| **other != bits[0]) {
            return Err(unsupported(source, format!("channels of {} and {other} bits", bits[0])));
        }
        let samples = sample_type(source, bits.first().copied().unwrap_or(1), &formats)?;
        let interpretation = interpretation_of(source, interpretation, compression, channels)?;
        if compression == Compression::Jpeg {
            let readable = matches!((channels, planar), (1, _) | (3, false)) || planar && channels > 1;
            if samples != (SampleType { kind: SampleKind::Unsigned, bits: 8 }) || !readable {
                return Err(unsupported(source, format!("{channels} channels of {samples} in JPEG")));
            }
        }
        if interpretation == Interpretation::YCbCr
            && (compression != Compression::Jpeg || channels != 3 || planar)
        {
            return Err(unsupported(source, "YCbCr colours other than in JPEG"));
        }
        if compression.is_facsimile() {
            if samples.bits != 1 || channels != 1 {
                return Err(damaged(source, "facsimile compression of more than single bits"));
            }
            let options = tags.number(file, names::T4_OPTIONS).map_err(|error| damaged(source, error))?;
            if compression == Compression::Group3 && options.unwrap_or(0) & 3 != 0 {
                return Err(unsupported(source, "CCITT group 3 compression of two dimensions"));
            }
        }
        // Planes of an array that tifffile wrote look like colours with alpha.
        let alpha = match are_planes_of_an_array(file, layout, &tags) {
            Ok(true) => 0,
            Ok(false) => alpha_channels(&extra, interpretation, channels),
            Err(error) => return Err(damaged(source, error)),
        };
        let reversed_bits = match fill_order {
            1 => false,
            // JPEG has an order of bits of its own.
            2 => compression != Compression::Jpeg,
            other => return Err(damaged(source, format!("a fill order of {other}, wanted 1 or 2"))),
        };

        let (width, height) = (usize::try_from(width), usize::try_from(height));
        let (width, height) = (width.unwrap_or(usize::MAX), height.unwrap_or(usize::MAX));
        let bytes = usize::from(samples.bits).div_ceil(8);
        let count = check_bytes(&source.name(), channels, height, width, bytes)?;
        check_length(source, compression, count, samples.bits, file_length)?;
        Ok(Self {
            rows: RowFormat {
                predictor: predictor_of(source, predictor, compression, samples)?,
                bits: samples.bits.into(),
                samples: if planar { 1 } else { channels },
                big_endian: layout.big_endian,
            },
            tags,
            height,
            width,
            stored_channels: channels,
            channels: channels - alpha,
            samples,
            planar,
            interpretation,
            compression,
            reversed_bits,
            file_length,
        })
    }

    /// Where the numbers of the page lie in `file`.
    ///
    /// # Errors
    /// [`Error::Input`] for strips or tiles that are missing, empty or not of the size that they promise.
    pub(super) fn chunks(&self, source: &ImageSource, file: &mut BufReader<&File>) -> Result<Chunks> {
        let tags = &self.tags;
        let mut list = |tags_to_try: &[u16]| {
            let tag = tags_to_try.iter().copied().find(|tag| tags.has(*tag));
            tag.map_or(Ok(Vec::new()), |tag| tags.numbers(file, tag, u64::MAX))
                .map_err(|error| damaged(source, error))
        };
        let side = |values: Vec<u64>, missing: usize| match values.first() {
            None => missing,
            Some(side) => usize::try_from(*side).unwrap_or(usize::MAX),
        };
        let tiled = tags.has(names::TILE_WIDTH);
        let (width, height, offsets, counts) = if tiled {
            let width = side(list(&[names::TILE_WIDTH])?, 0);
            let height = side(list(&[names::TILE_LENGTH])?, 0);
            // Tiles may be larger than a small image, but none is by far.
            let largest = self.width.max(self.height).saturating_mul(2).max(1 << 13);
            if width == 0 || height == 0 || width > largest || height > largest {
                return Err(damaged(source, format!("tiles of {width} x {height} pixels")));
            }
            let offsets = list(&[names::TILE_OFFSETS, names::STRIP_OFFSETS])?;
            (width, height, offsets, list(&[names::TILE_BYTE_COUNTS, names::STRIP_BYTE_COUNTS])?)
        } else {
            let height = match side(list(&[names::ROWS_PER_STRIP])?, self.height) {
                0 => self.height,
                rows => rows.min(self.height),
            };
            (self.width, height, list(&[names::STRIP_OFFSETS])?, list(&[names::STRIP_BYTE_COUNTS])?)
        };
        let planes = if self.planar { self.stored_channels } else { 1 };
        let wanted = self.width.div_ceil(width) * self.height.div_ceil(height) * planes;
        if offsets.len() < wanted {
            return Err(damaged(
                source,
                format!("it lists {} strips or tiles, but its size wants {wanted}", offsets.len()),
            ));
        }
        if !counts.is_empty() && counts.len() < wanted {
            return Err(damaged(
                source,
                format!("it lists the sizes of {} of {wanted} strips", counts.len()),
            ));
        }
        let full = (self.rows.row_bytes(width * self.rows.samples) as u64).saturating_mul(height as u64);
        // Pages without a directory of their own lie behind the one whose directory this is.
        let behind = source.planes.first().map_or(0, |plane| plane.behind);
        let place = |(number, listed_offset): (usize, &u64)| {
            let offset = listed_offset.saturating_add(behind);
            let left = self.file_length.saturating_sub(offset);
            let listed = match counts.get(number) {
                // A file without compression that has one strip says in its size how long that is, whatever else it says.
                Some(_) if wanted == 1 && self.compression == Compression::None => full,
                Some(listed) => *listed,
                // Whoever unpacks it stops when all rows are full.
                None => left,
            };
            if *listed_offset == 0 || left == 0 || listed == 0 {
                return Err(damaged(source, format!("strip or tile {number} is not in the file")));
            }
            Ok((offset, listed.min(left)))
        };
        let places = offsets.iter().take(wanted).enumerate().map(place).collect::<Result<_>>()?;
        Ok(Chunks { places, width, height })
    }

    /// The tables that the JPEG strips or tiles make use of; empty where there are none.
    ///
    /// # Errors
    /// [`Error::Input`] where they are not in the file.
    pub(super) fn jpeg_tables(&self, source: &ImageSource, file: &mut (impl Read + Seek)) -> Result<Vec<u8>> {
        self.tags.bytes(file, names::JPEG_TABLES).map_err(|error| damaged(source, error))
    }
}

fn sample_type(source: &ImageSource, bits: u64, formats: &[u64]) -> Result<SampleType> {
    const FLOAT: u64 = 3;
    let format = formats.first().copied().unwrap_or(1);
    if let Some(other) = formats.iter().find(|other| **other != format) {
        return Err(unsupported(source, format!("channels of sample formats {format} and {other}")));
    }
    let kind = match format {
        // 4 says that nothing is known.
        1 | 4 => SampleKind::Unsigned,
        2 => SampleKind::Signed,
        FLOAT => SampleKind::Float,
        5 | 6 => return Err(unsupported(source, "complex numbers")),
        other => return Err(damaged(source, format!("sample format {other}"))),
    };
    let readable = match kind {
        SampleKind::Unsigned => matches!(bits, 1..=16 | 32 | 64),
        SampleKind::Signed => matches!(bits, 8 | 16 | 32 | 64),
        SampleKind::Float => matches!(bits, 16 | 32 | 64),
    };
    match u8::try_from(bits) {
        Ok(bits) if readable => Ok(SampleType { kind, bits }),
        Ok(bits) if bits > 0 => Err(unsupported(source, format!("samples of {}", SampleType { kind, bits }))),
        _ => Err(damaged(source, format!("samples of {bits} bits"))),
    }
}

fn interpretation_of(
    source: &ImageSource,
    tag: u64,
    compression: Compression,
    channels: usize,
) -> Result<Interpretation> {
    const MISSING: u64 = u64::MAX;
    Ok(match tag {
        0 => Interpretation::WhiteIsZero,
        1 => Interpretation::BlackIsZero,
        2 if channels < 3 => {
            return Err(damaged(source, format!("RGB colours in {channels} samples per pixel")));
        }
        2 => Interpretation::Rgb,
        3 => Interpretation::Palette,
        // A mask of single bits.
        4 => Interpretation::BlackIsZero,
        6 => Interpretation::YCbCr,
        MISSING if compression.is_facsimile() => Interpretation::WhiteIsZero,
        MISSING => Interpretation::Unsaid,
        other => {
            let name = match other {
                5 => "CMYK",
                8..=10 => "CIE L*a*b*",
                32803 => "the colour mosaic of a camera",
                32844 | 32845 => "logarithms of light",
                34892 => "the linear colours of a raw camera image",
                _ => "",
            };
            let name = if name.is_empty() { format!("interpretation {other}") } else { name.to_owned() };
            return Err(Error::input(
                source.name(),
                format!("stores its colours as {name}; wanted grey, RGB or plain channels, save it as RGB"),
            ));
        }
    })
}

fn predictor_of(
    source: &ImageSource,
    tag: u64,
    compression: Compression,
    samples: SampleType,
) -> Result<Predictor> {
    let predictor = match tag {
        1 => return Ok(Predictor::None),
        // These have nothing that could be predicted, and every program passes the tag over.
        _ if compression == Compression::Jpeg || compression.is_facsimile() => return Ok(Predictor::None),
        2 => Predictor::Horizontal,
        3 => Predictor::FloatingPoint,
        other => return Err(unsupported(source, format!("predictor {other}"))),
    };
    if !compression.takes_predictor() {
        return Err(unsupported(
            source,
            format!(
                "predictor {tag} without LZW, deflate or zstd compression, which programs do not read alike"
            ),
        ));
    }
    let fits = match predictor {
        Predictor::FloatingPoint => samples.kind == SampleKind::Float,
        _ => samples.bits.is_multiple_of(8),
    };
    if !fits {
        return Err(unsupported(source, format!("predictor {tag} of {samples}")));
    }
    Ok(predictor)
}

/// How many of the last channels are alpha.
fn alpha_channels(extra: &[u64], interpretation: Interpretation, stored: usize) -> usize {
    let alpha = extra.iter().rev().take_while(|kind| matches!(kind, 1 | 2)).count();
    // Old programs write RGBA without saying that the fourth channel is alpha.
    let unsaid = interpretation == Interpretation::Rgb && stored == 4 && extra.is_empty();
    if unsaid { 1 } else { alpha.min(stored - 1) }
}

/// Refuses a file that is too short for the image its header promises, as far as its compression tells.
fn check_length(
    source: &ImageSource,
    compression: Compression,
    samples: u64,
    bits: u8,
    length: u64,
) -> Result<()> {
    let decoded = samples.saturating_mul(u64::from(bits)) / 8;
    if decoded / compression.strongest() > length {
        return Err(damaged(
            source,
            format!("{decoded} bytes of pixels cannot be in {length} bytes of file"),
        ));
    }
    Ok(())
}
