//! Tests of reading: every sample type and layout, and every way for a file to be wrong.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use ::tiff::encoder::colortype::{self, ColorType as TiffColour};
use ::tiff::encoder::{Compression, TiffEncoder, TiffValue};
use ndarray::{Axis, array};

use super::*;
use crate::images::file::openings::counted;
use crate::images::{discover, write_png_grey8, write_png_rgb8, write_tiff_f32};

fn file(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn only_page(path: &Path) -> ImageSource {
    discover(path.to_str().unwrap()).unwrap().remove(0)
}

fn image_of(bytes: &[u8], name: &str) -> Result<Array3<f32>> {
    let (_folder, path) = file(bytes, name);
    let page = discover(path.to_str().unwrap())?.remove(0);
    let image = read_image(&page)?;
    assert_eq!(page_size(&page)?, image.dim());
    Ok(image)
}

fn labels_of(bytes: &[u8], name: &str) -> Result<Array2<i64>> {
    let (_folder, path) = file(bytes, name);
    read_labels(&discover(path.to_str().unwrap())?[0])
}

fn encoded<C: TiffColour>(pages: &[&[C::Inner]], width: u32, compression: Compression) -> Vec<u8>
where
    [C::Inner]: TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
    let samples = C::BITS_PER_SAMPLE.len();
    for page in pages {
        let height = page.len() / samples / width as usize;
        encoder.write_image::<C>(width, height as u32, page).unwrap();
    }
    bytes.into_inner()
}

/// A TIFF file written by hand for what the encoder cannot write: of one strip, or one for each plane, if not said otherwise.
struct Raw {
    size: (u32, u32),
    samples: u32,
    bits: u32,
    photometric: u32,
    planar: bool,
    extra: Vec<u32>,
    big_endian: bool,
    /// More tags, also in place of those that are written anyway.
    tags: Vec<(u32, Vec<u32>)>,
    /// Tags that are left out.
    without: Vec<u32>,
}

const RAW: Raw = Raw {
    size: (2, 3),
    samples: 1,
    bits: 8,
    photometric: 1,
    planar: false,
    extra: vec![],
    big_endian: false,
    tags: vec![],
    without: vec![],
};

impl Raw {
    fn bytes(&self, pixels: &[u8]) -> Vec<u8> {
        let planes = if self.planar { self.samples } else { 1 };
        self.bytes_of_chunks(&pixels.chunks(pixels.len() / planes as usize).collect::<Vec<_>>())
    }

    /// A file whose strips or tiles are `chunks`.
    fn bytes_of_chunks(&self, chunks: &[&[u8]]) -> Vec<u8> {
        let pixels = chunks.concat();
        let place = |n: usize| 8 + chunks[..n].concat().len() as u32;
        let short =
            |v: u32| if self.big_endian { (v as u16).to_be_bytes() } else { (v as u16).to_le_bytes() };
        let long = |v: u32| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut tags = vec![
            (256, vec![self.size.1]),
            (257, vec![self.size.0]),
            (258, vec![self.bits]),
            (259, vec![1]),
            (262, vec![self.photometric]),
            (273, (0..chunks.len()).map(place).collect()),
            (277, vec![self.samples]),
            (278, vec![self.size.0]),
            (279, chunks.iter().map(|chunk| chunk.len() as u32).collect()),
            (284, vec![if self.planar { 2 } else { 1 }]),
        ];
        if !self.extra.is_empty() {
            tags.push((338, self.extra.clone()));
        }
        tags.retain(|(tag, _)| {
            !self.without.contains(tag) && self.tags.iter().all(|(other, _)| other != tag)
        });
        tags.extend(self.tags.iter().cloned());
        let mut bytes = if self.big_endian { b"MM\0\x2a".to_vec() } else { b"II\x2a\0".to_vec() };
        bytes.extend(long(8 + pixels.len() as u32));
        bytes.extend(&pixels);
        let mut beyond = 8 + pixels.len() + 2 + tags.len() * 12 + 4;
        let mut lists = Vec::new();
        bytes.extend(short(tags.len() as u32));
        for (tag, values) in tags {
            bytes.extend(short(tag));
            bytes.extend(short(3));
            bytes.extend(long(values.len() as u32));
            let list: Vec<u8> = values.iter().flat_map(|v| short(*v)).collect();
            if list.len() <= 4 {
                bytes.extend(list.iter().chain(&[0; 4]).take(4));
            } else {
                bytes.extend(long(beyond as u32));
                beyond += list.len();
                lists.extend(list);
            }
        }
        bytes.extend(long(0));
        bytes.extend(lists);
        bytes
    }
}

