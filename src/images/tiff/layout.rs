//! How the planes of a TIFF stack lie and how large its pixels are: read from one file, and said in another.
//!
//! ImageJ's description is written where it can say everything, as most programs understand it; else OME-XML, or where that has no name for
//! the type of numbers, what tifffile writes.

use std::path::Path;

use serde_json::json;

use super::levels::frame;
use super::metadata;
use super::ome::{self, OmePlanes};
use super::voxel::{first_page, of_page};
use crate::images::annotations::Annotations;
use crate::images::label_format::LabelFormat;
use crate::images::number_type::NumberType;
use crate::images::source::{ImageSource, Plane};
use crate::images::space::Space;
use crate::images::units::{ANGSTROM, MICROMETRE, factor};
use crate::images::volume::VoxelSize;

/// How the images of a TIFF file lie, for results that are to lie in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct StackLayout {
    /// The axes along which planes lie, outermost first: `T`, `Z` and `C`, each once at most, with their lengths.
    axes: Vec<(char, usize)>,
    voxel_size: Option<VoxelSize>,
    /// Whether it is said by OME-XML.
    is_ome: bool,
    /// Whether it is of an image by itself, whose channels lie side by side in one page.
    is_single: bool,
    /// Where the stack lies in space, for formats that say so.
    space: Option<Space>,
    /// The names of the channels along the axis `C`, or where there is none of those of each image; and what else is said.
    annotations: Annotations,
}

impl StackLayout {
    /// That of `count` slices of which nothing more is known.
    pub fn slices(count: usize) -> Self {
        Self {
            axes: vec![('Z', count)],
            voxel_size: None,
            is_ome: false,
            is_single: false,
            space: None,
            annotations: Annotations::default(),
        }
    }

    /// That of the TIFF file which holds `count` images, of which `image` is one; as [`StackLayout::slices`] where the file
    /// says nothing, or something that does not fit.
    pub fn of(image: &ImageSource, count: usize) -> Self {
        let layout = Self::of_file(image, count).finer(image.fineness());
        let voxel_size = layout.voxel_size.map(|size| image.at_level(size));
        Self { voxel_size, ..layout }
    }

