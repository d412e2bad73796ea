//! TIFF pages to the numbers they store.

use std::fs::File;
use std::io::BufReader;

use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::{PlanarConfiguration, Tag};
use tiff::{ColorType, TiffError};

use super::directory::{Moved, Patched, directory_places, layout, photometric};
use super::pages::{are_planes_of_an_array, moved};
use crate::error::{Error, Result};
use crate::images::decoded::{Decoded, Purpose};
use crate::images::limits::check_bytes;
use crate::images::source::{Header, ImageSource, SampleKind, SampleType};

const WHITE_IS_ZERO: u64 = 0;
const BLACK_IS_ZERO: u64 = 1;
const RGB: u64 = 2;
const PALETTE: u64 = 3;

/// What a compressed strip or tile may take in memory beside the decoded image.
const DECODER_BYTES: u64 = 128 << 20;

/// A page of an open file.
type PageDecoder<'a> = Decoder<Patched<BufReader<&'a File>>>;

/// A page with its header read and checked, ready to decode.
struct Opened<'a> {
    decoder: PageDecoder<'a>,
    height: usize,
    width: usize,
    stored_channels: usize,
    channels: usize,
    /// Bits per sample as stored.
    bits: u8,
    planar: bool,
    white_is_zero: bool,
}

fn damaged(page: &ImageSource, what: impl std::fmt::Display) -> Error {
    Error::input(
        page.name(),
        format!("is a damaged or truncated TIFF file ({what}); copy or export it again"),
    )
}

fn explain(page: &ImageSource, error: TiffError) -> Error {
    match error {
        TiffError::UnsupportedError(what) => Error::input(
            page.name(),
            format!(
                "is stored in a way that cannot be read ({what}); save it as grey or RGB without or with LZW or deflate compression"
            ),
        ),
        TiffError::IoError(what) if what.kind() == std::io::ErrorKind::UnexpectedEof => {
            damaged(page, "its pixels end before the image is full")
        }
        other => damaged(page, other),
    }
}

fn directory_of(page: &ImageSource, file: &File) -> Result<u64> {
    if let Some(place) = page.header.and_then(|header| header.directory) {
        return Ok(place);
    }
    if let Some(plane) = page.planes.first() {
        return Ok(plane.directory);
    }
    let places = directory_places(&page.path, file)?;
    let wanted = page.page.unwrap_or(0);
    places.get(wanted).copied().ok_or_else(|| {
        Error::input(
            &page.path,
            format!("has {} pages, but page {wanted} (counted from 0) was wanted", places.len()),
        )
    })
}