#[test]
fn every_sample_type_keeps_its_values() {
    macro_rules! check {
        ($($colour:ident: [$($value:expr),*]),*) => {$(
            let values = [$($value),*];
            for compression in [Compression::Uncompressed, Compression::Lzw, Compression::Packbits] {
                let bytes = encoded::<colortype::$colour>(&[&values], 2, compression);
                let expected: Vec<f32> = values.iter().map(|v| *v as f32).collect();
                let image = image_of(&bytes, "a.tif").unwrap();
                assert_eq!(image.dim(), (1, 2, 2));
                assert_eq!(image.into_raw_vec_and_offset().0, expected, stringify!($colour));
                let labels = labels_of(&bytes, "a.tif").unwrap().into_raw_vec_and_offset().0;
                assert_eq!(labels, values.iter().map(|v| *v as i64).collect::<Vec<_>>());
            }
        )*};
    }
    check!(
        Gray8: [0, 1, 200, 255],
        GrayI8: [-128, 0, 1, 127],
        Gray16: [0, 1, 300, 65535],
        GrayI16: [-32768, 0, 5, 32767],
        Gray32: [0, 1, 70000, 4294967295],
        GrayI32: [-2147483648, 0, 7, 70000],
        Gray64: [0, 1, 2, 1 << 40],
        GrayI64: [-(1 << 40), 0, 1, 2],
        Gray32Float: [-1.0, 0.0, 3.0, 1e6],
        Gray64Float: [-1.0, 0.0, 3.0, 1e6]
    );
    let half: Vec<u8> = [0x3c00_u16, 0xc000, 0x3800, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut bytes = Raw { size: (2, 2), bits: 16, ..RAW }.bytes(&half);
    // The writer by hand has no SampleFormat: turn its PlanarConfiguration entry to one that says float.
    let place = bytes.windows(2).rposition(|pair| pair == 284_u16.to_le_bytes()).unwrap();
    bytes[place..place + 2].copy_from_slice(&339_u16.to_le_bytes());
    bytes[place + 8] = 3;
    let image = image_of(&bytes, "half.tif").unwrap();
    assert_eq!(image, array![[[1.0, -2.0], [0.5, 0.0]]]);
}

#[test]
fn colours_and_channels_come_apart_and_alpha_is_dropped() {
    let pixels: Vec<u8> = (0..24).collect();
    let rgb = image_of(&encoded::<colortype::RGB8>(&[&pixels], 4, Compression::Lzw), "a.tif").unwrap();
    assert_eq!(rgb.dim(), (3, 2, 4));
    assert_eq!(rgb.slice(ndarray::s![.., 0, 1]).to_vec(), [3.0, 4.0, 5.0]);
    let rgba = image_of(&encoded::<colortype::RGBA8>(&[&pixels], 3, Compression::Lzw), "a.tif").unwrap();
    assert_eq!((rgba.dim(), rgba[[2, 1, 2]]), ((3, 2, 3), 22.0));
    for (extra, channels) in [(vec![0, 0, 0], 4), (vec![0, 0, 2], 3), (vec![], 4)] {
        for (planar, big_endian) in [(false, false), (true, false), (false, true), (true, true)] {
            let raw = Raw { samples: 4, extra: extra.clone(), planar, big_endian, ..RAW };
            let image = image_of(&raw.bytes(&pixels), "a.tif").unwrap();
            assert_eq!(image.dim(), (channels, 2, 3));
            let expected = if planar { 2 * 6 + 4 } else { 4 * 4 + 2 };
            assert_eq!(image[[2, 1, 1]], expected as f32);
        }
    }
    // RGB that does not name its fourth sample, and grey with alpha.
    assert_eq!(
        image_of(&Raw { samples: 4, photometric: 2, ..RAW }.bytes(&pixels), "a.tif").unwrap().dim().0,
        3
    );
    let grey_alpha = Raw { samples: 2, extra: vec![2], ..RAW }.bytes(&pixels[..12]);
    assert_eq!(labels_of(&grey_alpha, "a.tif").unwrap(), array![[0, 2, 4], [6, 8, 10]]);
}

#[test]
fn white_is_zero_palettes_and_single_bits() {
    let white = Raw { photometric: 0, ..RAW }.bytes(&[0, 1, 2, 253, 254, 255]);
    assert_eq!(image_of(&white, "a.tif").unwrap()[[0, 0, 0]], 255.0);
    assert_eq!(labels_of(&white, "a.tif").unwrap(), array![[0, 1, 2], [253, 254, 255]]);
    // Weights and regression targets are numbers, not brightness.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    std::fs::write(&path, &white).unwrap();
    let values = read_values(&only_page(&path)).unwrap();
    assert_eq!(values, array![[[0.0, 1.0, 2.0], [253.0, 254.0, 255.0]]]);
    let palette = Raw { photometric: 3, big_endian: true, ..RAW }.bytes(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(labels_of(&palette, "a.tif").unwrap(), array![[0, 1, 2], [3, 4, 5]]);
    assert_eq!(image_of(&palette, "a.tif").unwrap()[[0, 1, 2]], 5.0);
    let bits = Raw { bits: 1, ..RAW }.bytes(&[0b1010_0000, 0b0110_0000]);
    assert_eq!(labels_of(&bits, "a.tif").unwrap(), array![[1, 0, 1], [0, 1, 1]]);
    // Masks of one bit that say "white is zero" hold the numbers that their program wrote.
    let bits = Raw { bits: 1, photometric: 0, ..RAW }.bytes(&[0b1010_0000, 0b0110_0000]);
    assert_eq!(labels_of(&bits, "a.tif").unwrap(), array![[1, 0, 1], [0, 1, 1]]);
    std::fs::write(&path, &bits).unwrap();
    assert_eq!(read_values(&only_page(&path)).unwrap(), array![[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]]);
    let bits = Raw { bits: 4, photometric: 0, ..RAW }.bytes(&[0x12, 0x30, 0x45, 0xf0]);
    assert_eq!(image_of(&bits, "a.tif").unwrap(), array![[[14.0, 13.0, 12.0], [11.0, 10.0, 0.0]]]);
}

/// A page in tiles of 16 x 16, of which `tiles` are given.
fn tiled(raw: Raw, tiles: &[&[u8]]) -> Vec<u8> {
    let place = |n: usize| 8 + tiles[..n].concat().len() as u32;
    let tags = [
        (322, vec![16]),
        (323, vec![16]),
        (324, (0..tiles.len()).map(place).collect()),
        (325, tiles.iter().map(|tile| tile.len() as u32).collect()),
    ];
    let without = vec![273, 278, 279];
    Raw { tags: [raw.tags, tags.to_vec()].concat(), without, ..raw }.bytes_of_chunks(tiles)
}

#[test]
fn separate_tiles_and_shared_tiles_are_read() {
    let pixels: Vec<u8> = (0..=255).collect();
    let turned: Vec<u8> = (0..=255).rev().collect();
    let image = image_of(&tiled(RAW, &[&pixels]), "a.tif").unwrap();
    assert_eq!(image, array![[[0.0, 1.0, 2.0], [16.0, 17.0, 18.0]]]);
    let planar = Raw { samples: 2, planar: true, ..RAW };
    let image = image_of(&tiled(planar, &[&pixels, &turned]), "a.tif").unwrap();
    let expected =
        array![[[0.0, 1.0, 2.0], [16.0, 17.0, 18.0]], [[255.0, 254.0, 253.0], [239.0, 238.0, 237.0]]];
    assert_eq!(image, expected);
    // Two by two tiles, of which the right and the lower ones stand out.
    let tiles = [1_u8, 2, 3, 4].map(|value| vec![value; 256]);
    let raw = Raw { size: (17, 18), ..RAW };
    let image = image_of(&tiled(raw, &[&tiles[0], &tiles[1], &tiles[2], &tiles[3]]), "a.tif").unwrap();
    let at = |y, x| image[[0, y, x]];
    assert_eq!([at(15, 15), at(15, 16), at(16, 15), at(16, 17)], [1.0, 2.0, 3.0, 4.0]);
    let raw = Raw { size: (17, 18), ..RAW };
    let error = image_of(&tiled(raw, &[&tiles[0], &tiles[1], &tiles[2]]), "a.tif").unwrap_err();
    assert!(error.to_string().contains("lists 3 strips or tiles, but its size wants 4"), "{error}");
}

/// Rows that end inside a code or a run, in every strip and tile: long runs, steps and noise.
#[test]
fn every_compression_gives_the_same_pixels_in_strips_and_tiles() {
    use std::io::Write;

    type Pack = dyn Fn(&[u8]) -> Vec<u8>;
    let (height, width) = (33, 21);
    let patterns: [fn(usize) -> u8; 3] =
        [|n| (n / 200 * 255) as u8, |n| (n / 3) as u8, |n| ((n * 2_654_435_761) >> 7) as u8];
    for pattern in patterns {
        let pixels: Vec<u8> = (0..height * width).map(pattern).collect();
        let expected =
            Array3::from_shape_fn((1, height, width), |(_, y, x)| f32::from(pixels[y * width + x]));
        let tiles: Vec<Vec<u8>> = (0..6)
            .map(|tile| {
                let at = |n: usize| {
                    let (y, x) = (tile / 2 * 16 + n / 16, tile % 2 * 16 + n % 16);
                    if y < height && x < width { pixels[y * width + x] } else { 0 }
                };
                (0..256).map(at).collect()
            })
            .collect();
        let strips: Vec<Vec<u8>> = pixels.chunks(10 * width).map(<[u8]>::to_vec).collect();
        let deflate = |bytes: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |bytes: &[u8]| {
            ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
        };
        let lzw = |bytes: &[u8]| {
            strip_of(&encoded::<colortype::Gray8>(&[bytes], bytes.len() as u32, Compression::Lzw))
        };
        let packbits = |bytes: &[u8]| {
            strip_of(&encoded::<colortype::Gray8>(&[bytes], bytes.len() as u32, Compression::Packbits))
        };
        let kinds: [(u32, &Pack); 7] = [
            (1, &|bytes: &[u8]| bytes.to_vec()),
            (5, &lzw),
            (8, &deflate),
            (32_946, &deflate),
            (32_773, &packbits),
            (50_000, &zstd),
            (34_926, &zstd),
        ];
        for (number, pack) in kinds {
            for reversed in [false, true] {
                let packed = |chunk: &Vec<u8>| {
                    let mut bytes = pack(chunk);
                    if reversed {
                        bytes.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
                    }
                    bytes
                };
                let mut raw = Raw { size: (height as u32, width as u32), ..RAW };
                raw.tags = vec![(259, vec![number]), (266, vec![1 + u32::from(reversed)])];
                let what = format!("compression {number}, reversed {reversed}");
                let tile_bytes: Vec<Vec<u8>> = tiles.iter().map(packed).collect();
                let slices: Vec<&[u8]> = tile_bytes.iter().map(Vec::as_slice).collect();
                let tags = raw.tags.clone();
                assert_eq!(image_of(&tiled(raw, &slices), "a.tif").unwrap(), expected, "tiles, {what}");
                let strip_bytes: Vec<Vec<u8>> = strips.iter().map(packed).collect();
                let slices: Vec<&[u8]> = strip_bytes.iter().map(Vec::as_slice).collect();
                let mut raw = Raw { size: (height as u32, width as u32), tags, ..RAW };
                raw.tags.push((278, vec![10]));
                let bytes = raw.bytes_of_chunks(&slices);
                assert_eq!(image_of(&bytes, "a.tif").unwrap(), expected, "strips, {what}");
                // Without the sizes of the strips, each ends where its rows are full.
                raw.without = vec![279];
                let bytes = raw.bytes_of_chunks(&slices);
                assert_eq!(image_of(&bytes, "a.tif").unwrap(), expected, "no sizes, {what}");
            }
        }
    }
}

/// The one strip of a file that the encoder wrote.
fn strip_of(file: &[u8]) -> Vec<u8> {
    let mut decoder = ::tiff::decoder::Decoder::new(Cursor::new(file)).unwrap();
    let mut bytes = Vec::new();
    let offsets = decoder.get_tag_u64_vec(::tiff::tags::Tag::StripOffsets).unwrap();
    let counts = decoder.get_tag_u64_vec(::tiff::tags::Tag::StripByteCounts).unwrap();
    assert_eq!(offsets.len(), 1, "the chunks of these tests are small");
    bytes.extend(&file[offsets[0] as usize..][..counts[0] as usize]);
    bytes
}

#[test]
fn tags_that_may_be_missing_have_their_defaults() {
    let pixels = [0, 1, 2, 253, 254, 255];
    let expected = array![[[0.0, 1.0, 2.0], [253.0, 254.0, 255.0]]];
    for without in
        [vec![262], vec![277], vec![278], vec![279], vec![284], vec![259], vec![259, 262, 277, 278, 279, 284]]
    {
        let bytes = Raw { without: without.clone(), ..RAW }.bytes(&pixels);
        assert_eq!(image_of(&bytes, "a.tif").unwrap(), expected, "without {without:?}");
    }
    // Without SamplesPerPixel there is one number of bits for each sample.
    let raw = Raw { size: (1, 2), photometric: 2, without: vec![277], ..RAW };
    let bytes = Raw { tags: vec![(258, vec![8, 8, 8])], ..raw }.bytes(&pixels);
    assert_eq!(image_of(&bytes, "a.tif").unwrap(), array![[[0.0, 253.0]], [[1.0, 254.0]], [[2.0, 255.0]]]);
    // Without BitsPerSample there is one bit.
    let bytes = Raw { without: vec![258], ..RAW }.bytes(&[0b1010_0000, 0b0110_0000]);
    assert_eq!(labels_of(&bytes, "a.tif").unwrap(), array![[1, 0, 1], [0, 1, 1]]);
}

#[test]
fn bits_are_unpacked_in_both_orders() {
    // 0xabc, 0x123, 0xfff in 12 bits, in rows that begin with a new byte.
    let packed = [0xab, 0xc1, 0x23, 0xff, 0xf0, 0x00, 0x00, 0x01, 0x00, 0x20];
    let expected = array![[0xabc, 0x123, 0xfff], [0, 1, 2]];
    for big_endian in [false, true] {
        let raw = Raw { bits: 12, big_endian, ..RAW };
        assert_eq!(labels_of(&raw.bytes(&packed), "a.tif").unwrap(), expected);
        let reversed = packed.map(u8::reverse_bits);
        let raw = Raw { tags: vec![(266, vec![2])], ..raw };
        assert_eq!(labels_of(&raw.bytes(&reversed), "a.tif").unwrap(), expected);
    }
    let white = Raw { bits: 12, photometric: 0, ..RAW }.bytes(&packed);
    assert_eq!(image_of(&white, "a.tif").unwrap()[[0, 1, 1]], 4094.0);
}

/// 10 x 2 pixels in facsimile of group 4 and of group 3: black from 3 to 6, then none.
#[test]
fn facsimile_is_read_with_black_as_the_larger_number_of_labels() {
    use fax::{Color, VecWriter, encoder};

    let line = |black: bool| {
        (0..10).map(move |x| if black && (3..7).contains(&x) { Color::Black } else { Color::White })
    };
    let mut group4 = encoder::Encoder::new(VecWriter::new());
    for black in [true, false] {
        group4.encode_line(line(black), 10).unwrap();
    }
    let group4 = group4.finish().unwrap().finish();
    // The end of a line, 3 white (1000), 4 black (011), 3 white; the end of a line, 10 white (00111); no end mark.
    let group3 = bits("000000000001 1000 011 1000 000000000001 00111");
    for (compression, packed) in [(4, group4), (3, group3)] {
        let raw = Raw { size: (2, 10), bits: 1, photometric: 0, ..RAW };
        let raw = Raw { tags: vec![(259, vec![compression])], ..raw };
        let bytes = raw.bytes(&packed);
        let expected = Array2::from_shape_fn((2, 10), |(y, x)| i64::from(y == 0 && (3..7).contains(&x)));
        assert_eq!(labels_of(&bytes, "a.tif").unwrap(), expected, "group {compression}");
        assert_eq!(image_of(&bytes, "a.tif").unwrap()[[0, 0, 3]], 0.0, "black is dark");
    }
}

/// The bytes that begin with the bits in `text`, filled up with zeros.
fn bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').map(|byte| byte - b'0').collect();
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |sum, (n, bit)| sum | (bit << (7 - n))))
        .collect()
}

