//! `msd-gpu convert`, and `msd-gpu inspect` of images and stacks.

use ndarray::{Array2, Array3, Array4};
use serde_json::Value;

use msd_gpu::geometry::{Extent, Window};
use msd_gpu::images::{
    LabelFormat, NewStack, NumberType, Sink, StackFormat, StackLayout, Volume, open_volume, write_labels_as,
    write_png_rgb8,
};

use crate::support::{Bench, pattern};

/// The formats by the endings of their names.
const ENDINGS: [&str; 6] = ["tif", "ome.zarr", "h5", "npy", "mrc", "nii"];

/// Writes a TIFF stack of numbers `[channel][z][y][x]`.
pub(super) fn stack(bench: &Bench, path: &str, numbers: NumberType, values: &Array4<f64>) {
    let (channels, z, y, x) = values.dim();
    let extent = Extent::new(z, y, x);
    let new = NewStack {
        channels,
        layout: Some(StackLayout::slices(z)),
        ..NewStack::new(bench.path(path), extent)
    };
    let mut sink = new.numbers(StackFormat::Tiff, numbers, false).unwrap();
    sink.write(Window::whole(extent), values.view()).unwrap();
    Box::new(sink).done().unwrap();
}

pub(super) fn volume(bench: &Bench, path: &str) -> Box<dyn Volume> {
    open_volume(bench.path(path).to_str().unwrap()).unwrap()
}

fn bits(bench: &Bench, path: &str) -> Vec<u32> {
    let volume = volume(bench, path);
    volume.read(Window::whole(volume.extent())).unwrap().iter().map(|value| value.to_bits()).collect()
}

fn labels(bench: &Bench, path: &str) -> Array3<i64> {
    let volume = volume(bench, path);
    volume.read_labels(Window::whole(volume.extent())).unwrap()
}

/// Numbers that take all of a type.
pub(super) fn all_of(numbers: NumberType, channels: usize) -> Array4<f64> {
    let mut next = 1_u64;
    Array4::from_shape_simple_fn((channels, 5, 6, 7), || {
        next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = (next >> 32) as u32;
        match numbers {
            NumberType::U8 => f64::from(bits as u8),
            NumberType::U16 => f64::from(bits as u16),
            NumberType::I32 => f64::from(bits as i32),
            NumberType::F32 => f64::from((bits as i32) as f32 * 1.37e-12),
            _ => f64::from(bits as u8 / 2),
        }
    })
}

/// The bytes of 210 numbers of a type, those of its ends among them; of floating-point numbers infinity and -0 too, but no NaN.
fn bytes_of(name: &str) -> Vec<u8> {
    let (kind, bytes) = (&name[..1], name[1..].parse::<usize>().unwrap() / 8);
    let mut next = 1_u64;
    let mut all: Vec<u64> = (0..210)
        .map(|_| {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            next.rotate_left(29)
        })
        .collect();
    let infinity = match name {
        "f16" => 0x7c00,
        "f32" => 0x7f80_0000,
        _ => 0x7ff0_0000_0000_0000,
    };
    let sign = 1_u64 << (8 * bytes - 1);
    match kind {
        "f" => {
            // Those of 64 bits have an exponent that those of 32 bits have, too.
            let is_other = |bits: u64| bytes == 8 || bits & infinity == infinity;
            all.iter_mut()
                .filter(|bits| is_other(**bits))
                .for_each(|bits| *bits = *bits & !infinity | (infinity >> 1 & infinity));
            all[..3].copy_from_slice(&[infinity, sign, 1]);
        }
        _ => all[..4].copy_from_slice(&[0, u64::MAX, sign, sign - 1]),
    }
    all.iter().flat_map(|bits| bits.to_le_bytes()[..bytes].to_vec()).collect()
}

/// An NPY file of the shape 5 x 6 x 7.
fn npy(name: &str, bytes: &[u8]) -> Vec<u8> {
    let order = if name.ends_with('8') { '|' } else { '<' };
    let (kind, size) = (&name[..1], name[1..].parse::<usize>().unwrap() / 8);
    let text = format!("{{'descr': '{order}{kind}{size}', 'fortran_order': False, 'shape': (5, 6, 7), }}");
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend(format!("{text:<117}\n").into_bytes());
    file.extend(bytes);
    file
}

