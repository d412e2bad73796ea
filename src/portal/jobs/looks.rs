//! Tiles of results, and their rows for counting.

use std::path::Path;

use crate::Result;
use crate::geometry::Window;
use crate::images::{Discovery, ImageCache, ImageSource, page_size};
use crate::portal::journal::UNLABELLED;
use crate::portal::tiles::tile_extent;

/// Rows that are read at once.
const ROWS: usize = 256;
/// Bytes of pictures that are decoded as a whole, kept from row to row.
const DECODED_BYTES: u64 = 1 << 30;

/// The classes of the pixels of an image, in files.
pub(super) struct Classes {
    pages: Vec<ImageSource>,
    files: ImageCache,
    height: usize,
    width: usize,
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
        Ok(Self { pages, files: ImageCache::new(DECODED_BYTES), height, width })
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

/// The classes of a tile, row by row, with its rows and columns; `None` where there is no such slice or tile. On level n a pixel has the
/// class of the first of the 2^n x 2^n pixels that it stands for.
///
/// # Errors
/// Those of reading the result.
pub(super) fn tile(
    path: &Path,
    slice: usize,
    (level, ty, tx): (u32, usize, usize),
) -> Result<Option<(Vec<u8>, usize, usize)>> {
    const TILE: usize = crate::portal::tiles::TILE;
    let classes = Classes::open(path)?;
    let extent = tile_extent(classes.height, classes.width, level, ty, tx);
    let (Some(page), Some((height, width))) = (classes.pages.get(slice), extent) else { return Ok(None) };
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