#[test]
fn what_cannot_be_read_is_named_with_a_way_out() {
    let tagged = |tags: Vec<(u32, Vec<u32>)>| Raw { tags, ..RAW }.bytes(&[0; 24]);
    for (bytes, words) in [
        (tagged(vec![(259, vec![34_712])]), "JPEG 2000 compression"),
        (tagged(vec![(259, vec![6])]), "old-style JPEG compression"),
        (tagged(vec![(259, vec![4242])]), "compression 4242"),
        (tagged(vec![(262, vec![5]), (277, vec![4])]), "its colours as CMYK"),
        (tagged(vec![(262, vec![6]), (277, vec![3])]), "YCbCr colours other than in JPEG"),
        (tagged(vec![(317, vec![2])]), "predictor 2 without LZW, deflate or zstd"),
        (tagged(vec![(258, vec![24])]), "samples of uint24"),
        (tagged(vec![(258, vec![24]), (339, vec![3])]), "samples of float24"),
        (tagged(vec![(258, vec![32]), (339, vec![5])]), "complex numbers"),
        (tagged(vec![(277, vec![3]), (258, vec![5, 6, 5])]), "channels of 5 and 6 bits"),
        (Raw { tags: vec![(259, vec![5])], ..RAW }.bytes(&[0, 1, 2, 3]), "LZW compression of before 1992"),
    ] {
        let error = image_of(&bytes, "a.tif").unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("save it as"), "{error}");
    }
}

