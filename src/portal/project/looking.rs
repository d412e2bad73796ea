//! Tiles, labels and strokes, for pages.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{Array2, Array3};

use super::{Image, Project, Rect, Region, Run};
use crate::geometry::Window;
use crate::portal::journal::{History, UNLABELLED};
use crate::portal::tiles::{Axis, ImageFile, Tile};
use crate::{Error, Result};

/// An entry that paints a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Painted {
    /// Its number in the journal.
    pub seq: u64,
    /// The image, such as `i1`.
    pub image: String,
    /// The slice.
    pub slice: usize,
    /// The class; `None` for an eraser.
    pub class: Option<u8>,
    /// The pixels that it is about, in order. Later entries may have changed their labels, and those of locked classes stayed as they
    /// were.
    pub runs: Vec<Run>,
}

/// Labels of a tile, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::portal) struct LabelTile {
    pub(in crate::portal) labels: Vec<u8>,
    pub(in crate::portal) height: usize,
    pub(in crate::portal) width: usize,
    /// The last entry that is in it.
    pub(in crate::portal) seq: u64,
}

/// What labels become that are shown: those of classes that were removed are none.
pub(super) fn shown(history: &History) -> [u8; 256] {
    let mut table = [UNLABELLED; 256];
    history.classes().for_each(|class| table[usize::from(class.class)] = class.class);
    table
}

impl Project {
    fn known(&self, id: &str) -> Result<Image> {
        self.image(id).ok_or_else(|| Error::Mismatch(format!("there is no image {id} in the project")))
    }

    /// A tile of a slice of an image; `None` where there is no such image, slice or tile.
    pub(in crate::portal) fn tile(
        &self,
        id: &str,
        slice: usize,
        (level, ty, tx): (u32, usize, usize),
    ) -> Result<Option<(Arc<Tile>, Image)>> {
        let Some(image) = self.image(id) else { return Ok(None) };
        let tile = self.tiles.tile(&image.file(&self.folder), slice, level, ty, tx)?;
        Ok(tile.map(|tile| (tile, image)))
    }

    /// A tile of what the job `job` has made of an image, in the file at `path` with so many `channels`; `None` where there is no such
    /// image, slice or tile.
    ///
    /// # Errors
    /// Those of reading the file.
    pub(in crate::portal) fn result_tile(
        &self,
        id: &str,
        job: &str,
        (path, channels): &(PathBuf, usize),
        slice: usize,
        (level, ty, tx): (u32, usize, usize),
    ) -> Result<Option<Arc<Tile>>> {
        let Some(image) = self.image(id) else { return Ok(None) };
        // An image of its own, that is shown as the one it was made of.
        let (lowest, highest) = self.range_of_values(&image);
        let file = ImageFile {
            // What is shown of it changes with its range.
            id: format!("{job}/{id} {lowest} {highest}"),
            is_of_files: false,
            place: path.display().to_string(),
            channels: *channels,
            lowest,
            highest,
            ..image.file(&self.folder)
        };
        self.tiles.tile(&file, slice, level, ty, tx)
    }

    /// A cut through an image; `None` where there is none.
    pub(in crate::portal) fn cut(
        &self,
        id: &str,
        axis: Axis,
        at: usize,
        level: u32,
    ) -> Result<Option<(Arc<Tile>, Image)>> {
        let Some(image) = self.image(id) else { return Ok(None) };
        let cut = self.tiles.cut(&image.file(&self.folder), axis, at, level)?;
        Ok(cut.map(|cut| (cut, image)))
    }

    /// The labels of a tile; `None` where there is no such image, slice or tile.
    pub(in crate::portal) fn label_tile(
        &self,
        id: &str,
        slice: usize,
        (level, ty, tx): (u32, usize, usize),
    ) -> Result<Option<LabelTile>> {
        let mut state = self.state();
        let Some(image) = state.about.image(id) else { return Ok(None) };
        if slice >= image.slices {
            return Ok(None);
        }
        let (seq, table) = (state.journal.seq(), shown(&state.history));
        state.with_labels(self, |labels, given| {
            let plane = labels.plane(given, id, slice)?;
            let tile = plane.tile(level, ty, tx, &table);
            Ok(tile.map(|(labels, height, width)| LabelTile { labels, height, width, seq }))
        })
    }

