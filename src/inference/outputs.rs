//! The files of a prediction as they grow: one for each image, or one for all images of a stack.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, ArrayView4, Axis};

use super::ensemble::Prediction;
use super::products::{Products, Rendered};
use crate::Result;
use crate::geometry::{Extent, Window};
use crate::images::{ImageSource, Palette, Sink, StackLayout, TiffSink, page_size};

/// Which images are pages of one file, whose results are pages of one file too.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// For each image, which stack it belongs to and which slice of it it is; `None` for an image by itself.
    pub(super) places: Vec<Option<(usize, usize)>>,
    pub(super) stacks: Vec<StackOf>,
}

/// The images of one file.
#[derive(Debug)]
pub(super) struct StackOf {
    path: PathBuf,
    /// The file's name without its ending.
    pub(super) stem: String,
    /// The first of the images.
    pub(super) first: usize,
    count: usize,
    height: usize,
    width: usize,
}

impl Grouping {
    /// Images of one file and one size belong together, unless results are wanted by `pages`.
    pub(super) fn of(images: &[ImageSource], pages: bool) -> Self {
        let mut all = Self { places: vec![None; images.len()], stacks: Vec::new() };
        if pages {
            return all;
        }
        let mut files: Vec<(&Path, Vec<usize>)> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for (index, image) in images.iter().enumerate().filter(|(_, image)| image.page.is_some()) {
            let file = *known.entry(image.path.as_path()).or_insert_with(|| {
                files.push((image.path.as_path(), Vec::new()));
                files.len() - 1
            });
            files[file].1.push(index);
        }
        for (path, members) in files {
            // An image that cannot be read is of the size of the others.
            let mut sizes = members.iter().filter_map(|index| page_size(&images[*index]).ok());
            let Some((_, height, width)) = sizes.next() else { continue };
            if members.len() < 2 || sizes.any(|(_, y, x)| (y, x) != (height, width)) {
                continue;
            }
            for (slice, index) in members.iter().enumerate() {
                all.places[*index] = Some((all.stacks.len(), slice));
            }
            all.stacks.push(StackOf {
                path: path.to_path_buf(),
                stem: path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
                first: members[0],
                count: members.len(),
                height,
                width,
            });
        }
        all
    }
}

/// Where the results of images go, image by image in their order.
pub(super) struct Outputs<'a> {
    products: &'a Products,
    images: &'a [ImageSource],
    places: Vec<Option<(usize, usize)>>,
    stacks: Vec<Stack>,
}

/// The results of one stack.
struct Stack {
    source: StackOf,
    /// Empty before its first image has a result.
    files: Vec<(PathBuf, Slices)>,
    /// The names of the images before the first that has a result.
    skipped: Vec<String>,
}

/// A file that takes slices of one kind of result, `channels` pages for each.
enum Slices {
    Labels(TiffSink<i64>),
    Values { sink: TiffSink<f32>, channels: usize },
    Colours(TiffSink<u8>),
}

/// What has been written.
pub(super) struct Written {
    /// What messages call it: the image, or the file of the whole stack.
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
}

impl<'a> Outputs<'a> {
    pub(super) fn new(products: &'a Products, images: &'a [ImageSource]) -> Self {
        let Grouping { places, stacks } = products.grouping(images);
        let stacks = stacks
            .into_iter()
            .map(|source| Stack { source, files: Vec::new(), skipped: Vec::new() })
            .collect();
        Self { products, images, places, stacks }
    }

    /// Writes the files of image `index`; of a stack the files are there with its last image.
    ///
    /// Without a result, the slice of a stack holds zeros, or NaN for values.
    ///
    /// # Errors
    /// [`Error::Output`](crate::Error::Output) when a file cannot be written.
    pub(super) fn write(
        &mut self,
        index: usize,
        result: Option<(Option<&Array3<f32>>, &Prediction)>,
    ) -> Result<Written> {
        let image = &self.images[index];
        let Some((stack, slice)) = self.places[index] else {
            let files = match result {
                Some((picture, found)) => self.products.write(&image.stem, picture, found)?,
                None => Vec::new(),
            };
            return Ok(Written { name: image.name(), files });
        };
        let stack = &mut self.stacks[stack];
        match result {
            Some((picture, found)) => stack.add(self.products, image, slice, picture, found)?,
            None => stack.add_blank(&image.name(), slice)?,
        }
        if slice + 1 < stack.source.count {
            return Ok(Written { name: image.name(), files: Vec::new() });
        }
        let mut files = Vec::new();
        for (path, slices) in stack.files.drain(..) {
            slices.done()?;
            files.push(path);
        }
        Ok(Written { name: stack.source.path.display().to_string(), files })
    }
}

