//! What programs write into the description of a TIFF file's first page about the planes that follow.
//!
//! - ImageJ: lines such as `images=10`, `channels=2`, `slices=5`; channels are the fastest, then slices, then frames.
//! - OME-TIFF: OME-XML, whose `Pixels` have an order and sizes, and whose `TiffData` say which page a plane is.
//! - tifffile: `{"shape": [5, 2, 64, 64], "axes": "ZCYX"}`, the axes not always.

use crate::images::axes::is_channel;

/// An axis whose name the file does not tell.
pub(super) const UNNAMED: char = '?';

/// More planes than a description is believed to speak of.
pub(super) const MAX_PLANES: usize = 1_000_000;

/// How often a description may name each plane.
const MAX_NAMED: usize = 4;

/// What a page's tags say of its numbers, as far as descriptions are compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Numbers of each pixel, as stored.
    pub(super) samples: usize,
    pub(super) planar: bool,
}

/// The source of series that OME-XML tells of.
pub(super) const OME_XML: &str = "OME-XML";

/// A series of pages that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    /// Who says so.
    pub(super) source: &'static str,
    /// The axes along which pages lie, outermost first, with their lengths.
    pub(super) axes: Vec<(char, usize)>,
    /// The page of each plane, counted along the axes; `None` for one after the other.
    pub(super) order: Option<Vec<usize>>,
    /// How many planes of the innermost axes each page holds, as channels of its own; 1 for pages that are one plane.
    pub(super) spread: usize,
    /// Whether pages may follow that have no directory of their own.
    pub(super) may_be_raw: bool,
}

impl Series {
    fn new(source: &'static str, axes: Vec<(char, usize)>) -> Self {
        Self { source, axes, order: None, spread: 1, may_be_raw: false }
    }

    fn planes(&self) -> Option<usize> {
        self.axes
            .iter()
            .try_fold(1_usize, |all, (_, length)| all.checked_mul(*length))
            .filter(|count| *count > 0)
    }

    /// How many pages it has, if that can be counted.
    pub(super) fn page_count(&self) -> Option<usize> {
        self.planes().map(|planes| planes / self.spread)
    }

    /// The axes along which pages lie.
    pub(super) fn page_axes(&self) -> &[(char, usize)] {
        &self.axes[..self.axes.len() - usize::from(self.spread > 1)]
    }
}

/// The series that the description of a first page speaks of; none where it is of another kind or makes no sense.
pub(super) fn series(description: &str, frame: Frame) -> Vec<Series> {
    if description.starts_with("ImageJ=") {
        imagej(description).into_iter().collect()
    } else if description.starts_with('{') {
        shaped(description, frame).into_iter().collect()
    } else if is_ome(description) {
        ome(description).unwrap_or_default()
    } else {
        Vec::new()
    }
}

/// Whether tifffile says that the samples of a page are planes of an array, which it writes as colours with alpha for want
/// of another name.
pub(super) fn are_planes_of_an_array(description: &str, frame: Frame) -> bool {
    frame.planar && description.starts_with('{') && shaped(description, frame).is_some()
}

fn imagej(description: &str) -> Option<Series> {
    let value = |key: &str| {
        let line = description.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        line.and_then(|number| number.trim().parse::<usize>().ok()).filter(|number| *number > 0)
    };
    let axes = [('T', "frames"), ('Z', "slices"), ('C', "channels")].map(|(axis, key)| (axis, value(key)));
    let count = axes.iter().try_fold(1_usize, |all, (_, length)| all.checked_mul(length.unwrap_or(1)))?;
    let images = value("images").unwrap_or(count);
    let named = |axes| Some(Series { may_be_raw: true, ..Series::new("ImageJ", axes) });
    if images == count {
        return named(axes.into_iter().filter_map(|(axis, length)| Some((axis, length?))).collect());
    }
    // Old versions say only how many images there are.
    named(vec![(if count == 1 { 'Z' } else { UNNAMED }, images)])
}

