//! Tiles against means that are taken directly.

use ndarray::{Array2, Array3, Array4};

use super::*;
use crate::geometry::Extent;
use crate::images::{Sink, TiffSink, write_png_grey8, write_png_rgb8};
use crate::portal::journal::Shape;
use crate::portal::tiles::{measure, pages_of};

fn opened(path: &std::path::Path) -> ImageFile {
    let place = path.to_str().unwrap().to_owned();
    let pages = pages_of(&place, false).unwrap();
    let (channels, height, width) = crate::images::page_size(&pages[0]).unwrap();
    let shape = Shape { slices: pages.len(), height, width };
    let range = measure(&pages, shape, channels).unwrap();
    ImageFile {
        id: "i1".into(),
        place,
        is_of_files: false,
        shape,
        channels,
        lowest: range.lowest,
        highest: range.highest,
    }
}

fn values(tile: &Tile) -> Vec<u16> {
    tile.bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The mean of a block of 2 x 2 blocks, as it is defined.
fn mean(image: &Array2<f64>, level: u32, y: usize, x: usize) -> f64 {
    if level == 0 {
        return image[(y, x)];
    }
    let (height, width) = image.dim();
    let (rows, columns) = (height.div_ceil(1 << (level - 1)), width.div_ceil(1 << (level - 1)));
    let mut all = Vec::new();
    for v in (2 * y..2 * y + 2).filter(|v| *v < rows) {
        for u in (2 * x..2 * x + 2).filter(|u| *u < columns) {
            all.push(mean(image, level - 1, v, u));
        }
    }
    all.iter().sum::<f64>() / all.len() as f64
}

fn check(tiles: &Tiles, file: &ImageFile, image: &Array3<f64>) {
    let (height, width) = (file.shape.height, file.shape.width);
    let span = file.highest - file.lowest;
    for level in (0..=last_level(height, width)).rev() {
        let mut pixels = 0;
        for ty in 0.. {
            let Some(_) = tiles.tile(file, 0, level, ty, 0).unwrap() else { break };
            for tx in 0.. {
                let Some(tile) = tiles.tile(file, 0, level, ty, tx).unwrap() else { break };
                assert_eq!(tile.channels, image.dim().0);
                pixels += tile.width * tile.height;
                for (place, value) in values(&tile).into_iter().enumerate().step_by(17) {
                    let (channel, rest) =
                        (place / (tile.width * tile.height), place % (tile.width * tile.height));
                    let (y, x) = (ty * TILE + rest / tile.width, tx * TILE + rest % tile.width);
                    let plane = image.index_axis(ndarray::Axis(0), channel).to_owned();
                    let wanted = (mean(&plane, level, y, x) - file.lowest) / span * 65535.0;
                    assert!(
                        (f64::from(value) - wanted).abs() < 0.51,
                        "level {level} at {y} {x}: {value} {wanted}"
                    );
                }
            }
        }
        assert_eq!(pixels, side_at(height, level) * side_at(width, level));
    }
}

#[test]
fn tiles_of_each_level_are_means_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let image = Array2::from_shape_fn((701, 530), |(y, x)| ((y * 31 + x * 17 + y * x) % 251) as u8);
    write_png_grey8(&path, &image).unwrap();
    let file = opened(&path);
    check(&Tiles::default(), &file, &image.mapv(f64::from).insert_axis(ndarray::Axis(0)));
    let path = folder.path().join("b.png");
    let image = Array3::from_shape_fn((300, 270, 3), |(y, x, c)| ((y * 31 + x * 17 * (c + 1)) % 251) as u8);
    write_png_rgb8(&path, &image).unwrap();
    let planes = image.permuted_axes([2, 0, 1]).mapv(f64::from);
    check(&Tiles::default(), &opened(&path), &planes);
}

#[test]
fn tiles_that_are_made_from_the_image_are_those_of_the_smaller_levels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let image = Array3::from_shape_fn((1, 1030, 2060), |(_, y, x)| ((y * 31 + x * 17) % 1021) as f32);
    crate::images::write_tiff_f32(&path, &image).unwrap();
    let (file, tiles) = (opened(&path), Tiles::default());
    for level in 1..=2 {
        let tile = tiles.tile(&file, 0, level, 0, 1).unwrap().unwrap();
        let part = Window::plane(0..(TILE << level).min(1030), TILE << level..(2 * TILE) << level);
        let values = tiles.read(&file, 0, &part).unwrap();
        assert_eq!(*tile, as_tile(&smaller(&values, level), file.scale()));
    }
    assert_eq!(tiles.tile(&file, 1, 0, 0, 0).unwrap(), None);
    assert_eq!(tiles.tile(&file, 0, 0, 99, 0).unwrap(), None);
    assert_eq!(tiles.tile(&file, 0, 99, 0, 0).unwrap(), None);
}

#[test]
fn cuts_go_through_all_slices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let volume = Array4::from_shape_fn((1, 5, 30, 40), |(_, z, y, x)| (z * 1200 + y * 40 + x) as f32);
    let extent = Extent::new(5, 30, 40);
    let mut sink = TiffSink::values(&path, extent, 1).unwrap();
    sink.write(Window::whole(extent), volume.view()).unwrap();
    Box::new(sink).done().unwrap();
    let (file, tiles) = (opened(&path), Tiles::default());
    let scale = file.scale();
    let row = tiles.cut(&file, Axis::Row, 7, 0).unwrap().unwrap();
    assert_eq!((row.width, row.height), (40, 5));
    let wanted: Vec<u16> = volume.slice(s![0, .., 7, ..]).iter().map(|value| scale.of(*value)).collect();
    assert_eq!(values(&row), wanted);
    let column = tiles.cut(&file, Axis::Column, 39, 0).unwrap().unwrap();
    assert_eq!((column.width, column.height), (30, 5));
    let wanted: Vec<u16> = volume.slice(s![0, .., .., 39]).iter().map(|value| scale.of(*value)).collect();
    assert_eq!(values(&column), wanted);
    assert_eq!(tiles.cut(&file, Axis::Row, 30, 0).unwrap(), None);
    assert_eq!(tiles.cut(&file, Axis::Row, 0, 1).unwrap(), None);
}

#[test]
fn a_file_that_was_replaced_by_another_size_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    write_png_grey8(&path, &Array2::zeros((20, 30))).unwrap();
    let file = opened(&path);
    write_png_grey8(&path, &Array2::zeros((20, 31))).unwrap();
    let error = Tiles::default().tile(&file, 0, 0, 0, 0).unwrap_err().to_string();
    assert!(error.contains("another size"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(Tiles::default().tile(&file, 0, 0, 0, 0).is_err());
}
