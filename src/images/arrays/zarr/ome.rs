//! OME-Zarr: which arrays of a group are the levels of one image, what their axes and channels are, and how large a pixel is.
//!
//! Read are versions 0.1 to 0.5, <https://ngff.openmicroscopy.org/>, and what 0.6 says in the same words: there the axes stand in
//! coordinate systems, and a change of coordinates may be a sequence of others.

use serde_json::Value;

use super::metadata::Attributes;
use crate::images::annotations::{Annotations, TimeStep, channel_names};
use crate::images::units::{PIXEL, factor, sign, time_sign};
use crate::images::volume::VoxelSize;

/// An image in several sizes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Multiscale {
    /// The letters of the axes, where they are known.
    pub(super) axes: Option<Vec<char>>,
    /// The arrays, the finest first.
    pub(super) levels: Vec<Level>,
}

/// One size of an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    /// Where the array is inside the group.
    pub(super) path: String,
    pub(super) voxel_size: Option<VoxelSize>,
    /// Where the first pixel lies along x, y and z, in the unit of its size.
    pub(super) origin: Option<[f64; 3]>,
    pub(super) annotations: Annotations,
}

/// What coordinates are multiplied with, and what is then added to them, by axis; empty for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
struct Change {
    scale: Vec<f64>,
    translation: Vec<f64>,
}

impl Change {
    /// This one, and then `next`; `None` for different numbers of axes.
    fn then(self, next: &Self) -> Option<Self> {
        let scale = by_axis(&self.scale, &next.scale, |a, b| a * b)?;
        let moved = match (self.translation.as_slice(), next.scale.as_slice()) {
            ([], _) => Vec::new(),
            (moved, scale) => by_axis(moved, scale, |a, b| a * b)?,
        };
        Some(Self { scale, translation: by_axis(&moved, &next.translation, |a, b| a + b)? })
    }
}

/// An axis, as a file tells of it.
struct Axis<'a> {
    name: &'a str,
    kind: &'a str,
    unit: Option<&'a str>,
}

/// The image that a group is, by its attributes; `None` where it is none.
pub(super) fn multiscale(attributes: &Attributes) -> Option<Multiscale> {
    let lists =
        attributes.ome.as_ref().and_then(|ome| ome.get("multiscales")).or(attributes.multiscales.as_ref());
    let image = lists?.as_array()?.first()?;
    let datasets = image.get("datasets")?.as_array()?;
    let axes = axes_of(image);
    let letters = match &axes {
        Some(axes) => letters(axes),
        // Up to 0.2 all images had these.
        None => Some("TCZYX".chars().collect()),
    };
    // In 0.6 what stands beside the levels leads from the image to other coordinates.
    let has_systems = image.get("coordinateSystems").is_some();
    let common = if has_systems { None } else { image.get("coordinateTransformations") };
    let channels =
        channels_of(attributes.ome.as_ref().and_then(|ome| ome.get("omero")).or(attributes.omero.as_ref()));
    let level = |dataset: &Value| {
        let own = change_of(dataset.get("coordinateTransformations"));
        let change = own.zip(change_of(common)).and_then(|(own, common)| own.then(&common));
        let path = dataset.get("path")?.as_str()?.to_owned();
        let known = axes.as_ref().zip(letters.as_ref()).zip(change);
        let mut annotations = Annotations { channels: channels.clone(), ..Annotations::default() };
        let (mut voxel_size, mut origin) = (None, None);
        if let Some(((axes, letters), change)) = known {
            annotations.time_step = time_step(axes, letters, &change);
            if let Some(grid) = grid(axes, letters, &change) {
                annotations.depth_is_unknown = !grid.has_depth;
                (voxel_size, origin) = (Some(grid.size), grid.origin);
            }
        }
        Some(Level { path, voxel_size, origin, annotations })
    };
    let levels: Vec<Level> = datasets.iter().filter_map(level).collect();
    (!levels.is_empty()).then_some(Multiscale { axes: letters, levels })
}

/// The axes of an image; `None` where it says nothing of them.
fn axes_of(image: &Value) -> Option<Vec<Axis<'_>>> {
    let systems = image.get("coordinateSystems").and_then(Value::as_array);
    let of_system = || {
        // The one that levels are brought into, else the first.
        let output = image.pointer("/datasets/0/coordinateTransformations/0/output");
        let name = output.map(|output| output.get("name").unwrap_or(output));
        let systems = systems?;
        systems
            .iter()
            .find(|system| name.is_some() && system.get("name") == name)
            .or(systems.first())?
            .get("axes")
    };
    let axes = image.get("axes").or_else(of_system)?.as_array()?;
    Some(
        axes.iter()
            .map(|axis| Axis {
                // In 0.3 an axis was a name.
                name: axis.as_str().or_else(|| axis.get("name")?.as_str()).unwrap_or_default(),
                kind: axis.get("type").and_then(Value::as_str).unwrap_or_default(),
                unit: axis.get("unit").and_then(Value::as_str),
            })
            .collect(),
    )
}

