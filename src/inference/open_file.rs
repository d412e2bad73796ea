//! The files of results that are being written: one for each product of an image or a stack.

use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView4, Axis};

use super::parts::Part;
use super::product::Product;
use super::products::{Products, Rendered};
use crate::Result;
use crate::files::unfinished_name;
use crate::geometry::Window;
use crate::images::{ImageSource, NewStack, SharedStack, Sink, StackFormat, StackLayout, StackSink};

/// A file that takes one kind of result.
pub(super) struct OpenFile {
    path: PathBuf,
    sink: AnySink,
}

enum AnySink {
    Labels(StackSink<i64>),
    Values(StackSink<f32>),
    Colours(StackSink<u8>),
    /// An earlier run has finished the file.
    Finished,
}

/// Opens a file for each product of one image that comes in parts.
pub(super) fn open_image(
    products: &Products,
    image: &ImageSource,
    part: &Part,
    rendered: &[(Product, Rendered<'_>)],
    resume: bool,
) -> Result<Vec<OpenFile>> {
    let mut files = Vec::new();
    let paths = products.image_files(&image.stem);
    for ((path, format), (_, rendered)) in paths.into_iter().zip(rendered) {
        let stack = NewStack {
            layout: StackLayout::of_image(image),
            classes: products.looks(),
            resume,
            dataset: products.dataset_of(&path),
            ..NewStack::new(path, part.whole)
        };
        let mut file = OpenFile::open(stack, format, rendered, products)?;
        file.mark_written(0, &part.done_before)?;
        files.push(file);
    }
    Ok(files)
}

impl OpenFile {
    pub(super) fn open(
        stack: NewStack,
        format: StackFormat,
        rendered: &Rendered<'_>,
        products: &Products,
    ) -> Result<Self> {
        let path = stack.path.clone();
        // A program that was killed while it gave files their names has done so with some of them.
        let is_there = match (&stack.share, &stack.work) {
            (Some(own), Some(work)) => SharedStack::of(&path, stack.extent.z, work).has(own),
            _ => stack.resume && !unfinished(&path, format).exists() && path.exists(),
        };
        if is_there {
            return Ok(Self { path, sink: AnySink::Finished });
        }
        let stack = products.named(stack, rendered);
        let sink = match rendered {
            Rendered::Labels(_, bits) => {
                AnySink::Labels(stack.labels(format, *bits, Some(&products.palette()))?)
            }
            Rendered::Values(values) => {
                AnySink::Values(NewStack { channels: values.dim().0, ..stack }.values(format)?)
            }
            Rendered::Colours(_) => AnySink::Colours(NewStack { channels: 3, ..stack }.colours(format)?),
        };
        Ok(Self { path, sink })
    }

    /// Passes over the `parts` of slice `slice`, which an earlier run has written.
    pub(super) fn mark_written(&mut self, slice: usize, parts: &[Window]) -> Result<()> {
        parts.iter().map(|part| Window { z: slice, ..*part }).try_for_each(|part| match &mut self.sink {
            AnySink::Labels(sink) => sink.mark_written(part),
            AnySink::Values(sink) => sink.mark_written(part),
            AnySink::Colours(sink) => sink.mark_written(part),
            AnySink::Finished => Ok(()),
        })
    }

    pub(super) fn keep(&mut self) {
        match &mut self.sink {
            AnySink::Finished => {}
            AnySink::Labels(sink) => sink.keep(),
            AnySink::Values(sink) => sink.keep(),
            AnySink::Colours(sink) => sink.keep(),
        }
    }
}

/// Adds the results of a part of slice `slice` to all files.
pub(super) fn add(
    files: &mut [OpenFile],
    slice: usize,
    core: &Window,
    rendered: &[(Product, Rendered<'_>)],
) -> Result<()> {
    for (file, (_, rendered)) in files.iter_mut().zip(rendered) {
        match (&mut file.sink, rendered) {
            (AnySink::Labels(sink), Rendered::Labels(labels, _)) => {
                write(sink, slice, core, labels.view().insert_axis(Axis(0)).insert_axis(Axis(0)))?;
            }
            (AnySink::Values(sink), Rendered::Values(values)) => {
                write(sink, slice, core, values.view().insert_axis(Axis(1)))?;
            }
            (AnySink::Colours(sink), Rendered::Colours(picture)) => {
                write(sink, slice, core, picture.view().permuted_axes([2, 0, 1]).insert_axis(Axis(1)))?;
            }
            (AnySink::Finished, _) => {}
            _ => unreachable!("each file takes one kind of result"),
        }
    }
    Ok(())
}

/// Adds nothing for a part of slice `slice` to all files.
pub(super) fn add_blank(files: &mut [OpenFile], slice: usize, core: &Window) -> Result<()> {
    let shape = |channels| (channels, 1, core.extent.y, core.extent.x);
    for file in files {
        match &mut file.sink {
            AnySink::Labels(sink) => write(sink, slice, core, Array4::zeros(shape(1)).view())?,
            AnySink::Values(sink) => {
                let nothing = Array4::from_elem(shape(sink.channels()), f32::NAN);
                write(sink, slice, core, nothing.view())?;
            }
            AnySink::Colours(sink) => write(sink, slice, core, Array4::zeros(shape(3)).view())?,
            AnySink::Finished => {}
        }
    }
    Ok(())
}

/// Says that image `name`, which is slice `slice` of a stack, has no result.
pub(super) fn tell_blank(files: &[OpenFile], name: &str, slice: usize) {
    for OpenFile { path, sink } in files {
        let nothing = if matches!(sink, AnySink::Values(_)) { "NaN" } else { "zeros" };
        log::warn!("{name} has no result; slice {slice} of {} holds {nothing}", path.display());
    }
}

fn write<T>(sink: &mut impl Sink<T>, slice: usize, core: &Window, values: ArrayView4<T>) -> Result<()> {
    sink.write(Window { z: slice, ..*core }, values)
}

/// Where a file lies while it is unfinished.
pub(super) fn unfinished(path: &Path, format: StackFormat) -> PathBuf {
    unfinished_name(&format.unfinished(path))
}

/// Whether a file is there, finished or not.
pub(super) fn is_begun(path: &Path, format: StackFormat) -> bool {
    path.exists() || unfinished(path, format).exists()
}

/// Gives all files their names.
pub(super) fn finish(files: &mut Vec<OpenFile>) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for OpenFile { path, sink } in files.drain(..) {
        match sink {
            AnySink::Labels(sink) => Box::new(sink).done()?,
            AnySink::Values(sink) => Box::new(sink).done()?,
            AnySink::Colours(sink) => Box::new(sink).done()?,
            AnySink::Finished => {}
        }
        paths.push(path);
    }
    Ok(paths)
}