#[test]
fn numbers_of_every_type_are_the_same_to_the_bit_in_every_format_and_back() {
    let bench = Bench::new();
    for (name, numbers) in NumberType::NAMES {
        let bytes = bytes_of(name);
        bench.bytes("a.npy", &npy(name, &bytes));
        for ending in ["tif", "ome.tif", "btf", "ome.zarr", "h5", "npy", "mrc", "nii"] {
            // No type of these files holds all numbers of these.
            let is_rounded = match ending {
                "mrc" => matches!(name, "u32" | "u64" | "i32" | "i64" | "f64"),
                "ome.tif" => matches!(name, "u64" | "i64"),
                _ => false,
            };
            for ome in ["0.5", "0.4"].into_iter().take(if ending == "ome.zarr" { 2 } else { 1 }) {
                let there = format!("{name}{ome}.{ending}");
                let said = bench.run(&format!("convert a.npy --out {there} --ome {ome}"));
                assert_eq!(said.code, 0, "{there}: {}", said.stderr);
                let kept = match (ending, name) {
                    ("mrc", "u8") => "uint16".to_owned(),
                    ("nii" | "ome.tif", "f16") => "float32".to_owned(),
                    ("mrc", _) if is_rounded => "float32".to_owned(),
                    _ if is_rounded => "float64".to_owned(),
                    _ => numbers.to_string(),
                };
                let json: Value =
                    serde_json::from_str(&bench.succeeds(&format!("inspect {there} --json"))).unwrap();
                assert_eq!(json["type"], kept, "{there}");
                assert_eq!(
                    said.stderr.contains("gets"),
                    kept != numbers.to_string(),
                    "{there}: {}",
                    said.stderr
                );
                assert_eq!(said.stderr.contains("rounded"), is_rounded, "{there}: {}", said.stderr);
                if !is_rounded {
                    bench.succeeds(&format!("convert {there} --dtype {name} --out back.npy"));
                    assert!(std::fs::read(bench.path("back.npy")).unwrap().ends_with(&bytes), "{there}");
                }
            }
        }
    }
    bench.refuses(
        "convert a.npy --dtype f16 --out no.ome.tif",
        &["OME-TIFF files hold no float16", "--dtype"],
    );
    bench.refuses("convert a.npy --dtype u32 --out no.mrc", &["MRC files hold no uint32"]);
    // No unfinished file is left.
    assert!(bench.names("").iter().all(|name| !name.starts_with('.')), "{:?}", bench.names(""));
}

#[test]
fn types_are_kept_where_nothing_else_is_wanted() {
    let bench = Bench::new();
    let kind = |path: &str| {
        let json = bench.succeeds(&format!("inspect {path} --json"));
        serde_json::from_str::<Value>(&json).unwrap()["type"].as_str().unwrap().to_owned()
    };
    for numbers in NumberType::NAMES.map(|(_, numbers)| numbers) {
        stack(&bench, "a.tif", numbers, &all_of(numbers, 2));
        for ending in ENDINGS.into_iter().filter(|ending| *ending != "mrc") {
            let there = format!("{numbers}.{ending}");
            bench.succeeds(&format!("convert a.tif --out {there}"));
            let wider = if ending == "nii" && numbers == NumberType::F16 { NumberType::F32 } else { numbers };
            assert_eq!(kind(&there), wider.to_string(), "{there}");
            if numbers != NumberType::I32 {
                assert_eq!(bits(&bench, &there), bits(&bench, "a.tif"), "{there}");
            }
        }
    }
    bench.refuses("convert a.tif --out a.mrc", &["MRC files hold one channel, not 2"]);
    bench.succeeds("convert a.tif --channel 1 --out a.mrc");
    assert_eq!(volume(&bench, "a.mrc").channels(), 1);
}

/// A stack of 16 bits in two times and three slices, with the size of its pixels.
pub(super) fn with_axes(bench: &Bench, path: &str) {
    let pages: Vec<Array2<u16>> = (0..6_usize)
        .map(|page| pattern((5, 4)).mapv(|v| (v as usize * (page + 7) * 30 % 65_521) as u16))
        .collect();
    let description = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">"#,
        r#"<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZTC" Type="uint16" SizeX="4" SizeY="5" "#,
        r#"SizeC="1" SizeZ="3" SizeT="2" PhysicalSizeX="0.25" PhysicalSizeXUnit="&#181;m" PhysicalSizeY="0.5" "#,
        r#"PhysicalSizeYUnit="&#181;m" PhysicalSizeZ="2" PhysicalSizeZUnit="&#181;m">"#,
        r#"<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>"#
    );
    bench.stack(path, &pages, description);
}

