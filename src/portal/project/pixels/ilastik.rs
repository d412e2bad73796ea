//! The project files of ilastik: HDF5, with the labels of each image in blocks.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Named, Pixels, check_memory, other_size, too_many};
use crate::images::{DatasetPlace, Hdf5File};
use crate::portal::project::Image;
use crate::{Error, Result};

/// Where the labels of all images are: a group for each, with datasets in it.
const SETS: &str = "/PixelClassification/LabelSets/";
const NAMES: &str = "/PixelClassification/LabelNames";
const COLOURS: &str = "/PixelClassification/LabelColors";
/// Most numbers of a block, which has some hundred along each axis.
const MOST_NUMBERS: u64 = 1 << 28;

/// The labels of `image`; `None` where the file is no project with labels.
///
/// # Errors
/// As [`Pixels::read`].
pub(super) fn read(file: &Hdf5File, image: &Image) -> Result<Option<Pixels>> {
    let mut sets = BTreeMap::<String, Vec<DatasetPlace>>::new();
    for dataset in file.datasets()?.into_iter().filter(|dataset| !dataset.is_linked) {
        let set = dataset.place.strip_prefix(SETS).and_then(|rest| rest.split_once('/'));
        if let Some((set, _)) = set {
            sets.entry(set.to_owned()).or_default().push(dataset);
        }
    }
    let Some(blocks) = of_image(file, image, sets)? else { return Ok(None) };
    let mut pixels = Vec::new();
    for block in &blocks {
        add_block(file, image, block, &mut pixels)?;
    }
    let names = file.texts(NAMES).unwrap_or_default();
    let colours = file.numbers(COLOURS)?.unwrap_or_default();
    let highest = pixels.iter().map(|(_, value)| *value).max().unwrap_or(0);
    let named = |value: u8| {
        let place = usize::from(value) - 1;
        let colour = colours.get(3 * place..3 * place + 3).map(|parts| {
            let part = |part: &f64| format!("{:02x}", part.clamp(0.0, 255.0) as u8);
            format!("#{}", parts.iter().map(part).collect::<String>())
        });
        let name = names.get(place).cloned().unwrap_or_else(|| format!("label {value}"));
        (i64::from(value), Named { name, colour })
    };
    Ok(Some(Pixels::of((1..=highest).map(named).collect(), pixels)))
}

/// The blocks of the only image that has some, or of that which is called as `image`.
fn of_image(
    file: &Hdf5File,
    image: &Image,
    mut sets: BTreeMap<String, Vec<DatasetPlace>>,
) -> Result<Option<Vec<DatasetPlace>>> {
    if sets.len() < 2 {
        return Ok(sets.pop_first().map(|(_, blocks)| blocks));
    }
    let mut others = Vec::new();
    for (set, blocks) in sets {
        let number = set.trim_start_matches("labels").parse::<usize>().unwrap_or(usize::MAX);
        let place = format!("/Input Data/infos/lane{number:04}/Raw Data/filePath");
        let path = file.texts(&place).and_then(|texts| texts.into_iter().next()).unwrap_or(set);
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        if stem == image.name || image.name.split(':').next() == Some(stem) {
            return Ok(Some(blocks));
        }
        others.push(name.to_owned());
    }
    others.truncate(5);
    Err(Error::Mismatch(format!(
        "the project of ilastik has labels of several images, such as {}, but of none that is called {}; choose the image that they belong to",
        others.join(", "),
        image.name
    )))
}

