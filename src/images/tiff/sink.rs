//! Results to the pages of a TIFF stack.

use std::path::Path;

use ndarray::ArrayView4;
use tiff::decoder::DecodingResult;

use super::layout::{Description, PixelType, StackLayout};
use super::stack::{StackForm, StackPlaces};
use super::write::check_channels;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::images::label_format::LabelFormat;
use crate::images::labels::Palette;
use crate::images::limits::side;
use crate::images::number_type::NumberType;
use crate::images::sink::Sink;
use crate::images::stack::{Content, FixedFile, NewStack, Places, StackSink, Store, store_labels};

/// A TIFF file of one page for each slice.
///
/// Slabs come in order: the first part that is written says how many slices the slab has, and all others of these slices
/// have to come before the next. Parts go into the file as they come.
pub struct TiffSink<T> {
    sink: StackSink<T, FixedFile>,
    pixel: PixelType,
    /// What the first page says of the file.
    description: Option<Description>,
    /// The colours in which programs show the numbers of all pages.
    palette: Option<Box<Palette>>,
}

impl TiffSink<f32> {
    /// For float32 values; those of a pixel lie side by side in the file, as [`write_tiff_f32`](super::write_tiff_f32)
    /// writes them.
    ///
    /// # Errors
    /// [`Error::Output`] for no or more than 65 535 channels, an empty volume, or a file that cannot be written.
    pub fn values(path: impl AsRef<Path>, extent: Extent, channels: usize) -> Result<Self> {
        let store: Store<f32> = |values| Ok(DecodingResult::F32(values.iter().copied().collect()));
        Self::new(path.as_ref(), extent, channels, PixelType::Numbers(NumberType::F32), store)
    }
}

impl TiffSink<u8> {
    /// For colours: three channels, red, green and blue.
    ///
    /// # Errors
    /// [`Error::Output`] for an empty volume or a file that cannot be written.
    pub fn colours(path: impl AsRef<Path>, extent: Extent) -> Result<Self> {
        let store: Store<u8> = |values| Ok(DecodingResult::U8(values.iter().copied().collect()));
        Self::new(path.as_ref(), extent, 3, PixelType::Colours, store)
    }
}

impl TiffSink<i64> {
    /// For labels, in as many bits as `format` has.
    ///
    /// # Errors
    /// [`Error::Output`] for an empty volume or a file that cannot be written.
    pub fn labels(path: impl AsRef<Path>, extent: Extent, format: LabelFormat) -> Result<Self> {
        Self::new(path.as_ref(), extent, 1, PixelType::of(format), store_labels(format))
    }

    /// Labels of 8 bits are shown in the colours of `palette`; their numbers stay the labels. To be called before anything is
    /// written.
    #[must_use]
    pub fn coloured(mut self, palette: &Palette) -> Self {
        // The format has palettes of 16 bits too, but few programs.
        self.palette = (self.pixel == PixelType::Numbers(NumberType::U8)).then(|| Box::new(*palette));
        self.said()
    }
}

/// A file for a stack that says these things of itself.
///
/// # Errors
/// [`Error::Output`] for no or too many channels, an empty volume, or a file that cannot be written.
fn stack_file(path: &Path, resume: bool, form: StackForm<'_>) -> Result<FixedFile> {
    let StackPlaces { places, header, length } = checked(path, &form)?;
    FixedFile::new(path, resume, form.extent, places, vec![(0, header)], length)
}

/// Whether the name of a file ends as those of OME-TIFF files do, such as `a.ome.tif`.
pub(in crate::images) fn has_ome_name(path: &Path) -> bool {
    let before_ending = path.file_stem().map(Path::new);
    before_ending.and_then(Path::extension).is_some_and(|inner| inner.eq_ignore_ascii_case("ome"))
}

/// Whether the name of a file ends as those of BigTIFF files do.
fn has_big_name(path: &Path) -> bool {
    let is = |wanted: &str| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(wanted));
    is("btf") || is("tf8")
}

