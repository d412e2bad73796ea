//! JPEG: files of their own, and the strips and tiles of TIFF files.
//!
//! The decoder guesses from several markers whether three channels are red, green and blue or brightness and two
//! differences of colour. [`Stream`] reads the markers first, decides, and hands it a stream that says it in one way only.

mod huffman;
mod markers;
mod scans;

use std::fs::File;
use std::io::{Read, Seek};

use tiff::decoder::DecodingResult;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::decoded::{Decoded, Purpose};
use super::limits::check_bytes;
use super::orientation::{of_exif, warn_of_orientation};
use super::source::{Header, ImageSource, SampleKind, SampleType};
use crate::error::{Error, Result};
use crate::memory;

/// A byte of a scan stands for no more samples than this: each block of 64 takes a bit at least, and where colours are coarser
/// than the image, 18 blocks are 3072 samples.
pub(super) const STRONGEST_COMPRESSION: u64 = 1400;

/// Photographs seldom take fewer bytes than one for so many that decoding takes.
const USUAL: u64 = 32;
const USUAL_PROGRESSIVE: u64 = 16;

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
const JFIF: u8 = 0xe0;
const EXIF: u8 = 0xe1;
const ADOBE: u8 = 0xee;
const COMMENT: u8 = 0xfe;

/// What is wrong with a stream, in words that follow "is" or "the strip is".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Of a kind that is not read.
    Unsupported(String),
    /// Not what its header or its format promises.
    Damaged(String),
}

fn damaged(what: impl std::fmt::Display) -> Fault {
    Fault::Damaged(what.to_string())
}

/// What three channels stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// What the stream's own markers say.
    AsMarked,
    /// Red, green and blue.
    Rgb,
    /// Brightness and two differences of colour, which become red, green and blue.
    YCbCr,
}

/// A JPEG stream with its header read.
pub(super) struct Stream {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1 or 3.
    pub(super) channels: usize,
    /// How the image is to be turned, by the number that Exif has for it, where the stream says so.
    orientation: Option<u8>,
    is_progressive: bool,
    /// The whole stream, without the markers that do not count.
    bytes: Vec<u8>,
}

/// What the markers of a stream say, as far as they have been read.
#[derive(Default)]
struct Markers {
    frame: Option<Frame>,
    jfif: bool,
    /// The colour transform that Adobe's marker names.
    transform: Option<u8>,
    orientation: Option<u8>,
}

struct Frame {
    width: usize,
    height: usize,
    components: Vec<u8>,
    progressive: bool,
}

impl Stream {
    /// Reads the header of `stream`. `tables` is another stream, of tables that it makes use of, or nothing.
    pub(super) fn new(tables: &[u8], stream: &[u8], colours: Colours) -> std::result::Result<Self, Fault> {
        let mut markers = Markers::default();
        let mut kept = Vec::with_capacity(tables.len() + stream.len() + 32);
        if !tables.is_empty() {
            copy_header(tables, &mut markers, &mut kept)?;
        }
        let rest = copy_header(stream, &mut markers, &mut kept)?;
        let frame = markers.frame.ok_or_else(|| damaged("it has no frame"))?;
        let colour = match colours {
            Colours::YCbCr => true,
            Colours::Rgb => false,
            Colours::AsMarked if markers.jfif => true,
            // What libjpeg does: the marker, else the names of the channels.
            Colours::AsMarked => match markers.transform {
                Some(transform) => transform != 0,
                None => frame.components != *b"RGB",
            },
        };
        // The content of a scan's marker begins with how many channels are in it. The decoder makes wrong colours of sequential streams that
        // do not have all of them in one scan.
        let in_first_scan = *rest.get(4).ok_or_else(|| damaged("it ends before its first scan"))?;
        if !frame.progressive && usize::from(in_first_scan) != frame.components.len() {
            let what = "JPEG in several scans that is not progressive";
            return Err(Fault::Unsupported(what.into()));
        }
        let mut bytes = vec![0xff, START_OF_IMAGE];
        if frame.components.len() == 3 {
            bytes.extend([0xff, ADOBE, 0, 14]);
            bytes.extend(b"Adobe\0\x64\0\0\0\0");
            bytes.push(u8::from(colour));
        }
        bytes.extend(kept);
        bytes.extend(rest);
        Ok(Self {
            width: frame.width,
            height: frame.height,
            channels: frame.components.len(),
            orientation: markers.orientation,
            is_progressive: frame.progressive,
            bytes,
        })
    }

    /// How many bytes decoding takes beside the stream.
    fn decoded_bytes(&self) -> u64 {
        let samples = (self.width as u64) * (self.height as u64) * (self.channels as u64);
        // A progressive image is kept in numbers of 16 bits until its last scan.
        if self.is_progressive { 3 * samples } else { samples }
    }

