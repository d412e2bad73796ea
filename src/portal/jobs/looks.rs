//! Tiles of results, and their rows for counting.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::Result;
use crate::geometry::Window;
use crate::images::{Discovery, ImageCache, ImageSource, PartReader, page_size};
use crate::portal::journal::UNLABELLED;
use crate::portal::tiles::tile_extent;

/// Rows that are read at once.
const ROWS: usize = 256;
/// Bytes of pictures that are decoded as a whole, kept from row to row.
const DECODED_BYTES: u64 = 1 << 30;

/// The same, of results that are looked at.
const LOOKED_AT_BYTES: u64 = 256 << 20;

/// The classes of the pixels of an image, in files.
pub(super) struct Classes {
    pages: Vec<ImageSource>,
    files: ImageCache,
    height: usize,
    width: usize,
    /// Held while a picture is decoded as a whole, so that not several threads do it at once.
    decoding: Mutex<()>,
}

impl Classes {
    /// Those in a stack, a picture or a folder of pictures.
    ///
    /// # Errors
    /// Those of finding it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut pages = Discovery::default().discover_single_channel(&path.display().to_string())?;
        // Probabilities may lie beside pictures of classes.
        if path.is_dir()
            && pages.iter().any(|page| page.path.extension().is_some_and(|ending| ending == "png"))
        {
            pages.retain(|page| page.path.extension().is_some_and(|ending| ending == "png"));
        }
        let (_, height, width) = pages.first().map(page_size).transpose()?.unwrap_or_default();
        let files = ImageCache::new(DECODED_BYTES);
        Ok(Self { pages, files, height, width, decoding: Mutex::default() })
    }

    /// As [`Self::open`], to be kept open for tiles.
    ///
    /// # Errors
    /// Those of finding it.
    pub(super) fn open_to_look(path: &Path) -> Result<Self> {
        Ok(Self { files: ImageCache::new(LOOKED_AT_BYTES), ..Self::open(path)? })
    }

    pub(super) fn slices(&self) -> usize {
        self.pages.len()
    }

    /// Calls `found` with each row of a slice.
    ///
    /// # Errors
    /// Those of reading it.
    pub(super) fn each_row(&self, slice: usize, mut found: impl FnMut(&[i64])) -> Result<()> {
        let Some(page) = self.pages.get(slice) else { return Ok(()) };
        for top in (0..self.height).step_by(ROWS) {
            let part = Window::plane(top..(top + ROWS).min(self.height), 0..self.width);
            let labels = self.files.labels(page, &part, false)?;
            labels.outer_iter().for_each(|row| found(&row.to_vec()));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classes").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}

/// The classes in rows and columns of a slice, row by row; `None` where there is no such slice or part.
///
/// # Errors
/// Those of reading the result.
pub(super) fn part(
    classes: &Classes,
    slice: usize,
    (rows, columns): (Range<usize>, Range<usize>),
) -> Result<Option<Vec<u8>>> {
    let Some(page) = classes.pages.get(slice) else { return Ok(None) };
    if rows.end > classes.height || columns.end > classes.width {
        return Ok(None);
    }
    let is_decoded_whole = PartReader::held_bytes(page) > 0;
    let _one = is_decoded_whole.then(|| classes.decoding.lock().unwrap_or_else(PoisonError::into_inner));
    let labels = classes.files.labels(page, &Window::plane(rows, columns), false)?;
    Ok(Some(labels.iter().map(|value| u8::try_from(*value).unwrap_or(UNLABELLED)).collect()))
}

/// The classes of a tile, row by row, with its rows and columns; `None` where there is no such slice or tile. On level n a pixel has the
/// class of the first of the 2^n x 2^n pixels that it stands for.
///
/// # Errors
/// Those of reading the result.
pub(super) fn tile(
    classes: &Classes,
    slice: usize,
    (level, ty, tx): (u32, usize, usize),
) -> Result<Option<(Vec<u8>, usize, usize)>> {
    const TILE: usize = crate::portal::tiles::TILE;
    let extent = tile_extent(classes.height, classes.width, level, ty, tx);
    let (Some(page), Some((height, width))) = (classes.pages.get(slice), extent) else { return Ok(None) };
    let is_decoded_whole = PartReader::held_bytes(page) > 0;
    let _one = is_decoded_whole.then(|| classes.decoding.lock().unwrap_or_else(PoisonError::into_inner));
    let factor = 1_usize << level;
    let left = tx * TILE * factor;
    let columns = left..(left + width * factor).min(classes.width);
    let mut values = Vec::with_capacity(height * width);
    let class = |value: &i64| u8::try_from(*value).unwrap_or(UNLABELLED);
    let top = ty * TILE * factor;
    if factor == 1 {
        let labels = classes.files.labels(page, &Window::plane(top..top + height, columns), false)?;
        values.extend(labels.iter().map(class));
    } else {
        for row in 0..height {
            let y = top + row * factor;
            let line = classes.files.labels(page, &Window::plane(y..y + 1, columns.clone()), false)?;
            values.extend(line.iter().step_by(factor).map(class));
        }
    }
    Ok(Some((values, height, width)))
}