/// A file for a stack in which each channel of an image has a page of its own, or for one image whose channels lie side by side.
/// It has OME-XML as its name says, and with `ome` whatever its name.
///
/// # Errors
/// As [`stack_file`].
pub(in crate::images) fn new_stack(stack: &NewStack, content: Content<'_>, ome: bool) -> Result<FixedFile> {
    let Extent { z, y, x } = stack.extent;
    let (pixel, palette) = match content {
        Content::Labels(format, palette) => (PixelType::of(format), palette),
        Content::Values => (PixelType::Numbers(NumberType::F32), None),
        Content::Colours => (PixelType::Colours, None),
        Content::Numbers(numbers) => (PixelType::Numbers(numbers), None),
    };
    let palette = palette.filter(|_| pixel == PixelType::Numbers(NumberType::U8));
    let ome = ome || has_ome_name(&stack.path);
    if ome && pixel.ome_name().is_none() {
        let problem = format!(
            "OME-TIFF files hold no {}; give another `dtype`, or write a file that ends in .tif without .ome, .h5 or .npy",
            pixel.numbers()
        );
        return Err(Error::output(&stack.path, problem));
    }
    let layout = match ome {
        true => Some(StackLayout::ome_of(stack.layout.as_ref(), z)),
        false => stack.layout.clone(),
    };
    let side_by_side =
        layout.as_ref().is_none_or(StackLayout::has_channels_inside) || matches!(content, Content::Colours);
    let channels = if side_by_side { 1 } else { stack.channels };
    let pages = z.saturating_mul(channels);
    let layout = layout.map(|layout| layout.with_channels(channels));
    let has_samples = side_by_side && stack.channels > 1 && !matches!(content, Content::Colours);
    let description = layout.filter(|layout| layout.planes() == pages).and_then(|layout| match has_samples {
        true => layout.description_of_samples(),
        false => Some(layout.description(pixel, y, x)),
    });
    let form = StackForm {
        extent: Extent { z: pages, ..stack.extent },
        channels: stack.channels / channels.max(1),
        pixel,
        description: description.as_ref(),
        palette,
        is_big: has_big_name(&stack.path),
    };
    let StackPlaces { places, header, length } = checked(&stack.path, &form)?;
    let places = match side_by_side {
        true => places,
        false => Places { channel: places.image, image: places.image * channels as u64, ..places },
    };
    FixedFile::new(&stack.path, stack.resume, stack.extent, places, vec![(0, header)], length)
}

fn checked(path: &Path, form: &StackForm<'_>) -> Result<StackPlaces> {
    check_channels(path, form.channels)?;
    let Extent { z, y, x } = form.extent;
    for length in [z, y, x] {
        side(path, length)?;
    }
    form.places().ok_or_else(|| {
        let problem = format!("a stack of {z} pages of {x} x {y} pixels; wanted fewer or smaller ones");
        Error::output(path, problem)
    })
}

impl<T: Copy + Default + Send> TiffSink<T> {
    fn new(path: &Path, extent: Extent, channels: usize, pixel: PixelType, store: Store<T>) -> Result<Self> {
        let is_big = has_big_name(path);
        let form = StackForm { extent, channels, pixel, description: None, palette: None, is_big };
        let file = stack_file(path, false, form)?;
        let sink = StackSink::new(path, extent, channels, file, store, 0);
        Ok(Self { sink, pixel, description: None, palette: None })
    }

    /// With the axes and the size of pixels that `layout` says, if it has as many planes as this has slices. To be called before
    /// anything is written.
    #[must_use]
    pub fn laid_out(mut self, layout: &StackLayout) -> Self {
        let Extent { z, y, x } = self.sink.extent();
        self.description = (layout.planes() == z).then(|| layout.description(self.pixel, y, x));
        self.said()
    }

    /// The same with what is said of the file now.
    fn said(self) -> Self {
        let Self { sink, pixel, description, palette } = self;
        let form = StackForm {
            extent: sink.extent(),
            channels: sink.channels(),
            pixel,
            description: description.as_ref(),
            palette: palette.as_deref(),
            is_big: has_big_name(Path::new(&sink.name())),
        };
        // What could be written before still can: what is said takes little room.
        let sink = match form.places() {
            Some(StackPlaces { places, header, length }) => {
                sink.map_file(|file| file.replaced(places, vec![(0, header)], length))
            }
            None => sink,
        };
        Self { sink, pixel, description, palette }
    }
}

impl<T: Copy + Default + Send> Sink<T> for TiffSink<T> {
    fn name(&self) -> String {
        self.sink.name()
    }

    fn extent(&self) -> Extent {
        self.sink.extent()
    }

    fn channels(&self) -> usize {
        self.sink.channels()
    }

    /// Slab by slab, and in any order inside a slab.
    fn write(&mut self, window: Window, values: ArrayView4<T>) -> Result<()> {
        self.sink.write(window, values)
    }

