//! Tests of reading: what pixels of PNG and JPEG files become, and every way for a file of any format to be wrong.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use ::tiff::encoder::colortype::{self, ColorType as TiffColour};
use ::tiff::encoder::{Compression, TiffEncoder, TiffValue};
use ndarray::{Array2, Axis, array};

use super::tiff_tests::tiled;
use super::*;
use crate::images::file::openings::counted;
use crate::images::read_labels::*;
use crate::images::{discover, write_png_grey8, write_png_rgb8, write_tiff_f32};

pub(super) fn file(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub(super) fn only_page(path: &Path) -> ImageSource {
    discover(path.to_str().unwrap()).unwrap().remove(0)
}

pub(super) fn image_of(bytes: &[u8], name: &str) -> Result<Array3<f32>> {
    let (_folder, path) = file(bytes, name);
    let page = discover(path.to_str().unwrap())?.remove(0);
    let image = read_image(&page)?;
    assert_eq!(page_size(&page)?, image.dim());
    Ok(image)
}

pub(super) fn labels_of(bytes: &[u8], name: &str) -> Result<Array2<i64>> {
    let (_folder, path) = file(bytes, name);
    read_labels(&discover(path.to_str().unwrap())?[0])
}

pub(super) fn encoded<C: TiffColour>(pages: &[&[C::Inner]], width: u32, compression: Compression) -> Vec<u8>
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
pub(super) struct Raw {
    pub(super) size: (u32, u32),
    pub(super) samples: u32,
    pub(super) bits: u32,
    pub(super) photometric: u32,
    pub(super) planar: bool,
    pub(super) extra: Vec<u32>,
    pub(super) big_endian: bool,
    /// More tags, also in place of those that are written anyway.
    pub(super) tags: Vec<(u32, Vec<u32>)>,
    /// Tags that are left out.
    pub(super) without: Vec<u32>,
}

pub(super) const RAW: Raw = Raw {
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
    pub(super) fn bytes(&self, pixels: &[u8]) -> Vec<u8> {
        let planes = if self.planar { self.samples } else { 1 };
        self.bytes_of_chunks(&pixels.chunks(pixels.len() / planes as usize).collect::<Vec<_>>())
    }

    /// A file whose strips or tiles are `chunks`.
    pub(super) fn bytes_of_chunks(&self, chunks: &[&[u8]]) -> Vec<u8> {
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
        slab: None,
        averaged: None,
        finest: None,
        derived: None,
        stack: None,
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
pub(super) const JPEG_COLOUR: &[u8] = &[
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
pub(super) const JPEG_GREY: &[u8] = &[
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 255, 219, 0, 67, 0, 2, 1, 1, 1,
    1, 1, 2, 1, 1, 1, 2, 2, 2, 2, 2, 4, 3, 2, 2, 2, 2, 5, 4, 4, 3, 4, 6, 5, 6, 6, 6, 5, 6, 6, 6, 7, 9, 8, 6,
    7, 9, 7, 6, 6, 8, 11, 8, 9, 10, 10, 10, 10, 10, 6, 8, 11, 12, 11, 10, 12, 9, 10, 10, 10, 255, 192, 0, 11,
    8, 0, 8, 0, 24, 1, 1, 17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 255,
    196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 9,
    206, 193, 232, 127, 255, 217,
];

/// Compression changes numbers by this much at most, as it does in libjpeg.
pub(super) fn assert_near(found: f32, wanted: f32) {
    assert!((found - wanted).abs() <= 2.0, "found {found}, wanted {wanted}");
}

pub(super) fn assert_colours(image: &Array3<f32>, left: [f32; 3], right: [f32; 3]) {
    assert_eq!(image.dim(), (3, 16, 32));
    for channel in 0..3 {
        assert_near(image[[channel, 8, 3]], left[channel]);
        assert_near(image[[channel, 8, 28]], right[channel]);
    }
}

pub(super) const LEFT: [f32; 3] = [200.0, 30.0, 40.0];
pub(super) const RIGHT: [f32; 3] = [20.0, 60.0, 220.0];
/// The same as brightness and differences of colour.
pub(super) const LEFT_YCBCR: [f32; 3] = [82.0, 104.0, 212.0];
pub(super) const RIGHT_YCBCR: [f32; 3] = [66.0, 215.0, 95.0];

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
    for scans in [
        &include_bytes!("../../fuzz/corpus/jpeg_scans/channel_by_channel.jpg")[..],
        include_bytes!("../../fuzz/corpus/jpeg_scans/first_channel_alone.jpg"),
    ] {
        let error = image_of(scans, "a.jpg").unwrap_err().to_string();
        assert!(error.contains("in several scans that is not progressive, which cannot be read"), "{error}");
    }
    // One colour, which progressive scans of the channels have as well.
    let progressive = include_bytes!("../../fuzz/corpus/jpeg_scans/progressive_channels.jpg");
    let image = image_of(progressive, "a.jpg").unwrap();
    assert_eq!(image.dim(), (3, 240, 320));
    assert!(image.iter().all(|value| *value == image[[0, 0, 0]]));
}