#[test]
fn pages_of_a_stack_are_read_one_by_one() {
    let pages: Vec<Vec<u16>> = (0..12).map(|page| vec![page * 100; 6]).collect();
    let slices: Vec<&[u16]> = pages.iter().map(Vec::as_slice).collect();
    let mut bytes = encoded::<colortype::Gray16>(&slices, 3, Compression::Uncompressed);
    let (_folder, path) = file(&bytes, "stack.tif");
    let found = discover(path.to_str().unwrap()).unwrap();
    assert_eq!(found.len(), 12);
    assert_eq!((found[11].page, found[11].stem.as_str()), (Some(11), "stack_p0011"));
    assert!(found[11].name().ends_with("stack.tif page 11"));
    for (n, page) in found.iter().enumerate() {
        assert_eq!(read_image(page).unwrap(), Array3::from_elem((1, 2, 3), n as f32 * 100.0));
        let unplaced = ImageSource { header: None, ..page.clone() };
        assert_eq!(read_labels(&unplaced).unwrap()[[0, 0]], n as i64 * 100);
    }
    let beyond = ImageSource { page: Some(12), header: None, ..found[0].clone() };
    assert!(read_image(&beyond).unwrap_err().to_string().contains("has 12 pages"));
    // Cut the file in the middle: the list of pages itself is broken.
    bytes.truncate(bytes.len() / 2);
    let error = image_of(&bytes, "stack.tif").unwrap_err().to_string();
    assert!(error.contains("stack.tif") && error.contains("truncated"), "{error}");
}