    /// The numbers of a slice of an image, `[channel][y][x]`, in the image's own units.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no such image or slice; those of reading it.
    pub fn read(&self, id: &str, slice: usize) -> Result<Array3<f32>> {
        let image = self.known(id)?;
        self.read_part(id, slice, &Window::plane(0..image.height, 0..image.width))
    }

    /// The numbers of a part of a slice, `[channel][y][x]`.
    ///
    /// # Errors
    /// As [`Project::read`].
    pub fn read_part(&self, id: &str, slice: usize, part: &Window) -> Result<Array3<f32>> {
        self.tiles.read(&self.known(id)?.file(&self.folder), slice, part)
    }

    /// The labels of a slice, `[y][x]`, 255 for pixels without one; and the last entry of the journal that they follow from.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for no such image or slice; those of reading it.
    pub fn labels(&self, id: &str, slice: usize) -> Result<(Array2<u8>, u64)> {
        let image = self.known(id)?;
        self.labels_in(id, slice, &Rect::whole(image.height, image.width))
    }

    /// As [`Project::labels`], of a part of the slice.
    ///
    /// # Errors
    /// As [`Project::labels`].
    pub fn labels_in(&self, id: &str, slice: usize, part: &Rect) -> Result<(Array2<u8>, u64)> {
        let image = self.known(id)?;
        let is_inside = part.top < part.bottom
            && part.bottom <= image.height
            && part.left < part.right
            && part.right <= image.width;
        if slice >= image.slices || !is_inside {
            return Err(Error::Mismatch(format!(
                "{id} has no such part in slice {slice}; ask for one inside of it"
            )));
        }
        let mut state = self.state();
        let (seq, table) = (state.journal.seq(), shown(&state.history));
        state.with_labels(self, |labels, given| Ok((labels.plane(given, id, slice)?.part(part, &table), seq)))
    }

    /// How many pixels of an image are labelled. Of a stack, a slice whose labels were not looked at yet stands for one pixel.
    ///
    /// # Errors
    /// As [`Project::labels`].
    pub fn labelled(&self, id: &str) -> Result<usize> {
        self.state().with_labels(self, |labels, given| labels.labelled(given, id))
    }

    /// The slices of an image that entries paint, in order.
    pub fn painted_slices(&self, id: &str) -> Vec<usize> {
        self.state().with_labels(self, |labels, given| labels.slices_with_entries(given, id))
    }

    /// The entries that paint a slice and are not undone, in order. One that lays labels over gives a [`Painted`] for each class.
    ///
    /// # Errors
    /// As [`Project::labels`].
    pub fn strokes(&self, id: &str, slice: usize) -> Result<Vec<Painted>> {
        let painted = self.state().with_labels(self, |labels, given| labels.painted(given, id, slice))?;
        let each = painted.iter().flat_map(|(seq, paints)| paints.iter().map(|paint| (*seq, paint)));
        Ok(each
            .map(|(seq, paint)| Painted {
                seq,
                image: id.to_owned(),
                slice,
                class: (paint.class != UNLABELLED).then_some(paint.class),
                runs: paint.runs.clone(),
            })
            .collect())
    }

    /// The entries that were drawn with a class, in order, also those that are undone.
    pub fn drawn_of_classes(&self) -> Vec<(u64, u8)> {
        self.state().history.drawn_of_classes()
    }

    /// What entries behind `seq` have changed, each with its number, in order; `None` where that is not known any more, as after a
    /// restart, and everything is to be looked at anew.
    pub fn changes_since(&self, seq: u64) -> Option<Vec<(u64, Vec<Region>)>> {
        let state = self.state();
        let known = seq >= state.changes_from;
        known.then(|| state.changes.iter().filter(|(of, _)| *of > seq).cloned().collect())
    }
}