#[test]
fn the_size_of_pixels_and_the_axes_go_through_formats() {
    let bench = Bench::new();
    with_axes(&bench, "a.tif");
    bench.succeeds("convert a.tif --out b.ome.zarr");
    bench.succeeds("convert b.ome.zarr --out c.h5");
    bench.succeeds("convert c.h5 --out d.tif");
    for path in ["a.tif", "b.ome.zarr", "c.h5", "d.tif"] {
        let json: Value = serde_json::from_str(&bench.succeeds(&format!("inspect {path} --json"))).unwrap();
        assert_eq!(json["axes"], "TZYX", "{path}");
        assert_eq!(json["shape"], serde_json::json!([2, 3, 5, 4]), "{path}");
        let size = &json["voxel_size"];
        assert_eq!((&size["z"], &size["y"], &size["x"]), (&2.0.into(), &0.5.into(), &0.25.into()), "{path}");
        assert_eq!(labels(&bench, path), labels(&bench, "a.tif"), "{path}");
    }
    bench.succeeds("convert a.tif --slices 1..3 --out some.h5");
    assert_eq!(labels(&bench, "some.h5"), labels(&bench, "a.tif").slice(ndarray::s![1..3, .., ..]));
}

#[test]
fn values_are_rounded_scaled_and_refused() {
    let bench = Bench::new();
    bench.floats("a.tif", &Array3::from_shape_vec((1, 1, 4), vec![-0.4, 1.6, 100.0, 300.2]).unwrap());
    bench.refuses(
        "convert a.tif --dtype u8 --out b.tif",
        &["300.2", "uint8 holds 0 to 255", "--dtype", "--window"],
    );
    bench.refuses("convert a.tif --out b.png", &["float32", "--dtype u16", "--window"]);
    bench.refuses("convert a.tif --window 0..1 --out b.tif", &["--window", "--dtype u8"]);
    bench.refuses("convert a.tif --window 1..0 --dtype u8 --out b.tif", &["--window is '1..0'", "1%..99%"]);
    bench.refuses("convert a.tif --dtype u24 --out b.tif", &["--dtype is 'u24'", "u8, u16, u32"]);
    assert_eq!(bench.names(""), ["a.tif"]);
    bench.succeeds("convert a.tif --dtype u16 --out b.tif");
    assert_eq!(labels(&bench, "b.tif").into_raw_vec_and_offset().0, [0, 2, 100, 300]);
    bench.succeeds("convert a.tif --dtype u8 --window -100..155 --out c.png");
    assert_eq!(labels(&bench, "c.png").into_raw_vec_and_offset().0, [100, 102, 200, 255]);
    bench.succeeds("convert a.tif --dtype u8 --window 0%..100% --out d.npy");
    let scaled = labels(&bench, "d.npy").into_raw_vec_and_offset().0;
    assert_eq!((scaled[0], scaled[3]), (0, 255));
    // One that is far inside a stack leaves no file.
    let mut values = all_of(NumberType::U8, 1);
    values[[0, 4, 5, 6]] = 256.0;
    stack(&bench, "s.tif", NumberType::U16, &values);
    bench.refuses("convert s.tif --dtype u8 --out s.ome.zarr", &["256", "uint8"]);
    bench.refuses("convert s.tif --dtype u8 --out s.h5", &["256", "uint8"]);
    assert!(bench.names("").iter().all(|name| !name.starts_with('.') && !name.contains("s.h5")));
    // What is not finite stays in floats and fits nowhere else.
    bench.floats("n.tif", &Array3::from_elem((1, 1, 2), f32::NAN));
    bench.refuses("convert n.tif --dtype u8 --out e.tif", &["NaN", "uint8"]);
    bench.succeeds("convert n.tif --out n.npy");
}