/// The letters of axes: by their names, else by what they are. `None` where that is not enough.
fn letters(axes: &[Axis<'_>]) -> Option<Vec<char>> {
    let mut letters: Vec<Option<char>> = axes
        .iter()
        .map(|axis| {
            letter(axis.name).or(match axis.kind {
                "channel" => Some('C'),
                "time" => Some('T'),
                _ => None,
            })
        })
        .collect();
    // Of axes in space with other names, the last is that of columns.
    for next in ['X', 'Y', 'Z'] {
        if !letters.contains(&Some(next))
            && let Some(place) =
                (0..axes.len()).rfind(|&place| letters[place].is_none() && axes[place].kind == "space")
        {
            letters[place] = Some(next);
        }
    }
    distinct(letters.into_iter().collect::<Option<_>>()?)
}

/// The letter of an axis that is called so.
fn letter(name: &str) -> Option<char> {
    match name.to_ascii_lowercase().as_str() {
        "x" => Some('X'),
        "y" => Some('Y'),
        "z" => Some('Z'),
        "t" | "time" => Some('T'),
        "c" | "channel" | "channels" => Some('C'),
        _ => None,
    }
}

fn distinct(letters: Vec<char>) -> Option<Vec<char>> {
    let is_new = |place: usize| !letters[..place].contains(&letters[place]);
    (0..letters.len()).all(is_new).then_some(letters)
}

/// The letters of axes that a list of JSON names, as arrays of version 3 and those of xarray do; `None` where they are other
/// words than those of images.
pub(super) fn letters_of_names(names: &Value) -> Option<Vec<char>> {
    let letters: Option<Vec<char>> = names.as_array()?.iter().map(|name| letter(name.as_str()?)).collect();
    distinct(letters?).filter(|letters| letters.contains(&'Y') && letters.contains(&'X'))
}

/// What a list of changes of coordinates comes to. `None` for those that turn or bend.
fn change_of(list: Option<&Value>) -> Option<Change> {
    let Some(list) = list else { return Some(Change::default()) };
    let numbers = |value: Option<&Value>| -> Option<Vec<f64>> {
        value?.as_array()?.iter().map(Value::as_f64).collect()
    };
    let mut all = Change::default();
    for change in list.as_array()? {
        let next = match change.get("type")?.as_str()? {
            "identity" => Change::default(),
            "translation" => Change { translation: numbers(change.get("translation"))?, ..Change::default() },
            "scale" => Change { scale: numbers(change.get("scale"))?, ..Change::default() },
            "sequence" => change_of(change.get("transformations"))?,
            _ => return None,
        };
        all = all.then(&next)?;
    }
    Some(all)
}

/// Two lists of numbers as one, either of which may be nothing; `None` for different numbers of axes.
fn by_axis(a: &[f64], b: &[f64], act: impl Fn(f64, f64) -> f64) -> Option<Vec<f64>> {
    match (a, b) {
        ([], only) | (only, []) => Some(only.to_vec()),
        _ if a.len() == b.len() => Some(a.iter().zip(b).map(|(a, b)| act(*a, *b)).collect()),
        _ => None,
    }
}

/// The names of channels, as `omero` gives them to viewers.
fn channels_of(omero: Option<&Value>) -> Vec<String> {
    let channels = omero.and_then(|omero| omero.get("channels")?.as_array()).map(Vec::as_slice);
    let label =
        |channel: &'_ Value| channel.get("label").and_then(Value::as_str).unwrap_or_default().to_owned();
    let labels: Vec<String> = channels.unwrap_or_default().iter().map(label).collect();
    channel_names(labels.iter().map(String::as_str))
}

/// From one point in time to the next; `None` where the file says nothing, or a number without a unit.
fn time_step(axes: &[Axis<'_>], letters: &[char], change: &Change) -> Option<TimeStep> {
    let place = letters.iter().position(|letter| *letter == 'T')?;
    let length = change.scale.get(place).copied().filter(|length| length.is_finite() && *length > 0.0)?;
    let unit = axes[place].unit.map(time_sign).filter(|unit| !unit.is_empty())?;
    Some(TimeStep { length, unit: unit.to_owned() })
}

/// How pixels lie.
struct Grid {
    size: VoxelSize,
    /// Where the first one lies along x, y and z, if that is not 0.
    origin: Option<[f64; 3]>,
    /// Whether it is known how far apart slices lie.
    has_depth: bool,
}

/// The size of a pixel, in [`PIXEL`] where the file has sizes without a unit, as ome-zarr writes them, and where the first pixel lies along
/// x, y and z; `None` where the file says nothing.
fn grid(axes: &[Axis<'_>], letters: &[char], change: &Change) -> Option<Grid> {
    let of = |letter: char| {
        let place = letters.iter().position(|other| *other == letter)?;
        let size = change.scale.get(place).copied().filter(|size| size.is_finite() && *size > 0.0)?;
        let start = change.translation.get(place).copied().filter(|start| start.is_finite()).unwrap_or(0.0);
        Some((size, start, axes[place].unit.map(sign).filter(|unit| !unit.is_empty() && *unit != PIXEL)))
    };
    let ((x, from_x, unit), (y, from_y, unit_of_y)) = (of('X')?, of('Y')?);
    let unit = unit.unwrap_or(PIXEL);
    let units_of_y = factor(unit_of_y.unwrap_or(unit), unit)?;
    let y = y * units_of_y;
    // Of slices, 1 of no unit beside rows of a unit is what is written where nothing is known.
    let of_z = of('Z').filter(|of_z| unit == PIXEL || !matches!(of_z, (1.0, _, None)));
    let has_depth = of_z.is_some();
    // Nothing tells the distance of slices of a plane; cubes are the least surprising.
    let (z, from_z) = match of_z {
        Some((z, from_z, unit_of_z)) => {
            let units = factor(unit_of_z.unwrap_or(unit), unit)?;
            (z * units, from_z * units)
        }
        None => (y, 0.0),
    };
    let origin = Some([from_x, from_y * units_of_y, from_z]).filter(|origin| *origin != [0.0; 3]);
    // Everywhere 1, and of no unit, is what is written where nothing is known.
    let says_something = unit != PIXEL || origin.is_some() || [z, y, x].iter().any(|size| *size != 1.0);
    let size = VoxelSize { z, y, x, unit: unit.to_owned() };
    says_something.then_some(Grid { size, origin, has_depth })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::images::units::MICROMETRE;

    fn image(multiscale: Value) -> Multiscale {
        let attributes = Attributes { multiscales: Some(json!([multiscale])), ..Attributes::default() };
        super::multiscale(&attributes).unwrap()
    }

    fn size(z: f64, y: f64, x: f64) -> Option<VoxelSize> {
        Some(VoxelSize { z, y, x, unit: MICROMETRE.into() })
    }

    #[test]
    fn scales_of_all_places_are_multiplied_in_one_unit() {
        let axis = |name: &str, unit: &str| json!({"name": name, "type": "space", "unit": unit});
        let found = image(json!({
            "axes": [{"name": "c", "type": "channel"}, axis("z", "nanometer"), axis("y", "micrometer"), axis("x", "micrometer")],
            "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 1]}],
            "datasets": [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 500.0, 0.5, 0.25]},
                    {"type": "translation", "translation": [0, 1, 1, 1]}]},
                {"path": "1", "coordinateTransformations": [{"type": "affine", "affine": []}]},
            ],
        }));
        assert_eq!(found.axes, Some(vec!['C', 'Z', 'Y', 'X']));
        // What is added by the level is multiplied by what holds for all of them; nanometres of z become micrometres.
        let origin = Some([1.0, 2.0, 1e-3]);
        let annotations = Annotations::default();
        assert_eq!(
            found.levels[0],
            Level { path: "0".into(), voxel_size: size(0.5, 1.0, 0.25), origin, annotations }
        );
        assert_eq!(found.levels[1].voxel_size, None);
    }

    #[test]
    fn scales_without_a_unit_are_in_pixels() {
        let of = |scale: [f64; 3], unit: &str| {
            let axis = |name: &str| match unit {
                "" => json!({"name": name, "type": "space"}),
                unit => json!({"name": name, "type": "space", "unit": unit}),
            };
            let changes = json!([{"type": "scale", "scale": scale}]);
            let dataset = json!({"path": "0", "coordinateTransformations": changes});
            let found = image(json!({"axes": [axis("z"), axis("y"), axis("x")], "datasets": [dataset]}));
            found.levels[0].voxel_size.clone()
        };
        let in_pixels = |z, y, x| Some(VoxelSize { z, y, x, unit: PIXEL.into() });
        assert_eq!(of([2.0, 0.7, 0.5], ""), in_pixels(2.0, 0.7, 0.5));
        assert_eq!(of([1.0, 2.0, 2.0], "pixel"), in_pixels(1.0, 2.0, 2.0));
        assert_eq!(of([1.0; 3], ""), None);
        assert_eq!(of([1.0; 3], "micrometer"), size(1.0, 1.0, 1.0));
    }

    #[test]
    fn channels_and_time_are_what_viewers_are_told() {
        let axis = |name: &str, kind: &str, unit: &str| json!({"name": name, "type": kind, "unit": unit});
        let multiscale = json!({
            "axes": [axis("t", "time", "millisecond"), {"name": "c"}, {"name": "z"}, axis("y", "space", "micrometer"),
                axis("x", "space", "micrometer")],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [40, 1, 1, 0.5, 0.5]}]}],
        });
        let omero = json!({"channels": [{"label": "DAPI"}, {"color": "00FF00"}]});
        let ome = Some(json!({"multiscales": [multiscale], "omero": omero}));
        let newer = super::multiscale(&Attributes { ome, ..Attributes::default() }).unwrap();
        let multiscales = Some(json!([multiscale]));
        let older = Attributes { multiscales, omero: Some(omero), ..Attributes::default() };
        let older = super::multiscale(&older).unwrap();
        assert_eq!(newer, older);
        let found = &newer.levels[0];
        assert_eq!(found.annotations.channels, ["DAPI", ""]);
        assert_eq!(found.annotations.time_step, Some(TimeStep { length: 40.0, unit: "ms".into() }));
        // A distance of slices that says nothing is taken to be that of rows.
        assert!(found.annotations.depth_is_unknown);
        assert_eq!(found.voxel_size, size(0.5, 0.5, 0.5));
        for other in [json!(3), json!({"channels": 3}), json!({"channels": [3, {"label": 3}]}), Value::Null] {
            let attributes = Attributes {
                multiscales: Some(json!([multiscale])),
                omero: Some(other),
                ..Attributes::default()
            };
            assert_eq!(super::multiscale(&attributes).unwrap().levels[0].annotations.channels, [""; 0]);
        }
    }

    #[test]
    fn sequences_and_coordinate_systems_of_the_next_version_are_understood() {
        let axis = |name: &str| json!({"name": name, "type": "space", "unit": "micrometer"});
        let system = |name: &str| json!({"name": name, "axes": [axis("y"), axis("x")]});
        let found = image(json!({
            "coordinateSystems": [{"name": "other", "axes": []}, system("physical")],
            "coordinateTransformations": [{"type": "scale", "scale": [9, 9], "input": "physical", "output": "other"}],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "sequence", "input": "0", "output": "physical",
                "transformations": [{"type": "scale", "scale": [0.5, 0.25]}, {"type": "identity"},
                    {"type": "translation", "translation": [1, 2]}]}]}],
        }));
        assert_eq!(found.axes, Some(vec!['Y', 'X']));
        assert_eq!(found.levels[0].voxel_size, size(0.5, 0.5, 0.25));
        assert_eq!(found.levels[0].origin, Some([2.0, 1.0, 0.0]));
    }

    #[test]
    fn axes_of_old_versions_and_with_other_names_are_found() {
        let axes = |axes: Value| image(json!({"axes": axes, "datasets": [{"path": "0"}]})).axes;
        assert_eq!(axes(json!(["t", "z", "y", "x"])), Some(vec!['T', 'Z', 'Y', 'X']));
        let space = |name: &str| json!({"name": name, "type": "space"});
        assert_eq!(axes(json!([space("depth"), space("row"), space("column")])), Some(vec!['Z', 'Y', 'X']));
        assert_eq!(axes(json!(["a", "y", "x"])), None);
        assert_eq!(axes(json!(["y", "y", "x"])), None);
        assert_eq!(image(json!({"datasets": [{"path": "0"}]})).axes.unwrap().len(), 5);
        assert_eq!(letters_of_names(&json!(["time", "y", "x"])), Some(vec!['T', 'Y', 'X']));
        assert_eq!(letters_of_names(&json!(["lat", null])), None);
        assert!(
            super::multiscale(&Attributes { ome: Some(json!({"multiscales": 3})), ..Attributes::default() })
                .is_none()
        );
    }
}
