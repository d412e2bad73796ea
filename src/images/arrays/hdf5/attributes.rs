//! What the attributes of an HDF5 dataset say of its axes and the size of its pixels.

use std::collections::HashMap;

use hdf5_pure::AttrValue;
use serde::Deserialize;

use crate::images::volume::VoxelSize;

/// The axes that ilastik and vigra name.
pub(in crate::images) const AXIS_TAGS: &str = "axistags";
/// The names of axes that HDF5 itself knows (dimension scales).
pub(in crate::images) const LABELS: &str = "DIMENSION_LABELS";
/// The size of a pixel in micrometres along z, y and x, as Fiji writes it.
pub(in crate::images) const ELEMENT_SIZE: &str = "element_size_um";
pub(in crate::images) const MICROMETRE: &str = "\u{b5}m";

/// A letter of `TCZYX` for each of `count` axes; `None` where nothing says what they are.
pub(super) fn axes(attributes: &HashMap<String, AttrValue>, count: usize) -> Option<Vec<char>> {
    let tags = || axis_tags(attributes.get(AXIS_TAGS)?.as_str()?);
    let labels =
        || attributes.get(LABELS)?.as_strings()?.iter().map(|label| letter(label)).collect::<Option<_>>();
    let fits = |axes: &Vec<char>| {
        let once = axes.iter().all(|axis| axes.iter().filter(|other| *other == axis).count() == 1);
        axes.len() == count && once && axes.contains(&'Y') && axes.contains(&'X')
    };
    tags().filter(fits).or_else(|| labels().filter(fits))
}

#[derive(Deserialize)]
struct AxisTags {
    axes: Vec<AxisTag>,
}

#[derive(Deserialize)]
struct AxisTag {
    key: String,
}

fn axis_tags(text: &str) -> Option<Vec<char>> {
    let tags: AxisTags = serde_json::from_str(text).ok()?;
    tags.axes.iter().map(|tag| letter(&tag.key)).collect()
}

/// The letter of an axis that is called `name`.
fn letter(name: &str) -> Option<char> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "t" | "time" => 'T',
        "c" | "channel" => 'C',
        "z" | "slice" | "theta" | "angle" => 'Z',
        "y" | "row" => 'Y',
        "x" | "column" => 'X',
        _ => return None,
    })
}

/// The size of a pixel; `None` where nothing says it.
pub(super) fn voxel_size(attributes: &HashMap<String, AttrValue>) -> Option<VoxelSize> {
    let sizes: Vec<f64> = match attributes.get(ELEMENT_SIZE)? {
        AttrValue::F64Array(sizes) => sizes.clone(),
        AttrValue::F32Array(sizes) => {
            // A float32 of 0.7 is 0.7, and not what follows behind its seventh digit.
            sizes.iter().map(|size| size.to_string().parse().unwrap_or(f64::NAN)).collect()
        }
        AttrValue::I64Array(sizes) => sizes.iter().map(|size| *size as f64).collect(),
        AttrValue::I32Array(sizes) => sizes.iter().map(|size| f64::from(*size)).collect(),
        _ => return None,
    };
    let [z, y, x] = sizes.try_into().ok()?;
    let is_size = |size: f64| size.is_finite() && size > 0.0;
    let all = is_size(z) && is_size(y) && is_size(x);
    all.then(|| VoxelSize { z, y, x, unit: MICROMETRE.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(&str, AttrValue)]) -> HashMap<String, AttrValue> {
        all.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn axes_are_those_of_ilastik_or_of_the_labels() {
        let tags = |keys: &str| {
            let tags: Vec<String> =
                keys.chars().map(|key| format!(r#"{{"key": "{key}", "typeFlags": 2}}"#)).collect();
            (AXIS_TAGS, AttrValue::String(format!(r#"{{"axes": [{}]}}"#, tags.join(", "))))
        };
        let labels = |labels: &[&str]| {
            (LABELS, AttrValue::StringArray(labels.iter().map(|l| (*l).to_owned()).collect()))
        };
        let of = |all: &[(&str, AttrValue)], count| axes(&attributes(all), count).map(String::from_iter);
        assert_eq!(of(&[tags("tzyxc")], 5).as_deref(), Some("TZYXC"));
        assert_eq!(of(&[labels(&["theta", "y", "X"])], 3).as_deref(), Some("ZYX"));
        assert_eq!(of(&[tags("zz"), labels(&["y", "x"])], 2).as_deref(), Some("YX"));
        for none in
            [&[tags("zyx")][..], &[tags("zy")], &[labels(&["", ""])], &[(AXIS_TAGS, AttrValue::I64(3))], &[]]
        {
            assert_eq!(of(none, 2), None);
        }
    }

    #[test]
    fn the_size_of_a_pixel_is_that_of_fiji() {
        let of = |value| voxel_size(&attributes(&[(ELEMENT_SIZE, value)]));
        let size = VoxelSize { z: 2.0, y: 0.7, x: 0.7, unit: MICROMETRE.into() };
        assert_eq!(of(AttrValue::F32Array(vec![2.0, 0.7, 0.7])), Some(size.clone()));
        assert_eq!(of(AttrValue::F64Array(vec![2.0, 0.7, 0.7])), Some(size));
        for none in [AttrValue::F64Array(vec![1.0; 2]), AttrValue::F64Array(vec![0.0; 3]), AttrValue::I64(1)]
        {
            assert_eq!(of(none), None);
        }
    }
}
