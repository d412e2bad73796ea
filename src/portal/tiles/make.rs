//! Tiles of any level, and cuts through a stack.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{Array2, Array3, s};

use super::levels::{Scale, TILE, last_level, made_smaller, side_at, tile_extent};
use super::pyramid::{Builder, Pyramid, first_kept};
use super::stack::{ImageFile, Stacks};
use crate::geometry::Window;
use crate::portal::cache::Cache;
use crate::{Error, Result, memory};

/// Bytes of tiles that are kept.
const TILE_BYTES: usize = 64 << 20;
/// Bytes of smaller levels that are kept.
const PYRAMID_BYTES: usize = 128 << 20;
/// Columns that are read at once for tiles of level 0: files in strips are decoded over their whole width anyway.
const COLUMNS: usize = 8 * TILE;
/// Numbers that are read at once for smaller levels.
const BAND_NUMBERS: usize = 4 << 20;
/// Most bytes of a cut through a stack.
const MOST_CUT_BYTES: usize = 256 << 20;

/// A part of a picture: 16-bit numbers (little endian), channel by channel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::portal) struct Tile {
    pub(in crate::portal) width: usize,
    pub(in crate::portal) height: usize,
    pub(in crate::portal) channels: usize,
    pub(in crate::portal) bytes: Vec<u8>,
}

/// Which way a stack is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::portal) enum Axis {
    /// Along a row: columns and slices.
    Row,
    /// Along a column: rows and slices.
    Column,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Tile { id: String, slice: usize, level: u32, ty: usize, tx: usize },
    Cut { id: String, axis: Axis, at: usize, level: u32 },
}

impl Key {
    fn id(&self) -> &str {
        match self {
            Key::Tile { id, .. } | Key::Cut { id, .. } => id,
        }
    }
}

/// Makes tiles, and keeps some.
pub(in crate::portal) struct Tiles {
    stacks: Stacks,
    made: Mutex<Cache<Key, Arc<Tile>>>,
    pyramids: Mutex<Cache<(String, usize), Arc<Pyramid>>>,
}

impl std::fmt::Debug for Tiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tiles").finish_non_exhaustive()
    }
}

