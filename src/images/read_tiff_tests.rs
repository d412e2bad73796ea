//! Tests of reading TIFF files: every sample type, layout and compression, by strips and tiles, and what is missing or cut off.

use std::io::Cursor;

use ::tiff::encoder::Compression;
use ::tiff::encoder::colortype;
use ndarray::{Array2, array};

use super::tests::*;
use super::*;
use crate::images::discover;
use crate::images::read_labels::*;

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
pub(super) fn tiled(raw: Raw, tiles: &[&[u8]]) -> Vec<u8> {
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