    /// That of these images of one stack, the first of which comes first: where they are every second slice of their array, they are twice as
    /// far apart, and where nothing can be said of their distance, they have no place in space.
    pub fn of_slices<'a>(mut slices: impl Iterator<Item = &'a ImageSource>, count: usize) -> Self {
        let Some(first) = slices.next() else { return Self::slices(count) };
        let layout = Self::of(first, count);
        let Some(array) = &first.array else { return layout };
        let mut last = array.array.slice_of(array.number);
        let mut step = None;
        for slice in slices {
            let Some(next) = slice.array.as_ref().map(|next| next.array.slice_of(next.number)) else {
                continue;
            };
            // Slices of the next point in time begin again.
            if next > last {
                match step {
                    None => step = Some(next - last),
                    Some(step) if step == next - last => {}
                    Some(_) => return Self { space: None, ..layout },
                }
            }
            last = next;
        }
        match step {
            Some(step) if step > 1 => layout.further_apart(step as f64),
            _ => layout,
        }
    }

    fn further_apart(mut self, times: f64) -> Self {
        if let Some(size) = &mut self.voxel_size {
            size.z *= times;
        }
        self.space = self.space.map(|space| space.further_apart(times));
        self
    }

    /// That of the result of `image` by itself, where it is known how large a pixel is; else nothing is said of it.
    pub(crate) fn of_image(image: &ImageSource) -> Option<Self> {
        let layout = Some(Self::of(image, 1)).filter(Self::says_something)?;
        Some(Self { is_single: true, ..layout })
    }

    /// That of an image by itself of which nothing is known but the names of its channels.
    pub(crate) fn named(names: Vec<String>) -> Self {
        Self { is_single: true, ..Self::slices(1) }.with_channel_names(names)
    }

    /// Whether it says more than how many planes there are.
    pub(in crate::images) fn says_something(&self) -> bool {
        self.voxel_size.is_some() || self.space.is_some() || !self.annotations.is_empty()
    }

    /// That of `count` slices in a file with OME-XML: `known`, as far as it is of as many.
    pub(super) fn ome_of(known: Option<&Self>, count: usize) -> Self {
        let known = known.cloned().unwrap_or_else(|| Self::slices(count));
        let axes = if known.planes() == count { known.axes } else { vec![('Z', count)] };
        Self { axes, is_ome: true, is_single: false, ..known }
    }

    /// Whether the channels of an image lie side by side in one page; else each has a page of its own.
    pub(super) fn has_channels_inside(&self) -> bool {
        self.is_single
    }

    fn of_file(image: &ImageSource, count: usize) -> Self {
        if let Some(image) = &image.array {
            let axes = image.array.image_axes();
            let known = axes.iter().all(|(letter, _)| "TZ".contains(*letter))
                && axes.iter().map(|(_, length)| length).product::<usize>() == count;
            let axes = if known && !axes.is_empty() { axes } else { vec![('Z', count)] };
            let voxel_size = image.array.voxel_size().cloned();
            let distance = voxel_size.as_ref().map_or(0.0, |size| size.z);
            let space = image.array.space().cloned();
            let space = space.map(|space| space.beginning_at(image.array.slice_of(image.number), distance));
            let annotations = image.array.annotations(image.channel);
            return Self { axes, voxel_size, space, annotations, ..Self::slices(count) };
        }
        Self::read(&image.path, count, &image.planes).unwrap_or_else(|| Self::slices(count))
    }

    fn read(path: &Path, count: usize, planes: &[Plane]) -> Option<Self> {
        // Planes are kept where an image is something else than a page as the file has it.
        let channels_apart = !planes.is_empty();
        let (tags, description, mut reader) = first_page(path)?;
        let voxel_size = of_page(&description, &tags, &mut reader);
        let frame = frame(&tags, &mut reader);
        let series = metadata::series(&description, frame);
        let named: Vec<(char, usize)> = match series.as_slice() {
            [only] => only.axes.iter().copied().filter(|(_, length)| *length > 1).collect(),
            _ => Vec::new(),
        };
        let is_known = |axes: &[(char, usize)]| {
            let letters: Vec<char> = axes.iter().map(|(letter, _)| *letter).collect();
            let distinct = "TZC".chars().all(|known| letters.iter().filter(|l| **l == known).count() < 2);
            distinct && letters.iter().all(|letter| "TZC".contains(*letter))
        };
        // Each image is a plane without its channels, or each channel is an image of its own.
        let without: Vec<_> = named.iter().copied().filter(|(letter, _)| *letter != 'C').collect();
        let fitting = [without, named].into_iter().find(|axes| {
            let has_channels = axes.iter().any(|(letter, _)| *letter == 'C');
            (channels_apart || !has_channels)
                && is_known(axes)
                && !axes.is_empty()
                && axes.iter().map(|(_, n)| n).product::<usize>() == count
        });
        let axes = fitting.unwrap_or_else(|| vec![('Z', count)]);
        let of_all = axes.iter().any(|(letter, _)| *letter == 'C');
        let mut annotations = ome::annotations(&description, &series, planes, of_all);
        annotations.depth_is_unknown = voxel_size.as_ref().is_some_and(|(_, has_depth)| !has_depth);
        let voxel_size = voxel_size.map(|(size, _)| size);
        let is_ome = description.contains("<OME");
        Some(Self { axes, voxel_size, is_ome, annotations, ..Self::slices(count) })
    }

    /// With `count` channels for each image, which lie in a page each.
    #[must_use]
    pub fn with_channels(mut self, count: usize) -> Self {
        if count > 1 {
            if self.axes.iter().any(|(letter, _)| *letter == 'C') {
                self.axes = vec![('Z', self.axes.iter().map(|(_, length)| length).product())];
            }
            self.axes.push(('C', count));
        }
        self
    }

    /// With pixels of this size. Where a stack lies in space is not known any more where they had another one.
    #[must_use]
    pub fn with_voxel_size(mut self, size: Option<VoxelSize>) -> Self {
        self.space = self.space.filter(|_| self.voxel_size == size);
        self.voxel_size = size;
        self.annotations.depth_is_unknown = false;
        self
    }

    /// With channels of these names, instead of those of what was read; none for channels without names.
    #[must_use]
    pub(crate) fn with_channel_names(mut self, names: Vec<String>) -> Self {
        self.annotations.channels = names;
        self
    }

    /// Whether channels are images of their own.
    pub(crate) fn has_channels_apart(&self) -> bool {
        self.has('C')
    }

    /// With pixels of which `count` lie along one of these, in y and in x.
    #[must_use]
    pub(in crate::images) fn finer(mut self, count: f64) -> Self {
        self.voxel_size = self.voxel_size.map(|size| size.finer(count));
        self.space = self.space.filter(|_| count == 1.0);
        self
    }

    /// The number of planes.
    pub fn planes(&self) -> usize {
        self.axes.iter().map(|(_, length)| length).product()
    }

    /// The axes along which planes lie, outermost first: `T`, `Z` and `C`, each once at most, with their lengths.
    pub(in crate::images) fn axes(&self) -> &[(char, usize)] {
        &self.axes
    }

    /// How large a pixel is, where that is known.
    pub(in crate::images) fn voxel_size(&self) -> Option<&VoxelSize> {
        self.voxel_size.as_ref()
    }

    /// What is said of channels, time and depth.
    pub(in crate::images) fn annotations(&self) -> &Annotations {
        &self.annotations
    }

    /// Where the stack lies in space, where that is known.
    pub(in crate::images) fn space(&self) -> Option<&Space> {
        self.space.as_ref()
    }

    /// Which lies there.
    #[cfg(test)]
    pub(in crate::images) fn lying_at(self, space: Space) -> Self {
        Self { space: Some(space), ..self }
    }

    /// With axes and the size of a pixel from elsewhere than a TIFF file.
    #[cfg(test)]
    pub(in crate::images) fn with(axes: &[(char, usize)], voxel_size: Option<VoxelSize>) -> Self {
        Self { axes: axes.to_vec(), voxel_size, ..Self::slices(0) }
    }

    fn length(&self, letter: char) -> usize {
        self.axes.iter().find(|(axis, _)| *axis == letter).map_or(1, |(_, length)| *length)
    }

    /// Whether ImageJ knows the order of the axes and has numbers of this kind.
    fn suits_imagej(&self, pixel: PixelType) -> bool {
        let order: Vec<Option<usize>> = self.axes.iter().map(|(letter, _)| "TZC".find(*letter)).collect();
        order.is_sorted() && matches!(pixel.numbers(), NumberType::U8 | NumberType::U16 | NumberType::F32)
    }

    /// What the first page of a file says that has these planes of `width` x `height` pixels.
    pub(super) fn description(&self, pixel: PixelType, height: usize, width: usize) -> Description {
        let size = self.voxel_size.as_ref().and_then(in_ascii);
        let size = size.as_ref();
        if self.is_ome || !self.suits_imagej(pixel) {
            let text = match pixel.ome_name() {
                Some(kind) => self.ome(kind, pixel, height, width, size),
                None => self.shape(height, width, size),
            };
            // Other programs read the size of pixels from the tags.
            return Description { text, resolution: self.in_centimetres(), in_centimetres: true };
        }
        let text = self.imagej(size);
        Description { text, resolution: size.map(|size| [1.0 / size.x, 1.0 / size.y]), in_centimetres: false }
    }

    /// What a page says of which each pixel has several numbers that are no colours: its resolution alone, as the descriptions of ImageJ and
    /// OME have a page for each channel. `None` where the unit of its size is none of length that is known.
    pub(super) fn description_of_samples(&self) -> Option<Description> {
        let resolution = Some(self.in_centimetres()?);
        Some(Description { text: String::new(), resolution, in_centimetres: true })
    }

    /// Pixels for each centimetre, along x and y, where the size of pixels is known in a unit of length.
    fn in_centimetres(&self) -> Option<[f64; 2]> {
        let size = self.voxel_size.as_ref()?;
        // Whole numbers, so that a size whose reciprocal is one gives that.
        let of_a_centimetre =
            factor("cm", &size.unit).map(|units| if units > 1.0 { units.round() } else { units })?;
        Some([of_a_centimetre / size.x, of_a_centimetre / size.y])
    }

    fn imagej(&self, size: Option<&VoxelSize>) -> String {
        // With the number of a version, ImageJ takes the planes for one block without the directories that lie between them.
        let mut text = format!("ImageJ=\nimages={}\n", self.planes());
        for (letter, name) in [('C', "channels"), ('Z', "slices"), ('T', "frames")] {
            if self.length(letter) > 1 {
                text += &format!("{name}={}\n", self.length(letter));
            }
        }
        if self.axes.iter().filter(|(_, length)| *length > 1).count() > 1 {
            text += "hyperstack=true\nmode=grayscale\n";
        }
        if let Some(size) = size {
            let unit = if size.unit == MICROMETRE { "micron" } else { &size.unit };
            text += &format!("unit={unit}\n");
            if !self.annotations.depth_is_unknown {
                text += &format!("spacing={}\n", size.z);
            }
        }
        text + "loop=false\n"
    }

    /// The axes as tifffile writes them, for numbers that ImageJ and OME-XML do not have.
    fn shape(&self, height: usize, width: usize, size: Option<&VoxelSize>) -> String {
        let outer = self.axes.iter().filter(|(_, length)| *length > 1);
        let letters: String = outer.clone().map(|(letter, _)| *letter).chain(['Y', 'X']).collect();
        let shape: Vec<usize> = outer.map(|(_, length)| *length).chain([height, width]).collect();
        let mut text = json!({"shape": shape, "axes": letters});
        if let Some(size) = size.filter(|_| !self.annotations.depth_is_unknown) {
            text["spacing"] = json!(size.z);
            text["unit"] = json!(if size.unit == MICROMETRE { "um" } else { &size.unit });
        }
        text.to_string()
    }

    fn ome(
        &self,
        kind: &str,
        pixel: PixelType,
        height: usize,
        width: usize,
        size: Option<&VoxelSize>,
    ) -> String {
        let mut order: String = self.axes.iter().rev().map(|(letter, _)| *letter).collect();
        order.extend("CZT".chars().filter(|letter| self.length(*letter) == 1 && !self.has(*letter)));
        let planes = OmePlanes {
            order,
            kind,
            lengths: [width, height, self.length('Z'), self.length('C'), self.length('T')],
            samples: if pixel == PixelType::Colours { 3 } else { 1 },
            size,
            annotations: &self.annotations,
        };
        planes.xml()
    }

    fn has(&self, letter: char) -> bool {
        self.axes.iter().any(|(axis, _)| *axis == letter)
    }
}

