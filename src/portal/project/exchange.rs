//! Labels to files, and from files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use ndarray::{Array2, Array4, s};

use super::{Class, Image, Project, Rect, Run};
use crate::files::UnfinishedFile;
use crate::geometry::{Extent, Window};
use crate::images::{
    ClassLook, Discovery, ImageSource, LabelFormat, NewStack, Palette, Sink, StackFormat, page_size,
};
use crate::portal::journal::{Entry, Import, Shape, UNLABELLED};
use crate::portal::project::Done;
use crate::{Error, Result};

/// Rows that are read and written at once.
const ROWS: usize = 256;
/// The names of label files that were laid over: these with a number between them.
const IMPORT: (&str, &str) = ("labels/import-", ".tif");
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
        let classes = self.classes();
        let extent = Extent::new(image.slices, image.height, image.width);
        let look = |class: &Class| ClassLook {
            value: class.class.into(),
            name: class.name.clone(),
            colour: colour(&class.colour),
        };
        let stack = NewStack { classes: classes.iter().map(look).collect(), ..NewStack::new(&path, extent) };
        let mut sink = stack.labels(StackFormat::Tiff, LabelFormat::Png8, Some(&palette(&classes)))?;
        for slice in 0..image.slices {
            for top in (0..image.height).step_by(ROWS) {
                let rows = top..(top + ROWS).min(image.height);
                let rect = Rect { top: rows.start, bottom: rows.end, left: 0, right: image.width };
                let labels = self.labels_in(id, slice, &rect)?.0.mapv(i64::from);
                let window = Window::new(slice..slice + 1, rows, 0..image.width);
                sink.write(
                    window,
                    labels.insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0)).view(),
                )?;
            }
        }
        Box::new(sink).done()?;
        let mut written = self.state().written.clone();
        written.add(id, seq, hash);
        // Only then what is on the disk, so that what is said there is true whenever the program ends.
        written.write(&self.folder)?;
        self.state().written = written;
        Ok(path)
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

    /// Lays the label image or stack in the file at `from` over the labels of an image: values that are classes, while others are
    /// passed over.
    ///
    /// # Errors
    /// [`Error::Input`] for what is no label image, [`Error::Mismatch`] for one of another size.
    pub(in crate::portal) fn import(&self, tab: &str, id: &str, from: &Path) -> Result<Done> {
        let Some(image) = self.image(id) else {
            return Err(Error::Mismatch(format!("there is no image {id} in the project")));
        };
        let pages = Discovery::default().discover_single_channel(&from.display().to_string())?;
        let first = pages.first().map(page_size).transpose()?;
        let size = first.map(|(_, height, width)| (pages.len(), height, width));
        if size != Some((image.slices, image.height, image.width)) {
            let (slices, height, width) = size.unwrap_or_default();
            return Err(Error::Mismatch(format!(
                "the labels have {width} x {height} pixels in {slices} slices, but {} has {} x {} in {}; choose the image that they belong to",
                image.name, image.width, image.height, image.slices
            )));
        }
        let _alone = self.imports.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let number =
            (1..).find(|number| !self.folder.join(format!("{}{number}{}", IMPORT.0, IMPORT.1)).exists());
        let file = format!("{}{}{}", IMPORT.0, number.unwrap_or(1_u64), IMPORT.1);
        let extent = Extent::new(image.slices, image.height, image.width);
        let path = self.folder.join(&file);
        let (layout, classes) = (None, Vec::new());
        let stack = NewStack { layout, classes, ..NewStack::new(&path, extent) };
        let mut sink = stack.labels(StackFormat::Tiff, LabelFormat::Png8, None)?;
        for (slice, page) in pages.iter().enumerate() {
            for top in (0..image.height).step_by(ROWS) {
                let rows = top..(top + ROWS).min(image.height);
                let part = Window::plane(rows.clone(), 0..image.width);
                let labels = self.imports.files.labels(page, &part, false)?;
                let kept = |value: i64| u8::try_from(value).unwrap_or(UNLABELLED);
                let labels = labels.mapv(|value| i64::from(kept(value)));
                let window = Window::new(slice..slice + 1, rows, 0..image.width);
                sink.write(
                    window,
                    labels.insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0)).view(),
                )?;
            }
        }
        Box::new(sink).done()?;
        let done = self.append(tab, vec![Entry::Import(Import { image: id.to_owned(), file })]);
        if done.is_err() {
            std::fs::remove_file(&path).ok();
        }
        done
    }

    /// A file in the project's cache to put what a page sends, until it is known what it is.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub(in crate::portal) fn begin_import(&self) -> Result<(UnfinishedFile, PathBuf)> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.folder.join(format!("cache/import-{number}"));
        Ok((UnfinishedFile::create(&path)?, path))
    }

    /// Refuses files that no import has written, and those of another size.
    pub(super) fn check_import(&self, file: &str, shape: Option<Shape>) -> Result<()> {
        let number = file.strip_prefix(IMPORT.0).and_then(|rest| rest.strip_suffix(IMPORT.1));
        let is_number = number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_number {
            return Err(Error::Mismatch(
                "`file` is no label file of this project, such as labels/import-1.tif".into(),
            ));
        }
        let pages = self.import_pages(file)?;
        let size =
            pages.first().map(page_size).transpose()?.map(|(_, height, width)| (pages.len(), height, width));
        match shape {
            Some(shape) if size != Some((shape.slices, shape.height, shape.width)) => Err(Error::Mismatch(
                format!("{file} is not as large as the image; choose the image that it belongs to"),
            )),
            _ => Ok(()),
        }
    }

    fn import_pages(&self, file: &str) -> Result<Arc<Vec<ImageSource>>> {
        let mut opened = self.imports.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = opened.get(file) {
            return Ok(pages.clone());
        }
        let path = self.folder.join(file).display().to_string();
        let pages = Arc::new(Discovery::default().discover_single_channel(&path)?);
        opened.insert(file.to_owned(), pages.clone());
        Ok(pages)
    }

    /// The pixels of each label in a slice of a label file.
    pub(super) fn imported(&self, file: &str, slice: usize) -> Result<Vec<(u8, Vec<Run>)>> {
        let pages = self.import_pages(file)?;
        let Some(page) = pages.get(slice) else { return Ok(Vec::new()) };
        let (_, height, width) = page_size(page)?;
        let mut of_class: Vec<Vec<Run>> = vec![Vec::new(); 255];
        for top in (0..height).step_by(ROWS) {
            let part = Window::plane(top..(top + ROWS).min(height), 0..width);
            let labels: Array2<i64> = self.imports.files.labels(page, &part, false)?;
            for (row, labels) in labels.outer_iter().enumerate() {
                let mut x = 0;
                while x < width {
                    let label = labels[x];
                    let end = (x..width).find(|x| labels[*x] != label).unwrap_or(width);
                    if let Some(runs) = usize::try_from(label).ok().and_then(|label| of_class.get_mut(label))
                    {
                        runs.push(Run { y: top + row, start: x, end });
                    }
                    x = end;
                }
            }
        }
        let some = of_class.into_iter().zip(0_u8..).filter(|(runs, _)| !runs.is_empty());
        Ok(some.map(|(runs, class)| (class, runs)).collect())
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
