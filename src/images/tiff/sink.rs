//! Results to the pages of a TIFF stack, slab by slab.

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView3, ArrayView4, Axis, s};
use tiff::TiffResult;
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, Gray32Float, GrayI32, RGB8};
use tiff::encoder::{TiffEncoder, TiffKindBig, TiffValue};

use super::layout::{Description, PixelType, StackLayout};
use super::write::{MAX_CLASSIC_TIFF_BYTES, Tags, check_channels, io_error, write_page};
use crate::error::{Error, Result};
use crate::files::UnfinishedFile;
use crate::geometry::{Extent, Window};
use crate::images::label_format::LabelFormat;
use crate::images::labels::Palette;
use crate::images::limits::side;
use crate::images::sink::{Coverage, Sink, check_shape};
use crate::images::volume::{check_window, zeros};

/// A TIFF file of one page for each slice.
///
/// Slabs come in order: the first part that is written says how many slices the slab has, and all others of these slices
/// have to come before the next. Memory is taken for one slab, and for none where each part has whole slices.
pub struct TiffSink<T> {
    path: PathBuf,
    extent: Extent,
    channels: usize,
    pages: Pages,
    file: UnfinishedFile,
    add: AddPage<T>,
    pixel: PixelType,
    /// What the first page says of the file.
    description: Option<Description>,
    /// The colours in which programs show the numbers of all pages.
    palette: Option<Box<Palette>>,
    misfit: Box<Misfit<T>>,
    /// The slices before this one are in the file.
    next: usize,
    slab: Option<Slab<T>>,
}

/// Slices of which some parts have been written.
struct Slab<T> {
    values: Array4<T>,
    coverage: Coverage,
}

enum Pages {
    Classic(TiffEncoder<File>),
    Big(TiffEncoder<File, TiffKindBig>),
}