/// Indices 0 1 2, 3 1 0 of the colours (10, 20, 30), red, green, blue.
const PALETTE_2_BITS: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 3, 0, 0, 0, 2, 2, 3, 0, 0, 0, 224,
    26, 142, 137, 0, 0, 0, 12, 80, 76, 84, 69, 10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200, 183, 83, 145, 45,
    0, 0, 0, 12, 73, 68, 65, 84, 120, 156, 99, 144, 96, 184, 0, 0, 1, 28, 0, 233, 252, 149, 73, 10, 0, 0, 0,
    0, 73, 69, 78, 68, 174, 66, 96, 130,
];

/// The same in 8 bits, colour 0 being transparent.
const PALETTE_8_BITS_TRANSPARENT: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 3, 0, 0, 0, 2, 8, 3, 0, 0, 0, 170,
    170, 150, 40, 0, 0, 0, 60, 80, 76, 84, 69, 10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 117, 213, 196, 85, 0, 0, 0, 1, 116, 82, 78, 83, 0, 64, 230, 216, 102, 0, 0, 0, 16,
    73, 68, 65, 84, 120, 156, 99, 96, 96, 100, 98, 96, 102, 100, 0, 0, 0, 35, 0, 8, 11, 152, 221, 146, 0, 0,
    0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

/// 1 0 1, 0 0 1 in single bits.
const SINGLE_BITS: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 181,
    15, 91, 183, 0, 0, 0, 12, 73, 68, 65, 84, 120, 156, 99, 88, 192, 160, 0, 0, 2, 4, 0, 193, 52, 195, 40,
    163, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

#[test]
fn png_palettes_bits_and_alpha() {
    assert_eq!(labels_of(PALETTE_2_BITS, "a.png").unwrap(), array![[0, 1, 2], [3, 1, 0]]);
    assert_eq!(labels_of(PALETTE_8_BITS_TRANSPARENT, "a.png").unwrap(), array![[0, 1, 2], [3, 1, 0]]);
    for bytes in [PALETTE_2_BITS, PALETTE_8_BITS_TRANSPARENT] {
        let image = image_of(bytes, "a.png").unwrap();
        assert_eq!(image.dim(), (3, 2, 3));
        assert_eq!(image.slice(ndarray::s![.., 0, 0]).to_vec(), [10.0, 20.0, 30.0]);
    }
    assert_eq!(labels_of(SINGLE_BITS, "a.png").unwrap(), array![[1, 0, 1], [0, 0, 1]]);
    assert_eq!(image_of(SINGLE_BITS, "a.png").unwrap()[[0, 0, 0]], 1.0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    for (image, channels) in [
        (image::DynamicImage::new_luma_a16(3, 2), 1),
        (image::DynamicImage::new_rgba8(3, 2), 3),
        (image::DynamicImage::new_rgb16(3, 2), 3),
    ] {
        image.save(&path).unwrap();
        assert_eq!(read_image(&only_page(&path)).unwrap(), Array3::<f32>::zeros((channels, 2, 3)));
        assert_eq!(page_size(&only_page(&path)).unwrap(), (channels, 2, 3));
    }
}

#[test]
fn a_png_named_tif_is_read_as_what_it_is() {
    assert_eq!(labels_of(SINGLE_BITS, "a.tif").unwrap().dim(), (2, 3));
}

#[test]
fn equal_colours_are_grey_and_others_are_no_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let mut image = Array3::from_shape_fn((2, 2, 3), |(y, x, _)| (y * 2 + x) as u8);
    write_png_rgb8(&path, &image).unwrap();
    assert_eq!(read_labels(&only_page(&path)).unwrap(), array![[0, 1], [2, 3]]);
    image[[1, 0, 2]] = 9;
    write_png_rgb8(&path, &image).unwrap();
    let error = read_labels(&only_page(&path)).unwrap_err().to_string();
    assert!(error.contains("3 channels that differ"), "{error}");
    let path = folder.path().join("b.tif");
    for value in [0.5, f32::NAN] {
        write_tiff_f32(&path, &array![[[1.0, 2.0], [3.0, value]]]).unwrap();
        let error = read_labels(&only_page(&path)).unwrap_err().to_string();
        assert!(error.contains("x 1, y 1 is not a whole number"), "{error}");
    }
}

#[test]
fn colours_are_read_and_grey_images_in_colours_are_grey() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let mut image = Array3::zeros((1, 2, 3));
    (image[[0, 1, 0]], image[[0, 1, 1]], image[[0, 1, 2]]) = (255, 16, 1);
    write_png_rgb8(&path, &image).unwrap();
    let page = only_page(&path);
    assert_eq!(read_colours(&page).unwrap(), array![[0, 0xff1001]]);
    let error = as_grey("a", read_image(&page).unwrap()).unwrap_err().to_string();
    assert!(error.contains("3 channels that differ"), "{error}");
    image.fill(7);
    write_png_rgb8(&path, &image).unwrap();
    let image = read_image(&page).unwrap();
    assert!(has_equal_channels(&image));
    assert_eq!(as_grey("a", image).unwrap(), Array3::from_elem((1, 1, 2), 7.0));
    // 16 bits hold the same colours.
    let path = folder.path().join("b.tif");
    write_tiff_f32(&path, &array![[[65535.0]], [[0.0]], [[257.0]]]).unwrap();
    assert_eq!(read_colours(&only_page(&path)).unwrap(), array![[0xff0001]]);
    let refusal = |image: Array3<f32>| {
        write_tiff_f32(&path, &image).unwrap();
        read_colours(&only_page(&path)).unwrap_err().to_string()
    };
    let error = refusal(Array3::zeros((2, 1, 1)));
    assert!(
        error.contains("b.tif") && error.contains("2 channels; wanted the red, green and blue"),
        "{error}"
    );
    let error = refusal(array![[[0.5]], [[0.0]], [[0.0]]]);
    assert!(error.contains("value 0.5") && error.contains("save it with 8 bits"), "{error}");
}

