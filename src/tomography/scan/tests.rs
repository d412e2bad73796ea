//! Scans as facilities write them.

use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, FileBuilder, GroupBuilder};

use super::{Scan, ScanFiles};
use crate::error::Result;

const ANGLES: usize = 6;
const ROWS: usize = 2;
const COLUMNS: usize = 5;

fn degrees() -> Vec<f64> {
    (0..ANGLES).map(|number| 30.0 * number as f64).collect()
}

/// The number of a pixel: its projection, row and column.
fn value(projection: usize, row: usize, column: usize) -> f32 {
    (100 * projection + 10 * row + column) as f32
}

/// Numbers of projections with the axes in this order, by their places among projection, row and column.
fn numbers(order: [usize; 3]) -> (Vec<f32>, [u64; 3]) {
    let lengths = [ANGLES, ROWS, COLUMNS];
    let shape = order.map(|axis| lengths[axis]);
    let mut found = Vec::new();
    for first in 0..shape[0] {
        for second in 0..shape[1] {
            for third in 0..shape[2] {
                let mut at = [0; 3];
                order.iter().zip([first, second, third]).for_each(|(axis, place)| at[*axis] = place);
                found.push(value(at[0], at[1], at[2]));
            }
        }
    }
    (found, shape.map(|length| length as u64))
}

fn list(group: &mut GroupBuilder, name: &str, values: &[f64], unit: Option<&str>) {
    let dataset = group.create_dataset(name);
    dataset.with_f64_data(values).with_shape(&[values.len() as u64]);
    if let Some(unit) = unit {
        dataset.set_attr("units", AttrValue::String(unit.into()));
    }
}

/// A group inside of others, by the names of all.
fn nested(names: &str, fill: &dyn Fn(&mut GroupBuilder)) -> hdf5_pure::FinishedGroup {
    let (first, rest) = names.split_once('/').map_or((names, None), |(first, rest)| (first, Some(rest)));
    let mut group = FileBuilder::new().create_group(first);
    match rest {
        Some(rest) => {
            group.add_group(nested(rest, fill));
        }
        None => fill(&mut group),
    }
    group.finish()
}

fn written(folder: &Path, file: FileBuilder) -> PathBuf {
    let path = folder.join("scan.h5");
    std::fs::write(&path, file.finish().unwrap()).unwrap();
    path
}

fn open(path: &Path) -> Result<Scan> {
    Scan::open(path.to_str().unwrap(), &ScanFiles::default())
}

/// Whether the projections are those of [`numbers`].
fn has_all(scan: &Scan) -> bool {
    let found = scan.projections(0..ROWS).unwrap();
    found.dim() == (ANGLES, ROWS, COLUMNS)
        && found
            .indexed_iter()
            .all(|((projection, row, column), number)| *number == value(projection, row, column))
}

/// A DXchange file whose data have their axes in this `order`, with other groups.
fn dxchange(group: &str, order: [usize; 3], others: Vec<hdf5_pure::FinishedGroup>) -> FileBuilder {
    let mut file = FileBuilder::new();
    let mut exchange = file.create_group(group);
    let (values, shape) = numbers(order);
    exchange.create_dataset("data").with_f32_data(&values).with_shape(&shape);
    let frames = vec![1.0_f32; 3 * ROWS * COLUMNS];
    let shape = [3, ROWS as u64, COLUMNS as u64];
    exchange.create_dataset("data_white").with_f32_data(&frames).with_shape(&shape);
    list(&mut exchange, "theta", &degrees(), Some("degrees"));
    file.add_group(exchange.finish());
    others.into_iter().for_each(|other| {
        file.add_group(other);
    });
    file
}

#[test]
fn projections_may_lie_along_any_axis() {
    let folder = tempfile::tempdir().unwrap();
    for (order, is_told) in [([0, 1, 2], false), ([1, 0, 2], true), ([1, 2, 0], true)] {
        let scan = open(&written(folder.path(), dxchange("exchange", order, Vec::new()))).unwrap();
        assert!(has_all(&scan), "{order:?}");
        assert_eq!(scan.frames(), (3, 0));
        assert_eq!(scan.notes().iter().any(|note| note.contains("along the")), is_told, "{:?}", scan.notes());
    }
    let scan = open(&written(folder.path(), dxchange("exchange_1", [0, 1, 2], Vec::new()))).unwrap();
    assert!(has_all(&scan) && scan.layout() == "DXchange");
    let mut file = FileBuilder::new();
    let mut exchange = file.create_group("exchange");
    exchange.create_dataset("data").with_f32_data(&[0.0; 6]).with_shape(&[2, 3]);
    file.add_group(exchange.finish());
    let error = open(&written(folder.path(), file)).unwrap_err().to_string();
    assert!(error.contains("/exchange/data is 2 x 3; wanted three axes"), "{error}");
}

