//! Levels of pyramids in TIFF files, which other programs wrote (`tests/corpus`, by its `make.py`).

use std::path::Path;

use msd_gpu::geometry::{Extent, Window};
use msd_gpu::images::{Discovery, Slices, Volume};

use super::convert::volume;
use crate::support::Bench;

fn corpus(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tiff").join(name).display().to_string()
}

/// A level of a file, with slices that are rows x columns.
fn level(name: &str, level: usize) -> msd_gpu::Result<Slices> {
    let mut discovery = Discovery::default();
    discovery.level = level;
    let path = corpus(name);
    Slices::new(path.clone(), discovery.discover(&path)?)
}

#[test]
fn a_level_of_a_pyramid_has_its_own_numbers_and_larger_pixels() {
    // Channels, slices, rows and columns, and whether colours lie side by side.
    for (name, [channels, slices], levels, is_interleaved) in [
        ("channels.ome.tif", [2, 1], 2, false),
        ("slices.ome.tif", [1, 3], 1, false),
        ("colours.ome.tif", [3, 1], 1, true),
        ("pages.tif", [1, 1], 2, false),
        ("plain_pages.tif", [1, 1], 2, false),
    ] {
        for number in 0..=levels {
            let by = 1 << number;
            let found = level(name, number).unwrap_or_else(|error| panic!("{name}: {error}"));
            let extent = Extent::new(slices, 35_usize.div_ceil(by), 48 / by);
            assert_eq!((found.extent(), found.channels()), (extent, channels), "{name} {number}");
            let numbers = found.read(Window::whole(extent)).unwrap();
            for ((c, z, y, x), value) in numbers.indexed_iter() {
                let pixel = y * by * 48 + x * by;
                let n = if is_interleaved { pixel * 3 + c } else { (c + z) * 35 * 48 + pixel };
                assert_eq!(*value, (n * 7 % 251) as f32, "{name} {number}: {c} {z} {y} {x}");
            }
            let size = found.voxel_size().map(|size| [size.z, size.y, size.x]);
            let by = by as f64;
            // The distance of slices stays.
            let wanted = match name {
                "slices.ome.tif" => Some([2.0, 0.25 * by, 0.5 * by]),
                "channels.ome.tif" => Some([0.25, 0.25 * by, 0.5 * by]),
                _ => None,
            };
            assert_eq!(size, wanted, "{name} {number}");
        }
        let error = level(name, levels + 1).err().unwrap().to_string();
        assert!(error.contains("levels, 0 to"), "{error}");
    }
}

/// Slide scanners write pictures of the label and of the whole slide as further pages.
#[test]
fn pages_beside_a_pyramid_are_left_out_of_its_levels() {
    let bench = Bench::new();
    let input = corpus("slide.ome.tif");
    let found = level("slide.ome.tif", 1).unwrap();
    assert_eq!(found.extent(), Extent::new(1, 18, 24));
    assert_eq!(found.voxel_size().map(|size| [size.y, size.x]), Some([0.5, 1.0]));
    let said = bench.run(&format!("convert {input} --level 1 --out b.tif"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("1 page is left out: only other pages have smaller versions"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("speaks of other ones"), "{}", said.stderr);
    // At the finest level it is an image of its own.
    assert_eq!(Discovery::default().discover(&input).unwrap().len(), 2);
}

#[test]
fn levels_are_said_once_and_without_contradiction() {
    let bench = Bench::new();
    let input = corpus("channels.ome.tif");
    let said = bench.run(&format!("convert {input} --out a.tif")).stderr;
    assert!(said.contains("has 3 levels, of which the finest is taken; --level 1 takes"), "{said}");
    let said = bench.run(&format!("convert {input} --level 1 --out b.ome.tif")).stderr;
    assert!(!said.contains("level") && !said.contains("WARN"), "{said}");
    // What is written says how large its pixels are, and keeps the names of channels.
    let copy = volume(&bench, "b.ome.tif");
    assert_eq!(copy.voxel_size().map(|size| [size.y, size.x]), Some([0.5, 1.0]));
    let text = bench.succeeds("inspect b.ome.tif");
    assert!(text.contains("DAPI, GFP"), "{text}");
    bench.refuses(&format!("convert {input} --level 3 --out c.tif"), &["--level", "has 3 levels, 0 to 2"]);
    // A file without levels is taken as it is, which is said.
    let said = bench.run("convert a.tif --level 1 --out d.tif");
    assert!(said.code == 0 && said.stderr.contains("has no levels"), "{}", said.stderr);
}