    fn done(self: Box<Self>) -> Result<()> {
        Box::new(self.sink).done()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use ndarray::{Array4, Axis, s};

    use super::*;
    use crate::geometry::tiles::tiles;
    use crate::images::{open_volume, write_tiff_f32};

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn tiles_make_a_stack_that_appears_when_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let extent = Extent::new(5, 6, 70);
        let whole =
            Array4::from_shape_fn((2, 5, 6, 70), |(c, z, y, x)| (c + z * 9) as f32 - (y * 70 + x) as f32);
        for tile in [Extent::new(1, 4, 30), Extent::new(2, 6, 70), Extent::new(2, 3, 64)] {
            let mut sink: Box<dyn Sink<f32>> = Box::new(TiffSink::values(&path, extent, 2).unwrap());
            let mut parts: Vec<Window> = tiles(extent, tile, [0; 3]).map(|tile| tile.core).collect();
            // In any order inside a slab.
            parts.sort_by_key(|part| (part.z, std::cmp::Reverse(part.y), part.x));
            for part in parts {
                assert!(!path.exists());
                let values = whole.slice(s![.., part.slices(), part.rows(), part.columns()]);
                sink.write(part, values).unwrap();
            }
            sink.done().unwrap();
            let volume = open_volume(path.to_str().unwrap()).unwrap();
            assert_eq!(volume.read(Window::whole(extent)).unwrap(), whole);
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(files(folder.path()), 0);
        // One slice is the file of one image.
        let image = whole.index_axis(Axis(1), 0).to_owned();
        write_tiff_f32(&path, &image).unwrap();
        let other = folder.path().join("b.tif");
        let mut sink = TiffSink::values(&other, Extent::plane(6, 70), 2).unwrap();
        sink.write(Window::plane(0..6, 0..70), image.view().insert_axis(Axis(1))).unwrap();
        Box::new(sink).done().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), std::fs::read(other).unwrap());
    }

    #[test]
    fn what_is_not_done_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let extent = Extent::new(2, 3, 4);
        let part = Array4::<f32>::zeros((1, 1, 3, 2));
        let mut sink = TiffSink::values(&path, extent, 1).unwrap();
        sink.write(Window::new(0..1, 0..3, 0..2), part.view()).unwrap();
        let refusal = |sink: &mut TiffSink<f32>, window: Window| {
            sink.write(window, part.view()).unwrap_err().to_string()
        };
        assert!(refusal(&mut sink, Window::new(1..2, 0..3, 0..2)).contains("the turn of slices 0..1"));
        assert!(refusal(&mut sink, Window::new(0..1, 0..3, 1..3)).contains("before"));
        assert!(refusal(&mut sink, Window::new(0..1, 0..3, 3..5)).contains("4 x 3 x 2 pixels"));
        assert!(refusal(&mut sink, Window::new(0..1, 0..3, 2..3)).contains("(1, 1, 3, 1)"));
        // Refusals take nothing away: the slab goes on.
        sink.write(Window::new(0..1, 0..3, 2..4), part.view()).unwrap();
        assert!(refusal(&mut sink, Window::new(0..1, 0..3, 0..2)).contains("the turn of slices 1..2"));
        assert!(Box::new(sink).done().unwrap_err().to_string().contains("1 of 2 slices"));
        drop(TiffSink::values(&path, extent, 1).unwrap());
        assert_eq!(files(folder.path()), 0);
        assert!(TiffSink::values(&path, Extent::new(0, 3, 4), 1).is_err());
        assert!(TiffSink::values(&path, extent, 0).is_err());
    }

    #[test]
    fn labels_of_8_bits_have_a_palette_and_stay_labels() {
        let folder = tempfile::tempdir().unwrap();
        let extent = Extent::new(3, 2, 2);
        let labels = Array4::from_shape_fn((1, 3, 2, 2), |(_, z, y, x)| (z * 4 + y * 2 + x) as i64);
        let mut palette = [[0xff; 3]; 256];
        palette[7] = [1, 2, 3];
        for (format, coloured) in
            [(LabelFormat::Png8, true), (LabelFormat::Png16, false), (LabelFormat::Tiff32, false)]
        {
            let path = folder.path().join(format!("{format:?}.tif"));
            let mut sink = TiffSink::labels(&path, extent, format).unwrap().coloured(&palette);
            sink.write(Window::whole(extent), labels.view()).unwrap();
            Box::new(sink).done().unwrap();
            let volume = open_volume(path.to_str().unwrap()).unwrap();
            assert_eq!(volume.read_labels(Window::whole(extent)).unwrap(), labels.index_axis(Axis(0), 0));
            assert_eq!(volume.read(Window::whole(extent)).unwrap(), labels.mapv(|label| label as f32));
            let mut file = tiff::decoder::Decoder::new(File::open(&path).unwrap()).unwrap();
            for page in 0..3 {
                let map =
                    file.find_tag(tiff::tags::Tag::ColorMap).unwrap().map(|map| map.into_u16_vec().unwrap());
                let of = map.map(|map| [7, 256 + 7, 512 + 7, 0].map(|place| map[place]));
                assert_eq!(of, coloured.then_some([257, 2 * 257, 3 * 257, 0xffff]), "{format:?}");
                if page < 2 {
                    file.next_image().unwrap();
                }
            }
        }
    }

    #[test]
    fn labels_take_the_bits_of_their_format() {
        let folder = tempfile::tempdir().unwrap();
        let extent = Extent::new(3, 2, 2);
        for (format, most) in
            [(LabelFormat::Png8, 255), (LabelFormat::Png16, 65_535), (LabelFormat::Tiff32, 1 << 30)]
        {
            let path = folder.path().join(format!("{most}.tif"));
            let mut labels = Array4::from_shape_fn((1, 3, 2, 2), |(_, z, y, x)| (z * 4 + y * 2 + x) as i64);
            labels[[0, 2, 1, 1]] = most;
            let mut sink = TiffSink::labels(&path, extent, format).unwrap();
            let error = sink.write(Window::whole(extent), (&labels * 4).view()).unwrap_err().to_string();
            assert!(error.contains(&format!("the label {}", most * 4)), "{error}");
            sink.write(Window::whole(extent), labels.view()).unwrap();
            Box::new(sink).done().unwrap();
            let volume = open_volume(path.to_str().unwrap()).unwrap();
            assert_eq!(volume.read_labels(Window::whole(extent)).unwrap(), labels.index_axis(Axis(0), 0));
        }
    }
}
