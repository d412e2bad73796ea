//! Which images files hold: channels in pages, stacks without directories, thumbnails and stacks that are cut off. The
//! files are made byte by byte here, as other programs write them.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, ArrayView2, s};

use super::*;
use crate::images::discovery::pages_as_images;
use crate::images::{page_size, read_image, read_labels};

/// A page of 16 bits to be written.
#[derive(Clone, Default)]
struct Page {
    /// `[sample][y][x]`.
    numbers: Array3<u16>,
    description: String,
    /// Whether each sample has a strip of its own.
    planar: bool,
    /// Further tags of a number each: kind of page (254), what is extra (338), photometric interpretation (262).
    tags: Vec<(u16, u16)>,
}

fn page(number: u16) -> Page {
    let numbers = Array3::from_shape_fn((1, 2, 3), |(_, y, x)| number * 100 + (y * 3 + x) as u16);
    Page { numbers, ..Page::default() }
}

fn described(description: &str, count: u16) -> Vec<Page> {
    let mut pages: Vec<Page> = (0..count).map(page).collect();
    pages[0].description = description.to_owned();
    pages
}

/// The bytes of a TIFF file, each page's directory before its numbers.
fn tiff_bytes(pages: &[Page], big_endian: bool) -> Vec<u8> {
    let short = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let long = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut bytes = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    bytes.extend(long(8));
    for (index, page) in pages.iter().enumerate() {
        let (samples, height, width) = page.numbers.dim();
        let strips = if page.planar { samples } else { 1 };
        let strip_bytes = (page.numbers.len() * 2 / strips) as u32;
        let mut tags: Vec<(u16, u16, Vec<u32>)> = vec![
            (256, 4, vec![width as u32]),
            (257, 4, vec![height as u32]),
            (258, 3, vec![16; samples]),
            (259, 3, vec![1]),
            (270, 2, page.description.bytes().chain([0]).map(u32::from).collect()),
            (273, 4, vec![0; strips]),
            (277, 3, vec![samples as u32]),
            (278, 4, vec![height as u32]),
            (279, 4, vec![strip_bytes; strips]),
            (284, 3, vec![1 + u32::from(page.planar)]),
        ];
        tags.extend(page.tags.iter().map(|(tag, value)| (*tag, 3, vec![u32::from(*value)])));
        if !page.tags.iter().any(|(tag, _)| *tag == 262) {
            tags.push((262, 3, vec![1]));
        }
        tags.sort_by_key(|(tag, ..)| *tag);
        let width_of = |kind: u16| match kind {
            2 => 1,
            3 => 2,
            _ => 4,
        };
        let start = bytes.len();
        let outside = start + 2 + 12 * tags.len() + 4;
        let beyond: usize =
            tags.iter().map(|(_, kind, values)| values.len() * width_of(*kind)).filter(|n| *n > 4).sum();
        let data = outside + beyond;
        let end = data + page.numbers.len() * 2;
        let (mut entries, mut values_outside) = (Vec::new(), Vec::new());
        for (tag, kind, mut values) in tags {
            if tag == 273 {
                values = (0..strips as u32).map(|strip| data as u32 + strip * strip_bytes).collect();
            }
            let mut encoded = Vec::new();
            for value in &values {
                match kind {
                    2 => encoded.push(*value as u8),
                    3 => encoded.extend(short(*value as u16)),
                    _ => encoded.extend(long(*value)),
                }
            }
            entries.extend(short(tag));
            entries.extend(short(kind));
            entries.extend(long(values.len() as u32));
            if encoded.len() > 4 {
                entries.extend(long((outside + values_outside.len()) as u32));
                values_outside.extend(encoded);
            } else {
                encoded.resize(4, 0);
                entries.extend(encoded);
            }
        }
        bytes.extend(short((entries.len() / 12) as u16));
        bytes.extend(entries);
        bytes.extend(long(if index + 1 < pages.len() { end as u32 } else { 0 }));
        bytes.extend(values_outside);
        if page.planar || samples == 1 {
            page.numbers.iter().for_each(|n| bytes.extend(short(*n)));
        } else {
            page.numbers.view().permuted_axes([1, 2, 0]).iter().for_each(|n| bytes.extend(short(*n)));
        }
    }
    bytes
}