impl Stack {
    fn add(
        &mut self,
        products: &Products,
        image: &ImageSource,
        slice: usize,
        picture: Option<&Array3<f32>>,
        found: &Prediction,
    ) -> Result<()> {
        let rendered = products.rendered(picture, found)?;
        if self.files.is_empty() {
            let layout = StackLayout::of(image, self.source.count);
            for (product, result) in &rendered {
                let path = products.folder().join(product.stack_name(&self.source.stem));
                let slices = self.source.open(&path, result, &layout, &products.palette())?;
                self.files.push((path, slices));
            }
            for (skipped, name) in std::mem::take(&mut self.skipped).iter().enumerate() {
                self.add_blank(name, skipped)?;
            }
        }
        for ((_, slices), (_, result)) in self.files.iter_mut().zip(&rendered) {
            slices.add(slice, result)?;
        }
        Ok(())
    }

    fn add_blank(&mut self, name: &str, slice: usize) -> Result<()> {
        if self.files.is_empty() {
            self.skipped.push(name.to_owned());
        }
        for (path, slices) in &mut self.files {
            let nothing = if matches!(slices, Slices::Values { .. }) { "NaN" } else { "zeros" };
            log::warn!("{name} has no result; slice {slice} of {} holds {nothing}", path.display());
            slices.add_blank(slice)?;
        }
        Ok(())
    }
}

impl StackOf {
    fn open(
        &self,
        path: &Path,
        result: &Rendered<'_>,
        layout: &StackLayout,
        palette: &Palette,
    ) -> Result<Slices> {
        let extent = |channels: usize| Extent::new(self.count * channels, self.height, self.width);
        Ok(match result {
            Rendered::Labels(_, format) => {
                let sink = TiffSink::labels(path, extent(1), *format)?;
                Slices::Labels(sink.laid_out(layout).coloured(palette))
            }
            Rendered::Colours(_) => Slices::Colours(TiffSink::colours(path, extent(1))?.laid_out(layout)),
            Rendered::Values(values) => {
                let channels = values.dim().0;
                let layout = layout.clone().with_channels(channels);
                let sink = TiffSink::values(path, extent(channels), 1)?.laid_out(&layout);
                Slices::Values { sink, channels }
            }
        })
    }
}

impl Slices {
    fn add(&mut self, slice: usize, result: &Rendered<'_>) -> Result<()> {
        match (self, result) {
            (Slices::Labels(sink), Rendered::Labels(labels, _)) => {
                write(sink, slice, labels.view().insert_axis(Axis(0)).insert_axis(Axis(0)))
            }
            (Slices::Values { sink, .. }, Rendered::Values(values)) => {
                write(sink, slice, values.view().insert_axis(Axis(0)))
            }
            (Slices::Colours(sink), Rendered::Colours(picture)) => {
                write(sink, slice, picture.view().permuted_axes([2, 0, 1]).insert_axis(Axis(1)))
            }
            _ => unreachable!("each file takes one kind of result"),
        }
    }

    fn add_blank(&mut self, slice: usize) -> Result<()> {
        let size = |extent: Extent| (extent.y, extent.x);
        match self {
            Slices::Labels(sink) => {
                let labels = Array2::zeros(size(sink.extent()));
                write(sink, slice, labels.view().insert_axis(Axis(0)).insert_axis(Axis(0)))
            }
            Slices::Values { sink, channels } => {
                let (height, width) = size(sink.extent());
                let values = Array4::from_elem((1, *channels, height, width), f32::NAN);
                write(sink, slice, values.view())
            }
            Slices::Colours(sink) => {
                let (height, width) = size(sink.extent());
                write(sink, slice, Array4::zeros((3, 1, height, width)).view())
            }
        }
    }

    fn done(self) -> Result<()> {
        match self {
            Slices::Labels(sink) => Box::new(sink).done(),
            Slices::Values { sink, .. } => Box::new(sink).done(),
            Slices::Colours(sink) => Box::new(sink).done(),
        }
    }
}

/// Writes the pages of slice `slice`, of which `values` has as many as each slice has.
fn write<T>(sink: &mut impl Sink<T>, slice: usize, values: ArrayView4<T>) -> Result<()> {
    let (_, pages, height, width) = values.dim();
    sink.write(Window::new(slice * pages..(slice + 1) * pages, 0..height, 0..width), values)
}
