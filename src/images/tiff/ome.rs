//! What OME-XML says of channels and time, and the OME-XML of a stack that is written.

use super::metadata::{OME_XML, Series, elements};
use crate::images::annotations::{Annotations, TimeStep, channel_names};
use crate::images::axes::is_channel;
use crate::images::source::Plane;
use crate::images::units::time_sign;
use crate::images::volume::VoxelSize;

/// The name of a character between `&` and `;` has fewer bytes: the longest are numbers such as `#x0010FFFF`.
const MOST_BYTES_OF_NAME: usize = 16;

/// What the OME-XML of a file says of an image that is made of these `planes`, none for a page as a whole; `series` is what it says of pages.
///
/// With `of_all`, channels are images of their own, and the names of all of them are wanted. Nothing in other descriptions, and in those of
/// several images, as it is not known which of them it would be.
pub(super) fn annotations(
    description: &str,
    series: &[Series],
    planes: &[Plane],
    of_all: bool,
) -> Annotations {
    let [series] = series else { return Annotations::default() };
    // Other series may have axes of no length, and name no channels.
    if series.source != OME_XML {
        return Annotations::default();
    }
    let channels = series
        .axes
        .iter()
        .filter(|(axis, _)| is_channel(*axis))
        .try_fold(1_usize, |all, (_, length)| all.checked_mul(*length))
        .unwrap_or(usize::MAX);
    let mut names = Vec::new();
    let mut time_step = None;
    for element in elements(description) {
        match element.name {
            "Pixels" => {
                let length = element.attribute("TimeIncrement").and_then(|text| text.trim().parse().ok());
                let length = length.filter(|length: &f64| length.is_finite() && *length > 0.0);
                let unit = unescaped(element.attribute("TimeIncrementUnit").unwrap_or("s"));
                time_step = length.map(|length| TimeStep { length, unit: time_sign(&unit).to_owned() });
            }
            // One more than there are shows that they are those of something else.
            "Channel" if names.len() <= channels => {
                names.push(element.attribute("Name").map(unescaped).unwrap_or_default())
            }
            _ => {}
        }
    }
    let wanted: Option<Vec<&str>> = match planes {
        // Names of some of them only are those of nobody knows which.
        _ if names.len() != channels => None,
        _ if of_all || planes.is_empty() && channels == 1 => Some(names.iter().map(String::as_str).collect()),
        [] => None,
        planes => planes.iter().map(|plane| Some(names.get(channel_of(series, plane)?)?.as_str())).collect(),
    };
    let channels = channel_names(wanted.unwrap_or_default().into_iter());
    Annotations { channels, time_step, ..Annotations::default() }
}

/// Which channel a plane is; `None` for one that is a part of a page, and for one that the series does not name.
fn channel_of(series: &Series, plane: &Plane) -> Option<usize> {
    let mut place = match (&series.order, plane.channel) {
        (_, Some(_)) => return None,
        (Some(order), None) => order.iter().position(|page| *page == plane.page)?,
        (None, None) => plane.page,
    };
    for (axis, length) in series.axes.iter().rev() {
        if is_channel(*axis) {
            return Some(place % length);
        }
        place /= length;
    }
    Some(0)
}

/// The text that stands in an attribute of XML.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        // Longer names are none, and are not searched for.
        let end = after.bytes().take(MOST_BYTES_OF_NAME + 1).position(|byte| byte == b';');
        let known = end.and_then(|end| Some((character(&after[..end])?, &after[end + 1..])));
        rest = match known {
            Some((character, after)) => {
                plain.push(character);
                after
            }
            None => {
                plain.push('&');
                after
            }
        };
    }
    plain + rest
}

/// What stands in XML between `&` and `;`.
fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

/// `text` as an attribute of XML in ASCII, as descriptions are.
fn escaped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' => all.push_str(&format!("&#{};", u32::from(c))),
            ' '..='~' => all.push(c),
            // XML has no others.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => all.push(' '),
            c => all.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    all
}

/// The planes of a stack that is written, as OME-XML has them.
pub(super) struct OmePlanes<'a> {
    /// The axes along which planes lie, innermost first, each of `Z`, `C` and `T` once.
    pub(super) order: String,
    /// What OME calls the type of the numbers.
    pub(super) kind: &'a str,
    /// Columns, rows, slices, channels that have a plane each, and points in time.
    pub(super) lengths: [usize; 5],
    /// How many numbers each pixel of a plane has.
    pub(super) samples: usize,
    pub(super) size: Option<&'a VoxelSize>,
    pub(super) annotations: &'a Annotations,
}