#[test]
fn nan_is_no_label_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    write_tiff_f32(&path, &array![[[1.0, f32::NAN]]]).unwrap();
    assert_eq!(read_labels_with_gaps(&only_page(&path)).unwrap(), array![[1, NO_LABEL]]);
}

#[test]
fn pixels_that_are_no_number_are_counted_and_placed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let mut image = Array3::zeros((1, 4, 5));
    (image[[0, 2, 3]], image[[0, 3, 0]]) = (f32::NAN, f32::INFINITY);
    write_tiff_f32(&path, &image).unwrap();
    let error = read_image(&only_page(&path)).unwrap_err().to_string();
    assert!(error.contains("a.tif: 2 of 20 values") && error.contains("(NaN) at x 3, y 2"), "{error}");
}

#[test]
fn files_that_are_no_images_say_so() {
    let error = image_of(b"", "a.png").unwrap_err().to_string();
    assert!(error.contains("a.png: is empty (0 bytes)"), "{error}");
    let error = labels_of(b"just some text\n", "a.tif").unwrap_err().to_string();
    assert!(error.contains("a.tif: is not a PNG or TIFF image"), "{error}");
    let missing = ImageSource {
        array: None,
        path: "/no/such.png".into(),
        page: None,
        stem: "such".into(),
        header: None,
        planes: vec![],
    };
    assert!(read_image(&missing).unwrap_err().to_string().contains("cannot be read"));
    let here = ImageSource { path: ".".into(), ..missing };
    assert!(page_size(&here).unwrap_err().to_string().contains("is a folder"));
}

/// Every file cut short anywhere, or with any byte changed, is an error or an image but never a panic.
#[test]
fn damaged_files_are_errors_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("whole.png");
    write_png_grey8(&png, &Array2::from_shape_fn((9, 9), |(y, x)| (y * 37 + x * 11) as u8)).unwrap();
    let tiff = encoded::<colortype::Gray16>(&[&[7; 90]], 9, Compression::Lzw);
    let zstd =
        ruzstd::encoding::compress_to_vec(&[7_u8; 90][..], ruzstd::encoding::CompressionLevel::Fastest);
    for (bytes, name) in [
        (std::fs::read(&png).unwrap(), "a.png"),
        (PALETTE_2_BITS.to_vec(), "a.png"),
        (Raw { samples: 2, ..RAW }.bytes(&[1; 12]), "a.tif"),
        (tiff, "a.tif"),
        (Raw { size: (9, 10), tags: vec![(259, vec![50_000])], ..RAW }.bytes(&zstd), "a.tif"),
        (Raw { size: (8, 24), tags: vec![(259, vec![7])], ..RAW }.bytes(JPEG_GREY), "a.tif"),
        (tiled(Raw { samples: 2, planar: true, bits: 12, ..RAW }, &[&[1; 384], &[2; 384]]), "a.tif"),
    ] {
        assert!(image_of(&bytes, name).is_ok());
        let pixels_end = if name == "a.png" { bytes.len() - 12 } else { bytes.len() };
        for length in 0..pixels_end {
            let error = image_of(&bytes[..length], name).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains('\n'), "{error}");
        }
        for place in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                let _ = image_of(&changed, name);
                let _ = labels_of(&changed, name);
            }
        }
    }
}

#[test]
fn headers_that_promise_too_much_are_refused() {
    let error = image_of(&Raw { size: (60_000, 60_000), ..RAW }.bytes(&[0; 6]), "a.tif").unwrap_err();
    assert!(error.to_string().contains("cannot be in"), "{error}");
    let huge = Raw { size: (65_535, 65_535), samples: 9, ..RAW }.bytes(&[0; 6]);
    let error = image_of(&huge, "a.tif").unwrap_err();
    assert!(error.to_string().contains("at most 16 GiB"), "{error}");
    let mut png = SINGLE_BITS.to_vec();
    png[16..24].copy_from_slice(&[0, 0, 0xff, 0, 0, 0, 0x7f, 0]);
    let error = image_of(&png, "a.png").unwrap_err();
    assert!(error.to_string().contains("cannot be in"), "{error}");
    png[16..24].copy_from_slice(&[0x7f; 8]);
    assert!(page_size(&only_page(&file(&png, "a.png").1)).is_err());
}

#[test]
fn float_images_keep_their_fractions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    write_tiff_f32(&path, &array![[[0.25, -1.5]]]).unwrap();
    assert_eq!(read_image(&only_page(&path)).unwrap().index_axis(Axis(0), 0), array![[0.25, -1.5]]);
}