    /// Whether the stream is so short for its image that it should be looked at before it is decoded.
    ///
    /// Looking at every stream would make decoding slower: of sequential ones, all codes are counted, in 0.2 to 1.4 ms for each million of
    /// pixels, where these are decoded in 0.6 to 8 ms; of progressive ones a few, in a hundredth of the time of decoding. What is
    /// longer for its image takes memory in proportion to its length at least.
    fn is_doubtful(&self) -> bool {
        let usual = if self.is_progressive { USUAL_PROGRESSIVE } else { USUAL };
        self.decoded_bytes() / usual > self.bytes.len() as u64
    }

    /// Checks that the stream does not end long before the last pixel, without decoding it.
    pub(super) fn check(&self) -> std::result::Result<(), Fault> {
        // Other bytes may follow the mark, so it is looked for from behind.
        if !self.bytes.windows(2).rev().any(|pair| pair == [0xff, END_OF_IMAGE]) {
            return Err(damaged("it ends before its last pixel"));
        }
        let (width, height, length) = (self.width, self.height, self.bytes.len());
        let samples = (width as u64) * (height as u64) * (self.channels as u64);
        if samples / STRONGEST_COMPRESSION > length as u64 {
            return Err(damaged(format!("{width} x {height} pixels cannot be in {length} bytes")));
        }
        scans::check_count(&self.bytes).map_err(Fault::Damaged)?;
        match self.is_doubtful() {
            true => scans::check(&self.bytes).map_err(Fault::Damaged),
            false => Ok(()),
        }
    }

    /// The pixels, row by row, all channels of a pixel together. The size is to be checked before, and the stream by
    /// [`Stream::check`].
    pub(super) fn pixels(&self, name: &str) -> Result<std::result::Result<Vec<u8>, Fault>> {
        let samples = self.width * self.height * self.channels;
        let way_out = "cut the image into smaller files";
        memory::check(&format!("decoding {name}"), self.decoded_bytes(), way_out)?;
        // A stream that ends early leaves the rest untouched.
        let mut pixels = memory::zeros(&format!("the pixels of {name}"), samples, way_out)?;
        let colours = if self.channels == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(self.width)
            .set_max_height(self.height)
            .jpeg_set_out_colorspace(colours);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&self.bytes), options);
        let decoded = decoder.decode_headers().and_then(|()| {
            let size = decoder.output_buffer_size();
            if size == Some(samples) { decoder.decode_into(&mut pixels) } else { Ok(()) }
        });
        let fits = decoder.output_buffer_size() == Some(samples);
        Ok(match decoded {
            Ok(()) if fits => Ok(pixels),
            Ok(()) => Err(damaged("its header and its pixels disagree")),
            Err(error) => Err(damaged(one_line(&error))),
        })
    }
}

/// The decoder's messages run over several lines.
fn one_line(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Copies the markers of `stream` that decoding needs to `kept`, up to the first scan, and gives what begins there; of
/// tables nothing is left.
fn copy_header<'a>(
    stream: &'a [u8],
    markers: &mut Markers,
    kept: &mut Vec<u8>,
) -> std::result::Result<&'a [u8], Fault> {
    let cut_off = || damaged("it ends inside its header");
    if !stream.starts_with(&[0xff, START_OF_IMAGE]) {
        return Err(damaged("it does not begin as JPEG does"));
    }
    let mut at = 2;
    loop {
        // Any number of bytes 255 may stand before a marker.
        while stream.get(at) == Some(&0xff) && stream.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let (Some(0xff), Some(&marker)) = (stream.get(at), stream.get(at + 1)) else {
            return Err(if at + 1 >= stream.len() { cut_off() } else { damaged("a marker is missing") });
        };
        if marker == START_OF_SCAN {
            return Ok(&stream[at..]);
        }
        if marker == END_OF_IMAGE {
            return Ok(&[]);
        }
        let length = stream.get(at + 2..at + 4).ok_or_else(cut_off)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = stream.get(at..at + 2 + length).ok_or_else(cut_off)?;
        let content = segment.get(4..).ok_or_else(|| damaged("a marker is too short"))?;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                markers.frame = Some(frame(marker, content)?);
                kept.extend(segment);
            }
            JFIF => markers.jfif |= content.starts_with(b"JFIF\0"),
            ADOBE if content.starts_with(b"Adobe") => markers.transform = content.get(11).copied(),
            EXIF if markers.orientation.is_none() => markers.orientation = of_exif(content),
            // Camera settings, colour profiles, thumbnails.
            0xe0..=0xef | COMMENT => {}
            _ => kept.extend(segment),
        }
        at += 2 + length;
    }
}

