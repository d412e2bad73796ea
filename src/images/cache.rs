//! Parts of images in any order, from many threads: files that are decoded as a whole (PNG, JPEG) are kept while there is room.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, Array3};

use super::decode::{Origin, decode, origin, part_of};
use super::decoded::{Decoded, Purpose, each_type};
use super::file::Format;
use super::mean::mean;
use super::read::{joined, planes, read_parts_from, wanted_channel};
use super::read_labels::{labels, labels_in, nan_is_no_label};
use super::source::ImageSource;
use crate::error::Result;
use crate::geometry::Window;

/// Reads parts of images, and keeps what was decoded for them.
///
/// Of TIFF files and arrays only the strips, tiles and blocks are decoded that a part lies in, and nothing of them is kept here.
pub(crate) struct ImageCache {
    /// Bytes that may be kept.
    room: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    files: HashMap<(PathBuf, Purpose), (u64, Arc<Decoded>)>,
    bytes: u64,
    /// Counts uses, to find the file whose last use is longest ago.
    clock: u64,
}

/// What is there to be read of a part.
enum Found {
    Whole(Arc<Decoded>),
    InFile(Origin),
}

impl fmt::Debug for ImageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageCache").field("room", &self.room).finish_non_exhaustive()
    }
}

impl ImageCache {
    /// One that keeps at most `room` bytes.
    pub(crate) fn new(room: u64) -> Self {
        Self { room, kept: Mutex::default() }
    }

    /// Bytes that may be kept.
    pub(crate) fn room(&self) -> u64 {
        self.room
    }

    /// The rows and columns of `part` as [`super::read_image`] gives them; NaN and infinite pixels stay.
    ///
    /// # Errors
    /// As [`super::read_image`] for files that cannot be read.
    pub(crate) fn image(&self, page: &ImageSource, part: &Window) -> Result<Array3<f32>> {
        self.numbers(page, Purpose::Intensities, part)
    }

    /// The rows and columns of `part` as [`super::read_values`] gives them; NaN and infinite numbers stay.
    ///
    /// # Errors
    /// As [`super::read_image`] for files that cannot be read.
    pub(crate) fn values(&self, page: &ImageSource, part: &Window) -> Result<Array3<f32>> {
        self.numbers(page, Purpose::Values, part)
    }

    /// The rows and columns of `part` as [`super::read_labels`] gives them, with [`super::NO_LABEL`] for NaN; of JPEG files only where
    /// the labels are `rough`: where lossy compression does no harm.
    ///
    /// # Errors
    /// As [`super::read_labels`].
    pub(crate) fn labels(&self, page: &ImageSource, part: &Window, rough: bool) -> Result<Array2<i64>> {
        let purpose = if rough { Purpose::RoughLabels } else { Purpose::Labels };
        match self.find(page, purpose)? {
            Found::Whole(whole) => labels_in(page, &part_of(page, &whole, part)?, nan_is_no_label),
            Found::InFile(_) => labels(page, purpose, Some(part), nan_is_no_label),
        }
    }

    fn numbers(&self, page: &ImageSource, purpose: Purpose, part: &Window) -> Result<Array3<f32>> {
        if let Some(derived) = &page.derived {
            return derived.read(page, Some(part), |part| self.numbers(&derived.from, purpose, part));
        }
        if !page.averaged().is_empty() {
            let images = page.averaged().iter().map(|image| self.numbers(image, purpose, part));
            return mean(page, &images.collect::<Result<Vec<_>>>()?);
        }
        if let Some(slab) = &page.slab {
            let slices = slab.slices().map(|slice| self.numbers(slice, purpose, part));
            return joined(page, &slices.collect::<Result<Vec<_>>>()?);
        }
        match self.find(page, purpose)? {
            Found::Whole(whole) => wanted_channel(page, planes(&part_of(page, &whole, part)?, page)?),
            Found::InFile(origin) => read_parts_from(page, &origin, purpose, Some(part)),
        }
    }

    fn find(&self, page: &ImageSource, purpose: Purpose) -> Result<Found> {
        if let Some(whole) = self.kept(&page.path, purpose) {
            return Ok(Found::Whole(whole));
        }
        let origin = origin(page)?;
        if !matches!(origin, Origin::File(_, Format::Png | Format::Jpeg)) {
            return Ok(Found::InFile(origin));
        }
        let whole = Arc::new(decode(page, &origin, purpose, None)?);
        self.keep(&page.path, purpose, &whole);
        Ok(Found::Whole(whole))
    }

    fn kept(&self, path: &Path, purpose: Purpose) -> Option<Arc<Decoded>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (used, whole) = kept.files.get_mut(&(path.to_path_buf(), purpose))?;
        *used = now;
        Some(whole.clone())
    }

    fn keep(&self, path: &Path, purpose: Purpose, whole: &Arc<Decoded>) {
        let bytes = byte_count(whole);
        if bytes > self.room {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.bytes + bytes > self.room {
            let oldest = kept.files.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            let Some((_, dropped)) = oldest.and_then(|key| kept.files.remove(&key)) else { break };
            kept.bytes -= byte_count(&dropped);
        }
        kept.clock += 1;
        let now = kept.clock;
        if kept.files.insert((path.to_path_buf(), purpose), (now, whole.clone())).is_none() {
            kept.bytes += bytes;
        }
    }
}

fn byte_count(decoded: &Decoded) -> u64 {
    each_type!(&decoded.samples, values => size_of_val(values.as_slice()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{read_image, read_labels, write_png_grey8};

    #[test]
    fn parts_are_those_of_the_whole_and_no_more_is_kept_than_there_is_room_for() {
        let folder = tempfile::tempdir().unwrap();
        let pages: Vec<ImageSource> = (0..3)
            .map(|number| {
                let path = folder.path().join(format!("{number}.png"));
                let image = Array2::from_shape_fn((20, 30), |(y, x)| (y * 30 + x * 7 + number) as u8);
                write_png_grey8(&path, &image).unwrap();
                crate::images::discover(path.to_str().unwrap()).unwrap().remove(0)
            })
            .collect();
        let part = Window::plane(3..11, 20..30);
        for room in [0, 700, 1300, 1 << 20] {
            let cache = ImageCache::new(room);
            for page in pages.iter().chain(pages.iter().rev()) {
                let image = read_image(page).unwrap();
                let wanted = image.slice(ndarray::s![.., 3..11, 20..30]);
                assert_eq!(cache.image(page, &part).unwrap(), wanted);
                assert_eq!(cache.values(page, &part).unwrap(), wanted);
                let labels = read_labels(page).unwrap();
                let wanted = labels.slice(ndarray::s![3..11, 20..30]);
                assert_eq!(cache.labels(page, &part, false).unwrap(), wanted);
                let kept = cache.kept.lock().unwrap();
                assert!(kept.bytes <= room);
                assert_eq!(kept.bytes, 600 * kept.files.len() as u64);
            }
        }
    }
}