/// The numbers of the pages that a description is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelType {
    /// Of one type.
    Numbers(NumberType),
    /// Red, green and blue of 8 bits each.
    Colours,
}

impl PixelType {
    /// That of labels.
    pub(super) fn of(format: LabelFormat) -> Self {
        PixelType::Numbers(match format {
            LabelFormat::Png8 => NumberType::U8,
            LabelFormat::Png16 => NumberType::U16,
            LabelFormat::Tiff32 => NumberType::I32,
        })
    }

    /// The type of each number.
    pub(super) fn numbers(self) -> NumberType {
        match self {
            PixelType::Numbers(numbers) => numbers,
            PixelType::Colours => NumberType::U8,
        }
    }

    /// What OME-XML calls the type; `None` where it has no name for it.
    pub(super) fn ome_name(self) -> Option<&'static str> {
        Some(match self.numbers() {
            NumberType::U8 => "uint8",
            NumberType::U16 => "uint16",
            NumberType::U32 => "uint32",
            NumberType::I8 => "int8",
            NumberType::I16 => "int16",
            NumberType::I32 => "int32",
            NumberType::F32 => "float",
            NumberType::F64 => "double",
            NumberType::F16 | NumberType::U64 | NumberType::I64 => return None,
        })
    }
}

/// A size in a unit whose sign a description can have, which is ASCII, besides micrometres, of which there are other spellings.
fn in_ascii(size: &VoxelSize) -> Option<VoxelSize> {
    let size = match size.unit.as_str() {
        ANGSTROM => {
            let VoxelSize { z, y, x, .. } = *size;
            VoxelSize { z: z / 10.0, y: y / 10.0, x: x / 10.0, unit: "nm".into() }
        }
        _ => size.clone(),
    };
    Some(size).filter(|size| size.unit.is_ascii() || size.unit == MICROMETRE)
}

