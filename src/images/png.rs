//! PNG files: to the numbers they store, and from arrays.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ::png::BitDepth;
use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, Limits};
use ndarray::{Array, Array2, Array3, Dimension};
use tiff::decoder::DecodingResult;

use super::decoded::{Decoded, Purpose};
use super::dry_run::is_doubtful;
use super::limits::{check_bytes, side};
use super::orientation::{of_exif, warn_of_orientation};
use super::source::{Header, ImageSource, SampleKind, SampleType};
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Deflate cannot shrink data further than this, so a smaller file does not hold what its header says.
const STRONGEST_COMPRESSION: u64 = 1100;
/// What the decoder may take beyond the image itself, for rows and tables.
const DECODER_BYTES: u64 = 32 << 20;

/// Longer than what cameras write.
const MOST_EXIF_BYTES: u64 = 1 << 20;

const GREY: u8 = 0;
const PALETTE: u8 = 3;

/// What the first chunk of a PNG file says.
struct FirstChunk {
    width: usize,
    height: usize,
    /// Bits per sample as stored, 1 to 16.
    bits: u8,
    colour: u8,
    /// Bytes of the file.
    length: u64,
}

impl FirstChunk {
    /// The channels of the image once palette and alpha are resolved.
    fn channels(&self) -> usize {
        if matches!(self.colour, GREY | 4) { 1 } else { 3 }
    }
}

fn damaged(page: &ImageSource, what: impl std::fmt::Display) -> Error {
    Error::input(page.name(), format!("is a damaged or truncated PNG file ({what}); copy or export it again"))
}

fn first_chunk(page: &ImageSource, mut file: &File) -> Result<FirstChunk> {
    let mut bytes = [0_u8; 33];
    file.read_exact(&mut bytes).map_err(|_| damaged(page, "it ends inside its header"))?;
    file.rewind().map_err(|error| damaged(page, error))?;
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let header = FirstChunk {
        width: number(16) as usize,
        height: number(20) as usize,
        bits: bytes[24],
        colour: bytes[25],
        length: file.metadata().map_err(|error| damaged(page, error))?.len(),
    };
    if &bytes[12..16] != b"IHDR" || header.width == 0 || header.height == 0 {
        return Err(damaged(page, "its header gives no size"));
    }
    let samples = check_bytes(&page.name(), header.channels(), header.height, header.width, 2)?;
    if samples / 8 / STRONGEST_COMPRESSION > header.length {
        let FirstChunk { width, height, length, .. } = header;
        return Err(damaged(page, format!("{width} x {height} pixels cannot be in {length} bytes")));
    }
    Ok(header)
}

/// What the header says of decoding for intensities.
pub(super) fn header(page: &ImageSource, file: &File) -> Result<Header> {
    let header = first_chunk(page, file)?;
    warn_of_orientation(&page.path, orientation(file));
    Ok(Header {
        channels: header.channels(),
        height: header.height,
        width: header.width,
        samples: SampleType { kind: SampleKind::Unsigned, bits: header.bits },
        // Colour types with bit 2 have alpha.
        alpha: usize::from(header.colour & 4 != 0),
        planar: false,
        is_turned: false,
        directory: None,
    })
}

/// Decodes the PNG file of `page`, which is `file`.
pub(super) fn decode(page: &ImageSource, mut file: &File, purpose: Purpose) -> Result<Decoded> {
    let header = first_chunk(page, file)?;
    if header.colour == PALETTE {
        check_palette(page, file)?;
    }
    let indices = purpose.is_labels() && header.colour == PALETTE;
    let samples = if indices {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| damaged(page, error))?;
        let grey = palette_as_grey(&bytes).ok_or_else(|| damaged(page, "it ends inside a chunk"))?;
        pixels(page, Cursor::new(grey), &header)
    } else {
        pixels(page, BufReader::new(file), &header)
    };
    let (mut samples, stored_channels) = samples?;
    if indices || header.colour == GREY {
        undo_expansion(&mut samples, header.bits);
    }
    Ok(Decoded {
        samples,
        height: header.height,
        width: header.width,
        stored_channels,
        channels: if indices { 1 } else { header.channels() },
        planar: false,
    })
}

/// Refuses a palette that is no whole number of colours, at which the decoder panics. What else is wrong with chunks the decoder
/// tells.
fn check_palette(page: &ImageSource, mut file: &File) -> Result<()> {
    let length = chunk_before_pixels(file, b"PLTE").map(|(length, _)| length);
    if length.is_some_and(|length| !length.is_multiple_of(3)) {
        return Err(damaged(page, "its palette ends inside a colour"));
    }
    file.rewind().map_err(|error| damaged(page, error))
}

/// The length of the first chunk `name`, and the file where its content begins; `None` where there is none before the pixels.
fn chunk_before_pixels<'a>(file: &'a File, name: &[u8; 4]) -> Option<(u32, BufReader<&'a File>)> {
    let mut chunks = BufReader::new(file);
    let mut head = [0_u8; 8];
    chunks.seek(SeekFrom::Start(8)).ok()?;
    loop {
        chunks.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        match &head[4..] {
            found if found == name => return Some((length, chunks)),
            b"IDAT" | b"IEND" => return None,
            // The checksum stands behind what the chunk holds.
            _ => chunks.seek_relative(i64::from(length) + 4).ok()?,
        }
    }
}