fn open_page<'a>(page: &ImageSource, file: &'a File, directory: u64) -> Result<Opened<'a>> {
    let mut file = BufReader::new(file);
    let length = file.get_ref().metadata().map_err(|error| damaged(page, error))?.len();
    let layout = layout(&page.path, &mut file)?;
    let photometric = photometric(&mut file, layout, directory).map_err(|error| damaged(page, error))?;
    let mut patches = vec![(layout.first_offset_place(), layout.offset_bytes(directory))];
    let interpretation = photometric.map_or(BLACK_IS_ZERO, |tag| tag.value);
    if let (Some(tag), WHITE_IS_ZERO | RGB | PALETTE) = (photometric, interpretation) {
        let grey = if layout.big_endian { vec![0, 1] } else { vec![1, 0] };
        patches.push((tag.place, grey));
    }
    // Planes of an array that tifffile wrote look like colours with alpha.
    let all_channels =
        are_planes_of_an_array(&mut file, layout, directory).map_err(|error| damaged(page, error))?;
    let moved = match page.planes.first() {
        Some(plane) => moved(&mut file, layout, plane).map_err(|error| damaged(page, error))?,
        None => Moved::default(),
    };
    let file = Patched::new(file, patches).map_err(|error| damaged(page, error))?.with_moved(moved);
    let mut decoder = Decoder::new(file).map_err(|error| explain(page, error))?;
    let colour = decoder.colortype().map_err(|error| explain(page, error))?;
    let (stored_channels, bits) = match colour {
        ColorType::Gray(bits) => (1, bits),
        ColorType::Multiband { bit_depth, num_samples } => (usize::from(num_samples), bit_depth),
        other => {
            return Err(Error::input(
                page.name(),
                format!(
                    "stores its colours as {other:?}; wanted grey, RGB or plain channels, save it as RGB"
                ),
            ));
        }
    };
    let (width, height) = decoder.dimensions().map_err(|error| explain(page, error))?;
    let (width, height) = (width as usize, height as usize);
    let samples = check_bytes(&page.name(), stored_channels, height, width, usize::from(bits).div_ceil(8))?;
    check_length(page, &mut decoder, samples, bits, length)?;
    let planar =
        decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(|error| explain(page, error))?
            == Some(PlanarConfiguration::Planar.to_u16());
    if planar && stored_channels > 1 && decoder.get_chunk_type() == ChunkType::Tile {
        // The decoder takes the second plane's tiles for rows below the image.
        return Err(Error::input(
            page.name(),
            format!(
                "stores its {stored_channels} channels in separate tiles, which cannot be read; save it in strips or with interleaved channels"
            ),
        ));
    }
    let alpha = match all_channels {
        true => 0,
        false => alpha_channels(page, &mut decoder, interpretation, stored_channels)?,
    };
    // What follows takes the whole image at once, and a file's strips are no longer than the file.
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(samples.saturating_mul(8)).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = usize::try_from(length.max(DECODER_BYTES)).unwrap_or(usize::MAX);
    Ok(Opened {
        decoder: decoder.with_limits(limits),
        height,
        width,
        stored_channels,
        channels: stored_channels - alpha,
        bits,
        planar,
        white_is_zero: interpretation == WHITE_IS_ZERO,
    })
}

/// Refuses a file that is too short for the image its header promises, as far as its compression tells.
fn check_length(
    page: &ImageSource,
    decoder: &mut PageDecoder,
    samples: u64,
    bits: u8,
    length: u64,
) -> Result<()> {
    let compression = decoder
        .find_tag_unsigned::<u16>(Tag::Compression)
        .map_err(|error| explain(page, error))?
        .unwrap_or(1);
    // How many bytes one byte of the file can become.
    let strongest: u64 = match compression {
        1 => 1,
        8 | 32946 => 1100,
        5 => 4000,
        32773 => 130,
        _ => return Ok(()),
    };
    let decoded = samples.saturating_mul(u64::from(bits)) / 8;
    if decoded / strongest > length {
        return Err(damaged(page, format!("{decoded} bytes of pixels cannot be in {length} bytes of file")));
    }
    Ok(())
}

/// How many of the last channels are alpha.
fn alpha_channels(
    page: &ImageSource,
    decoder: &mut PageDecoder,
    interpretation: u64,
    stored: usize,
) -> Result<usize> {
    let extra = decoder
        .find_tag_unsigned_vec::<u16>(Tag::ExtraSamples)
        .map_err(|error| explain(page, error))?
        .unwrap_or_default();
    let alpha = extra.iter().rev().take_while(|kind| matches!(kind, 1 | 2)).count();
    // Old programs write RGBA without saying that the fourth channel is alpha.
    let unsaid = interpretation == RGB && stored == 4 && extra.is_empty();
    Ok(if unsaid { 1 } else { alpha.min(stored - 1) })
}

/// What the header says of the page whose directory is at `directory`; found in `file` where that is `None`.
pub(in crate::images) fn header(page: &ImageSource, file: &File, directory: Option<u64>) -> Result<Header> {
    let directory = directory.map_or_else(|| directory_of(page, file), Ok)?;
    let mut opened = open_page(page, file, directory)?;
    // Only two pages are ever compared by it, and a file that says nothing means unsigned numbers.
    let format = opened.decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).ok().flatten();
    let kind = match format.and_then(|kinds| kinds.first().copied()) {
        Some(2) => SampleKind::Signed,
        Some(3) => SampleKind::Float,
        _ => SampleKind::Unsigned,
    };
    Ok(Header {
        channels: opened.channels,
        height: opened.height,
        width: opened.width,
        samples: SampleType { kind, bits: opened.bits },
        planar: opened.planar,
        alpha: opened.stored_channels - opened.channels,
        directory: Some(directory),
    })
}