#[derive(serde::Deserialize)]
struct Shaped {
    shape: Vec<usize>,
    #[serde(default)]
    axes: Option<String>,
    /// Whether only the first page has a directory.
    #[serde(default)]
    truncated: bool,
}

fn shaped(description: &str, frame: Frame) -> Option<Series> {
    let Shaped { mut shape, axes, truncated } =
        serde_json::from_str(description.trim_end_matches('\0').trim()).ok()?;
    let mut letters: Vec<char> = axes.map(|axes| axes.chars().collect()).unwrap_or_default();
    if letters.len() != shape.len() {
        letters = vec![UNNAMED; shape.len()];
    }
    let inner: &[usize] = match (frame.samples, frame.planar) {
        (1, _) => &[frame.height, frame.width],
        (samples, true) => &[samples, frame.height, frame.width],
        (samples, false) => &[frame.height, frame.width, samples],
    };
    // One channel may stand last in an array and be no axis of the file.
    if !shape.ends_with(inner) && shape.last() == Some(&1) {
        shape.pop();
    }
    let outer = shape.strip_suffix(inner)?.len();
    // Planes that are not named as channels lie in pages whose samples they are, for want of another place.
    let named_otherwise = |axis: &char| *axis != UNNAMED && !is_channel(*axis);
    let splits = frame.samples > 1 && frame.planar && letters.get(outer).is_some_and(named_otherwise);
    let axes = letters.into_iter().zip(shape).take(outer + usize::from(splits)).collect();
    let spread = if splits { frame.samples } else { 1 };
    Some(Series { spread, may_be_raw: truncated, ..Series::new("tifffile", axes) })
}

/// An element of XML that begins.
pub(super) struct Element<'a> {
    pub(super) name: &'a str,
    attributes: &'a str,
    /// What stands between it and the next element.
    text: &'a str,
}

impl<'a> Element<'a> {
    /// The value of an attribute, as it stands there.
    pub(super) fn attribute(&self, key: &str) -> Option<&'a str> {
        let mut rest = self.attributes;
        loop {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, after) = after[1..].split_once(quote)?;
            if name.trim() == key {
                return Some(value);
            }
            rest = after;
        }
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.attribute(key)?.trim().parse().ok()
    }
}

/// The elements of `text` that begin, in order, without their namespaces; comments and declarations are passed over.
pub(super) fn elements(text: &str) -> impl Iterator<Item = Element<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('<')? + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.split_once("-->")?.1;
                continue;
            }
            if rest.starts_with(['/', '?', '!']) {
                continue;
            }
            // A '>' inside of quotes does not end the element.
            let mut quote = None;
            let end = rest.find(|c: char| match (quote, c) {
                (None, '"' | '\'') => {
                    quote = Some(c);
                    false
                }
                (Some(open), _) => {
                    if open == c {
                        quote = None;
                    }
                    false
                }
                (None, c) => c == '>',
            })?;
            let inside = rest[..end].trim_end_matches('/');
            rest = &rest[end + 1..];
            let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
            let text = rest.split('<').next().unwrap_or_default().trim();
            return Some(Element { name: name.rsplit(':').next().unwrap_or(name), attributes, text });
        }
    })
}

/// An `Image` of OME-XML.
#[derive(Default)]
struct OmeImage {
    /// Outermost first.
    axes: Vec<(char, usize)>,
    /// Channels of each `Channel`, which are samples of one page.
    samples: Vec<usize>,
    /// First page if it is said, the first index along each of Z, C and T, number of planes if it is said.
    data: Vec<(Option<usize>, [usize; 3], Option<usize>)>,
    /// Whether planes are in other files.
    elsewhere: bool,
}

impl OmeImage {
    fn planes(&self) -> Option<usize> {
        Series::new("", self.axes.clone()).planes()
    }