/// How the image is to be turned, by the number that Exif has for it, where the file says so before its pixels.
fn orientation(file: &File) -> Option<u8> {
    let (length, content) = chunk_before_pixels(file, b"eXIf")?;
    let mut bytes = Vec::new();
    content.take(u64::from(length).min(MOST_EXIF_BYTES)).read_to_end(&mut bytes).ok()?;
    of_exif(&bytes)
}

/// Reads all rows and keeps none; for `file` as [`pixels`] takes it, which is at its start again then.
fn check_rows(page: &ImageSource, file: &mut (impl BufRead + Seek)) -> Result<()> {
    let limits = ::png::Limits { bytes: DECODER_BYTES as usize };
    let decoder = ::png::Decoder::new_with_limits(&mut *file, limits);
    let mut reader = decoder.read_info().map_err(|error| damaged(page, error))?;
    while reader.next_interlaced_row().map_err(|error| damaged(page, error))?.is_some() {}
    file.rewind().map_err(|error| damaged(page, error))
}

fn pixels(
    page: &ImageSource,
    mut file: impl BufRead + Seek,
    header: &FirstChunk,
) -> Result<(DecodingResult, usize)> {
    let stored = header.channels() * header.height * header.width * usize::from(header.bits).div_ceil(8);
    if is_doubtful(header.length, stored as u64) {
        check_rows(page, &mut file)?;
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some((header.width as u64 * header.height as u64 * 8).saturating_add(DECODER_BYTES));
    let decoder = PngDecoder::with_limits(file, limits).map_err(|error| damaged(page, error))?;
    let colour = decoder.color_type();
    let channels = usize::from(colour.channel_count());
    let samples = header.width * header.height * channels;
    if decoder.total_bytes() != (samples * usize::from(colour.bytes_per_pixel()) / channels) as u64 {
        return Err(damaged(page, "its header and its pixels disagree"));
    }
    let samples = match colour {
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let mut values = vec![0_u16; samples];
            decoder.read_image(bytemuck::cast_slice_mut(&mut values)).map(|()| DecodingResult::U16(values))
        }
        _ => {
            let mut values = vec![0_u8; samples];
            decoder.read_image(&mut values).map(|()| DecodingResult::U8(values))
        }
    };
    Ok((samples.map_err(|error| damaged(page, error))?, channels))
}

/// Turns 0..=255 back to the stored 1, 2 or 4 bits, which the decoder stretches to look right.
fn undo_expansion(samples: &mut DecodingResult, bits: u8) {
    if let (DecodingResult::U8(values), 1 | 2 | 4) = (samples, bits) {
        let step = 255 / ((1 << bits) - 1) as u8;
        values.iter_mut().for_each(|value| *value /= step);
    }
}

/// The PNG file `bytes` with its palette taken away and its header saying "grey", so that the decoder
/// gives the palette indices, which it otherwise replaces by colours. `None` for a file cut short.
fn palette_as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut grey = bytes.get(..8)?.to_vec();
    let mut rest = &bytes[8..];
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let end = length.checked_add(12)?;
        let chunk = rest.get(..end)?;
        match &chunk[4..8] {
            b"IHDR" if length == 13 => {
                let mut chunk = chunk.to_vec();
                chunk[17] = GREY;
                let sum = checksum(&chunk[4..21]);
                chunk[21..].copy_from_slice(&sum.to_be_bytes());
                grey.extend(chunk);
            }
            b"IDAT" | b"IEND" => grey.extend(chunk),
            _ => {}
        }
        if &chunk[4..8] == b"IEND" {
            return Some(grey);
        }
        rest = &rest[end..];
    }
    None
}

/// The CRC-32 that ends each PNG chunk.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    })
}

/// Writes an 8-bit grey PNG from an image of shape `[y][x]`.
///
/// # Errors
/// [`Error::Output`] for an empty image or a file that cannot be written.
pub fn write_png_grey8(path: impl AsRef<Path>, image: &Array2<u8>) -> Result<()> {
    write_png(
        path.as_ref(),
        &in_order(image),
        image.dim(),
        ::png::ColorType::Grayscale,
        BitDepth::Eight,
        None,
    )
}

/// Writes an 8-bit PNG of shape `[y][x]` whose numbers are shown in the colours of a palette.
pub(super) fn write_png_palette(path: &Path, image: &Array2<u8>, palette: &[[u8; 3]; 256]) -> Result<()> {
    let colours = palette.as_flattened();
    let kind = ::png::ColorType::Indexed;
    write_png(path, &in_order(image), image.dim(), kind, BitDepth::Eight, Some(colours))
}