impl OmePlanes<'_> {
    /// The text for the description of the first page.
    pub(super) fn xml(&self) -> String {
        let [width, height, slices, channels, frames] = self.lengths;
        let mut said = String::new();
        if let Some(VoxelSize { z, y, x, unit }) = self.size {
            let unit = escaped(unit);
            let depth = (!self.annotations.depth_is_unknown).then_some(('Z', z));
            for (axis, size) in [('X', x), ('Y', y)].into_iter().chain(depth) {
                said += &format!(r#" PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="{unit}""#);
            }
        }
        if let Some(TimeStep { length, unit }) = self.annotations.time_step.as_ref().filter(|_| frames > 1) {
            said += &format!(r#" TimeIncrement="{length}" TimeIncrementUnit="{}""#, escaped(unit));
        }
        let names = &self.annotations.channels;
        let channel = |n: usize| {
            let name = names.get(n).filter(|name| names.len() == channels && !name.is_empty());
            let name = name.map(|name| format!(r#" Name="{}""#, escaped(name))).unwrap_or_default();
            format!(r#"<Channel ID="Channel:0:{n}"{name} SamplesPerPixel="{}"/>"#, self.samples)
        };
        format!(
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?>"#,
                r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" "#,
                r#"xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" "#,
                r#"xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 "#,
                r#"http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">"#,
                r#"<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XY{order}" Type="{kind}" "#,
                r#"SizeX="{width}" SizeY="{height}" SizeC="{all}" SizeZ="{slices}" SizeT="{frames}"{said}>"#,
                r#"{channels}<TiffData IFD="0" PlaneCount="{planes}"/></Pixels></Image></OME>"#
            ),
            order = self.order,
            kind = self.kind,
            width = width,
            height = height,
            slices = slices,
            frames = frames,
            said = said,
            all = channels * self.samples,
            channels = (0..channels).map(channel).collect::<String>(),
            planes = slices * channels * frames,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::{Frame, series};
    use super::*;

    const FRAME: Frame = Frame { height: 64, width: 48, samples: 1, planar: false };

    fn plane(page: usize) -> Plane {
        Plane { page, directory: 0, behind: 0, channel: None }
    }

    #[test]
    fn names_and_the_step_of_time_are_those_of_the_planes() {
        let text = concat!(
            r#"<OME><Image><Pixels DimensionOrder="XYCTZ" SizeC="2" SizeZ="1" SizeT="3" TimeIncrement="5" "#,
            r#"TimeIncrementUnit="ms"><Channel Name="A &amp; &#181;B"/><Channel Name="C"/>"#,
            r#"<TiffData IFD="0" PlaneCount="6"/></Pixels></Image></OME>"#
        );
        let found = series(text, FRAME);
        let of = |planes: &[Plane], all: bool| annotations(text, &found, planes, all);
        let both = of(&[plane(4), plane(5)], false);
        assert_eq!(both.channels, ["A & \u{b5}B", "C"]);
        assert_eq!(both.time_step, Some(TimeStep { length: 5.0, unit: "ms".into() }));
        assert_eq!(of(&[plane(3)], false).channels, ["C"]);
        assert_eq!(of(&[plane(3)], true).channels, both.channels);
        // Neither a page that nobody has taken for a channel, nor a part of one.
        assert_eq!(of(&[], false).channels, [""; 0]);
        assert_eq!(of(&[Plane { channel: Some(1), ..plane(0) }], false).channels, [""; 0]);
        let fewer = text.replace(r#"<Channel Name="C"/>"#, "");
        assert_eq!(annotations(&fewer, &found, &[plane(0)], true).channels, [""; 0]);
    }

    #[test]
    fn other_descriptions_that_mention_ome_say_nothing() {
        let text = r#"{"shape":[0,8,9],"axes":"CYX","x":"<OME"}"#;
        let frame = Frame { height: 8, width: 9, ..FRAME };
        let found = series(text, frame);
        assert_eq!(found.len(), 1);
        for planes in [&[plane(0)][..], &[plane(0), plane(1)], &[]] {
            assert_eq!(annotations(text, &found, planes, false), Annotations::default());
        }
    }

    #[test]
    fn what_is_written_is_ascii_and_read_back() {
        let names = ["<a & \"b\">", "\u{b5}\u{1f52c}", "plain'"];
        let annotations = Annotations {
            channels: names.map(str::to_owned).to_vec(),
            time_step: Some(TimeStep { length: 0.25, unit: "\u{b5}s".into() }),
            depth_is_unknown: true,
        };
        let size = VoxelSize { z: 1.0, y: 2.0, x: 3.0, unit: "\u{b5}m".into() };
        let planes = OmePlanes {
            order: "CTZ".into(),
            kind: "uint8",
            lengths: [4, 5, 1, 3, 2],
            samples: 1,
            size: Some(&size),
            annotations: &annotations,
        };
        let text = planes.xml();
        assert!(text.is_ascii() && !text.contains("PhysicalSizeZ"), "{text}");
        let found = super::annotations(&text, &series(&text, FRAME), &[plane(3), plane(4), plane(5)], false);
        assert_eq!(found.channels, names);
        assert_eq!(found.time_step, annotations.time_step);
        // A step of time of one point in time, and names of other channels than those, say nothing.
        let text = OmePlanes { lengths: [4, 5, 1, 2, 1], ..planes }.xml();
        assert!(!text.contains("TimeIncrement") && !text.contains("Name="), "{text}");
    }

    #[test]
    fn what_is_no_character_stays_as_it_is() {
        assert_eq!(unescaped("a&#xB5;m & &no; &#1114112;&lt;"), "a\u{b5}m & &no; &#1114112;<");
        // A long text of them takes no longer than another one.
        let text = "&".repeat(1 << 20);
        let begun = std::time::Instant::now();
        assert_eq!(unescaped(&text), text);
        assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    }
}