/// Over a network each opening is a wait, and a set has thousands of files.
#[test]
fn a_file_is_opened_once_to_be_found_and_once_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (png, tiff, stack) =
        (folder.path().join("a.png"), folder.path().join("b.tif"), folder.path().join("c.tif"));
    write_png_grey8(&png, &Array2::zeros((3, 2))).unwrap();
    write_tiff_f32(&tiff, &Array3::zeros((2, 3, 2))).unwrap();
    let pages: [&[u16]; 3] = [&[1; 6], &[2; 6], &[3; 6]];
    std::fs::write(&stack, encoded::<colortype::Gray16>(&pages, 2, Compression::Lzw)).unwrap();
    for (path, pages, channels) in [(&png, 1, 1), (&tiff, 1, 2), (&stack, 3, 1)] {
        let (found, opened) = counted(|| discover(path.to_str().unwrap()).unwrap());
        assert_eq!((found.len(), opened), (pages, 1), "{}", path.display());
        let (sizes, opened) =
            counted(|| found.iter().map(|page| page_size(page).unwrap()).collect::<Vec<_>>());
        assert_eq!((sizes, opened), (vec![(channels, 3, 2); pages], 0));
        let last = &found[pages - 1];
        let (image, opened) = counted(|| read_image(last).unwrap());
        assert_eq!((image.dim(), opened), ((channels, 3, 2), 1));
        if channels == 1 {
            assert_eq!(counted(|| read_labels(last).unwrap()).1, 1);
        }
        // Nobody has looked at this one, so page_size does.
        let unseen = ImageSource { header: None, ..last.clone() };
        assert_eq!(counted(|| page_size(&unseen).unwrap()), ((channels, 3, 2), 1));
    }
    let (found, opened) = counted(|| discover(folder.path().to_str().unwrap()).unwrap());
    assert_eq!((found.len(), opened), (5, 3));
}

#[test]
fn an_image_that_changed_its_size_since_it_was_found_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    write_png_grey8(&path, &Array2::zeros((3, 2))).unwrap();
    let page = only_page(&path);
    write_png_grey8(&path, &Array2::zeros((4, 2))).unwrap();
    let error = read_image(&page).unwrap_err().to_string();
    assert!(
        error.contains("1 x 3 x 2 numbers (channels, rows, columns) when it was found, but is now 1 x 4 x 2"),
        "{error}"
    );
    assert!(read_labels(&page).is_err());
    write_png_rgb8(&path, &Array3::zeros((3, 2, 3))).unwrap();
    assert!(read_image(&page).is_err() && read_labels(&page).is_ok());
}

/// 32 x 16 pixels, the left half (200, 30, 40), the right one (20, 60, 220), with colours at half the resolution.
const JPEG_COLOUR: &[u8] = &[
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 2, 1, 1, 1,
    1, 1, 2, 1, 1, 1, 2, 2, 2, 2, 2, 4, 3, 2, 2, 2, 2, 5, 4, 4, 3, 4, 6, 5, 6, 6, 6, 5, 6, 6, 6, 7, 9, 8, 6,
    7, 9, 7, 6, 6, 8, 11, 8, 9, 10, 10, 10, 10, 10, 6, 8, 11, 12, 11, 10, 12, 9, 10, 10, 10, 255, 219, 0, 67,
    1, 2, 2, 2, 2, 2, 2, 5, 3, 3, 5, 10, 7, 6, 7, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
    10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
    10, 10, 10, 10, 10, 10, 10, 10, 10, 255, 192, 0, 17, 8, 0, 16, 0, 32, 3, 1, 34, 0, 2, 17, 1, 3, 17, 1,
    255, 196, 0, 22, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8, 255, 196, 0, 20, 16, 1, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 196, 0, 21, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 9, 7, 255, 196, 0, 20, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 12,
    3, 1, 0, 2, 17, 3, 17, 0, 63, 0, 200, 224, 35, 229, 65, 63, 0, 222, 2, 183, 255, 217,
];

/// 24 x 8 pixels, of 10, 128 and 250 from left to right.
const JPEG_GREY: &[u8] = &[
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 2, 1, 1, 1,
    1, 1, 2, 1, 1, 1, 2, 2, 2, 2, 2, 4, 3, 2, 2, 2, 2, 5, 4, 4, 3, 4, 6, 5, 6, 6, 6, 5, 6, 6, 6, 7, 9, 8, 6,
    7, 9, 7, 6, 6, 8, 11, 8, 9, 10, 10, 10, 10, 10, 6, 8, 11, 12, 11, 10, 12, 9, 10, 10, 10, 255, 192, 0, 11,
    8, 0, 8, 0, 24, 1, 1, 17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 255,
    196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 9,
    206, 193, 232, 127, 255, 217,
];

/// Compression changes numbers by this much at most, as it does in libjpeg.
fn assert_near(found: f32, wanted: f32) {
    assert!((found - wanted).abs() <= 2.0, "found {found}, wanted {wanted}");
}

fn assert_colours(image: &Array3<f32>, left: [f32; 3], right: [f32; 3]) {
    assert_eq!(image.dim(), (3, 16, 32));
    for channel in 0..3 {
        assert_near(image[[channel, 8, 3]], left[channel]);
        assert_near(image[[channel, 8, 28]], right[channel]);
    }
}

const LEFT: [f32; 3] = [200.0, 30.0, 40.0];
const RIGHT: [f32; 3] = [20.0, 60.0, 220.0];
/// The same as brightness and differences of colour.
const LEFT_YCBCR: [f32; 3] = [82.0, 104.0, 212.0];
const RIGHT_YCBCR: [f32; 3] = [66.0, 215.0, 95.0];