/// A folder with a file of these bytes.
fn file(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn found_in(path: &Path, discovery: &Discovery) -> Result<Vec<ImageSource>> {
    discovery.discover(path.to_str().unwrap())
}

fn with_axes(axes: &str) -> Discovery {
    Discovery::new(Some(axes.to_owned()), None, false)
}

fn going_on() -> Discovery {
    Discovery::new(None, None, true)
}

/// Of each image the numbers of the pages that its channels are.
fn channels(images: &[ImageSource]) -> Vec<Vec<u16>> {
    let number = |channel: ArrayView2<f32>| {
        let first = channel[[0, 0]];
        assert_eq!(channel, page((first / 100.0) as u16).numbers.slice(s![0, .., ..]).mapv(f32::from));
        (first / 100.0) as u16
    };
    images
        .iter()
        .map(|image| {
            let values = read_image(image).unwrap();
            assert_eq!(page_size(image).unwrap(), values.dim());
            values.outer_iter().map(number).collect()
        })
        .collect()
}

fn stems(images: &[ImageSource]) -> Vec<&str> {
    images.iter().map(|image| image.stem.as_str()).collect()
}

#[test]
fn channels_that_are_pages_are_channels_of_one_image() {
    for (description, count, wanted) in [
        ("ImageJ=1.54f\nimages=2\nchannels=2\nmode=composite\n", 2, vec![vec![0, 1]]),
        (
            "ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\nhyperstack=true\n",
            6,
            vec![vec![0, 1], vec![2, 3], vec![4, 5]],
        ),
        ("ImageJ=1.54f\nimages=3\nslices=3\n", 3, vec![vec![0], vec![1], vec![2]]),
        (r#"{"shape": [2, 2, 3], "axes": "CYX"}"#, 2, vec![vec![0, 1]]),
        (r#"{"shape": [2, 2, 2, 3], "axes": "CZYX"}"#, 4, vec![vec![0, 2], vec![1, 3]]),
        (r#"{"shape": [2, 2, 3]}"#, 2, vec![vec![0], vec![1]]),
        // Numbers that do not fit the file say nothing.
        ("ImageJ=1.54f\nimages=4\nchannels=4\n", 3, vec![vec![0], vec![1], vec![2]]),
        (
            r#"<OME><Image><Pixels DimensionOrder="XYZCT" SizeC="2" SizeZ="2" SizeT="1"><TiffData/></Pixels></Image></OME>"#,
            4,
            vec![vec![0, 2], vec![1, 3]],
        ),
    ] {
        for big_endian in [false, true] {
            let (_folder, path) = file(&tiff_bytes(&described(description, count), big_endian), "a.tif");
            let images = found_in(&path, &Discovery::default()).unwrap();
            assert_eq!(channels(&images), wanted, "{description}");
            match wanted.len() {
                1 => assert_eq!((images[0].page, images[0].stem.as_str()), (None, "a")),
                _ => assert_eq!((images[1].page, images[1].stem.as_str()), (Some(1), "a_p0001")),
            }
        }
    }
}

#[test]
fn axes_that_are_said_overrule_the_file() {
    let (_folder, path) = file(&tiff_bytes(&described(r#"{"shape": [3, 2, 2, 3]}"#, 6), false), "a.tif");
    for (axes, wanted) in [
        ("ZCYX", vec![vec![0, 1], vec![2, 3], vec![4, 5]]),
        ("CZYX", vec![vec![0, 2, 4], vec![1, 3, 5]]),
        ("CYX", vec![vec![0, 1, 2, 3, 4, 5]]),
        ("C2ZYX", vec![vec![0, 3], vec![1, 4], vec![2, 5]]),
        ("TZYX", (0..6).map(|number| vec![number]).collect()),
    ] {
        assert_eq!(channels(&found_in(&path, &with_axes(axes)).unwrap()), wanted, "{axes}");
    }
    let (_folder, plain) = file(&tiff_bytes(&described("", 6), false), "plain.tif");
    let error = found_in(&plain, &with_axes("ZCYX")).unwrap_err().to_string();
    assert!(error.contains("plain.tif has 6 planes") && error.contains("ZC2YX"), "{error}");
    assert_eq!(channels(&found_in(&plain, &with_axes("ZC2YX")).unwrap()), [[0, 1], [2, 3], [4, 5]]);
    // Pages that differ in size cannot be channels; what the message says works.
    let mut pages = described("ImageJ=1\nimages=2\nchannels=2\n", 2);
    pages[1].numbers = Array3::zeros((1, 4, 3));
    let (_folder, mixed) = file(&tiff_bytes(&pages, false), "mixed.tif");
    let error = found_in(&mixed, &Discovery::default()).unwrap_err().to_string();
    assert!(error.contains("mixed.tif") && error.contains("`axes ZYX`"), "{error}");
    assert_eq!(found_in(&mixed, &with_axes("ZYX")).unwrap().len(), 2);
}

#[test]
fn ome_names_the_page_of_each_channel_and_leaves_out_others() {
    let description = r#"<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="1"><TiffData FirstC="1" IFD="0" PlaneCount="1"/><TiffData IFD="2"/></Pixels></Image></OME>"#;
    let (_folder, path) = file(&tiff_bytes(&described(description, 3), true), "a.ome.tif");
    assert_eq!(channels(&found_in(&path, &Discovery::default()).unwrap()), [[2, 0]]);
}

#[test]
fn planes_of_an_array_are_all_kept_and_only_real_alpha_is_left_out() {
    let numbers = Array3::from_shape_fn((4, 2, 3), |(c, y, x)| (c * 100 + y * 3 + x) as u16);
    // As tifffile writes an array of four planes: colours with unassociated alpha.
    let tags = vec![(262, 2), (338, 2)];
    let mut four = Page { numbers, description: r#"{"shape": [4, 2, 3]}"#.into(), planar: true, tags };
    let (_folder, path) = file(&tiff_bytes(&[four.clone()], false), "a.tif");
    let images = found_in(&path, &Discovery::default()).unwrap();
    assert_eq!(channels(&images), [[0, 1, 2, 3]]);
    // Each plane is an image where its axis is one of slices.
    assert_eq!(channels(&found_in(&path, &with_axes("ZYX")).unwrap()), [[0], [1], [2], [3]]);
    four.description = r#"{"shape": [4, 2, 3], "axes": "ZYX"}"#.into();
    let (_folder, path) = file(&tiff_bytes(&[four.clone()], false), "a.tif");
    let slices = found_in(&path, &Discovery::default()).unwrap();
    assert_eq!(channels(&slices), [[0], [1], [2], [3]]);
    assert_eq!(read_labels(&slices[3]).unwrap(), page(3).numbers.slice(s![0, .., ..]).mapv(i64::from));
    for (planar, description) in [(true, ""), (false, r#"{"shape": [2, 3, 4]}"#)] {
        let alpha = Page { planar, description: description.into(), ..four.clone() };
        let (_folder, path) = file(&tiff_bytes(&[alpha], false), "a.tif");
        assert_eq!(channels(&found_in(&path, &Discovery::default()).unwrap()), [[0, 1, 2]]);
    }
}

/// A stack with one directory: the numbers of the other pages follow those of the first.
fn raw_stack(description: &str, count: u16, big_endian: bool) -> Vec<u8> {
    let mut bytes = tiff_bytes(&described(description, 1), big_endian);
    for number in 1..count {
        let numbers = page(number).numbers;
        numbers.iter().for_each(|n| bytes.extend(if big_endian { n.to_be_bytes() } else { n.to_le_bytes() }));
    }
    bytes
}

#[test]
fn pages_without_directories_are_all_there() {
    for big_endian in [false, true] {
        for (description, wanted) in [
            (
                "ImageJ=1.54f\nimages=6\nslices=6\n",
                vec![vec![0], vec![1], vec![2], vec![3], vec![4], vec![5]],
            ),
            ("ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\n", vec![vec![0, 1], vec![2, 3], vec![4, 5]]),
            (
                r#"{"shape": [3, 2, 2, 3], "axes": "ZCYX", "truncated": true}"#,
                vec![vec![0, 1], vec![2, 3], vec![4, 5]],
            ),
        ] {
            let (_folder, path) = file(&raw_stack(description, 6, big_endian), "a.tif");
            let images = found_in(&path, &Discovery::default()).unwrap();
            assert_eq!(channels(&images), wanted, "{description}");
            assert_eq!(images[2].stem, "a_p0002");
        }
    }
    // Without such a description, what follows is not looked at; and a page taken out of a stack is a page.
    let (_folder, path) = file(&raw_stack("", 6, false), "a.tif");
    assert_eq!(channels(&found_in(&path, &Discovery::default()).unwrap()), [[0]]);
    let (_folder, path) = file(&raw_stack("ImageJ=1.54f\nimages=6\nslices=6\n", 1, false), "a.tif");
    let images = found_in(&path, &Discovery::default()).unwrap();
    assert_eq!((channels(&images), images[0].page), (vec![vec![0]], None));
}

#[test]
fn of_stacks_that_are_cut_off_the_whole_pages_are_used_where_that_is_wanted() {
    let raw = raw_stack("ImageJ=1.54f\nimages=6\nslices=6\n", 6, true);
    let chained = tiff_bytes(&described("", 6), false);
    // Inside the fourth page's numbers, and inside the fourth page's directory.
    let pages: usize = chained.len() / 6;
    for (bytes, cut, whole) in
        [(&raw, raw.len() - 2 * 12 - 5, 3), (&chained, 4 * pages - 3, 3), (&chained, 3 * pages + 40, 3)]
    {
        let (_folder, path) = file(&bytes[..cut], "cut.tif");
        let error = found_in(&path, &Discovery::default()).unwrap_err().to_string();
        assert!(error.contains("cut.tif") && error.contains("truncated"), "{error}");
        assert!(error.contains("3 whole images with `keep_going`"), "{error}");
        let images = found_in(&path, &going_on()).unwrap();
        let wanted: Vec<Vec<u16>> = (0..whole).map(|number| vec![number]).collect();
        assert_eq!(channels(&images), wanted);
        assert_eq!(stems(&images), ["cut_p0000", "cut_p0001", "cut_p0002"]);
    }
    // An image one of whose channels is missing is not whole.
    let pairs = tiff_bytes(&described("ImageJ=1\nimages=6\nchannels=2\nslices=3\n", 6), false);
    let (_folder, path) = file(&pairs[..pairs.len() - pages - 3], "cut.tif");
    assert_eq!(channels(&found_in(&path, &going_on()).unwrap()), [[0, 1], [2, 3]]);
    // A file of which nothing is left is refused when it is read, and others beside it are found.
    let (folder, path) = file(&chained[..30], "cut.tif");
    std::fs::write(folder.path().join("good.tif"), tiff_bytes(&[page(1)], false)).unwrap();
    assert!(found_in(&path, &Discovery::default()).is_err());
    let images = found_in(folder.path(), &going_on()).unwrap();
    assert_eq!(stems(&images), ["cut", "good"]);
    assert!(read_image(&images[0]).unwrap_err().to_string().contains("cut.tif"));
}

#[test]
fn thumbnails_and_smaller_versions_are_left_out() {
    let mut pages: Vec<Page> = (0..4).map(page).collect();
    pages[1].tags = vec![(254, 1)];
    pages[3].tags = vec![(254, 4)];
    let (_folder, path) = file(&tiff_bytes(&pages, false), "a.tif");
    let images = found_in(&path, &Discovery::default()).unwrap();
    assert_eq!((channels(&images), stems(&images)), (vec![vec![0], vec![2]], vec!["a_p0000", "a_p0002"]));
    // A thumbnail before the one image.
    pages.truncate(2);
    pages.swap(0, 1);
    let (_folder, path) = file(&tiff_bytes(&pages, false), "a.tif");
    let images = found_in(&path, &Discovery::default()).unwrap();
    assert_eq!((channels(&images), stems(&images)), (vec![vec![0]], vec!["a"]));
    // A file of nothing but thumbnails holds these.
    let only = Page { tags: vec![(254, 1)], ..page(5) };
    let (_folder, path) = file(&tiff_bytes(&[only], false), "a.tif");
    assert_eq!(channels(&found_in(&path, &Discovery::default()).unwrap()), [[5]]);
    // A slide: smaller pages without a word of what they are.
    let mut slide = described("Aperio Image Library v12", 2);
    slide[1].numbers = Array3::zeros((1, 1, 2));
    let (_folder, path) = file(&tiff_bytes(&slide, false), "a.svs.tif");
    assert_eq!(channels(&found_in(&path, &Discovery::default()).unwrap()), [[0]]);
}

#[test]
fn pages_that_shrink_by_the_same_number_are_smaller_versions() {
    let sized = |sizes: &[(usize, usize)]| {
        let page = |size: &(usize, usize)| Page {
            numbers: Array3::from_shape_fn((1, size.0, size.1), |(_, y, x)| (y * 9 + x) as u16),
            ..Page::default()
        };
        file(&tiff_bytes(&sizes.iter().map(page).collect::<Vec<_>>(), false), "a.tif")
    };
    let sizes_in = |sizes: &[(usize, usize)], discovery: &Discovery| -> Vec<(usize, usize, usize)> {
        let (_folder, path) = sized(sizes);
        found_in(&path, discovery).unwrap().iter().map(|image| page_size(image).unwrap()).collect()
    };
    // Halves rounded down and up, and quarters.
    for sizes in [&[(9, 14), (4, 7), (2, 4)][..], &[(9, 14), (5, 7)], &[(16, 32), (4, 8)]] {
        assert_eq!(sizes_in(sizes, &Discovery::default()), [(1, sizes[0].0, sizes[0].1)]);
        assert_eq!(sizes_in(sizes, &with_axes("ZYX")).len(), sizes.len());
    }
    // Images of equal sizes, of sizes that shrink otherwise, or along one side only.
    for sizes in
        [&[(8, 8), (8, 8)][..], &[(16, 16), (8, 8), (7, 7)], &[(16, 16), (8, 16)], &[(8, 8), (16, 16)]]
    {
        assert_eq!(sizes_in(sizes, &Discovery::default()).len(), sizes.len(), "{sizes:?}");
    }
}

#[test]
fn slices_that_a_program_calls_channels_pair_with_as_many_targets() {
    let stack = |description: &str, count| file(&tiff_bytes(&described(description, count), false), "a.tif");
    let (_a, images) = stack("ImageJ=1\nimages=6\nchannels=6\n", 6);
    let (_b, labels) = stack("ImageJ=1\nimages=6\nchannels=6\n", 6);
    let discovery = Discovery::default();
    let found = found_in(&images, &discovery).unwrap();
    assert_eq!(found.len(), 1);
    let single = discovery.discover_single_channel(labels.to_str().unwrap()).unwrap();
    assert_eq!((single.len(), single[5].stem.as_str()), (6, "a_p0005"));
    let pairs = discovery.pair(&found, &single, "target").unwrap();
    let numbers: Vec<_> = pairs.iter().map(|(image, _)| image.clone()).collect();
    assert_eq!(channels(&numbers), [[0], [1], [2], [3], [4], [5]]);
    // One target makes them channels.
    assert_eq!(discovery.pair(&found, &single[..1], "target").unwrap().len(), 1);
    assert_eq!(channels(&pages_as_images(found)).len(), 6);
    // Where some pages are missing, those of both sides pair.
    let pairs = going_on().pair(&single[..4], &single[1..], "target").unwrap();
    assert_eq!(
        pairs.iter().map(|(a, b)| (a.page, b.page)).collect::<Vec<_>>(),
        [1, 2, 3].map(|n| (Some(n), Some(n)))
    );
}

#[test]
fn long_stacks_have_names_that_sort() {
    assert_eq!(page_digits(3, 10_000), "0003");
    assert_eq!(page_digits(3, 10_001), "00003");
    assert_eq!(page_digits(10_000, 10_001), "10000");
}

#[test]
fn links_that_lead_nowhere_and_folders_with_brackets_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("[2024] run");
    std::fs::create_dir(&run).unwrap();
    for name in ["a.tif", "b.tif"] {
        std::fs::write(run.join(name), tiff_bytes(&[page(1)], false)).unwrap();
    }
    assert_eq!(stems(&discover(run.join("*.tif").to_str().unwrap()).unwrap()), ["a", "b"]);
    assert_eq!(stems(&discover(run.join("[b].tif").to_str().unwrap()).unwrap()), ["b"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("gone.tif", run.join("c.tif")).unwrap();
        for place in [run.clone(), run.join("c.tif"), run.join("*.tif")] {
            let error = discover(place.to_str().unwrap()).unwrap_err().to_string();
            assert!(error.contains("c.tif: is a link to gone.tif"), "{error}");
        }
        assert_eq!(stems(&found_in(&run, &going_on()).unwrap()), ["a", "b", "c"]);
    }
}

#[test]
fn labels_of_several_pages_are_labels_where_they_are_equal() {
    let mut pages = described("ImageJ=1\nimages=2\nchannels=2\n", 2);
    let (_folder, path) = file(&tiff_bytes(&pages, false), "a.tif");
    let images = found_in(&path, &Discovery::default()).unwrap();
    assert!(read_labels(&images[0]).unwrap_err().to_string().contains("2 channels that differ"));
    pages[1].numbers = pages[0].numbers.clone();
    std::fs::write(&path, tiff_bytes(&pages, false)).unwrap();
    let images = found_in(&path, &Discovery::default()).unwrap();
    let wanted: Array2<i64> = pages[0].numbers.slice(s![0, .., ..]).mapv(i64::from);
    assert_eq!(read_labels(&images[0]).unwrap(), wanted);
}
