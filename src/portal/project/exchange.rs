//! Labels to files.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use ndarray::{Array4, s};

use super::{Class, Image, Project, Rect};
use crate::geometry::{Extent, Window};
use crate::images::{ClassLook, LabelFormat, NewStack, Palette, Sink, StackFormat};
use crate::{Error, Result};

/// Rows that are read and written at once.
const ROWS: usize = 256;
/// Files of labels that are larger are written when they are asked for, and not whenever a server ends.
const LARGEST_BY_ITSELF: usize = 1 << 30;

/// The colours of classes as label files show them.
fn palette(classes: &[Class]) -> Palette {
    let mut palette = [[0; 3]; 256];
    for class in classes {
        palette[usize::from(class.class)] = colour(&class.colour);
    }
    palette
}

fn colour(text: &str) -> [u8; 3] {
    let part = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    [1, 3, 5].map(|at| part(at).unwrap_or(0x80))
}

impl Project {
    /// Writes the labels of an image to `labels/<id>.tif`, a page for each slice, 255 for pixels without one. Where the file has
    /// them already, nothing is written.
    ///
    /// # Errors
    /// As [`Project::labels`]; [`Error::Output`].
    pub fn write_labels(&self, id: &str) -> Result<PathBuf> {
        self.check_may_change()?;
        let path = self.folder.join(format!("labels/{id}.tif"));
        let Some(image) = self.image(id) else {
            return Err(Error::Mismatch(format!("there is no image {id} in the project")));
        };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (seq, hash, is_known) = {
            let state = self.state();
            let last = state.history.changed_at(id).unwrap_or(0);
            (state.journal.seq(), state.journal.hash().to_owned(), state.written.has(id, last))
        };
        if is_known && path.exists() {
            return Ok(path);
        }
        self.write_labels_as(&image, &path, StackFormat::Tiff)?;
        let mut written = self.state().written.clone();
        written.add(id, seq, hash);
        // Only then what is on the disk, so that what is said there is true whenever the program ends.
        written.write(&self.folder)?;
        self.state().written = written;
        Ok(path)
    }

    /// Writes the labels of an image to a stack of this format, 255 for pixels without one.
    ///
    /// # Errors
    /// As [`Project::labels`]; [`Error::Output`], also for sizes that the format does not have.
    pub(in crate::portal) fn write_labels_as(
        &self,
        image: &Image,
        path: &Path,
        format: StackFormat,
    ) -> Result<()> {
        let classes = self.classes();
        let extent = Extent::new(image.slices, image.height, image.width);
        let look = |class: &Class| ClassLook {
            value: class.class.into(),
            name: class.name.clone(),
            colour: colour(&class.colour),
        };
        let stack = NewStack { classes: classes.iter().map(look).collect(), ..NewStack::new(path, extent) };
        let mut sink = stack.labels(format, LabelFormat::Png8, Some(&palette(&classes)))?;
        for slice in 0..image.slices {
            for top in (0..image.height).step_by(ROWS) {
                let rows = top..(top + ROWS).min(image.height);
                let rect = Rect { top: rows.start, bottom: rows.end, left: 0, right: image.width };
                let labels = self.labels_in(&image.id, slice, &rect)?.0.mapv(i64::from);
                let window = Window::new(slice..slice + 1, rows, 0..image.width);
                sink.write(
                    window,
                    labels.insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0)).view(),
                )?;
            }
        }
        Box::new(sink).done()
    }

    /// Writes the labels of all images whose files do not have them, as before a project is closed. Where that fails for an image, it goes on
    /// with the next.
    ///
    /// # Errors
    /// As [`Project::write_labels`], of the first image that failed; the others are logged.
    pub fn write_changed_labels(&self) -> Result<()> {
        let is_small = |image: &Image| {
            let Image { width, height, slices, .. } = image;
            width.saturating_mul(*height).saturating_mul(*slices) <= LARGEST_BY_ITSELF
        };
        let is_labelled = |image: &Image| self.state().history.changed_at(&image.id).is_some();
        let images = self.images().into_iter().filter(is_small).filter(is_labelled);
        let failed = images.filter_map(|image| {
            let error = self.write_labels(&image.id).err()?;
            log::error!("the labels of {} ({}) are not written: {error}", image.id, image.name);
            Some(error)
        });
        // All are tried, whatever becomes of the first.
        failed.collect::<Vec<_>>().into_iter().next().map_or(Ok(()), Err)
    }

    /// Writes the labels of an image as PNG files, one for each slice that has some, into `folder`; gives their paths.
    ///
    /// # Errors
    /// As [`Project::write_labels`].
    pub(in crate::portal) fn write_label_pictures(
        &self,
        image: &Image,
        folder: &Path,
    ) -> Result<Vec<PathBuf>> {
        let palette = palette(&self.classes());
        let mut written = Vec::new();
        for slice in self.painted_slices(&image.id) {
            let name = match image.slices {
                1 => format!("{}.png", image.id),
                _ => format!("{}_p{slice:04}.png", image.id),
            };
            let path = folder.join(name);
            let labels = self.labels(&image.id, slice)?.0;
            let extent = Extent::plane(image.height, image.width);
            let (layout, classes) = (None, Vec::new());
            let stack = NewStack { layout, classes, ..NewStack::new(&path, extent) };
            let mut sink = stack.labels(StackFormat::Png, LabelFormat::Png8, Some(&palette))?;
            for top in (0..image.height).step_by(ROWS) {
                let rows = top..(top + ROWS).min(image.height);
                let band = labels.slice(s![rows.clone(), ..]);
                let band = Array4::from_shape_fn((1, 1, rows.len(), image.width), |(.., y, x)| {
                    i64::from(band[(y, x)])
                });
                sink.write(Window::plane(rows, 0..image.width), band.view())?;
            }
            Box::new(sink).done()?;
            written.push(path);
        }
        Ok(written)
    }
}
