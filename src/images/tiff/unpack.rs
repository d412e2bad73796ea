//! The bytes of a compressed strip or tile, as they are packed, row by row.
//!
//! Each kind of compression becomes a reader of the unpacked bytes, so that a strip of the size of its image takes no
//! memory beside the image. All of them may be asked for fewer bytes than the strip holds, and none of them needs the end
//! mark of its format, which some programs leave out.

use std::io::{self, BufRead, Read};

use fax::Color;
use fax::decoder::{DecodeStatus, Group3Decoder, Group4Decoder, pels};
use flate2::bufread::ZlibDecoder;

use crate::images::dry_run::pass_over;
use crate::images::jpeg::STRONGEST_COMPRESSION;

/// How the strips or tiles of a page are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Zstd,
    Jpeg,
    /// Facsimile of one dimension (CCITT group 3).
    Group3,
    /// Facsimile of two dimensions (CCITT group 4).
    Group4,
}

impl Compression {
    /// What the Compression tag says; `Err` with the name of a kind that cannot be read.
    pub(super) fn of(tag: u64) -> Result<Self, String> {
        Ok(match tag {
            1 => Compression::None,
            3 => Compression::Group3,
            4 => Compression::Group4,
            5 => Compression::Lzw,
            7 => Compression::Jpeg,
            8 | 32946 => Compression::Deflate,
            32773 => Compression::PackBits,
            // The second is the number that was in use before the first was given out.
            50000 | 34926 => Compression::Zstd,
            other => {
                let name = match other {
                    2 => "CCITT run lengths",
                    6 => "old-style JPEG",
                    34712 | 33003 | 33004 | 33005 => "JPEG 2000",
                    34887 => "LERC",
                    34892 => "lossy JPEG of a raw camera image",
                    34925 => "LZMA",
                    50001 | 34927 => "WebP",
                    50002 | 52546 => "JPEG XL",
                    _ => return Err(format!("compression {other}")),
                };
                return Err(format!("{name} compression"));
            }
        })
    }

    /// How many bytes one byte of the file can become at most.
    pub(super) fn strongest(self) -> u64 {
        match self {
            Compression::None => 1,
            Compression::Deflate => 1100,
            Compression::Lzw => 4000,
            Compression::PackBits => 130,
            // A block of up to 128 KiB that repeats one byte takes four.
            Compression::Zstd => 128 << 10,
            Compression::Jpeg => STRONGEST_COMPRESSION,
            // 2560 white pixels take twelve bits.
            Compression::Group3 => 300,
            // A line that is as the one before it takes a bit, and has 65535 pixels at most.
            Compression::Group4 => 64 << 10,
        }
    }

    /// Whether it stores single bits, black on white.
    pub(super) fn is_facsimile(self) -> bool {
        matches!(self, Compression::Group3 | Compression::Group4)
    }

    /// Whether a predictor may stand before it. Programs do not agree on what a predictor means for other kinds.
    pub(super) fn takes_predictor(self) -> bool {
        matches!(self, Compression::Lzw | Compression::Deflate | Compression::Zstd)
    }
}

/// The unpacked bytes of `packed`, a strip or tile whose rows are `width` pixels, of any compression but JPEG.
///
/// # Errors
/// Those of reading, and for a strip that does not begin as its compression does.
pub(super) fn unpacked<'a>(
    mut packed: impl BufRead + 'a,
    compression: Compression,
    width: usize,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Deflate => Box::new(ZlibDecoder::new(packed)),
        Compression::PackBits => Box::new(PackBits { packed, left: 0, repeated: None }),
        Compression::Lzw => {
            check_lzw(&mut packed)?;
            Box::new(Lzw::new(packed))
        }
        Compression::Zstd => {
            Box::new(ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?)
        }
        Compression::Group3 | Compression::Group4 => {
            let width = u16::try_from(width).map_err(|_| {
                io::Error::new(io::ErrorKind::Unsupported, "facsimile of more than 65535 pixels")
            })?;
            let lines: Box<dyn Lines> = if compression == Compression::Group4 {
                Box::new(Group4Decoder::new(packed.bytes(), width)?)
            } else {
                // Files leave out the end-of-line mark that the decoder wants after the last line.
                Box::new(
                    Group3Decoder::new(packed.chain(&[0, 1, 0xff, 0xff][..]).bytes())
                        .map_err(|_| broken_line("its code is not one of the format"))?,
                )
            };
            Box::new(Facsimile { lines, width, row: Vec::new(), at: 0 })
        }
        Compression::Jpeg => return Err(io::Error::other("JPEG has no rows of bytes")),
    })
}