    fn series(mut self) -> Option<Series> {
        // A page with several samples holds as many of the channels.
        if let Some(samples) = self.samples.first().copied().filter(|samples| *samples > 1)
            && let Some((_, length)) = self.axes.iter_mut().find(|(axis, _)| *axis == 'C')
        {
            *length = length.checked_div(samples).filter(|pages| *pages > 0)?;
        }
        let count = self.planes()?;
        if self.elsewhere {
            return None;
        }
        let position = |index: [usize; 3]| {
            self.axes.iter().try_fold(0_usize, |all, (axis, length)| {
                let at = index[['Z', 'C', 'T'].iter().position(|known| known == axis)?];
                (at < *length).then_some(all * length + at)
            })
        };
        let mut order: Vec<Option<usize>> = vec![None; count];
        let mut steps = 0;
        let data = if self.data.is_empty() { &[(None, [0; 3], None)] } else { self.data.as_slice() };
        for (page, index, planes) in data {
            let first = position(*index)?;
            let planes = planes.unwrap_or(if page.is_some() { 1 } else { count });
            // Each plane is named once; a file that names all of them again and again would keep us for ever.
            steps += planes.min(count);
            if steps > MAX_NAMED * count {
                return None;
            }
            for (step, place) in order.iter_mut().skip(first).take(planes).enumerate() {
                *place = Some(page.unwrap_or(0).checked_add(step)?);
            }
        }
        let order = order.into_iter().collect::<Option<Vec<usize>>>()?;
        Some(Series { order: Some(order), ..Series::new(OME_XML, self.axes) })
    }
}

/// The `Pixels` of the first image in OME-XML; `None` in any other text.
pub(super) fn ome_pixels(text: &str) -> Option<Element<'_>> {
    is_ome(text).then(|| elements(text).find(|element| element.name == "Pixels"))?
}

/// Whether the description is OME-XML.
fn is_ome(description: &str) -> bool {
    description.contains("<OME") || description.contains(":OME ")
}

fn ome(text: &str) -> Option<Vec<Series>> {
    let mut images: Vec<OmeImage> = Vec::new();
    let mut own = None;
    for element in elements(text) {
        match (element.name, images.last_mut()) {
            ("OME", _) => own = element.attribute("UUID"),
            ("Pixels", _) => {
                let order = element.attribute("DimensionOrder").unwrap_or("XYZCT");
                let axes = order.chars().rev().filter(|axis| matches!(axis, 'Z' | 'C' | 'T'));
                let axes: Vec<_> =
                    axes.map(|axis| (axis, element.number(&format!("Size{axis}")).unwrap_or(1))).collect();
                if axes.len() != 3 {
                    return None;
                }
                images.push(OmeImage { axes, ..OmeImage::default() });
            }
            ("Channel", Some(image)) => image.samples.push(element.number("SamplesPerPixel").unwrap_or(1)),
            ("TiffData", Some(image)) => {
                let index = ["FirstZ", "FirstC", "FirstT"].map(|key| element.number(key).unwrap_or(0));
                image.data.push((element.number("IFD"), index, element.number("PlaneCount")));
            }
            // The text is the identity of the file that holds the plane.
            ("UUID", Some(image)) => image.elsewhere |= own.is_some_and(|own| element.text != own),
            _ => {}
        }
    }
    // A list of all planes is made before the file's pages are counted.
    let planes = images.iter().try_fold(0_usize, |all, image| all.checked_add(image.planes()?))?;
    if planes > MAX_PLANES {
        return None;
    }
    images.into_iter().map(OmeImage::series).collect()
}

/// Whether the description is OME-XML of planes that are in other files too.
pub(super) fn is_part_of_a_set(description: &str) -> bool {
    let own = elements(description).find(|element| element.name == "OME");
    let own = own.as_ref().and_then(|own| own.attribute("UUID"));
    let is_other =
        |element: Element<'_>| element.name == "UUID" && own.is_some_and(|own| element.text != own);
    is_ome(description) && elements(description).any(is_other)
}