/// Adds the labelled pixels of a block.
fn add_block(
    file: &Hdf5File,
    image: &Image,
    block: &DatasetPlace,
    pixels: &mut Vec<([u32; 3], u8)>,
) -> Result<()> {
    let place = &block.place;
    let failed =
        |problem: &str| Error::Mismatch(format!("{place} {problem}; save the project in ilastik again"));
    let ranges = file.text(place, "blockSlice").as_deref().and_then(ranges);
    let ranges = ranges.filter(|ranges| {
        ranges.len() == block.shape.len()
            && ranges.iter().zip(&block.shape).all(|(range, length)| range.len() == *length)
    });
    let ranges = ranges.ok_or_else(|| failed("does not say where its labels lie"))?;
    let axes = axes(file, block).ok_or_else(|| failed("has axes that are not known"))?;
    let count = block.shape.iter().try_fold(1_u64, |count, length| count.checked_mul(*length as u64));
    let count =
        count.filter(|count| *count <= MOST_NUMBERS).ok_or_else(|| failed("is too large for a block"))?;
    check_memory(count.saturating_add(pixels.len() as u64))?;
    let along = |wanted: char| axes.iter().position(|axis| *axis == wanted);
    let range = |wanted: char| along(wanted).map_or(0..1, |axis| ranges[axis].clone());
    let (t, z, y, x) = (range('T'), range('Z'), range('Y'), range('X'));
    // What are slices here may be points in time there.
    let is_in_time = image.slices > 1 && z.end <= 1 && t.end > 1;
    if !is_in_time && t.end > 1 {
        return Err(other_size(image, &format!("at least {} points in time", t.end)));
    }
    let slices = if is_in_time { t } else { z };
    if slices.end > image.slices || y.end > image.height || x.end > image.width {
        let found = format!("at least {} x {} pixels in {} slices", x.end, y.end, slices.end);
        return Err(other_size(image, &found));
    }
    // A few bytes may stand for very many numbers along axes that images do not have.
    let sides = [image.slices, image.height, image.width];
    if count > sides.iter().fold(1, |pixels: u64, side| pixels.saturating_mul(*side as u64)) {
        return Err(failed("has more numbers than the image has pixels"));
    }
    let numbers = file.numbers_up_to(place, MOST_NUMBERS)?.ok_or_else(|| failed("holds no numbers"))?;
    for (index, value) in numbers.into_iter().enumerate().filter(|(_, value)| *value != 0.0) {
        if !(1.0..=254.0).contains(&value) {
            return Err(too_many());
        }
        let (mut left, mut at) = (index, [0_usize; 5]);
        for axis in (0..ranges.len()).rev() {
            at[axis] = ranges[axis].start + left % ranges[axis].len();
            left /= ranges[axis].len();
        }
        let of = |wanted: char| along(wanted).map_or(0, |axis| at[axis] as u32);
        let slice = if is_in_time { of('T') } else { of('Z') };
        if of('C') == 0 {
            pixels.push(([slice, of('Y'), of('X')], value as u8));
        }
    }
    Ok(())
}

/// Ranges as ilastik writes them: `[0:1,10:20]`.
fn ranges(text: &str) -> Option<Vec<Range<usize>>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let range = |part: &str| {
        let (start, end) = part.trim().split_once(':')?;
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        (start < end).then_some(start..end)
    };
    inside.split(',').map(range).collect()
}

/// The axes of a block, outermost first: as it says, or as ilastik has them where it says nothing.
fn axes(file: &Hdf5File, block: &DatasetPlace) -> Option<Vec<char>> {
    let count = block.shape.len();
    let usual = match count {
        2 => "YX",
        3 => "YXC",
        4 => "ZYXC",
        5 => "TZYXC",
        _ => return None,
    };
    let is_open = || file.text(&block.place, "axistags").is_none();
    file.axes(&block.place, count).or_else(|| is_open().then(|| usual.chars().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_block_lies_is_read_or_refused() {
        assert_eq!(ranges("[0:1,10:20, 3:4]"), Some(vec![0..1, 10..20, 3..4]));
        for text in
            ["", "[]", "0:1", "[1:1]", "[2:1]", "[a:b]", "[0:1,]", "[-1:2]", "[0:99999999999999999999999]"]
        {
            assert_eq!(ranges(text), None, "{text}");
        }
    }
}