/// The size and kind that the content of a frame's marker says.
fn frame(marker: u8, content: &[u8]) -> std::result::Result<Frame, Fault> {
    let &[bits, high, low, wide, narrow, count, ref components @ ..] = content else {
        return Err(damaged("its header is too short"));
    };
    let kind = match marker {
        0xc0..=0xc2 => None,
        0xc3 => Some("lossless JPEG"),
        0xc9 | 0xca => Some("JPEG with arithmetic coding"),
        _ => Some("JPEG of a rare kind"),
    };
    if let Some(kind) = kind {
        return Err(Fault::Unsupported(kind.into()));
    }
    if bits != 8 {
        return Err(Fault::Unsupported(format!("JPEG of {bits} bits")));
    }
    let components: Vec<u8> =
        components.chunks_exact(3).take(count.into()).map(|component| component[0]).collect();
    if components.len() != usize::from(count) {
        return Err(damaged("its header is too short"));
    }
    if !matches!(count, 1 | 3) {
        let what =
            if count == 4 { "CMYK colours in JPEG".into() } else { format!("JPEG of {count} channels") };
        return Err(Fault::Unsupported(what));
    }
    let (width, height) = (u16::from_be_bytes([wide, narrow]).into(), u16::from_be_bytes([high, low]).into());
    if width == 0 || height == 0 {
        return Err(damaged("its header gives no size"));
    }
    Ok(Frame { width, height, components, progressive: marker == 0xc2 })
}

fn explain(page: &ImageSource, fault: Fault) -> Error {
    match fault {
        Fault::Unsupported(what) => Error::input(
            page.name(),
            format!("is {what}, which cannot be read; save it as PNG or TIFF, grey or RGB"),
        ),
        Fault::Damaged(what) => Error::input(
            page.name(),
            format!("is a damaged or truncated JPEG file ({what}); copy or export it again"),
        ),
    }
}

/// As much of a file as its header is looked for in first: camera settings and a colour profile may stand before it.
const HEADER_BYTES: u64 = 256 << 10;

/// The file of `page`, or its first `most` bytes, with its header read and its size checked.
fn open(page: &ImageSource, mut file: &File, most: u64) -> Result<Stream> {
    let unreadable = |error: std::io::Error| explain(page, damaged(error));
    file.rewind().map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len().min(most);
    let name = page.name();
    let capacity = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = memory::reserve(&format!("the file {name}"), capacity, "save a smaller part of it")?;
    file.take(length).read_to_end(&mut bytes).map_err(unreadable)?;
    let stream = Stream::new(&[], &bytes, Colours::AsMarked).map_err(|fault| explain(page, fault))?;
    check_bytes(&name, stream.channels, stream.height, stream.width, 1)?;
    Ok(stream)
}

/// What the header of the JPEG file of `page`, which is `file`, says.
pub(super) fn header(page: &ImageSource, file: &File) -> Result<Header> {
    let stream = open(page, file, HEADER_BYTES).or_else(|_| open(page, file, u64::MAX))?;
    warn_of_orientation(&page.path, stream.orientation);
    Ok(Header {
        channels: stream.channels,
        height: stream.height,
        width: stream.width,
        samples: SampleType { kind: SampleKind::Unsigned, bits: 8 },
        planar: false,
        is_turned: false,
        alpha: 0,
        directory: None,
    })
}

/// Decodes the JPEG file of `page`, which is `file`. Labels in it are refused.
pub(super) fn decode(page: &ImageSource, file: &File, purpose: Purpose) -> Result<Decoded> {
    if purpose == Purpose::Labels {
        return Err(Error::input(
            page.name(),
            "is a JPEG file, whose compression changes label values; save the labels as PNG or TIFF from the program that drew them, or give `threshold 128` (or another value) where they are masks of two classes",
        ));
    }
    let stream = open(page, file, u64::MAX)?;
    stream.check().map_err(|fault| explain(page, fault))?;
    let pixels = stream.pixels(&page.name())?.map_err(|fault| explain(page, fault))?;
    Ok(Decoded {
        samples: DecodingResult::U8(pixels),
        height: stream.height,
        width: stream.width,
        stored_channels: stream.channels,
        channels: stream.channels,
        planar: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::orientation::TURNED_RIGHT;

    #[test]
    fn a_header_says_how_its_image_is_turned() {
        let block = [b"Exif\0\0", TURNED_RIGHT].concat();
        let mut stream = vec![0xff, START_OF_IMAGE, 0xff, EXIF, 0, block.len() as u8 + 2];
        stream.extend(block);
        stream.extend([0xff, END_OF_IMAGE]);
        let mut markers = Markers::default();
        assert_eq!(copy_header(&stream, &mut markers, &mut Vec::new()), Ok(&[][..]));
        assert_eq!(markers.orientation, Some(6));
    }
}