impl Default for Tiles {
    fn default() -> Self {
        let (made, pyramids) = (Cache::new(TILE_BYTES), Cache::new(PYRAMID_BYTES));
        Self { stacks: Stacks::new(), made: Mutex::new(made), pyramids: Mutex::new(pyramids) }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_tile(planes: &Array3<f32>, scale: Scale) -> Tile {
    let (channels, height, width) = planes.dim();
    let bytes = planes.iter().flat_map(|value| scale.of(*value).to_le_bytes()).collect();
    Tile { width, height, channels, bytes }
}

impl Tiles {
    /// A tile of a slice; `None` where there is no such slice or tile.
    ///
    /// # Errors
    /// Those of reading the image.
    pub(in crate::portal) fn tile(
        &self,
        file: &ImageFile,
        slice: usize,
        level: u32,
        ty: usize,
        tx: usize,
    ) -> Result<Option<Arc<Tile>>> {
        let (height, width) = (file.shape.height, file.shape.width);
        if slice >= file.shape.slices || tile_extent(height, width, level, ty, tx).is_none() {
            return Ok(None);
        }
        let key = |tx: usize| Key::Tile { id: file.id.clone(), slice, level, ty, tx };
        if let Some(tile) = locked(&self.made).get(&key(tx)) {
            return Ok(Some(tile.clone()));
        }
        if level == 0 {
            let left = tx * TILE / COLUMNS * COLUMNS;
            let columns = left..(left + COLUMNS).min(width);
            let rows = ty * TILE..((ty + 1) * TILE).min(height);
            let band = self.stacks.read_shown(file, slice, &Window::plane(rows, columns.clone()))?;
            let mut wanted = None;
            for start in columns.step_by(TILE) {
                let end = (start + TILE).min(width);
                let part = band.slice(s![.., .., start - left..end - left]).to_owned();
                let tile = Arc::new(as_tile(&part, file.scale()));
                if start / TILE == tx {
                    wanted = Some(tile.clone());
                }
                let bytes = tile.bytes.len();
                locked(&self.made).put(key(start / TILE), tile, bytes);
            }
            return Ok(wanted);
        }
        let tile = if level < first_kept(height, width, file.shown()) {
            let part = |number: usize, side: usize| {
                (number * TILE) << level..((((number + 1) * TILE) << level).min(side))
            };
            let values =
                self.stacks.read_shown(file, slice, &Window::plane(part(ty, height), part(tx, width)))?;
            as_tile(&smaller(&values, level), file.scale())
        } else {
            let pyramid = self.pyramid(file, slice)?;
            let Some((bytes, height, width)) = pyramid.tile(level, ty, tx) else { return Ok(None) };
            Tile { width, height, channels: file.shown(), bytes }
        };
        let (tile, bytes) = (Arc::new(tile), TILE * TILE * 2 * file.shown());
        locked(&self.made).put(key(tx), tile.clone(), bytes);
        Ok(Some(tile))
    }

    fn pyramid(&self, file: &ImageFile, slice: usize) -> Result<Arc<Pyramid>> {
        let key = (file.id.clone(), slice);
        if let Some(pyramid) = locked(&self.pyramids).get(&key) {
            return Ok(pyramid.clone());
        }
        self.stacks.alone(file, || {
            // Another thread may have made it meanwhile.
            if let Some(pyramid) = locked(&self.pyramids).get(&key) {
                return Ok(pyramid.clone());
            }
            let (height, width) = (file.shape.height, file.shape.width);
            let rows = (BAND_NUMBERS / (width * file.channels).max(1)).clamp(1, height);
            let mut builder = Builder::new(height, width, file.shown(), file.scale());
            for top in (0..height).step_by(rows) {
                let part = Window::plane(top..(top + rows).min(height), 0..width);
                let band = self.stacks.read_shown(file, slice, &part)?;
                for (channel, plane) in band.outer_iter().enumerate() {
                    plane.outer_iter().for_each(|row| builder.add(channel, row.to_vec()));
                }
            }
            let pyramid = Arc::new(builder.done());
            locked(&self.pyramids).put(key.clone(), pyramid.clone(), pyramid.bytes());
            Ok(pyramid)
        })
    }

    /// A cut through a stack, one row for each slice, made smaller along both sides; `None` where there is none.
    ///
    /// # Errors
    /// Those of reading the image; [`Error::OutOfMemory`], and [`Error::Mismatch`] for a cut that is too large.
    pub(in crate::portal) fn cut(
        &self,
        file: &ImageFile,
        axis: Axis,
        at: usize,
        level: u32,
    ) -> Result<Option<Arc<Tile>>> {
        let (slices, height, width) = (file.shape.slices, file.shape.height, file.shape.width);
        let (side, across) = match axis {
            Axis::Row => (width, height),
            Axis::Column => (height, width),
        };
        if at >= across || level > last_level(height.max(slices), width) {
            return Ok(None);
        }
        let key = Key::Cut { id: file.id.clone(), axis, at, level };
        if let Some(cut) = locked(&self.made).get(&key) {
            return Ok(Some(cut.clone()));
        }
        let bytes = side.saturating_mul(slices).saturating_mul(file.shown() * 8);
        if bytes > MOST_CUT_BYTES {
            let problem =
                format!("a cut of {side} x {slices} pixels is too large to be shown; look at slices");
            return Err(Error::Mismatch(problem));
        }
        memory::check("a cut through a stack", bytes as u64, "look at slices")?;
        let mut planes = Array3::zeros((file.shown(), slices, side));
        for slice in 0..slices {
            let part = match axis {
                Axis::Row => Window::plane(at..at + 1, 0..width),
                Axis::Column => Window::plane(0..height, at..at + 1),
            };
            let line = self.stacks.read_shown(file, slice, &part)?;
            for (channel, plane) in line.outer_iter().enumerate() {
                planes
                    .slice_mut(s![channel, slice, ..])
                    .iter_mut()
                    .zip(plane)
                    .for_each(|(to, from)| *to = *from);
            }
        }
        let cut = Arc::new(as_tile(&smaller(&planes, level), file.scale()));
        let bytes = cut.bytes.len();
        locked(&self.made).put(key, cut.clone(), bytes);
        Ok(Some(cut))
    }

    /// A part of a slice in its own numbers, `[channel][y][x]`.
    ///
    /// # Errors
    /// Those of reading it.
    pub(in crate::portal) fn read(
        &self,
        file: &ImageFile,
        slice: usize,
        part: &Window,
    ) -> Result<Array3<f32>> {
        self.stacks.read(file, slice, part)
    }

    /// The first channel of a part of a slice, `[y][x]`.
    ///
    /// # Errors
    /// Those of reading it.
    pub(in crate::portal) fn grey(
        &self,
        file: &ImageFile,
        slice: usize,
        part: &Window,
    ) -> Result<Array2<f32>> {
        Ok(self.stacks.read(file, slice, part)?.index_axis_move(ndarray::Axis(0), 0))
    }

    /// Forgets an image that was taken out of the project.
    pub(in crate::portal) fn close(&self, id: &str) {
        self.stacks.close(id);
        locked(&self.made).drop_if(|key| key.id() == id);
        locked(&self.pyramids).drop_if(|(of, _)| of == id);
    }
}

/// All channels made smaller.
fn smaller(planes: &Array3<f32>, level: u32) -> Array3<f32> {
    let (channels, height, width) = planes.dim();
    let mut out = Array3::zeros((channels, side_at(height, level), side_at(width, level)));
    for (mut to, from) in out.outer_iter_mut().zip(planes.outer_iter()) {
        to.assign(&made_smaller(from.to_owned(), level));
    }
    out
}

#[cfg(test)]
#[path = "make_tests.rs"]
mod tests;