/// What a first page says of the pages of its file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    /// For the tag ImageDescription; ASCII. Without any, the page has no such tag.
    pub(super) text: String,
    /// Pixels for each unit of length, along x and y.
    pub(super) resolution: Option<[f64; 2]>,
    /// Whether that unit is a centimetre; else it is the one that the text names.
    pub(super) in_centimetres: bool,
}

/// The fraction of two numbers of 32 bits that is nearest to `value`, above 0, by its continued fraction.
pub(super) fn fraction(value: f64) -> (u32, u32) {
    let limit = f64::from(u32::MAX);
    let (mut before, mut best) = ((0.0, 1.0), (1.0, 0.0));
    let mut rest = value.clamp(1.0 / limit, limit);
    loop {
        let whole = rest.floor();
        let next = (whole * best.0 + before.0, whole * best.1 + before.1);
        if next.0 > limit || next.1 > limit {
            break;
        }
        (before, best) = (best, next);
        let part = rest - whole;
        if part < 1e-12 || (best.0 / best.1 / value - 1.0).abs() < 1e-12 {
            break;
        }
        rest = 1.0 / part;
    }
    (best.0 as u32, (best.1 as u32).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(axes: &[(char, usize)], is_ome: bool) -> StackLayout {
        let voxel_size = Some(VoxelSize { z: 2.0, y: 0.5, x: 0.25, unit: MICROMETRE.into() });
        StackLayout { axes: axes.to_vec(), voxel_size, is_ome, ..StackLayout::slices(0) }
    }

    #[test]
    fn fractions_are_near_and_fit() {
        for (value, wanted) in [(4.0, (4, 1)), (0.5, (1, 2)), (1.0 / 3.0, (1, 3)), (0.325, (13, 40))] {
            assert_eq!(fraction(value), wanted);
        }
        for value in [std::f64::consts::PI, 15_384.615_384, 1e-7, 3e9, 0.108_333] {
            let (above, below) = fraction(value);
            assert!((f64::from(above) / f64::from(below) / value - 1.0).abs() < 1e-9, "{value}");
        }
        assert_eq!(fraction(1e30), (u32::MAX, 1));
    }

    #[test]
    fn imagej_is_told_what_it_knows() {
        let described = layout(&[('T', 3), ('Z', 2)], false).with_channels(4);
        let described = described.description(PixelType::Numbers(NumberType::F32), 5, 6);
        let text = "ImageJ=\nimages=24\nchannels=4\nslices=2\nframes=3\nhyperstack=true\nmode=grayscale\nunit=micron\nspacing=2\nloop=false\n";
        assert_eq!((described.text.as_str(), described.in_centimetres), (text, false));
        assert_eq!(described.resolution, Some([4.0, 2.0]));
        // Another order, or numbers that it does not have.
        for (axes, pixel) in [
            (vec![('Z', 2), ('T', 3)], PixelType::Numbers(NumberType::U8)),
            (vec![('Z', 6)], PixelType::Numbers(NumberType::I32)),
        ] {
            assert!(layout(&axes, false).description(pixel, 5, 6).text.starts_with("<?xml"));
        }
    }

    #[test]
    fn ome_xml_is_understood_as_it_is_meant() {
        let ome = layout(&[('Z', 2), ('T', 3)], true).with_channels(2);
        let described = ome.description(PixelType::Numbers(NumberType::F32), 5, 6);
        assert!(described.text.is_ascii() && described.in_centimetres);
        assert!(described.text.contains(r#"DimensionOrder="XYCTZ""#), "{}", described.text);
        let frame = metadata::Frame { height: 5, width: 6, samples: 1, planar: false };
        let series = metadata::series(&described.text, frame);
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].axes, [('Z', 2), ('T', 3), ('C', 2)]);
        assert_eq!(series[0].order, Some((0..12).collect()));
    }
}