/// Checks that `packed`, as for [`unpacked`], stands for `wanted` bytes at least, of which none is kept.
///
/// # Errors
/// As [`unpacked`], and [`io::ErrorKind::UnexpectedEof`] where there are fewer.
pub(super) fn check_holds(
    mut packed: impl BufRead,
    compression: Compression,
    width: usize,
    wanted: u64,
) -> io::Result<()> {
    if compression != Compression::Lzw {
        return pass_over(unpacked(packed, compression, width)?, wanted);
    }
    // How long texts are is known without putting them together.
    check_lzw(&mut packed)?;
    let mut codes = Lzw::new(packed);
    let mut found = 0;
    while found < wanted {
        let code = codes.next_code()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        found += u64::from(codes.lengths[usize::from(code)]);
    }
    Ok(())
}

/// Refuses LZW of before TIFF 6.0, whose codes began at the other end of each byte.
fn check_lzw(packed: &mut impl BufRead) -> io::Result<()> {
    match packed.fill_buf()? {
        [0, second, ..] if second & 1 == 1 => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "LZW compression of before 1992"))
        }
        _ => Ok(()),
    }
}

/// The bytes of `inner` with the order of the bits in each turned round.
pub(super) struct Reversed<R>(pub(super) R);

impl<R: Read> Read for Reversed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        buffer[..count].iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        Ok(count)
    }
}

/// The codes of LZW have 9 to 12 bits.
const LZW_CODES: usize = 1 << 12;
/// The code that empties the table, and the one that ends the strip.
const LZW_CLEAR: u16 = 256;
const LZW_END: u16 = 257;

/// LZW as TIFF has it: codes begin with their most significant bit, and become longer one code early.
///
/// It is written out here because the decoder of the `weezl` crate, asked for rows, may say that a strip ends before it does.
struct Lzw<R> {
    packed: R,
    /// Bits that have been read and not used, the last read lowest.
    bits: u32,
    bit_count: u32,
    code_bits: u32,
    /// Of each code the one for all its bytes but the last, its first byte, its last byte, and how many it has.
    prefixes: Vec<u16>,
    firsts: Vec<u8>,
    lasts: Vec<u8>,
    lengths: Vec<u16>,
    /// How many codes there are.
    known: usize,
    previous: Option<u16>,
    ended: bool,
    /// The bytes of the present code, and how many of them have been given.
    text: Vec<u8>,
    given: usize,
}

impl<R: BufRead> Lzw<R> {
    fn new(packed: R) -> Self {
        let bytes = || (0..=u8::MAX).chain(std::iter::repeat_n(0, LZW_CODES - 256)).collect::<Vec<u8>>();
        Self {
            packed,
            bits: 0,
            bit_count: 0,
            code_bits: 9,
            prefixes: vec![0; LZW_CODES],
            firsts: bytes(),
            lasts: bytes(),
            lengths: vec![1; LZW_CODES],
            known: usize::from(LZW_END) + 1,
            previous: None,
            ended: false,
            text: Vec::with_capacity(LZW_CODES),
            given: 0,
        }
    }

    /// The next code; `None` where the strip ends.
    fn code(&mut self) -> io::Result<Option<u16>> {
        while self.bit_count < self.code_bits {
            let Some(byte) = next_byte(&mut self.packed)? else { return Ok(None) };
            self.bits = (self.bits << 8) | u32::from(byte);
            self.bit_count += 8;
        }
        self.bit_count -= self.code_bits;
        let code = (self.bits >> self.bit_count) & ((1 << self.code_bits) - 1);
        Ok(Some(code as u16))
    }

    /// The next code that stands for bytes; `None` where the strip ends.
    fn next_code(&mut self) -> io::Result<Option<u16>> {
        while !self.ended {
            match self.code()? {
                None | Some(LZW_END) => self.ended = true,
                Some(LZW_CLEAR) => {
                    (self.known, self.code_bits, self.previous) = (usize::from(LZW_END) + 1, 9, None);
                }
                Some(code) => {
                    self.learn(code)?;
                    self.previous = Some(code);
                    return Ok(Some(code));
                }
            }
        }
        Ok(None)
    }

    /// Puts the bytes of the next code into `text`; none where the strip ends.
    fn next_text(&mut self) -> io::Result<()> {
        self.text.clear();
        self.given = 0;
        if let Some(mut part) = self.next_code()? {
            self.text.resize(usize::from(self.lengths[usize::from(part)]), 0);
            for byte in self.text.iter_mut().rev() {
                *byte = self.lasts[usize::from(part)];
                part = self.prefixes[usize::from(part)];
            }
        }
        Ok(())
    }