/// Adds the page of a slice `[channel][y][x]`, with what it says beside its pixels.
type AddPage<T> = fn(&mut Pages, ArrayView3<T>, Tags<'_>) -> TiffResult<()>;

/// What is wrong with the first number that cannot be stored; `None` where all can.
type Misfit<T> = dyn Fn(&ArrayView4<T>) -> Option<String> + Send;

impl Pages {
    fn add<C: ColorType, T: Copy>(
        &mut self,
        slice: ArrayView3<T>,
        tags: Tags<'_>,
        number: impl Fn(T) -> C::Inner,
    ) -> TiffResult<()>
    where
        [C::Inner]: TiffValue,
    {
        match self {
            Pages::Classic(encoder) => write_page::<C, _, _, _>(encoder, slice, tags, number),
            Pages::Big(encoder) => write_page::<C, _, _, _>(encoder, slice, tags, number),
        }
    }
}

impl TiffSink<f32> {
    /// For float32 values; those of a pixel lie side by side in the file, as [`write_tiff_f32`](super::write_tiff_f32)
    /// writes them.
    ///
    /// # Errors
    /// [`Error::Output`] for no or more than 65 535 channels, an empty volume, or a file that cannot be written.
    pub fn values(path: impl AsRef<Path>, extent: Extent, channels: usize) -> Result<Self> {
        let add: AddPage<f32> = |pages, slice, tags| pages.add::<Gray32Float, _>(slice, tags, |value| value);
        Self::new(path.as_ref(), extent, channels, (add, PixelType::Float32), Box::new(|_| None))
    }
}

impl TiffSink<u8> {
    /// For colours: three channels, red, green and blue.
    ///
    /// # Errors
    /// [`Error::Output`] for an empty volume or a file that cannot be written.
    pub fn colours(path: impl AsRef<Path>, extent: Extent) -> Result<Self> {
        let add: AddPage<u8> = |pages, slice, tags| pages.add::<RGB8, _>(slice, tags, |value| value);
        Self::new(path.as_ref(), extent, 3, (add, PixelType::Colours), Box::new(|_| None))
    }
}

impl TiffSink<i64> {
    /// For labels, in as many bits as `format` has.
    ///
    /// # Errors
    /// [`Error::Output`] for an empty volume or a file that cannot be written.
    pub fn labels(path: impl AsRef<Path>, extent: Extent, format: LabelFormat) -> Result<Self> {
        let add: (AddPage<i64>, PixelType) = match format {
            LabelFormat::Png8 => (
                |pages, slice, said| pages.add::<Gray8, _>(slice, said, |label| label as u8),
                PixelType::Uint8,
            ),
            LabelFormat::Png16 => (
                |pages, slice, said| pages.add::<Gray16, _>(slice, said, |label| label as u16),
                PixelType::Uint16,
            ),
            LabelFormat::Tiff32 => (
                |pages, slice, said| pages.add::<GrayI32, _>(slice, said, |label| label as i32),
                PixelType::Int32,
            ),
        };
        let misfit = move |labels: &ArrayView4<i64>| {
            labels.iter().find(|label| !format.range().contains(label)).map(|label| format.misfit(*label))
        };
        Self::new(path.as_ref(), extent, 1, add, Box::new(misfit))
    }

    /// Labels of 8 bits are shown in the colours of `palette`; their numbers stay the labels. To be called before anything is
    /// written.
    #[must_use]
    pub fn coloured(mut self, palette: &Palette) -> Self {
        // The format has palettes of 16 bits too, but few programs.
        self.palette = (self.pixel == PixelType::Uint8).then(|| Box::new(*palette));
        self
    }
}

impl<T> TiffSink<T> {
    fn new(
        path: &Path,
        extent: Extent,
        channels: usize,
        (add, pixel): (AddPage<T>, PixelType),
        misfit: Box<Misfit<T>>,
    ) -> Result<Self> {
        check_channels(path, channels)?;
        for length in [extent.z, extent.y, extent.x] {
            side(path, length)?;
        }
        let bytes =
            extent.checked_pixels().and_then(|n| n.checked_mul(channels)).and_then(|n| n.checked_mul(4));
        let file = UnfinishedFile::create(path)?;
        let writer = file.file().try_clone().map_err(|error| file.failed(error))?;
        let pages = match bytes {
            Some(bytes) if bytes < MAX_CLASSIC_TIFF_BYTES => TiffEncoder::new(writer).map(Pages::Classic),
            _ => TiffEncoder::new_big(writer).map(Pages::Big),
        };
        let pages = pages.map_err(|error| file.failed(io_error(error)))?;
        Ok(Self {
            path: path.to_path_buf(),
            extent,
            channels,
            pages,
            add,
            pixel,
            description: None,
            palette: None,
            misfit,
            file,
            next: 0,
            slab: None,
        })
    }

    /// With the axes and the size of pixels that `layout` says, if it has as many planes as this has slices. To be called before
    /// anything is written.
    #[must_use]
    pub fn laid_out(mut self, layout: &StackLayout) -> Self {
        let Extent { z, y, x } = self.extent;
        self.description = (layout.planes() == z).then(|| layout.description(self.pixel, y, x));
        self
    }

    /// Adds whole slices, `[channel][z][y][x]`.
    fn add_pages(&mut self, slices: ArrayView4<T>) -> Result<()> {
        for slice in slices.axis_iter(Axis(1)) {
            let description = self.description.as_ref().filter(|_| self.next == 0);
            (self.add)(&mut self.pages, slice, Tags { description, palette: self.palette.as_deref() })
                .map_err(|error| self.file.failed(io_error(error)))?;
            self.next += 1;
        }
        Ok(())
    }
}

impl<T: Copy + Default + Send> Sink<T> for TiffSink<T> {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn channels(&self) -> usize {
        self.channels
    }

    /// Slab by slab, and in any order inside a slab.
    fn write(&mut self, window: Window, values: ArrayView4<T>) -> Result<()> {
        let name = self.name();
        check_window(&name, self.extent, &window)?;
        check_shape(&name, self.channels, &window, &values)?;
        let depth = self.slab.as_ref().map_or(window.extent.z, |slab| slab.values.dim().1);
        let slab = Window { z: self.next, y: 0, x: 0, extent: Extent { z: depth, ..self.extent } };
        if window.slices() != slab.slices() {
            return Err(Error::Mismatch(format!(
                "{name} was given {window}, but it is the turn of slices {:?}; write slabs of slices one after the other",
                slab.slices()
            )));
        }
        if let Some(problem) = (self.misfit)(&values) {
            return Err(Error::output(&self.path, problem));
        }
        if window == slab && self.slab.is_none() {
            return self.add_pages(values);
        }
        let Extent { z, y, x } = slab.extent;
        let mut open = match self.slab.take() {
            Some(open) => open,
            None => {
                Slab { values: zeros(&name, (self.channels, z, y, x))?, coverage: Coverage::new(slab.extent) }
            }
        };
        let marked = open.coverage.add(&name, &Window { z: 0, ..window });
        if marked.is_ok() {
            open.values.slice_mut(s![.., .., window.rows(), window.columns()]).assign(&values);
        }
        if open.coverage.missing() == 0 {
            return self.add_pages(open.values.view());
        }
        self.slab = Some(open);
        marked
    }

    fn done(self: Box<Self>) -> Result<()> {
        if self.next < self.extent.z {
            let problem = format!(
                "{} of {} slices have been written; write all of them first",
                self.next, self.extent.z
            );
            return Err(Error::output(&self.path, problem));
        }
        let Self { pages, file, .. } = *self;
        // Some systems rename no file that is open twice.
        drop(pages);
        file.done()
    }
}

#[cfg(test)]
mod tests {
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