/// Whether the series has channels that are pages.
pub(super) fn has_channel_pages(series: &Series) -> bool {
    series.axes.iter().any(|(axis, length)| is_channel(*axis) && *length > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { height: 64, width: 48, samples: 1, planar: false };

    fn axes(description: &str) -> Vec<(char, usize)> {
        series(description, FRAME).pop().unwrap().axes
    }

    #[test]
    fn imagej_says_how_many_channels_slices_and_frames_there_are() {
        let text = "ImageJ=1.54f\nimages=30\nchannels=2\nslices=5\nframes=3\nhyperstack=true\n";
        assert_eq!(axes(text), [('T', 3), ('Z', 5), ('C', 2)]);
        assert_eq!(axes("ImageJ=1.54f\nimages=70\nloop=false\n"), [('Z', 70)]);
        // Numbers that contradict each other name nothing.
        assert_eq!(axes("ImageJ=1.54f\nimages=7\nchannels=2\n"), [(UNNAMED, 7)]);
    }

    #[test]
    fn tifffile_says_the_shape_of_the_array() {
        assert_eq!(axes(r#"{"shape": [5, 2, 64, 48], "axes": "ZCYX"}"#), [('Z', 5), ('C', 2)]);
        assert_eq!(axes(r#"{"shape": [5, 64, 48]}"#), [(UNNAMED, 5)]);
        assert!(axes(r#"{"shape": [64, 48, 1]}"#).is_empty());
        assert!(series(r#"{"shape": [5, 48, 64]}"#, FRAME).is_empty());
        let planes = Frame { samples: 4, planar: true, ..FRAME };
        assert!(are_planes_of_an_array(r#"{"shape": [4, 64, 48]}"#, planes));
        assert!(!are_planes_of_an_array(r#"{"shape": [64, 48, 4]}"#, Frame { planar: false, ..planes }));
        assert!(!are_planes_of_an_array("a camera", planes));
    }

    #[test]
    fn ome_says_which_page_each_plane_is() {
        let ome = |pixels: &str, inside: &str| {
            let text = format!(
                r#"<?xml version="1.0"?><!-- <Pixels> --><OME xmlns="a" UUID="urn:uuid:1"><Image ID="a > b"><Pixels {pixels}>{inside}</Pixels></Image></OME>"#
            );
            let found = series(&text, FRAME);
            assert!(found.is_empty() || !is_part_of_a_set(&text));
            found
        };
        let sizes = r#"DimensionOrder="XYCZT" SizeX="48" SizeY="64" SizeC="2" SizeZ="3" SizeT="1""#;
        let found = ome(sizes, r#"<TiffData IFD="0" PlaneCount="6"/>"#).pop().unwrap();
        assert_eq!(found.axes, [('T', 1), ('Z', 3), ('C', 2)]);
        assert_eq!(found.order, Some(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(ome(sizes, "").pop().unwrap().order, found.order);
        let swapped = r#"<TiffData FirstC="1" IFD="0"><UUID FileName="a.tif">urn:uuid:1</UUID></TiffData><TiffData IFD="1"/>"#;
        let sizes = r#"DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="1""#;
        assert_eq!(ome(sizes, swapped).pop().unwrap().order, Some(vec![1, 0]));
        // Planes that are missing or in other files make no image.
        assert!(ome(sizes, r#"<TiffData IFD="0"/>"#).is_empty());
        let elsewhere = swapped.replace("uuid:1", "uuid:2");
        assert!(ome(sizes, &elsewhere).is_empty());
        assert!(is_part_of_a_set(&format!(r#"<OME UUID="urn:uuid:1">{elsewhere}</OME>"#)));
        assert!(ome(r#"DimensionOrder="XY""#, "").is_empty());
        // Sizes that are too large together, though no image's are alone.
        let long = r#"DimensionOrder="XYCZT" SizeZ="600000""#;
        assert_eq!(ome(long, "").len(), 1);
        assert!(ome(long, &format!("</Pixels></Image><Image><Pixels {long}>")).is_empty());
        let colours = r#"DimensionOrder="XYCZT" SizeC="3" SizeZ="1" SizeT="2""#;
        let found = ome(colours, r#"<Channel SamplesPerPixel="3"/><TiffData/>"#).pop().unwrap();
        assert_eq!((found.axes, found.order), (vec![('T', 2), ('Z', 1), ('C', 1)], Some(vec![0, 1])));
    }
}
