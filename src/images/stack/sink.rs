//! Results of one type, checked and handed to a file of any format.

use std::path::{Path, PathBuf};

use ndarray::ArrayView4;
use tiff::decoder::DecodingResult;

use super::StackFile;
use crate::error::{Error, Result};
use crate::geometry::{Extent, Window};
use crate::images::arrays::{copy_common, zeros_like};
use crate::images::label_format::LabelFormat;
use crate::images::sink::{Coverage, Sink, check_shape};
use crate::images::volume::check_window;

/// What turns results into the numbers that a file stores, `[channel][z][y][x]`, or says what is wrong with one of them.
pub(in crate::images) type Store<T> = fn(ArrayView4<T>) -> std::result::Result<DecodingResult, String>;

/// A stack of one image for each slice, in a file of any format.
///
/// Slabs come in order: the first part that is written says how many slices the slab has, and all others of these slices
/// have to come before the next.
pub struct StackSink<T, F: StackFile = Box<dyn StackFile>> {
    path: PathBuf,
    extent: Extent,
    channels: usize,
    file: F,
    store: Store<T>,
    /// Whether parts are whole rows of a slice, from the first to the last.
    by_rows: bool,
    /// The slices before this one are in the file.
    next: usize,
    slab: Option<Slab>,
}

/// Slices of which some parts have been written.
struct Slab {
    coverage: Coverage,
    depth: usize,
    /// What came so far, where the file takes whole images only.
    numbers: Option<DecodingResult>,
}

/// How labels are stored in as many bits as `format` has.
pub(in crate::images) fn store_labels(format: LabelFormat) -> Store<i64> {
    fn checked(labels: &ArrayView4<i64>, format: LabelFormat) -> std::result::Result<(), String> {
        let misfit = labels.iter().find(|label| !format.range().contains(label));
        misfit.map_or(Ok(()), |label| Err(format.misfit(*label)))
    }
    match format {
        LabelFormat::Png8 => |labels| {
            checked(&labels, LabelFormat::Png8)?;
            Ok(DecodingResult::U8(labels.iter().map(|label| *label as u8).collect()))
        },
        LabelFormat::Png16 => |labels| {
            checked(&labels, LabelFormat::Png16)?;
            Ok(DecodingResult::U16(labels.iter().map(|label| *label as u16).collect()))
        },
        LabelFormat::Tiff32 => |labels| {
            checked(&labels, LabelFormat::Tiff32)?;
            Ok(DecodingResult::I32(labels.iter().map(|label| *label as i32).collect()))
        },
    }
}

impl<T: Copy + Default, F: StackFile> StackSink<T, F> {
    /// Results of `extent` and `channels` for `file`, which takes slices from number `next` on.
    pub(in crate::images) fn new(
        path: &Path,
        extent: Extent,
        channels: usize,
        file: F,
        store: Store<T>,
        next: usize,
    ) -> Self {
        Self { path: path.to_path_buf(), extent, channels, file, store, by_rows: false, next, slab: None }
    }

    /// Passes over parts of the slice whose turn it is, which a program that was killed has written before.
    ///
    /// # Errors
    /// As [`Sink::write`], for parts that cannot be there.
    pub fn mark_written(&mut self, part: Window) -> Result<()> {
        self.mark(part).map(drop)
    }

    /// The same with another file, before anything is written.
    pub(in crate::images) fn map_file(self, file: impl FnOnce(F) -> F) -> Self {
        Self { file: file(self.file), ..self }
    }

    /// The same for parts that are whole rows of a slice, from the first to the last: these are in the file as soon as they have been
    /// written, also where it takes no other parts.
    pub(in crate::images) fn by_rows(self) -> Self {
        Self { by_rows: self.file.takes_rows(), ..self }
    }

    /// Leaves the unfinished file when this is dropped, for another run to go on with.
    pub fn keep(&mut self) {
        self.file.keep();
    }

    /// Whether parts of slices are in the file as soon as they have been written.
    pub fn takes_parts(&self) -> bool {
        self.file.takes_parts()
    }

    /// Marks a part as written; gives the slab when that completes it.
    fn mark(&mut self, part: Window) -> Result<Option<Slab>> {
        let name = self.path.display().to_string();
        check_window(&name, self.extent, &part)?;
        let depth = self.slab.as_ref().map_or(part.extent.z, |slab| slab.depth);
        let slab = Window { z: self.next, y: 0, x: 0, extent: Extent { z: depth, ..self.extent } };
        if part.slices() != slab.slices() {
            return Err(Error::Mismatch(format!(
                "{name} was given {part}, but it is the turn of slices {:?}; write slabs of slices one after the other",
                slab.slices()
            )));
        }
        let open = self.slab.get_or_insert_with(|| Slab {
            coverage: Coverage::new(slab.extent),
            depth,
            numbers: None,
        });
        open.coverage.add(&name, &Window { z: 0, ..part })?;
        if open.coverage.missing() > 0 {
            return Ok(None);
        }
        self.next += depth;
        Ok(self.slab.take())
    }
}

impl<T: Copy + Default + Send, F: StackFile> Sink<T> for StackSink<T, F> {
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
        // What cannot be stored is refused before anything is marked.
        let numbers = (self.store)(values).map_err(|problem| Error::output(&self.path, problem))?;
        let (first, whole) =
            (self.next, (window.extent.y, window.extent.x) == (self.extent.y, self.extent.x));
        let complete = self.mark(window)?;
        if self.file.takes_parts() || self.by_rows || whole {
            return self.file.put(window, numbers);
        }
        let is_complete = complete.is_some();
        let Some(mut slab) = complete.or_else(|| self.slab.take()) else { return Ok(()) };
        let place = |part: &Window| [0..self.channels, part.slices(), part.rows(), part.columns()];
        let all = Window { z: first, y: 0, x: 0, extent: Extent { z: slab.depth, ..self.extent } };
        let mut held = match slab.numbers.take() {
            Some(held) => held,
            None => zeros_like(&name, &numbers, self.channels.saturating_mul(all.extent.pixels()))?,
        };
        // Both were made for these places.
        copy_common(&mut held, &place(&all), &numbers, &place(&window));
        if is_complete {
            return self.file.put(all, held);
        }
        self.slab = Some(Slab { numbers: Some(held), ..slab });
        Ok(())
    }

    fn done(self: Box<Self>) -> Result<()> {
        if self.next < self.extent.z {
            let problem = format!(
                "{} of {} slices have been written; write all of them first",
                self.next, self.extent.z
            );
            return Err(Error::output(&self.path, problem));
        }
        Box::new(self.file).done()
    }
}