    /// Adds the code that `code`, coming after the one before it, makes known.
    fn learn(&mut self, code: u16) -> io::Result<()> {
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidData, format!("the LZW code {code} means nothing"));
        let is_new = usize::from(code) == self.known;
        let Some(previous) = self.previous else {
            return if code < LZW_CLEAR { Ok(()) } else { Err(invalid()) };
        };
        if usize::from(code) > self.known || is_new && self.known == LZW_CODES {
            return Err(invalid());
        }
        if self.known < LZW_CODES {
            let first = self.firsts[usize::from(previous)];
            self.prefixes[self.known] = previous;
            self.firsts[self.known] = first;
            self.lasts[self.known] = if is_new { first } else { self.firsts[usize::from(code)] };
            self.lengths[self.known] = self.lengths[usize::from(previous)] + 1;
            self.known += 1;
            if self.known >= (1 << self.code_bits) - 1 && self.code_bits < 12 {
                self.code_bits += 1;
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Lzw<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.next_text()?;
        }
        let count = buffer.len().min(self.text.len() - self.given);
        buffer[..count].copy_from_slice(&self.text[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// The next byte of `packed`; `None` at its end.
fn next_byte(packed: &mut impl BufRead) -> io::Result<Option<u8>> {
    let byte = packed.fill_buf()?.first().copied();
    packed.consume(usize::from(byte.is_some()));
    Ok(byte)
}

struct PackBits<R> {
    packed: R,
    /// Bytes that are still to come of the present run.
    left: usize,
    /// The byte that the run repeats; `None` for one that is copied.
    repeated: Option<u8>,
}

impl<R: BufRead> Read for PackBits<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(length) = next_byte(&mut self.packed)? else { return Ok(0) };
            match length as i8 {
                // Stands for nothing.
                -128 => {}
                copied @ 0.. => (self.left, self.repeated) = (usize::from(copied.unsigned_abs()) + 1, None),
                repeated => {
                    let Some(byte) = next_byte(&mut self.packed)? else { return Ok(0) };
                    (self.left, self.repeated) = (1 + usize::from(repeated.unsigned_abs()), Some(byte));
                }
            }
        }
        let count = self.left.min(buffer.len());
        let count = match self.repeated {
            Some(byte) => {
                buffer[..count].fill(byte);
                count
            }
            None => self.packed.read(&mut buffer[..count])?,
        };
        self.left -= count;
        Ok(count)
    }
}

/// A decoder of facsimile: where the colour changes in each line.
trait Lines {
    /// Goes to the next line; whether it was the last mark of the page and there is none.
    fn advance(&mut self, width: u16) -> io::Result<bool>;
    /// Where the colour changes in the present line, beginning with white.
    fn changes(&self) -> &[u16];
}

fn broken_line(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a line of facsimile is broken: {error}"))
}

impl<R: Iterator<Item = io::Result<u8>>> Lines for Group4Decoder<R> {
    fn advance(&mut self, _width: u16) -> io::Result<bool> {
        Ok(Group4Decoder::advance(self).map_err(|_| broken_line("its code is not one of the format"))?
            == DecodeStatus::End)
    }

    fn changes(&self) -> &[u16] {
        self.transition()
    }
}

impl<R: Iterator<Item = io::Result<u8>>> Lines for Group3Decoder<R> {
    fn advance(&mut self, width: u16) -> io::Result<bool> {
        // The last line is there as well when the decoder says that the page ends.
        Group3Decoder::advance(self).map_err(|_| broken_line("its code is not one of the format"))?;
        match self.transitions().last() {
            None => Ok(true),
            Some(end) if *end == width => Ok(false),
            Some(end) => Err(broken_line(format_args!("it has {end} of {width} pixels"))),
        }
    }

    fn changes(&self) -> &[u16] {
        self.transitions()
    }
}

struct Facsimile<'a> {
    lines: Box<dyn Lines + 'a>,
    width: u16,
    /// The present line in bits, black being 1.
    row: Vec<u8>,
    at: usize,
}

impl Read for Facsimile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.row.len() {
            if self.lines.advance(self.width)? {
                return Ok(0);
            }
            self.row.clear();
            self.row.resize(usize::from(self.width).div_ceil(8), 0);
            for (pixel, colour) in pels(self.lines.changes(), self.width).enumerate() {
                if colour == Color::Black {
                    self.row[pixel / 8] |= 0x80 >> (pixel % 8);
                }
            }
            self.at = 0;
        }
        let count = buffer.len().min(self.row.len() - self.at);
        buffer[..count].copy_from_slice(&self.row[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
