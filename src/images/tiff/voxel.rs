//! How large a pixel of a TIFF file is: from OME-XML, from ImageJ's description, or from the tags of resolution.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::directory::layout;
use super::metadata::ome_pixels;
use super::ome::unescaped;
use super::tags::{Tags, names};
use crate::images::units::{MICROMETRE, factor, sign};
use crate::images::volume::VoxelSize;

/// The size of a pixel in the TIFF file at `path`; `None` where it says none, or is no TIFF file.
pub(in crate::images) fn voxel_size(path: &Path) -> Option<VoxelSize> {
    let (tags, description, mut reader) = first_page(path)?;
    of_page(&description, &tags, &mut reader).map(|(size, _)| size)
}

/// The tags and the description of the first page of the TIFF file at `path`, and the file; `None` where it is none.
///
/// The other pages are not looked for, so that it takes no longer in a long stack.
pub(super) fn first_page(path: &Path) -> Option<(Tags, String, BufReader<File>)> {
    let mut reader = BufReader::new(File::open(path).ok()?);
    let mut order = [0_u8; 2];
    reader.read_exact(&mut order).ok()?;
    if !matches!(&order, b"II" | b"MM") {
        return None;
    }
    let layout = layout(path, &mut reader).ok()?;
    reader.seek(SeekFrom::Start(layout.first_offset_place())).ok()?;
    let first = layout.offset(&mut reader).ok()?;
    let tags = Tags::read(&mut reader, layout, first).ok()?;
    let description = tags.text(&mut reader, names::IMAGE_DESCRIPTION).unwrap_or_default();
    Some((tags, description, reader))
}

/// The size of a pixel by the tags and the description of a file's first page, and whether they say how far apart slices lie: where they do
/// not, slices are taken to be as far apart as rows, as cubes are the least surprising.
pub(super) fn of_page(
    description: &str,
    tags: &Tags,
    file: &mut (impl Read + Seek),
) -> Option<(VoxelSize, bool)> {
    let mut resolution = |tag| tags.fraction(file, tag);
    let pixels = resolution(names::X_RESOLUTION).zip(resolution(names::Y_RESOLUTION));
    let unit = tags.number_if_whole(file, names::RESOLUTION_UNIT).unwrap_or(2);
    of_description(description).or_else(|| {
        let (x, y) = pixels?;
        if description.starts_with("ImageJ=") {
            return of_imagej(description, x, y);
        }
        // Micrometres of an inch and of a centimetre.
        let length = match unit {
            2 => 25_400.0,
            3 => 10_000.0,
            _ => return None,
        };
        let z = spacing(description);
        let (y, x) = (length / y, length / x);
        Some((VoxelSize { z: z.unwrap_or(y), y, x, unit: MICROMETRE.to_owned() }, z.is_some()))
    })
}

/// What OME-XML says, in the unit of x; `None` where it is something else, or the units cannot be compared.
fn of_description(description: &str) -> Option<(VoxelSize, bool)> {
    let pixels = ome_pixels(description)?;
    let size = |key: &str| {
        let number: f64 = pixels.attribute(key)?.trim().parse().ok()?;
        Some(number).filter(|number| number.is_finite() && *number > 0.0)
    };
    let unit_of = |key: &str| micrometres(&unescaped(pixels.attribute(key).unwrap_or(MICROMETRE)));
    let unit = unit_of("PhysicalSizeXUnit");
    let x = size("PhysicalSizeX")?;
    let y = size("PhysicalSizeY")? * factor(&unit_of("PhysicalSizeYUnit"), &unit)?;
    let z = match size("PhysicalSizeZ") {
        Some(z) => Some(z * factor(&unit_of("PhysicalSizeZUnit"), &unit)?),
        None => None,
    };
    Some((VoxelSize { z: z.unwrap_or(y), y, x, unit }, z.is_some()))
}