#[test]
fn places_that_are_read_or_say_no_format_are_refused() {
    let bench = Bench::new();
    bench.grey("in/a.png", (9, 8));
    bench.grey("in/b.png", (9, 8));
    bench.refuses("convert in/a.png --out in/../in/a.png", &["is read from there"]);
    bench.refuses("convert in --out in/b.png", &["is read from there"]);
    bench.refuses("convert in/a.png --out x.abc", &["--out", "--format"]);
    bench.refuses("convert in/a.png --out x.nii.gz", &["--out", "nii"]);
    bench.refuses("convert in/a.png --out x --format bmp", &["--format is 'bmp'", "zarr"]);
    bench.refuses("convert in/a.png --out in --format npy", &["--out", "folder"]);
    bench.refuses("convert in --out x.png", &["one image, not 2"]);
    bench.succeeds("convert in --out x.zarr");
    assert_eq!(volume(&bench, "x.zarr").extent(), Extent::new(2, 9, 8));
    bench.refuses("convert x.zarr --out x.zarr/y.tif", &["is read from there"]);
    bench.succeeds("convert in/a.png --out x --format npy");
    assert_eq!(labels(&bench, "x"), labels(&bench, "in/a.png"));
}

#[test]
fn pictures_keep_their_colours_and_labels_their_numbers() {
    let bench = Bench::new();
    let picture = Array3::from_shape_fn((9, 8, 3), |(y, x, c)| (y * 25 + x * 7 + c * 3) as u8);
    write_png_rgb8(bench.path("a.png"), &picture).unwrap();
    bench.succeeds("convert a.png --out a.tif");
    bench.succeeds("convert a.tif --out b.ome.zarr");
    bench.succeeds("convert b.ome.zarr --out b.png");
    for path in ["a.tif", "b.ome.zarr", "b.png"] {
        assert_eq!(bits(&bench, path), bits(&bench, "a.png"), "{path}");
    }
    let numbers = pattern((9, 8)).mapv(|value| value as i64);
    let palette = std::array::from_fn(|value| [value as u8, 0, 255 - value as u8]);
    write_labels_as(bench.path("l.png"), &numbers, LabelFormat::Png8, Some(&palette)).unwrap();
    bench.succeeds("convert l.png --labels --out l.ome.zarr");
    bench.succeeds("convert l.png --out colours.tif");
    assert_eq!(labels(&bench, "l.ome.zarr").index_axis(ndarray::Axis(0), 0), numbers);
    assert_eq!((volume(&bench, "l.ome.zarr").channels(), volume(&bench, "colours.tif").channels()), (1, 3));
}

