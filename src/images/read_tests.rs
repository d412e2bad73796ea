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

/// A TIFF file of one strip (or one for each plane), written by hand for what the encoder cannot write.
struct Raw {
    size: (u32, u32),
    samples: u32,
    bits: u32,
    photometric: u32,
    planar: bool,
    extra: Vec<u32>,
    big_endian: bool,
}

const RAW: Raw = Raw {
    size: (2, 3),
    samples: 1,
    bits: 8,
    photometric: 1,
    planar: false,
    extra: vec![],
    big_endian: false,
};

impl Raw {
    fn bytes(&self, pixels: &[u8]) -> Vec<u8> {
        let short =
            |v: u32| if self.big_endian { (v as u16).to_be_bytes() } else { (v as u16).to_le_bytes() };
        let long = |v: u32| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let planes = if self.planar { self.samples } else { 1 };
        let plane = pixels.len() as u32 / planes;
        let mut tags = vec![
            (256, vec![self.size.1]),
            (257, vec![self.size.0]),
            (258, vec![self.bits]),
            (259, vec![1]),
            (262, vec![self.photometric]),
            (273, (0..planes).map(|n| 8 + n * plane).collect()),
            (277, vec![self.samples]),
            (278, vec![self.size.0]),
            (279, vec![plane; planes as usize]),
            (284, vec![if self.planar { 2 } else { 1 }]),
        ];
        if !self.extra.is_empty() {
            tags.push((338, self.extra.clone()));
        }
        let mut bytes = if self.big_endian { b"MM\0\x2a".to_vec() } else { b"II\x2a\0".to_vec() };
        bytes.extend(long(8 + pixels.len() as u32));
        bytes.extend(pixels);
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

#[test]
fn separate_tiles_are_refused_and_shared_tiles_read() {
    // One tile of 16 x 16 in place of a strip: turn the strip tags of the writer by hand into tile tags.
    let tiled = |raw: &Raw, pixels: &[u8]| {
        let mut bytes = raw.bytes(pixels);
        let start = 8 + pixels.len() + 2;
        for entry in bytes[start..start + 120].chunks_exact_mut(12) {
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            let tile = match tag {
                259 => 322, // Compression, none unless said, becomes TileWidth.
                278 => 323,
                273 => 324,
                279 => 325,
                other => other,
            };
            entry[..2].copy_from_slice(&u16::to_le_bytes(tile));
            if matches!(tile, 322 | 323) {
                entry[8] = 16;
            }
        }
        bytes
    };
    let pixels: Vec<u8> = (0..=255).collect();
    let image = image_of(&tiled(&RAW, &pixels), "a.tif").unwrap();
    assert_eq!(image, array![[[0.0, 1.0, 2.0], [16.0, 17.0, 18.0]]]);
    let pixels = pixels.repeat(2);
    let error = image_of(&tiled(&Raw { samples: 2, planar: true, ..RAW }, &pixels), "a.tif").unwrap_err();
    assert!(error.to_string().contains("2 channels in separate tiles"), "{error}");
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
    for (bytes, name) in [
        (std::fs::read(&png).unwrap(), "a.png"),
        (PALETTE_2_BITS.to_vec(), "a.png"),
        (Raw { samples: 2, ..RAW }.bytes(&[1; 12]), "a.tif"),
        (tiff, "a.tif"),
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
