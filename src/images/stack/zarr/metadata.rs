//! What the files of JSON in a Zarr folder say that is written here.

use serde_json::{Value, json};

use super::axes::Axes;
use super::planes::chunk_side;
use super::shared::{MADE_BY, WORK};
use crate::images::annotations::{Annotations, TimeStep};
use crate::images::source::{SampleKind, SampleType};
use crate::images::stack::ClassLook;
use crate::images::units::{PIXEL, spelled_out, time_spelled_out};
use crate::images::volume::VoxelSize;

/// How the pixels of an image lie in space and time.
pub(super) struct Grid<'a> {
    pub(super) size: Option<&'a VoxelSize>,
    /// Where the first one lies along x, y and z, in the unit of its size.
    pub(super) origin: Option<[f64; 3]>,
    pub(super) annotations: &'a Annotations,
}

/// Which version of OME-Zarr is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::images) enum OmeVersion {
    /// 0.4, which stands in Zarr of version 2: a file for each chunk. For viewers that do not know the next one.
    V04,
    /// 0.5, which stands in Zarr of version 3: a file for each image.
    #[default]
    V05,
}

impl OmeVersion {
    fn name(self) -> &'static str {
        match self {
            OmeVersion::V04 => "0.4",
            OmeVersion::V05 => "0.5",
        }
    }

    /// The files of a group with these attributes, by name, and with what it is a result of.
    pub(super) fn group(self, mut attributes: Value, work: Option<&str>) -> Vec<(&'static str, Value)> {
        let made_by = work.map(|work| json!({WORK: work}));
        match self {
            OmeVersion::V04 => {
                if let Some(made_by) = made_by {
                    attributes[MADE_BY] = made_by;
                }
                vec![(".zgroup", json!({"zarr_format": 2})), (".zattrs", attributes)]
            }
            OmeVersion::V05 => {
                let mut ome = json!({"version": self.name()});
                if let (Value::Object(ome), Value::Object(attributes)) = (&mut ome, attributes) {
                    ome.extend(attributes);
                }
                let mut group = json!({"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}});
                if let Some(made_by) = made_by {
                    group["attributes"][MADE_BY] = made_by;
                }
                vec![("zarr.json", group)]
            }
        }
    }

    /// The file of an array of images of `rows` x `columns` pixels, and its name.
    pub(super) fn array(
        self,
        axes: &Axes,
        numbers: SampleType,
        rows: usize,
        columns: usize,
    ) -> (&'static str, Value) {
        let chunk = [chunk_side(rows), chunk_side(columns)];
        let shape = axes.shape(rows, columns);
        let chunks = axes.part(chunk[0], chunk[1]);
        match self {
            OmeVersion::V04 => {
                let kind = match numbers.kind {
                    SampleKind::Unsigned => 'u',
                    SampleKind::Signed => 'i',
                    SampleKind::Float => 'f',
                };
                let order = if numbers.bits == 8 { '|' } else { '<' };
                // Of all packings this one is read by the oldest programs.
                let array = json!({
                    "zarr_format": 2, "shape": shape, "chunks": chunks,
                    "dtype": format!("{order}{kind}{}", numbers.bits / 8), "fill_value": 0, "order": "C", "filters": null,
                    "compressor": {"id": "zlib", "level": 1}, "dimension_separator": "/",
                });
                (".zarray", array)
            }
            OmeVersion::V05 => {
                let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
                let gzip = json!({"name": "gzip", "configuration": {"level": 1}});
                let shards = json!({
                    "chunk_shape": chunks, "codecs": [little, gzip],
                    "index_codecs": [little, {"name": "crc32c"}], "index_location": "end",
                });
                let whole = [rows.next_multiple_of(chunk[0]), columns.next_multiple_of(chunk[1])];
                let names: Vec<String> =
                    axes.letters().iter().map(|axis| axis.to_lowercase().to_string()).collect();
                let array = json!({
                    "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": numbers.to_string(),
                    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": axes.part(whole[0], whole[1])}},
                    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "fill_value": 0,
                    "codecs": [{"name": "sharding_indexed", "configuration": shards}], "attributes": {},
                    "dimension_names": names,
                });
                ("zarr.json", array)
            }
        }
    }

    /// What a group says of the `levels` of an image, which are arrays in the folder `place` inside it and whose pixels lie on this `grid`.
    pub(super) fn multiscales(
        self,
        name: &str,
        axes: &Axes,
        grid: &Grid<'_>,
        levels: usize,
        labels: bool,
        place: &str,
    ) -> Value {
        let letters = axes.letters();
        let Grid { size, origin, annotations } = *grid;
        let time_step = annotations.time_step.as_ref();
        let axis = |letter: &char| {
            let name = letter.to_lowercase().to_string();
            match (letter, size) {
                ('T', _) => match time_step {
                    Some(TimeStep { unit, .. }) => {
                        let unit = time_spelled_out(unit).unwrap_or(unit);
                        json!({"name": name, "type": "time", "unit": unit})
                    }
                    None => json!({"name": name, "type": "time"}),
                },
                ('C', _) => json!({"name": name, "type": "channel"}),
                ('Z', _) if annotations.depth_is_unknown => json!({"name": name, "type": "space"}),
                (_, Some(size)) if size.unit != PIXEL => {
                    let unit = spelled_out(&size.unit).unwrap_or(&size.unit);
                    json!({"name": name, "type": "space", "unit": unit})
                }
                _ => json!({"name": name, "type": "space"}),
            }
        };
        let scale = |level: usize| -> Vec<f64> {
            let of = |letter: &char| {
                let halved = (1_u64 << level) as f64;
                match letter {
                    'T' => time_step.map_or(1.0, |step| step.length),
                    // Without a unit a 1 would be read as a distance in pixels; of cubes this is what it is taken to be.
                    'Z' if annotations.depth_is_unknown => {
                        size.filter(|size| size.unit == PIXEL).map_or(1.0, |size| size.y)
                    }
                    'Z' => size.map_or(1.0, |size| size.z),
                    'Y' => size.map_or(1.0, |size| size.y) * halved,
                    'X' => size.map_or(1.0, |size| size.x) * halved,
                    _ => 1.0,
                }
            };
            letters.iter().map(of).collect()
        };
        let translation = |level: usize, origin: [f64; 3]| -> Vec<f64> {
            // The middle of the first pixel of a level of means is that of the pixels that it is the mean of.
            let pixels = if labels { 0.0 } else { ((1_u64 << level) - 1) as f64 / 2.0 };
            let of = |letter: &char| match letter {
                'Z' => origin[2],
                'Y' => origin[1] + pixels * size.map_or(1.0, |size| size.y),
                'X' => origin[0] + pixels * size.map_or(1.0, |size| size.x),
                _ => 0.0,
            };
            letters.iter().map(of).collect()
        };
        let dataset = |level: usize| {
            let mut changes = vec![json!({"type": "scale", "scale": scale(level)})];
            changes.extend(
                origin
                    .map(|origin| json!({"type": "translation", "translation": translation(level, origin)})),
            );
            json!({"path": format!("{place}{level}"), "coordinateTransformations": changes})
        };
        let mut image = json!({
            "name": name,
            "axes": letters.iter().map(axis).collect::<Vec<_>>(),
            "datasets": (0..levels).map(dataset).collect::<Vec<_>>(),
            "type": if labels { "nearest" } else { "mean" },
        });
        if self == OmeVersion::V04 {
            image["version"] = json!(self.name());
        }
        json!([image])
    }

    /// What a group says to viewers of its channels, which are called so and hold numbers in these ranges; as programs that check it want it,
    /// with a colour and a range for each.
    pub(super) fn omero(self, names: &[String], ranges: &[[f64; 2]]) -> Value {
        const COLOURS: [&str; 6] = ["00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF"];
        let channel = |(number, (name, [low, high])): (usize, (&String, &[f64; 2]))| {
            let colour = if names.len() == 1 { "FFFFFF" } else { COLOURS[number % COLOURS.len()] };
            json!({
                "label": name, "color": colour, "active": true,
                "window": {"min": low, "max": high, "start": low, "end": high},
            })
        };
        let channels: Vec<Value> = names.iter().zip(ranges).enumerate().map(channel).collect();
        json!({"version": self.name(), "channels": channels})
    }

    /// What a group of labels says of its classes.
    pub(super) fn image_label(self, classes: &[ClassLook]) -> Value {
        let colour = |class: &ClassLook| {
            let [red, green, blue] = class.colour;
            // What is no class lets the image be seen.
            let alpha = if class.value == 0 { 0 } else { 255 };
            json!({"label-value": class.value, "rgba": [red, green, blue, alpha]})
        };
        let property = |class: &ClassLook| json!({"label-value": class.value, "name": class.name});
        json!({
            "version": self.name(),
            "colors": classes.iter().map(colour).collect::<Vec<_>>(),
            "properties": classes.iter().map(property).collect::<Vec<_>>(),
        })
    }
}