#[test]
fn a_stack_says_what_it_holds() {
    let bench = Bench::new();
    with_axes(&bench, "a.tif");
    let text = bench.succeeds("inspect a.tif");
    let all = labels(&bench, "a.tif");
    let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
    for part in
        ["TZYX", "2 x 3 x 5 x 4", "uint16", "2 x 0.5 x 0.25 \u{b5}m (z, y, x)", &format!("{least} to {most}")]
    {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
    assert!(text.contains('█') && !text.contains('\x1b'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json: Value = serde_json::from_str(&bench.succeeds("inspect a.tif --json")).unwrap();
    let mean = all.iter().sum::<i64>() as f64 / all.len() as f64;
    assert!((json["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert_eq!(
        (json["minimum"].as_f64(), json["maximum"].as_f64()),
        (Some(*least as f64), Some(*most as f64))
    );
    let mut sorted: Vec<i64> = all.iter().copied().collect();
    sorted.sort_unstable();
    let middle = (sorted[59] + sorted[60]) as f64 / 2.0;
    assert_eq!(json["percentiles"]["50"].as_f64(), Some(middle));
    let counts = json["histogram"].as_array().unwrap();
    assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 120);
    bench.refuses("inspect a.tif --size 9", &["--size", "models"]);
    bench.bytes("text.txt", b"no image");
    bench.refuses("inspect text.txt", &["text.txt"]);
}

/// A TIFF file of three pixels of 8 bits that has white as zero, as programs write masks.
fn white_is_zero(pixels: [u8; 3]) -> Vec<u8> {
    one_row(pixels, 0, 1)
}

/// A TIFF file of a row of three pixels with this photometric interpretation and this orientation.
fn one_row(pixels: [u8; 3], photometric: u32, orientation: u32) -> Vec<u8> {
    // Width, rows, bits, photometric interpretation, where the pixels are, orientation, rows of the strip and its bytes: tag, type (16 or
    // 32 bits), value.
    let entries: [(u16, u16, u32); 8] = [
        (256, 3, 3),
        (257, 3, 1),
        (258, 3, 8),
        (262, 3, photometric),
        (273, 4, 8),
        (274, 3, orientation),
        (278, 3, 1),
        (279, 4, 3),
    ];
    let mut file = b"II*\0".to_vec();
    file.extend(12u32.to_le_bytes());
    file.extend(pixels);
    file.push(0);
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        file.extend([tag, kind].iter().flat_map(|number| number.to_le_bytes()));
        file.extend(1u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    file
}

#[test]
fn an_image_that_is_turned_is_told_and_labels_are_as_they_are_stored() {
    let bench = Bench::new();
    bench.bytes("a.tif", &white_is_zero([0, 1, 255]));
    let said = bench.run("convert a.tif --out turned.tif");
    assert!(
        said.code == 0 && said.stderr.contains("white as zero") && said.stderr.contains("--labels"),
        "{}",
        said.stderr
    );
    assert_eq!(bench.read("turned.tif").into_raw_vec_and_offset().0, [255.0, 254.0, 0.0]);
    let said = bench.run("convert a.tif --labels --out stored.tif");
    assert!(said.code == 0 && !said.stderr.contains("white as zero"), "{}", said.stderr);
    assert_eq!(bench.read("stored.tif").into_raw_vec_and_offset().0, [0.0, 1.0, 255.0]);
    assert!(bench.run("inspect a.tif").stderr.contains("white as zero"));
}

#[test]
fn an_image_that_is_to_be_shown_turned_is_taken_as_it_is_stored_with_a_word() {
    let bench = Bench::new();
    bench.bytes("set/a.tif", &one_row([7, 8, 9], 1, 6));
    bench.bytes("set/b.tif", &one_row([7, 8, 9], 1, 3));
    bench.bytes("plain.tif", &one_row([7, 8, 9], 1, 1));
    let said = bench.run("inspect set");
    // One warning for a folder.
    assert_eq!(said.stderr.matches("to be shown").count(), 1, "{}", said.stderr);
    assert!(said.stderr.contains("a.tif says that it is to be shown turned to the right"), "{}", said.stderr);
    bench.succeeds("convert set/a.tif --out stored.tif");
    assert_eq!(bench.read("stored.tif").into_raw_vec_and_offset().0, [7.0, 8.0, 9.0]);
    assert!(!bench.run("inspect plain.tif").stderr.contains("shown"));
}

#[test]
fn ome_tiff_and_bigtiff_are_written_where_the_name_or_the_format_says_so() {
    let bench = Bench::new();
    let values = Array4::from_shape_fn((2, 6, 4, 5), |(c, z, y, x)| (c * 100 + z * 20 + y * 5 + x) as f64);
    stack(&bench, "s.tif", NumberType::U16, &values);
    bench.succeeds("convert s.tif --out v.npy");
    for (arguments, path, is_ome, is_big) in [
        ("v.npy --axes ZCYX --out a.ome.tif", "a.ome.tif", true, false),
        ("v.npy --axes ZCYX --out a.OME.tiff", "a.OME.tiff", true, false),
        ("v.npy --axes ZCYX --out a.ome.btf", "a.ome.btf", true, true),
        ("v.npy --axes TCYX --out a.tf8", "a.tf8", false, true),
        ("v.npy --axes ZCYX --out b --format ome-tiff", "b", true, false),
        ("v.npy --axes ZCYX --out c.tif", "c.tif", false, false),
    ] {
        bench.succeeds(&format!("convert {arguments}"));
        let bytes = std::fs::read(bench.path(path)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.contains("<OME "), is_ome, "{path}");
        assert_eq!(bytes[2], if is_big { 43 } else { 42 }, "{path}");
        if is_ome {
            assert!(text.contains(r#"SizeC="2" SizeZ="6" SizeT="1""#), "{text}");
        }
        assert_eq!(bits(&bench, path), bits(&bench, "s.tif"), "{path}");
    }
    // One image with channels, and a picture.
    bench.succeeds("convert v.npy --axes ZCYX --slices 2..3 --out one.ome.tif");
    assert_eq!(volume(&bench, "one.ome.tif").channels(), 2);
    write_png_rgb8(
        bench.path("p.png"),
        &Array3::from_shape_fn((3, 4, 3), |(y, x, c)| (y * 20 + x * 5 + c) as u8),
    )
    .unwrap();
    bench.succeeds("convert p.png --out p.ome.tif");
    assert_eq!(bits(&bench, "p.ome.tif"), bits(&bench, "p.png"));
}