#[test]
fn the_size_of_pixels_is_that_in_the_object() {
    let folder = tempfile::tempdir().unwrap();
    const OBJECTIVE: &str = "detection_system/objective";
    type Entry = (&'static str, &'static str, f64, Option<&'static str>);
    let found = |entries: &[Entry]| {
        let mut measurement = FileBuilder::new().create_group("measurement");
        let mut instrument = FileBuilder::new().create_group("instrument");
        for group in ["detector", OBJECTIVE] {
            instrument.add_group(nested(group, &|group_builder| {
                for (_, name, size, unit) in entries.iter().filter(|entry| entry.0 == group) {
                    list(group_builder, name, &[*size], *unit);
                }
            }));
        }
        measurement.add_group(instrument.finish());
        let file = dxchange("exchange", [0, 1, 2], vec![measurement.finish()]);
        let scan = open(&written(folder.path(), file)).unwrap();
        (scan.centimetres().map(|size| (1e4 * size * 1e6).round() / 1e6), scan.notes().join(" "))
    };
    let objective = |size, unit| [(OBJECTIVE, "resolution", size, unit)];
    assert_eq!(found(&objective(0.65, Some("microns"))).0, Some(0.65));
    assert_eq!(found(&objective(0.65, None)).0, Some(0.65));
    assert_eq!(found(&objective(6.5e-4, Some("mm"))).0, Some(0.65));
    let detector = |size, unit| ("detector", "pixel_size", size, unit);
    let magnified = (OBJECTIVE, "magnification", 5.0, None);
    assert_eq!(found(&[detector(3.25, Some("micron")), magnified]).0, Some(0.65));
    // The ALS writes millimetres without saying so.
    let (size, notes) = found(&[detector(6.5e-4, None)]);
    assert!(size == Some(0.65) && notes.contains("taken for mm"), "{size:?} {notes}");
    let (size, notes) = found(&[detector(0.1, None)]);
    assert!(size.is_none() && notes.contains("cannot be told"), "{size:?} {notes}");
    assert_eq!(found(&[]).0, None);
}

/// An NXtomo file of a dark field, two flat fields and all projections.
fn nxtomo(
    angles: &[f64],
    has_keys: bool,
    fill: &dyn Fn(&mut GroupBuilder, &mut GroupBuilder),
) -> FileBuilder {
    let mut file = FileBuilder::new();
    let mut entry = file.create_group("entry0000");
    let mut detector = FileBuilder::new().create_group("detector");
    let mut sample = FileBuilder::new().create_group("sample");
    let before = if has_keys { 3 } else { 0 };
    let mut values = vec![0.0_f32; before * ROWS * COLUMNS];
    values.extend(numbers([0, 1, 2]).0);
    let shape = [(before + ANGLES) as u64, ROWS as u64, COLUMNS as u64];
    detector.create_dataset("data").with_f32_data(&values).with_shape(&shape);
    if has_keys {
        let keys: Vec<f64> = [2.0, 1.0, 1.0].into_iter().chain([0.0; ANGLES]).collect();
        list(&mut detector, "image_key", &keys, None);
    }
    list(&mut sample, "rotation_angle", angles, Some("degree"));
    fill(&mut detector, &mut sample);
    let mut instrument = FileBuilder::new().create_group("instrument");
    instrument.add_group(detector.finish());
    entry.add_group(instrument.finish());
    entry.add_group(sample.finish());
    file.add_group(entry.finish());
    file
}

#[test]
fn nexus_files_are_read_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let of = |angles: &[f64], has_keys: bool, fill: &dyn Fn(&mut GroupBuilder, &mut GroupBuilder)| {
        let scan = open(&written(folder.path(), nxtomo(angles, has_keys, fill))).unwrap();
        assert!(has_all(&scan) && scan.layout() == "NXtomo");
        assert!((scan.angles()[5].to_degrees() - 150.0).abs() < 1e-9);
        scan
    };
    let all: Vec<f64> = [0.0; 3].into_iter().chain(degrees()).collect();
    assert_eq!(of(&all, true, &|_, _| ()).frames(), (2, 1));
    // Angles of the projections alone, and no keys.
    assert_eq!(of(&degrees(), true, &|_, _| ()).frames(), (2, 1));
    assert_eq!(of(&degrees(), false, &|_, _| ()).frames(), (0, 0));
    let size = |fill: &dyn Fn(&mut GroupBuilder, &mut GroupBuilder)| {
        of(&all, true, fill).centimetres().map(|size| (1e4 * size * 1e6).round() / 1e6)
    };
    let on_detector = |detector: &mut GroupBuilder| list(detector, "x_pixel_size", &[3.25e-6], Some("m"));
    assert_eq!(size(&|detector, _| list(detector, "x_pixel_size", &[0.65e-6], None)), Some(0.65));
    assert_eq!(
        size(&|detector, sample| {
            on_detector(detector);
            list(sample, "x_pixel_size", &[0.65], Some("um"));
        }),
        Some(0.65)
    );
    for (name, value) in [("magnification", 5.0), ("x_magnified_pixel_size", 0.65e-6)] {
        let found = size(&|detector, _| {
            on_detector(detector);
            list(detector, name, &[value], None);
        });
        assert_eq!(found, Some(0.65), "{name}");
    }
    let error =
        open(&written(folder.path(), nxtomo(&degrees()[..4], true, &|_, _| ()))).unwrap_err().to_string();
    assert!(error.contains("6 projections but 4 angles"), "{error}");
}