/// The distance of slices in micrometres that a description of tifffile tells with its unit.
fn spacing(description: &str) -> Option<f64> {
    #[derive(serde::Deserialize)]
    struct Spaced {
        spacing: f64,
        unit: String,
    }
    let Spaced { spacing, unit } = serde_json::from_str(description.trim_end_matches('\0').trim()).ok()?;
    let spacing = spacing.abs() * factor(sign(&unit), MICROMETRE)?;
    (spacing.is_finite() && spacing > 0.0).then_some(spacing)
}

/// ImageJ writes pixels for each unit into the tags, and the unit and the distance of slices into the description.
fn of_imagej(description: &str, x: f64, y: f64) -> Option<(VoxelSize, bool)> {
    let value = |key: &str| {
        description.lines().find_map(|line| Some(line.trim().strip_prefix(key)?.strip_prefix('=')?.trim()))
    };
    let unit = value("unit").filter(|unit| !unit.is_empty() && *unit != "pixel")?;
    let spacing = value("spacing").and_then(|number| number.parse::<f64>().ok()).map(f64::abs);
    let z = spacing.filter(|spacing| spacing.is_finite() && *spacing > 0.0);
    let (y, x) = (1.0 / y, 1.0 / x);
    Some((VoxelSize { z: z.unwrap_or(y), y, x, unit: micrometres(unit) }, z.is_some()))
}

/// A unit, where it is one of the many spellings of micrometres as `\u{b5}m`.
fn micrometres(unit: &str) -> String {
    match unit {
        "um" | "micron" | "microns" | "\\u00B5m" | "\u{3bc}m" | "&#181;m" | "\u{b5}m" => {
            MICROMETRE.to_owned()
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::units::ANGSTROM;

    #[test]
    fn imagej_and_ome_say_how_large_a_voxel_is() {
        let found = of_imagej("ImageJ=1.54f\nimages=2\nunit=micron\nspacing=-2.5\n", 4.0, 2.0).unwrap();
        assert_eq!(found, (VoxelSize { z: 2.5, y: 0.5, x: 0.25, unit: MICROMETRE.into() }, true));
        let flat = of_imagej("ImageJ=1.54f\nunit=nm\n", 4.0, 2.0).unwrap();
        assert_eq!(flat, (VoxelSize { z: 0.5, y: 0.5, x: 0.25, unit: "nm".into() }, false));
        assert_eq!(of_imagej("ImageJ=1.54f\nimages=2\n", 1.0, 1.0), None);
        let ome =
            |sizes: &str| of_description(&format!("<OME><Image><Pixels {sizes}></Pixels></Image></OME>"));
        let sizes = r#"PhysicalSizeX="0.1" PhysicalSizeY="0.2" PhysicalSizeZ="3""#;
        let wanted = VoxelSize { z: 3.0, y: 0.2, x: 0.1, unit: MICROMETRE.into() };
        assert_eq!(ome(sizes), Some((wanted, true)));
        // In the unit of x, whatever the others are in.
        let mixed = format!("{sizes} PhysicalSizeXUnit=\"nm\" PhysicalSizeYUnit=\"nm\"");
        let wanted =
            VoxelSize { z: 3.0 * factor(MICROMETRE, "nm").unwrap(), y: 0.2, x: 0.1, unit: "nm".into() };
        assert_eq!(ome(&mixed), Some((wanted, true)));
        assert_eq!(ome(&format!("{sizes} PhysicalSizeYUnit=\"reference frame\"")), None);
        let flat = ome(
            r#"PhysicalSizeX="1" PhysicalSizeY="2" PhysicalSizeXUnit="&#xC5;" PhysicalSizeYUnit="&#197;""#,
        );
        assert_eq!(flat, Some((VoxelSize { z: 2.0, y: 2.0, x: 1.0, unit: ANGSTROM.into() }, false)));
        assert_eq!(ome("SizeX=\"3\""), None);
    }
}