/// Writes an 8-bit colour PNG from an image of shape `[y][x][3]`, red, green and blue.
///
/// # Errors
/// [`Error::Output`] for a last dimension other than 3, an empty image or a file that cannot be written.
pub fn write_png_rgb8(path: impl AsRef<Path>, image: &Array3<u8>) -> Result<()> {
    let (height, width, colours) = image.dim();
    if colours != 3 {
        return Err(Error::output(
            path,
            format!("an image of {colours} colours; wanted 3: red, green and blue"),
        ));
    }
    write_png(path.as_ref(), &in_order(image), (height, width), ::png::ColorType::Rgb, BitDepth::Eight, None)
}

/// The numbers of an array in the order of its indices, copied only where they do not lie so.
fn in_order<D: Dimension>(array: &Array<u8, D>) -> Cow<'_, [u8]> {
    array.as_slice().map_or_else(|| array.iter().copied().collect(), Cow::Borrowed)
}

/// Writes samples, of 16 bits the upper half first; with the colours of a palette one after the other where there is one.
pub(super) fn write_png(
    path: &Path,
    bytes: &[u8],
    size: (usize, usize),
    colour: ::png::ColorType,
    depth: BitDepth,
    palette: Option<&[u8]>,
) -> Result<()> {
    let mut all = Some(bytes);
    write_rows(path, size, colour, depth, palette, &mut |write| all.take().map_or(Ok(()), write))
}

/// As [`write_png`], of samples that `read` puts into its argument some rows at a time, in order, until all are there.
///
/// # Errors
/// Those of `read`, and as [`write_png_grey8`].
pub(super) fn write_png_rows(
    path: &Path,
    size: (usize, usize),
    colour: ::png::ColorType,
    depth: BitDepth,
    palette: Option<&[u8]>,
    read: &mut dyn FnMut(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let samples = colour.samples() * if depth == BitDepth::Sixteen { 2 } else { 1 };
    let mut left = size.0 * size.1 * samples;
    let mut rows = Vec::new();
    let mut failed = None;
    let written = write_rows(path, size, colour, depth, palette, &mut |write| {
        while left > 0 {
            if let Err(error) = read(&mut rows) {
                failed = Some(error);
                return Err(std::io::ErrorKind::Other.into());
            }
            left = left.saturating_sub(rows.len().max(1));
            write(&rows)?;
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

/// Takes rows to be written.
type WriteRows<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

/// Writes a file whose rows `give` hands to its argument.
fn write_rows(
    path: &Path,
    size: (usize, usize),
    colour: ::png::ColorType,
    depth: BitDepth,
    palette: Option<&[u8]>,
    give: &mut dyn FnMut(WriteRows<'_>) -> std::io::Result<()>,
) -> Result<()> {
    let (height, width) = (side(path, size.0)?, side(path, size.1)?);
    let mut fill = |file: &mut BufWriter<&mut File>| -> std::result::Result<(), ::png::EncodingError> {
        let mut encoder = ::png::Encoder::new(file, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        encoder.set_compression(::png::Compression::Fast);
        encoder.set_filter(::png::Filter::Adaptive);
        // In one go, the file would be made in memory first.
        let mut writer = encoder.write_header()?;
        let mut stream = writer.stream_writer()?;
        give(&mut |rows| stream.write_all(rows))?;
        stream.finish()?;
        writer.finish()
    };
    write_atomic(path, |file| fill(file).map_err(std::io::Error::from))
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::*;
    use crate::images::orientation::TURNED_RIGHT;
    use crate::images::{discover, read_image};

    #[test]
    fn checksum_of_the_end_chunk() {
        assert_eq!(checksum(b"IEND"), 0xae42_6082);
    }

    fn read_back(path: &Path) -> Array3<f32> {
        read_image(&discover(path.to_str().unwrap()).unwrap()[0]).unwrap()
    }

    #[test]
    fn a_permuted_array_is_written_as_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let image = array![[1_u8, 2, 3], [4, 5, 6]].reversed_axes();
        let path = folder.path().join("grey.png");
        write_png_grey8(&path, &image).unwrap();
        assert_eq!(read_back(&path).index_axis(Axis(0), 0), image.mapv(f32::from));
    }

    #[test]
    fn a_chunk_before_the_pixels_says_how_the_image_is_turned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write_png_grey8(&path, &array![[1_u8, 2, 3]]).unwrap();
        assert_eq!(orientation(&File::open(&path).unwrap()), None);
        let mut bytes = std::fs::read(&path).unwrap();
        let chunk = [b"eXIf", TURNED_RIGHT].concat();
        let length = (TURNED_RIGHT.len() as u32).to_be_bytes();
        bytes.splice(33..33, [&length[..], &chunk, &checksum(&chunk).to_be_bytes()].concat());
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(orientation(&File::open(&path).unwrap()), Some(6));
        assert_eq!(read_back(&path).into_raw_vec_and_offset().0, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn colour_png_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let image = Array3::from_shape_fn((4, 5, 3), |(y, x, c)| (y * 50 + x * 10 + c) as u8);
        let path = folder.path().join("colour.png");
        write_png_rgb8(&path, &image).unwrap();
        assert_eq!(read_back(&path), image.permuted_axes([2, 0, 1]).mapv(f32::from));
    }
}