/// Decodes one page of `file`, without decoding those before it.
pub(in crate::images) fn decode(page: &ImageSource, file: &File, purpose: Purpose) -> Result<Decoded> {
    let mut opened = open_page(page, file, directory_of(page, file)?)?;
    let mut samples = DecodingResult::U8(Vec::new());
    opened.decoder.read_image_to_buffer(&mut samples).map_err(|error| explain(page, error))?;
    if opened.bits < 8 {
        samples = unpack(page, samples, &opened)?;
    }
    if opened.white_is_zero && purpose == Purpose::Intensities {
        invert(&mut samples, opened.bits);
    }
    if count(&samples) != opened.stored_channels * opened.height * opened.width {
        return Err(damaged(page, "its pixels end before the image is full"));
    }
    Ok(Decoded {
        samples,
        height: opened.height,
        width: opened.width,
        stored_channels: opened.stored_channels,
        channels: opened.channels,
        planar: opened.planar,
    })
}

/// Turns "white is zero" to "black is zero"; signed and floating-point numbers have no largest to turn at.
fn invert(samples: &mut DecodingResult, bits: u8) {
    match samples {
        DecodingResult::U8(values) => {
            let largest = u8::MAX >> 8_u8.saturating_sub(bits);
            values.iter_mut().for_each(|v| *v = largest - *v);
        }
        DecodingResult::U16(values) => values.iter_mut().for_each(|v| *v = !*v),
        DecodingResult::U32(values) => values.iter_mut().for_each(|v| *v = !*v),
        DecodingResult::U64(values) => values.iter_mut().for_each(|v| *v = !*v),
        _ => {}
    }
}

/// Takes samples of fewer than 8 bits, packed from the left with each row beginning a new byte, apart.
fn unpack(page: &ImageSource, samples: DecodingResult, opened: &Opened) -> Result<DecodingResult> {
    let DecodingResult::U8(packed) = samples else {
        return Err(Error::input(
            page.name(),
            format!("has signed samples of {} bits; save it with 8 bits", opened.bits),
        ));
    };
    let bits = usize::from(opened.bits);
    let (in_row, rows) = if opened.planar {
        (opened.width, opened.height * opened.stored_channels)
    } else {
        (opened.width * opened.stored_channels, opened.height)
    };
    let row_bytes = (in_row * bits).div_ceil(8);
    if packed.len() < row_bytes * rows {
        return Err(damaged(page, "its pixels end before the image is full"));
    }
    let mut values = Vec::with_capacity(in_row * rows);
    for row in packed.chunks_exact(row_bytes).take(rows) {
        values.extend((0..in_row).map(|sample| {
            let first = sample * bits;
            // Samples of 3, 5, 6 or 7 bits may lie across two bytes.
            let pair = u16::from(row[first / 8]) << 8 | u16::from(*row.get(first / 8 + 1).unwrap_or(&0));
            ((pair << (first % 8)) >> (16 - bits)) as u8
        }));
    }
    Ok(DecodingResult::U8(values))
}

fn count(samples: &DecodingResult) -> usize {
    match samples {
        DecodingResult::U8(values) => values.len(),
        DecodingResult::I8(values) => values.len(),
        DecodingResult::U16(values) => values.len(),
        DecodingResult::I16(values) => values.len(),
        DecodingResult::F16(values) => values.len(),
        DecodingResult::U32(values) => values.len(),
        DecodingResult::I32(values) => values.len(),
        DecodingResult::F32(values) => values.len(),
        DecodingResult::U64(values) => values.len(),
        DecodingResult::I64(values) => values.len(),
        DecodingResult::F64(values) => values.len(),
    }
}