#[test]
fn jpeg_files_are_images_and_no_labels() {
    for name in ["a.jpg", "a.jpeg", "a.JPG", "a.tif"] {
        assert_colours(&image_of(JPEG_COLOUR, name).unwrap(), LEFT, RIGHT);
        let grey = image_of(JPEG_GREY, name).unwrap();
        assert_eq!(grey.dim(), (1, 8, 24));
        for (x, wanted) in [(3, 10.0), (12, 128.0), (20, 250.0)] {
            assert_near(grey[[0, 4, x]], wanted);
        }
    }
    let error = labels_of(JPEG_GREY, "a.jpg").unwrap_err().to_string();
    assert!(error.contains("changes label values") && error.contains("as PNG or TIFF"), "{error}");
    assert!(error.contains("`threshold 128`"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    std::fs::write(&path, JPEG_GREY).unwrap();
    let rough = read_rough_labels_with_gaps(&only_page(&path)).unwrap();
    assert!(rough[[4, 3]].abs_diff(10) <= 2 && rough[[4, 20]].abs_diff(250) <= 2, "{rough}");
    for bytes in [JPEG_GREY, JPEG_COLOUR] {
        for length in 0..bytes.len() {
            let error = image_of(&bytes[..length], "a.jpg").unwrap_err().to_string();
            assert!(error.contains("a.jpg") && !error.contains('\n'), "{length}: {error}");
        }
        for place in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.to_vec();
                changed[place] ^= change;
                let _ = image_of(&changed, "a.jpg");
            }
        }
    }
    let mut cmyk = JPEG_COLOUR.to_vec();
    let frame = cmyk.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    cmyk[frame + 3] += 3;
    cmyk[frame + 9] = 4;
    cmyk.splice(frame + 19..frame + 19, [4, 0x11, 1]);
    let error = image_of(&cmyk, "a.jpg").unwrap_err().to_string();
    assert!(error.contains("CMYK colours in JPEG") && error.contains("save it as PNG or TIFF"), "{error}");
}

/// The quantisation and Huffman tables of a JPEG stream as a stream of their own, and the stream without them.
fn tables_apart(stream: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut tables, mut rest) = (vec![0xff, 0xd8], vec![0xff, 0xd8]);
    let mut at = 2;
    while stream[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([stream[at + 2], stream[at + 3]]));
        match stream[at + 1] {
            0xdb | 0xc4 => tables.extend(&stream[at..end]),
            _ => rest.extend(&stream[at..end]),
        }
        at = end;
    }
    tables.extend([0xff, 0xd9]);
    rest.extend(&stream[at..]);
    (tables, rest)
}

#[test]
fn jpeg_in_tiff_is_what_its_interpretation_says() {
    let jpeg =
        |photometric| Raw { size: (16, 32), samples: 3, photometric, tags: vec![(259, vec![7])], ..RAW };
    assert_colours(&image_of(&jpeg(6).bytes_of_chunks(&[JPEG_COLOUR]), "a.tif").unwrap(), LEFT, RIGHT);
    let as_rgb = image_of(&jpeg(2).bytes_of_chunks(&[JPEG_COLOUR]), "a.tif").unwrap();
    assert_colours(&as_rgb, LEFT_YCBCR, RIGHT_YCBCR);
    let unsaid = Raw { without: vec![262], ..jpeg(0) }.bytes_of_chunks(&[JPEG_COLOUR]);
    assert_colours(&image_of(&unsaid, "a.tif").unwrap(), LEFT, RIGHT);

    // Two strips, two tiles, and their tables in a tag. The writer by hand has no bytes, but two make one short.
    let (tables, rest) = tables_apart(JPEG_COLOUR);
    let strips = Raw { size: (32, 32), ..jpeg(6) };
    let strips = Raw { tags: vec![(259, vec![7]), (278, vec![16])], ..strips };
    let image = image_of(&strips.bytes_of_chunks(&[JPEG_COLOUR, JPEG_COLOUR]), "a.tif").unwrap();
    assert_near(image[[0, 30, 3]], 200.0);
    let mut padded = tables.clone();
    padded.extend(vec![0; tables.len() % 2]);
    let shorts = padded.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair).into()).collect();
    let raw = Raw { tags: vec![(259, vec![7]), (347, shorts)], ..jpeg(6) };
    assert_colours(&image_of(&raw.bytes_of_chunks(&[&rest]), "a.tif").unwrap(), LEFT, RIGHT);

    // Tiles that are larger than the image, and planes of grey.
    let tiles = Raw { size: (10, 20), ..jpeg(6) };
    let tiles = Raw {
        tags: vec![
            (259, vec![7]),
            (322, vec![32]),
            (323, vec![16]),
            (324, vec![8]),
            (325, vec![JPEG_COLOUR.len() as u32]),
        ],
        without: vec![273, 278, 279],
        ..tiles
    };
    let image = image_of(&tiles.bytes_of_chunks(&[JPEG_COLOUR]), "a.tif").unwrap();
    assert_eq!(image.dim(), (3, 10, 20));
    assert_near(image[[1, 9, 3]], 30.0);
    let planes = Raw { size: (8, 24), samples: 2, planar: true, tags: vec![(259, vec![7])], ..RAW };
    let image = image_of(&planes.bytes_of_chunks(&[JPEG_GREY, JPEG_GREY]), "a.tif").unwrap();
    assert_near(image[[1, 4, 20]], 250.0);
    let wrong = Raw { size: (8, 25), tags: vec![(259, vec![7])], ..RAW }.bytes_of_chunks(&[JPEG_GREY]);
    let error = image_of(&wrong, "a.tif").unwrap_err().to_string();
    assert!(error.contains("24 x 8 pixels of 1 channels, wanted 25 x 8"), "{error}");
}

/// A copy that broke off: what is there of it is whole.
#[test]
fn whole_pages_of_a_stack_that_is_cut_off_are_read() {
    let pages: Vec<Vec<u16>> = (0..12).map(|page| vec![page * 100; 6]).collect();
    let slices: Vec<&[u16]> = pages.iter().map(Vec::as_slice).collect();
    for compression in [Compression::Uncompressed, Compression::Lzw] {
        let bytes = encoded::<colortype::Gray16>(&slices, 3, compression);
        let (_folder, path) = file(&bytes, "stack.tif");
        let found = discover(path.to_str().unwrap()).unwrap();
        let cut = bytes.len() / 2;
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let mut whole = 0;
        for (n, page) in found.iter().enumerate() {
            match read_image(page) {
                Ok(image) => {
                    assert_eq!((n, image[[0, 1, 2]]), (whole, n as f32 * 100.0));
                    whole += 1;
                }
                Err(error) => assert!(error.to_string().contains("truncated"), "{error}"),
            }
        }
        assert!((4..8).contains(&whole), "{whole} pages");
    }
}