#[test]
fn one_of_several_scans_is_named_by_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let named = |path: &Path, group: &str| {
        Scan::open(&format!("{}:{group}", path.display()), &ScanFiles::default()).unwrap()
    };
    let mut file = FileBuilder::new();
    for (entry, step) in [("entry0000", 10.0), ("entry0001", 20.0)] {
        let mut group = file.create_group(entry);
        let data = group.create_dataset("data");
        data.with_f32_data(&numbers([0, 1, 2]).0).with_shape(&[ANGLES as u64, ROWS as u64, COLUMNS as u64]);
        list(&mut group, "image_key", &[0.0; ANGLES], None);
        let angles: Vec<f64> = (0..ANGLES).map(|number| step * number as f64).collect();
        list(&mut group, "rotation_angle", &angles, None);
        file.add_group(group.finish());
    }
    let path = written(folder.path(), file);
    let last = |scan: &Scan| scan.angles()[5].to_degrees().round();
    let first = open(&path).unwrap();
    assert!(
        first.notes()[0].contains("2 scans") && first.notes()[0].contains(":/entry0001"),
        "{:?}",
        first.notes()
    );
    assert_eq!((last(&first), last(&named(&path, "/entry0001"))), (50.0, 100.0));
    assert!(named(&path, "/entry0000").notes().is_empty());
    let path = written(folder.path(), dxchange("exchange_7", [0, 1, 2], Vec::new()));
    assert!(has_all(&named(&path, "/exchange_7/")));
    // Dark fields that are a number.
    let mut file = dxchange("exchange", [0, 1, 2], Vec::new());
    let mut other = file.create_group("exchange_2");
    other.create_dataset("data").with_f32_data(&numbers([0, 1, 2]).0).with_shape(&[
        ANGLES as u64,
        ROWS as u64,
        COLUMNS as u64,
    ]);
    list(&mut other, "data_dark", &[100.0], None);
    file.add_group(other.finish());
    let scan = named(&written(folder.path(), file), "/exchange_2");
    assert!(scan.notes()[0].contains("data_dark holds no images"), "{:?}", scan.notes());
}

#[test]
fn an_image_that_is_missing_leaves_its_angle_out() {
    let folder = tempfile::tempdir().unwrap();
    let angles = |missing: Option<usize>, said: Option<&str>| {
        let mut file = FileBuilder::new();
        let mut group = file.create_group("scan");
        group.set_attr("arange", AttrValue::String("100.0".into()));
        if let Some(said) = said {
            group.set_attr("nangles", AttrValue::String(said.into()));
        }
        let mut image = |name: String| {
            let image = group.create_dataset(&name);
            image.with_f32_data(&[1.0; ROWS * COLUMNS]).with_shape(&[1, ROWS as u64, COLUMNS as u64]);
        };
        for number in (0..ANGLES).filter(|number| missing != Some(*number)) {
            image(format!("scan_0000_{number:04}.tif"));
        }
        image("scanbak_0000_0000.tif".into());
        file.add_group(group.finish());
        let scan = open(&written(folder.path(), file)).unwrap();
        scan.angles().iter().map(|angle| angle.to_degrees().round()).collect::<Vec<_>>()
    };
    assert_eq!(angles(None, Some("6")), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    assert_eq!(angles(Some(2), Some("6")), [0.0, 20.0, 60.0, 80.0, 100.0]);
    assert_eq!(angles(Some(5), Some("6")), [0.0, 20.0, 40.0, 60.0, 80.0]);
    assert_eq!(angles(Some(2), None), [0.0, 25.0, 50.0, 75.0, 100.0]);
}
