//! `msd-gpu convert` and `predict`: how large pixels are, and where a stack lies in space.

use msd_gpu::images::NumberType;

use super::convert::{all_of, stack, volume, with_axes};
use crate::support::{Bench, segmentation};

#[test]
fn the_size_of_pixels_is_what_the_user_says() {
    let bench = Bench::new();
    stack(&bench, "s.tif", NumberType::U8, &all_of(NumberType::U8, 1));
    with_axes(&bench, "a.tif");
    for (input, size, wanted, unit) in [
        ("s.tif", "2x0.65x0.5um", [2.0, 0.65, 0.5], "\u{b5}m"),
        ("s.tif", "30nm", [30.0; 3], "nm"),
        // Also where the input says another one.
        ("a.tif", "0.25mm", [0.25; 3], "mm"),
    ] {
        for ending in ["tif", "ome.tif", "ome.zarr", "nii", "h5"] {
            let path = format!("out.{ending}");
            bench.succeeds(&format!("convert {input} --voxel-size {size} --out {path}"));
            let volume = volume(&bench, &path);
            let found = volume.voxel_size().unwrap();
            let metres = |unit: &str| match unit {
                "mm" => 1e-3,
                "nm" => 1e-9,
                _ => 1e-6,
            };
            let factor = metres(&found.unit) / metres(unit);
            for (found, wanted) in [found.z, found.y, found.x].into_iter().zip(wanted) {
                assert!((found * factor / wanted - 1.0).abs() < 1e-6, "{path} {size}: {found} for {wanted}");
            }
            let path = bench.path(&path);
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        }
    }
    bench.refuses("convert s.tif --voxel-size 2x3 --out o.tif", &["--voxel-size is '2x3'", "2x0.65x0.65um"]);
    bench.refuses("convert s.tif --voxel-size 2furlongs --out o.tif", &["--voxel-size", "furlongs", "um"]);
    bench.refuses("convert s.tif --voxel-size 2 --out o.tif", &["--voxel-size", "um"]);
}

/// A NIfTI file of 4 x 3 x 2 pixels of 8 bits, turned and away from the middle.
fn turned_nifti(unit: u8) -> Vec<u8> {
    let mut file = vec![0; 352];
    let mut put = |place: usize, bytes: &[u8]| file[place..place + bytes.len()].copy_from_slice(bytes);
    put(0, &348_i32.to_le_bytes());
    put(344, b"n+1\0");
    for (place, number) in
        [(40, 3_i16), (42, 4), (44, 3), (46, 2), (48, 1), (70, 2), (72, 8), (252, 1), (254, 4)]
    {
        put(place, &number.to_le_bytes());
    }
    // The sizes with the mirrored third axis, the step of time, the first form, and the three rows of the second.
    let numbers: [(usize, &[f32]); 4] = [
        (76, &[-1.0, 0.5, 0.7, 2.0, 2.5]),
        (108, &[352.0, 1.0]),
        (136, &[0.25]),
        (
            256,
            &[
                0.0, 1.0, 0.0, 90.0, -126.0, -72.0, -0.5, 0.0, 0.0, 90.0, 0.0, 0.7, 0.0, -126.0, 0.0, 0.0,
                2.0, -72.0,
            ],
        ),
    ];
    for (place, numbers) in numbers {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        put(place, &bytes);
    }
    // Millimetres, or no unit, and seconds.
    put(123, &[unit | 8]);
    file.extend(0..24_u8);
    file
}

#[test]
fn a_label_map_lies_over_its_image() {
    let bench = Bench::new();
    let float = |file: &[u8], place: usize| f32::from_le_bytes(file[place..place + 4].try_into().unwrap());
    for unit in [2, 0] {
        let image = turned_nifti(unit);
        bench.bytes("a.nii", &image);
        bench.succeeds("convert a.nii --out b.nii");
        let copy = std::fs::read(bench.path("b.nii")).unwrap();
        for range in [76..96, 123..124, 136..140, 252..328] {
            assert_eq!(copy[range.clone()], image[range.clone()], "{range:?} of unit {unit}");
        }
        // From the second slice on, a step of 2 further.
        bench.succeeds("convert a.nii --slices 1..2 --out c.nii");
        let part = std::fs::read(bench.path("c.nii")).unwrap();
        assert_eq!([292, 308, 324].map(|place| float(&part, place)), [90.0, -126.0, -70.0]);
        assert_eq!([268, 272, 276].map(|place| float(&part, place)), [90.0, -126.0, -70.0]);
    }
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    bench.succeeds("predict --model m.safetensors a.nii --device cpu --out labels.nii");
    let labels = std::fs::read(bench.path("labels.nii")).unwrap();
    assert_eq!(labels[252..328], turned_nifti(2)[252..328]);
}

#[test]
fn every_second_slice_is_twice_as_far_from_the_next() {
    let bench = Bench::new();
    stack(&bench, "s.tif", NumberType::U8, &all_of(NumberType::U8, 1));
    bench.succeeds("convert s.tif --voxel-size 2x1x1um --out all.nii");
    bench.model("m.safetensors", &segmentation(&[0, 7]));
    bench.succeeds("convert all.nii --slices 1..5..2 --out some.nii");
    bench.succeeds("predict --model m.safetensors all.nii --slices 1..5..2 --device cpu --out labels.nii");
    for name in ["some.nii", "labels.nii"] {
        let file = std::fs::read(bench.path(name)).unwrap();
        let float = |place: usize| f32::from_le_bytes(file[place..place + 4].try_into().unwrap());
        // The size along z, and the row of z: from slice to slice, and where the first one lies.
        assert_eq!([88, 320, 324].map(float), [4.0, 4.0, 2.0], "{name}");
    }
}

#[test]
fn an_origin_is_kept() {
    let bench = Bench::new();
    stack(&bench, "s.tif", NumberType::I8, &all_of(NumberType::I8, 1));
    bench.succeeds("convert s.tif --voxel-size 2nm --out a.mrc");
    let mut file = std::fs::read(bench.path("a.mrc")).unwrap();
    for (place, number) in [(196, 10.0_f32), (200, 20.0), (204, 30.0)] {
        file[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }
    bench.bytes("a.mrc", &file);
    bench.succeeds("convert a.mrc --out b.mrc");
    assert_eq!(std::fs::read(bench.path("b.mrc")).unwrap(), file);
    bench.succeeds("convert b.mrc --slices 2.. --out c.mrc");
    assert_eq!(std::fs::read(bench.path("c.mrc")).unwrap()[204..208], 70.0_f32.to_le_bytes());
    bench.succeeds("convert b.mrc --out d.nii");
    bench.succeeds("convert d.nii --out e.mrc");
    assert_eq!(std::fs::read(bench.path("e.mrc")).unwrap()[196..208], file[196..208]);
}
